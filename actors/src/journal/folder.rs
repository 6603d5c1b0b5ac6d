//! The journal's folder: its names, its lock, and files that are whole or not there.
//!
//! Only the owner may look: folders are made with mode 0700, files have 0600.
//! The lock is the kernel's, so it goes with its process, however that ends.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::JournalError;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The journal's file, its write-ahead log and that one's index, as SQLite calls them after the first.
pub(super) const JOURNAL_SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Who looks whether a folder is in use has its lock for an instant; a start that meets him looks again.
const LOOKS_AT_LOCK_MAX: u32 = 4;
const LOOKED_AT_LOCK_EVERY: Duration = Duration::from_millis(20);

/// More is no process id.
const HOLDER_BYTES_MAX: u64 = 20;

/// Says in the lock whose it is, for those who come later.
fn note_holder(lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all_at(std::process::id().to_string().as_bytes(), 0)
}

/// The process that says that it holds the lock.
fn read_holder(lock: &File) -> Option<u32> {
    let mut text = String::new();
    lock.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Takes the lock, unless another process has it for longer than a look takes.
fn take(lock: &File) -> rustix::io::Result<()> {
    let mut looks = 1;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if looks < LOOKS_AT_LOCK_MAX => looks += 1,
            taken => return taken,
        }
        std::thread::sleep(LOOKED_AT_LOCK_EVERY);
    }
}

/// Whether the process `id` has the lock of the journal in the folder at `path`, now.
pub(super) fn is_held_by(path: &Path, id: u32) -> bool {
    let Ok(lock) = File::open(path.join("lock")) else { return false };
    if read_holder(&lock) != Some(id) {
        return false;
    }
    // A name may be left over from a process that was killed; the lock is not. If it can be had, closing gives it
    // back.
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// A folder that this journal alone uses, as long as the value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Closing it gives the lock back.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, JournalError> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(|error| JournalError::file("make", path, &error))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(|error| JournalError::file("open", &lock_path, &error))?;
        match take(&lock) {
            Ok(()) => {
                // It only helps others to words; a disk that is full is told by what needs it.
                let _ = note_holder(&lock);
                Ok(Self { path: path.into(), _lock: lock })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(JournalError::InUse { folder: path.into(), holder: read_holder(&lock) })
            }
            Err(error) => Err(JournalError::file("lock", &lock_path, &error.into())),
        }
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal.sqlite")
    }

    pub(super) fn items_file(&self) -> PathBuf {
        self.path.join("items.json")
    }

    /// A name in the folder.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes an empty file that stays if the machine stops.
    pub(super) fn make_file(&self, path: &Path) -> Result<(), JournalError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
        made.map_err(|error| JournalError::file("make", path, &error))?;
        self.sync()
    }

    /// Replaces a file by one with these bytes. Afterwards, or after a crash, it is the old or the new one.
    pub(super) fn replace_file(&self, path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
        let staging = with_suffix(path, ".new");
        let written = write_durably(&staging, bytes).and_then(|()| fs::rename(&staging, path));
        if let Err(error) = written {
            // On a full disk the rest of the new file would keep others from being written.
            let _ = fs::remove_file(&staging);
            return Err(JournalError::file("write", path, &error));
        }
        self.sync()
    }

    /// Makes renames and new names durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(|error| JournalError::file("sync", &self.path, &error))
    }

    /// Keeps others from reading what an older umask or a copy left readable.
    pub(super) fn restrict_journal(&self) -> Result<(), JournalError> {
        for path in JOURNAL_SUFFIXES.map(|suffix| with_suffix(&self.journal(), suffix)) {
            match fs::set_permissions(&path, Permissions::from_mode(FILE_MODE)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(JournalError::file("restrict", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// `path` with `suffix` after its whole name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
