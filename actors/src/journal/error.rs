//! Why the journal could not do what it was asked to.
//!
//! Every variant has a class, so that a refusal or a failure built from it says
//! whether waiting can help. What SQLite reports is sorted here, and only here.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use keepwell_messages::{CommandId, ErrorClass, Failure, ItemId, TaskId};
use rusqlite::ErrorCode;

/// See the module. Cloned where one cause fails several batches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another journal, of this process or another one, holds the folder's lock.
    #[error("the journal in {} is in use by {}", folder.display(), process(*holder))]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process that has it, if it says so.
        holder: Option<u32>,
    },
    /// A newer program wrote the journal. It was left as it is.
    #[error("the journal is of version {found}, this program knows up to {known}")]
    NewerVersion {
        /// The journal's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The folder, or a file in it, cannot be used.
    #[error("cannot {operation} {}: {why}", path.display())]
    File {
        /// What was being done, as `make` or `lock`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        why: String,
        /// Whether the disk was full, or else.
        class: ErrorClass,
    },
    /// The disk is full; nothing of the batch is there, and later batches may fit.
    #[error("the disk under the journal is full: {0}")]
    Full(String),
    /// The journal is not what was written. The next opening moves it aside.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// SQLite failed in another way; nothing of the batch is there.
    #[error("the journal cannot be used: {0}")]
    Sqlite(String),
    /// The batch answers a command that was answered already.
    #[error("command {0} was carried out already")]
    AlreadyServed(CommandId),
    /// Nothing comes after a task's end.
    #[error("task {0} has ended")]
    TaskHasEnded(TaskId),
    /// The batch changes a task that the journal does not hold.
    #[error("the journal knows no task {0}")]
    UnknownTask(TaskId),
    /// The batch changes an item that the journal does not hold.
    #[error("the journal knows no item {0}")]
    UnknownItem(ItemId),
    /// A time before the year 1677 or after 2262, which a column cannot hold.
    #[error("{0} is out of the journal's range")]
    TimeOutOfRange(DateTime<Utc>),
    /// A value takes more bytes than the journal keeps in one.
    #[error("{what} takes more than {bytes_max} bytes")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The bound.
        bytes_max: usize,
    },
    /// A batch that this one builds on has failed.
    #[error("what it builds on could not be written")]
    CourseBroken,
    /// The writer has ended, and nothing more is written.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// The class of the failure.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } | Self::NewerVersion { .. } => ErrorClass::Settings,
            Self::File { class, .. } => *class,
            Self::Full(_) => ErrorClass::Space,
            Self::TooLarge { .. } | Self::TimeOutOfRange(_) => ErrorClass::Settings,
            // No class speaks of the journal: what remains is this process failing, not the backup.
            Self::Damaged(_)
            | Self::Sqlite(_)
            | Self::AlreadyServed(_)
            | Self::TaskHasEnded(_)
            | Self::UnknownTask(_)
            | Self::UnknownItem(_)
            | Self::CourseBroken
            | Self::Closed => ErrorClass::Crash,
        }
    }

    /// The error as events and refusals carry it.
    pub fn failure(&self) -> Failure {
        Failure { class: self.class(), why: self.to_string() }
    }

    pub(super) fn file(operation: &'static str, path: &Path, error: &io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let class = if full { ErrorClass::Space } else { ErrorClass::Settings };
        Self::File { operation, path: path.into(), why: error.to_string(), class }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(code, _) => match code.code {
                ErrorCode::DiskFull => Self::Full(why),
                // Growing the shared-memory file fails in this way where there is no room for it.
                ErrorCode::SystemIoFailure if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                    Self::Full(why)
                }
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged(why),
                _ => Self::Sqlite(why),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged(why),
            _ => Self::Sqlite(why),
        }
    }
}

fn process(id: Option<u32>) -> String {
    id.map_or_else(|| "another process".into(), |id| format!("process {id}"))
}
