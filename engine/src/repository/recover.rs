//! After an unfinished attempt: packs that landed but that no index names, and
//! staging files that nobody will finish.

use crate::control::Control;
use crate::error::Result;
use crate::format::IndexedPack;
use crate::repository::files::FileKind;
use crate::repository::packer;
use crate::repository::session::Session;

/// What was found and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Packs that are named by an index now.
    pub packs: usize,
    /// Their size.
    pub pack_bytes: u64,
    /// Staging files removed.
    pub staging_files: usize,
}

impl Session {
    /// Finds and keeps what an unfinished attempt left, if there may be such:
    /// nobody else is at work, and the store is local (where listing is cheap) or
    /// a holder ended without taking its lock away. The index must be loaded.
    pub fn recover(&self, control: &Control) -> Result<Recovered> {
        let surroundings = self.surroundings();
        let local = self.repository().files().store().is_local().is_some();
        if !surroundings.alone || !(local || surroundings.stale_found) {
            return Ok(Recovered::default());
        }
        self.ensure_writable()?;
        let mut recovered = self.adopt_orphans(control)?;
        recovered.staging_files = self.remove_staging()?;
        Ok(recovered)
    }

    fn adopt_orphans(&self, control: &Control) -> Result<Recovered> {
        let repository = self.repository();
        let mut orphans = Vec::new();
        {
            let index = repository.index();
            repository.files().list(FileKind::Pack, |file| {
                if !index.contains_pack(&file.id) {
                    orphans.push(file);
                }
            })?;
        }
        let mut recovered = Recovered::default();
        let mut packs = Vec::new();
        for orphan in orphans {
            control.checkpoint()?;
            let path = FileKind::Pack.path(orphan.id);
            let header = packer::read_header(&path, orphan.size_bytes, repository.files().key(), |bytes| {
                let start = orphan.size_bytes - bytes.min(orphan.size_bytes);
                repository.files().store().read_range(&path, start..orphan.size_bytes)
            });
            match header {
                Ok(blobs) => {
                    recovered.packs += 1;
                    recovered.pack_bytes += orphan.size_bytes;
                    packs.push(IndexedPack { id: orphan.id, blobs });
                }
                // `check` names it; a backup goes on without it.
                Err(error) => tracing::warn!(%error, "a pack that no index names is not usable"),
            }
        }
        if !packs.is_empty() {
            tracing::info!(
                recovered.packs,
                recovered.pack_bytes,
                "keeping what an unfinished attempt stored"
            );
            self.adopt_packs(packs)?;
        }
        Ok(recovered)
    }

    /// Nobody else held a lock when ours was written: what was staged before then is nobody's.
    fn remove_staging(&self) -> Result<usize> {
        let Some(before) = self.lock_written() else { return Ok(0) };
        let store = self.repository().files().store();
        let mut removed = 0;
        for (path, modified) in store.staging_files()? {
            if modified < before {
                store.remove_staging(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
