//! Where an embedded engine keeps its locks: a folder that the system's user of Firebird owns, unless another
//! is named. Who may not write there gets one of their own.
//!
//! Two engines with different folders do not see each other's locks. In Firebird's usual mode that does no harm,
//! because each also locks the database's file as a whole.

use std::fs::{DirBuilder, symlink_metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::process::geteuid;

use crate::error::{Error, Result};

/// Firebird's own place, whoever runs it.
const SYSTEM_FOLDER: &str = "/tmp/firebird";

/// The folder to be named to an embedded engine; `None` if the system's serves.
pub(super) fn lock_folder() -> Result<Option<PathBuf>> {
    let system = Path::new(SYSTEM_FOLDER);
    let serves = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    if geteuid().is_root() || !system.exists() || rustix::fs::access(system, serves).is_ok() {
        return Ok(None);
    }
    own_folder(&PathBuf::from(format!("{SYSTEM_FOLDER}-keepwell-{}", geteuid().as_raw()))).map(Some)
}

/// Makes `folder` for us alone. One that is there already must be ours: anybody may write beside it.
fn own_folder(folder: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| Error::local("make the folder", folder, error);
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(failed(io::Error::other("something of that name belongs to somebody else")));
    }
    Ok(folder.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_of_ones_own_is_made_once_and_a_strange_one_is_not_used() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("locks");
        for _ in 0..2 {
            assert_eq!(own_folder(&folder).unwrap(), folder);
            assert_eq!(symlink_metadata(&folder).unwrap().mode() & 0o777, 0o700);
        }
        let link = scratch.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(own_folder(&link).is_err());
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(own_folder(&folder).is_err());
    }
}
