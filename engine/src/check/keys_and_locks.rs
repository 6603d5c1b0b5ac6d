//! The small files: config, keys, locks, and what killed writers left beside them.

use super::Checker;
use super::finding::FindingKind;
use crate::error::{Error, Result};
use crate::format::KeyFile;
use crate::repository::{FileKind, stale_locks};

impl Checker<'_> {
    /// The config opened when the repository was; it may have been damaged since.
    pub(super) fn check_config(&self) -> Result<()> {
        if let Err(error) = self.repository.reread_config() {
            let (object, why) = self.as_damage("config".into(), error)?;
            self.findings.tell(FindingKind::ConfigDamaged, object, why);
        }
        Ok(())
    }

    /// All keys, also those whose passwords are not known: another one opened the repository, but
    /// their owners would find themselves locked out.
    pub(super) fn check_keys(&self) -> Result<()> {
        for id in self.repository.files().ids(FileKind::Key)? {
            let read = self.repository.files().read_stored(FileKind::Key, id).and_then(|json| {
                serde_json::from_slice::<KeyFile>(&json)
                    .map_err(|error| Error::damaged(FileKind::Key.path(id), error.to_string()))
            });
            match read {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let (object, why) = self.as_damage(FileKind::Key.path(id), error)?;
                    self.findings.tell(FindingKind::KeyDamaged, object, why);
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_locks(&self) -> Result<()> {
        let options = self.repository.options();
        let stale = stale_locks(self.repository.files(), &options.lock_timing, options.clock.as_ref())?;
        for (id, why) in stale {
            self.findings.tell(FindingKind::LockStale, FileKind::Lock.path(id), why);
        }
        let now = options.clock.now();
        let store = self.repository.files().store();
        for (path, modified) in store.staging_files()? {
            // A writer that is alive has such files too, and changes them all the time.
            let nobodys = match self.session.alone_since() {
                Some(since) => modified < since,
                None => now.duration_since(modified).is_ok_and(|age| age > options.lock_timing.stale_after),
            };
            if nobodys {
                let inside = store.is_local().and_then(|folder| path.strip_prefix(folder).ok());
                let object = inside.unwrap_or(&path).display().to_string();
                let why = "a writer that was killed left it";
                self.findings.tell(FindingKind::StagingLeftover, object, why);
            }
        }
        Ok(())
    }
}
