//! Files that live as long as a backup. Each is locked by its owner, so that what a killed process left is told
//! from what is in use, and is removed by the next one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};

const PREFIX: &str = "keepwell-scratch-";

/// Names that are tried: each is random, so that a second one is hardly ever needed.
const NAMES_MAX: usize = 8;

/// A file of mode 0600, removed when it is dropped.
pub(super) struct ScratchFile {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl ScratchFile {
    /// Makes an empty file in `folder`, which is made with mode 0700 if it is not there, and removes
    /// what killed processes left in it.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Error::local("make the folder", folder, error))?;
        if let Err(error) = remove_leftovers(folder) {
            tracing::warn!(folder = %folder.display(), %error, "what killed processes left could not be removed");
        }
        Self::make_in(folder).map_err(|error| Error::local("make a temporary file in", folder, error))
    }

    fn make_in(folder: &Path) -> io::Result<Self> {
        for _ in 0..NAMES_MAX {
            let mut number = [0; 8];
            getrandom::fill(&mut number).map_err(|error| io::Error::other(error.to_string()))?;
            let path = folder.join(format!("{PREFIX}{:016x}", u64::from_le_bytes(number)));
            let file =
                match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                    opened => opened?,
                };
            // Another process may have taken it for a leftover before it was locked.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
        Err(io::Error::other("every name is taken"))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "a temporary file could not be removed");
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let number = |metadata: io::Result<fs::Metadata>| metadata.map(|known| (known.dev(), known.ino())).ok();
    number(file.metadata()).is_some_and(|own| number(fs::symlink_metadata(path)) == Some(own))
}

/// Removes what nobody holds. SQLite's own files beside it have longer names and go with it.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !entry.file_type()?.is_file() {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_goes() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/scratch");
        let used = ScratchFile::make(&folder).unwrap();
        let left = folder.join(format!("{PREFIX}0123456789abcdef"));
        fs::write(&left, "left").unwrap();
        fs::write(folder.join("foreign"), "kept").unwrap();
        let other = ScratchFile::make(&folder).unwrap();
        assert!(used.path().exists() && other.path().exists() && !left.exists());
        assert_eq!(fs::metadata(used.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        drop((used, other));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "only what is not ours");
    }
}
