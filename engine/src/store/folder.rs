//! What only a store in a local folder has: folders that are made beforehand, and files that killed writers left.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Store, local, staging};
use crate::error::{Error, Result};

impl Store {
    /// Makes the folders of a new local repository; other stores need none.
    pub fn prepare_layout(&self) -> Result<()> {
        match &self.shared.local {
            Some((local, folder)) => local
                .prepare_layout()
                .map_err(|error| self.failure("create", "folders", local::at(folder, error).into())),
            None => Ok(()),
        }
    }

    /// What killed writers left in a local store, with the time of their last
    /// write. A writer that is alive has such files too: only old ones are waste.
    pub fn staging_files(&self) -> Result<Vec<(PathBuf, SystemTime)>> {
        match &self.shared.local {
            Some((local, _)) => {
                local.staging_files().map_err(|error| self.failure("list", "staging files", error.into()))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Gives a file that [`Self::staging_files`] gave the name that it was written for, if it is
    /// whole: if that name is its digest. `false` if it is not whole, or gone.
    pub fn finish_staging(&self, path: &Path) -> Result<bool> {
        self.ensure_staging(path)?;
        staging::finish(path).map_err(|error| {
            self.failure("write", &path.display().to_string(), local::at(path, error).into())
        })
    }

    /// Deletes a file that [`Self::staging_files`] gave. One that is gone is fine.
    pub fn remove_staging(&self, path: &Path) -> Result<()> {
        self.ensure_staging(path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failure("delete", &path.display().to_string(), local::at(path, error).into()))
            }
            _ => Ok(()),
        }
    }

    fn ensure_staging(&self, path: &Path) -> Result<()> {
        let is_inside = self.is_local().is_some_and(|folder| path.starts_with(folder));
        if is_inside && staging::is_staging(path) {
            Ok(())
        } else {
            Err(Error::Invalid(format!("{} is no staging file of this store", path.display())))
        }
    }
}
