//! The repository that is used when none is given: a folder among the user's data,
//! made by the first backup, its random password in a file beside it.
//!
//! The password file is whole and on disk before the repository is made, and is never
//! written over: a repository without its password is worth nothing.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keepwell_engine::crypto::fill_random;

use crate::exit::Failure;
use crate::repository::user_folder;

/// 256 bits: nobody has to remember them.
const PASSWORD_BYTES: usize = 32;

/// Where the default repository and its password lie.
#[derive(Clone, Debug)]
pub struct DefaultRepository {
    folder: PathBuf,
    repository: PathBuf,
    password_file: PathBuf,
}

impl DefaultRepository {
    /// Its place, whether it exists or not.
    pub fn locate() -> Result<Self, Failure> {
        let data = user_folder("XDG_DATA_HOME", ".local/share").ok_or_else(|| {
            Failure::usage("no repository is given, and without HOME there is no place for the default one")
                .hint("name a repository with --repo or KEEPWELL_REPOSITORY")
        })?;
        Ok(Self::in_folder(data.join("keepwell")))
    }

    fn in_folder(folder: PathBuf) -> Self {
        Self { repository: folder.join("repository"), password_file: folder.join("password"), folder }
    }

    /// The repository's folder.
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// The file that holds its password.
    pub fn password_file(&self) -> &Path {
        &self.password_file
    }

    /// Whether it was made.
    pub fn exists(&self) -> bool {
        self.repository.join("config").exists()
    }

    /// Makes the folder and the password, unless an earlier first backup did.
    pub fn make_password(&self) -> Result<(), Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|error| Failure::local("make", &self.folder, error))?;
        if self.password_file.exists() {
            return Ok(());
        }
        let mut random = [0; PASSWORD_BYTES];
        fill_random(&mut random)?;
        let password = URL_SAFE_NO_PAD.encode(random);
        self.write_password(&password).map_err(|error| Failure::local("write", &self.password_file, error))
    }

    /// Written under another name and linked: the file is there whole or not at all, and the
    /// first of two that do this at the same time wins.
    fn write_password(&self, password: &str) -> io::Result<()> {
        let staging = self.folder.join(format!("password.{}", std::process::id()));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staging)?;
        writeln!(file, "{password}")?;
        file.sync_all()?;
        let linked = fs::hard_link(&staging, &self.password_file);
        fs::remove_file(&staging)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => File::open(&self.folder)?.sync_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_password_is_private_and_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let default = DefaultRepository::in_folder(home.path().join("data/keepwell"));
        default.make_password().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&default.folder), mode(default.password_file())), (0o700, 0o600));
        let first = fs::read_to_string(default.password_file()).unwrap();
        assert!(first.trim().len() >= 43, "256 bits");
        default.make_password().unwrap();
        default.write_password("another").unwrap();
        assert_eq!(fs::read_to_string(default.password_file()).unwrap(), first);
        assert_eq!(fs::read_dir(&default.folder).unwrap().count(), 1, "nothing is left over");
    }
}
