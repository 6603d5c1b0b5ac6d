//! A SQLite database, as it was at one instant, while programs write to it: stored as one file at its own path.
//!
//! SQLite's backup interface copies it page by page into a temporary file, so that programs are held up as long as
//! a copy takes and not as long as an upload may. With a write-ahead log they are not held up at all. Without
//! one, a copy that others' writes overtake begins again; one that was overtaken too often keeps writers
//! waiting until it is through. A pause gives the copy up, because it would hold back writers, or the log's end.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::one_file::{MakeContent, OneFileFolder, made_node, time_now};
use super::scratch::ScratchFile;
use super::{FileContent, Folder, Problems, Source, Totals};
use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::NodeKind;
use crate::source::clean_path::clean;

/// Pages copied between two looks at the control: 4 MiB of usual pages.
const PAGES_AT_ONCE: i32 = 1024;
/// Copies that others may overtake before writers have to wait.
const OVERTAKEN_MAX: u32 = 3;
/// How long a database that somebody else keeps locked is waited for.
const LOCKED_MAX: Duration = Duration::from_secs(60);
/// Between two looks at a locked database.
const LOCKED_WAIT: Duration = Duration::from_millis(50);

/// A source of one database. Serves one backup.
pub struct SqliteSource {
    database: PathBuf,
    scratch_folder: PathBuf,
    clock: Arc<dyn Clock>,
    copy: Mutex<Option<Arc<ScratchFile>>>,
}

/// How an attempt to copy ended.
enum Copying {
    Done(ScratchFile),
    /// Somebody else wrote meanwhile.
    Overtaken,
    /// It is to stand still: nothing of it is kept.
    Paused,
}

impl SqliteSource {
    /// The database at an absolute path. Its copy lies in `scratch_folder`, which needs as much room as the
    /// database, while the backup runs. Looks at no file yet.
    pub fn new(
        database: impl Into<PathBuf>,
        scratch_folder: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let database = database.into();
        let bytes = database.as_os_str().as_bytes();
        if !database.is_absolute() || clean(bytes) == b"/" || bytes.contains(&0) {
            let shown = database.display();
            return Err(Error::Invalid(format!("{shown} is no absolute path of a SQLite database")));
        }
        Ok(Self { database, scratch_folder: scratch_folder.into(), clock, copy: Mutex::new(None) })
    }

    /// Where it stands in the snapshot.
    fn path(&self) -> Vec<u8> {
        clean(self.database.as_os_str().as_bytes())
    }

    fn copy(&self, control: &Control) -> Result<ScratchFile> {
        let mut overtaken = 0;
        loop {
            control.checkpoint()?;
            match self.copy_once(overtaken >= OVERTAKEN_MAX, control)? {
                Copying::Done(copy) => return Ok(copy),
                Copying::Overtaken => overtaken += 1,
                Copying::Paused => {}
            }
        }
    }

    /// `hold` keeps writers waiting, where there is no write-ahead log.
    fn copy_once(&self, hold: bool, control: &Control) -> Result<Copying> {
        let scratch = ScratchFile::make(&self.scratch_folder)?;
        let from = self.open()?;
        let is_logged = self.until_free(control, || journal_mode(&from))? == "wal";
        if hold || is_logged {
            // Fixes the instant: what is written from now on is not in the copy.
            let begin = "BEGIN; SELECT count(*) FROM sqlite_schema";
            self.until_free(control, || from.execute_batch(begin).inspect_err(|_| roll_back(&from)))?;
        }
        let mut to = open_copy(scratch.path()).map_err(|error| self.not_copied(&scratch, error))?;
        let backup = Backup::new(&from, &mut to).map_err(|error| self.unreadable(error))?;
        let mut remaining = i32::MAX;
        let mut waited = Duration::ZERO;
        loop {
            if control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if control.is_paused() {
                return Ok(Copying::Paused);
            }
            match backup.step(PAGES_AT_ONCE) {
                Ok(StepResult::Done) => break,
                Ok(StepResult::More) => {
                    waited = Duration::ZERO;
                    let left = backup.progress().remaining;
                    if left >= remaining {
                        return Ok(Copying::Overtaken);
                    }
                    remaining = left;
                }
                Ok(_) if waited >= LOCKED_MAX => return Err(self.locked()),
                Ok(_) => {
                    control.sleep(LOCKED_WAIT)?;
                    waited += LOCKED_WAIT;
                }
                Err(error) => return Err(self.not_copied(&scratch, error)),
            }
        }
        drop(backup);
        to.close().map_err(|(_, error)| self.not_copied(&scratch, error))?;
        Ok(Copying::Done(scratch))
    }

