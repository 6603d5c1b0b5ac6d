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
        let staging_files = self.settle_staging(control)?;
        Ok(Recovered { staging_files, ..self.adopt_orphans(control)? })
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

    /// A pack that lacks nothing but its name gets it, and is an orphan like others; whatever else
    /// was staged before this session's lock is removed. Returns how many were removed.
    fn settle_staging(&self, control: &Control) -> Result<usize> {
        let Some(since) = self.alone_since() else { return Ok(0) };
        let store = self.repository().files().store();
        let mut removed = 0;
        for (path, modified) in store.staging_files()? {
            control.checkpoint()?;
            if modified >= since {
                continue;
            }
            // An index or a snapshot would be believed; a pack has to be found first.
            let is_pack =
                store.is_local().is_some_and(|root| path.starts_with(root.join(FileKind::Pack.folder())));
            if !(is_pack && store.finish_staging(&path)?) {
                store.remove_staging(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
