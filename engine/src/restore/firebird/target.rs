//! The place of a database that is made anew: its folder, its name, and the temporary name that the new one has
//! until it is whole.
//!
//! The folder is locked as long as a restore works in it, with a lock that ends with its process. So a file of
//! the temporary name that is there when the lock is taken was left by a restore that was killed.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions, canonicalize};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::FirebirdTarget;
use crate::error::{Error, Result};
use crate::firebird::FirebirdPlace;

/// What the temporary name adds to the database's own. Anything so called is a restore's.
const TEMPORARY_SUFFIX: &str = ".keepwell-restoring";

/// A server lets go of a database within milliseconds of its last connection's end.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two looks at whether it has.
const RELEASE_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A claimed place. Dropped without [`Target::publish`], it leaves nothing that was not there before.
pub(super) struct Target {
    /// Locked as long as it is open.
    folder: OwnedFd,
    folder_path: PathBuf,
    name: OsString,
    temporary: OsString,
    /// The database that is to be replaced.
    replaces: bool,
}

impl Target {
    /// Claims the place, if it can be written to and nothing stands there that is to stay.
    pub(super) fn claim(target: &FirebirdTarget) -> Result<Self> {
        let path = Path::new(target.access.database.path());
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Invalid(format!("{} is no file's name", path.display())));
        };
        let folder_path =
            canonicalize(parent).map_err(|error| Error::local("find the folder", parent, error))?;
        ensure_beneath(target.beneath.as_deref(), parent, &folder_path)?;
        let failed = |error: Errno| Error::local("use the folder", &folder_path, error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&folder_path, flags, Mode::empty()).map_err(failed)?;
        rustix::fs::access(&folder_path, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| Error::local("write into the folder", &folder_path, error))?;
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                let folder = folder_path.display();
                return Err(Error::Invalid(format!("another restore works in {folder}; wait for its end")));
            }
            locked => locked.map_err(failed)?,
        }
        let mut temporary = name.to_os_string();
        temporary.push(TEMPORARY_SUFFIX);
        let mut claimed = Self { folder, folder_path, name: name.into(), temporary, replaces: false };
        claimed.replaces = claimed.look_at_old(target.replace)?;
        claimed.remove_temporary()?;
        Ok(claimed)
    }

    /// Whether there is a database to be replaced.
    fn look_at_old(&self, replace: bool) -> Result<bool> {
        let path = self.folder_path.join(&self.name);
        let shown = path.display();
        let found = match rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            found => found.map_err(|error| Error::local("look at", &path, error))?,
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(Error::Invalid(format!("{shown} is no file, and cannot become a database")));
        }
        if !replace {
            return Err(Error::Invalid(format!(
                "{shown} is there already, and stays; restore under another name, or replace it on purpose"
            )));
        }
        self.lock_unused(&self.name).map(|_| true)
    }

    /// The path of the new database until it has its name.
    pub(super) fn temporary_path(&self) -> Result<String> {
        let path = self.folder_path.join(&self.temporary).into_os_string().into_string();
        path.map_err(|path| {
            Error::Invalid(format!(
                "{} is not written in UTF-8, which tools need",
                Path::new(&path).display()
            ))
        })
    }

    /// Fails if the new database is not in this folder: then the server sees another one under that name.
    pub(super) fn ensure_made(&self, new: &FirebirdPlace) -> Result<()> {
        match rustix::fs::statat(&self.folder, &self.temporary, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => Err(Error::Invalid(format!(
                "the server made {new} in a folder of its own that this machine does not see; remove it there, \
                 and restore where the server's files are"
            ))),
            Err(error) => Err(Error::local("look at", self.folder_path.join(&self.temporary), error)),
        }
    }

    /// Gives the new database its name, durably. Nobody has it open then, nor the one that it replaces.
    pub(super) fn publish(self) -> Result<()> {
        let new = self.lock_released(&self.temporary)?;
        let path = self.folder_path.join(&self.name);
        let failed = |error: io::Error| Error::local("give its name to", &path, error);
        // The lock is kept until the new one is in its place, so that no server opens the old one.
        let old = if self.replaces { Some(self.lock_unused(&self.name)?) } else { None };
        self.take_over_rights(&new, old.as_ref()).map_err(failed)?;
        new.sync_all().map_err(failed)?;
        let (from, to) = (&self.temporary, &self.name);
        let renamed = if self.replaces {
            rustix::fs::renameat(&self.folder, from, &self.folder, to)
        } else {
            rename_to_nothing(&self.folder, from, to)
        };
        match renamed {
            Err(Errno::EXIST) => {
                let shown = path.display();
                return Err(Error::Invalid(format!("{shown} was made by somebody else meanwhile; it stays")));
            }
            renamed => renamed.map_err(|error| failed(error.into()))?,
        }
        rustix::fs::fsync(&self.folder).map_err(|error| failed(error.into()))
    }

    /// Owner and mode are those of the database that is replaced; else the owner is the folder's, if that is
    /// not root, so that a server can open what was made without it. Only root can and needs to do this.
    fn take_over_rights(&self, new: &File, old: Option<&File>) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let (own, path) = (new.metadata()?, self.folder_path.join(&self.temporary));
        let (uid, gid) = match old.map(File::metadata).transpose()? {
            Some(old) => {
                new.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
                (old.uid(), old.gid())
            }
            None if own.uid() == 0 => {
                let folder = rustix::fs::fstat(&self.folder)?;
                if folder.st_uid == 0 { (own.uid(), own.gid()) } else { (folder.st_uid, folder.st_gid) }
            }
            None => (own.uid(), own.gid()),
        };
        if (uid, gid) == (own.uid(), own.gid()) { Ok(()) } else { chown(path, Some(uid), Some(gid)) }
    }

    fn open(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.folder, name, flags, Mode::empty());
        opened.map(File::from).map_err(|error| Error::local("open", self.folder_path.join(name), error))
    }

    /// Locks a database as a server would, which nobody may have open.
    fn lock_unused(&self, name: &OsStr) -> Result<File> {
        let file = self.open(name)?;
        let shown = self.folder_path.join(name);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => Err(Error::Invalid(format!(
                "{} is in use; disconnect those who work with it, then restore again",
                shown.display()
            ))),
            Err(error) => Err(Error::local("lock", shown, error)),
        }
    }

    /// The same, once whoever made it has let go of it.
    fn lock_released(&self, name: &OsStr) -> Result<File> {
        let deadline = Instant::now() + RELEASE_WAIT_MAX;
        loop {
            match self.lock_unused(name) {
                Err(Error::Invalid(_)) if Instant::now() < deadline => sleep(RELEASE_LOOK_EVERY),
                locked => return locked,
            }
        }
    }

    fn remove_temporary(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                Err(Error::local("remove what an earlier restore left", self.temporary_shown(), error))
            }
        }
    }

    fn temporary_shown(&self) -> PathBuf {
        self.folder_path.join(&self.temporary)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Err(error) = self.remove_temporary() {
            tracing::warn!(%error, "the next restore will try again");
        }
    }
}

/// Whether the folder is what its path says, and not what a link on the way leads to.
fn ensure_beneath(beneath: Option<&Path>, parent: &Path, found: &Path) -> Result<()> {
    let Some(root) = beneath else { return Ok(()) };
    let root_found = canonicalize(root).map_err(|error| Error::local("find the folder", root, error))?;
    let way = parent.strip_prefix(root).ok();
    if way.is_some_and(|way| root_found.join(way) == found) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the folder {} is not below {}, or leads through a link; name one that is reached without",
        parent.display(),
        root.display()
    )))
}

/// Renames, and fails with `Errno::EXIST` rather than replace anything.
fn rename_to_nothing(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do it in one step can do it in two.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())?;
            rustix::fs::unlinkat(folder, from, AtFlags::empty())
        }
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests;