    /// Opens it as any program does: what one that crashed left half written is rolled back, as it would be
    /// by the next program that opens it.
    fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLite says of every file that it cannot open only that. To open and close it here would take away the
        // locks that this process may hold on it (fcntl(2)).
        access(&self.database, Access::READ_OK).map_err(|error| self.failed(error.into()))?;
        let open = || {
            let connection = Connection::open_with_flags(&self.database, flags)?;
            // Longer waits look at the control.
            connection.busy_timeout(LOCKED_WAIT)?;
            // The log is the program's to put in order.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(connection)
        };
        open().map_err(|error| self.unreadable(error))
    }

    /// Does what may meet somebody else's lock, until it does not.
    fn until_free<T>(&self, control: &Control, work: impl Fn() -> rusqlite::Result<T>) -> Result<T> {
        let mut waited = Duration::ZERO;
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(error) if !is_locked(&error) => return Err(self.unreadable(error)),
                Err(_) if waited >= LOCKED_MAX => return Err(self.locked()),
                Err(_) => {
                    control.sleep(LOCKED_WAIT)?;
                    waited += LOCKED_WAIT;
                }
            }
        }
    }

    fn locked(&self) -> Error {
        let why = format!("another program has kept it locked for {} s", LOCKED_MAX.as_secs());
        self.failed(io::Error::new(io::ErrorKind::WouldBlock, why))
    }

    fn unreadable(&self, error: rusqlite::Error) -> Error {
        let why = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                "it is no SQLite database, or an encrypted one; back it up as a file".into()
            }
            _ => error.to_string(),
        };
        self.failed(io::Error::other(why))
    }

    /// Either side may be at fault when a page is copied; only the copy needs room.
    fn not_copied(&self, scratch: &ScratchFile, error: rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::local("copy the database into", scratch.path(), Errno::NOSPC),
            _ => self.unreadable(error),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Source { path: self.database.clone(), source }
    }
}

impl Source for SqliteSource {
    fn paths(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(&self.path()).into_owned()]
    }

    /// Makes the copy.
    fn prepare(&self, control: &Control, _: &dyn Problems) -> Result<()> {
        let copy = self.copy(control)?;
        *self.copy.lock() = Some(Arc::new(copy));
        Ok(())
    }

    /// The file has the database's owner and mode, and the time of the copy: pages that are only in the log do not
    /// change the database's own.
    fn root(&self) -> Result<Box<dyn Folder>> {
        let copy = self.copy.lock().clone();
        let copy = copy.ok_or_else(|| Error::Invalid("the source was not prepared".into()))?;
        let known = fs::metadata(&self.database).map_err(|error| self.failed(error))?;
        let mut node = made_node(NodeKind::File, known.mode() & 0o777, time_now(&*self.clock));
        (node.uid, node.gid) = (known.uid(), known.gid());
        let content: MakeContent = Arc::new(move || Box::new(CopiedDatabase(copy.clone())));
        Ok(Box::new(OneFileFolder::root(&self.path(), node, content)))
    }

    fn count(&self, _: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        if let Some(copy) = &*self.copy.lock() {
            let bytes =
                fs::metadata(copy.path()).map_err(|error| Error::local("read", copy.path(), error))?.len();
            found(Totals { files: 1, bytes });
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Copying looks at the control, and reading the copy ends by itself.
    fn cancel(&self) {}
}

struct CopiedDatabase(Arc<ScratchFile>);

impl FileContent for CopiedDatabase {
    /// Nothing tells that a database has not changed but its pages.
    fn is_stream(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Read + Send>> {
        let file = fs::File::open(self.0.path());
        Ok(Box::new(file.map_err(|error| Error::local("read", self.0.path(), error))?))
    }
}

fn journal_mode(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))
}

/// The copy is of no use unless it is finished, so nothing is done for its safety.
fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192")?;
    Ok(connection)
}

fn roll_back(connection: &Connection) {
    // Fails if there is nothing to roll back, which is what is wanted.
    let _ = connection.execute_batch("ROLLBACK");
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests;
