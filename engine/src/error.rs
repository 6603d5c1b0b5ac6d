//! The engine's one error type. Every variant names what happened and where,
//! and has a class, which is all that retry rules look at.

use std::io;
use std::path::PathBuf;

use keepwell_messages::ErrorClass;

/// Short for results of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the engine could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location holds no `config`.
    #[error("no repository at {location}")]
    NoRepository {
        /// The location as the user wrote it, without credentials.
        location: String,
    },
    /// `init` on a location that already holds a `config`.
    #[error("there is already a repository at {location}")]
    RepositoryExists {
        /// The location as the user wrote it, without credentials.
        location: String,
    },
    /// No key of the repository opens with the given password.
    #[error("wrong password: it opens no key of the repository (tried: {keys})")]
    WrongPassword {
        /// How many keys were tried.
        keys: usize,
    },
    /// Another process holds a lock that excludes ours.
    #[error("the repository is locked by process {pid} of {username} on {hostname}, since {since}")]
    Locked {
        /// Process id of the holder.
        pid: u32,
        /// Machine of the holder.
        hostname: String,
        /// User of the holder.
        username: String,
        /// When the lock was written, RFC 3339.
        since: String,
    },
    /// Our own lock is gone or could not be refreshed in time; nothing more is written.
    #[error("the lock on the repository was lost: {why}")]
    LockLost {
        /// What was found.
        why: String,
    },
    /// A store answered with an error, or could not be reached.
    #[error("cannot {operation} {path} in {location}: {why}")]
    Store {
        /// What was being done: `read`, `write`, `list`, `delete`.
        operation: &'static str,
        /// The object's path inside the repository.
        path: String,
        /// The repository's location, without credentials.
        location: String,
        /// The useful part of what the store said, in one line.
        why: String,
        /// All that the store said.
        source: Box<object_store::Error>,
        /// The class, decided by the store module.
        class: ErrorClass,
    },
    /// A source could not be read at all (single unreadable files are report entries instead).
    #[error("cannot read {path}: {why}", path = path.display(), why = plain_reason(source))]
    Source {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A command that was to give the data failed.
    #[error("{command} failed: {why}")]
    SourceCommand {
        /// The program's name, without its arguments.
        command: String,
        /// Its exit status and the end of what it wrote to stderr.
        why: String,
    },
    /// A Firebird database could not be dumped, made or looked through.
    #[error("cannot {operation} the Firebird database {database}: {why}")]
    Firebird {
        /// What was being done.
        operation: &'static str,
        /// The database as it is written, which holds no secret.
        database: String,
        /// The class, decided by the firebird module.
        class: ErrorClass,
        /// What happened and what to do, in one line.
        why: String,
    },
    /// A local file or folder that the engine writes (restore target, cache).
    #[error("cannot {operation} {path}: {why}", path = path.display(), why = plain_reason(source))]
    Local {
        /// What was being done.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An object of the repository is not what its name, MAC or format says.
    #[error("{object} is damaged: {why}")]
    Damaged {
        /// Path or kind and id of the object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that was asked for by name is not there.
    #[error("{what} not found")]
    NotFound {
        /// Kind and name.
        what: String,
    },
    /// What was asked for cannot be done as asked.
    #[error("{0}")]
    Invalid(String),
    /// An upload failed earlier, in a thread of its own.
    #[error("{0}")]
    Upload(std::sync::Arc<Error>),
    /// A source or an engine of somebody else's own failed, who knows of what class that is.
    #[error("{why}")]
    Foreign {
        /// The class.
        class: ErrorClass,
        /// What happened and where, in one line, without secrets.
        why: String,
    },
    /// `Control::cancel` was called.
    #[error("cancelled")]
    Cancelled,
    /// A worker thread panicked.
    #[error("a worker thread panicked: {0}")]
    Crashed(String),
}

impl Error {
    /// A damaged object, by its path or its kind and id.
    pub fn damaged(object: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { object: object.into(), why: why.into() }
    }

    /// An error of a local file or folder.
    pub fn local(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Local { operation, path: path.into(), source: source.into() }
    }

    /// Whether a store, or the engine, says that what was asked for is not there. A bucket that is not there is
    /// another matter: settings have to be corrected.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::NoRepository { .. } => true,
            Self::Store { source, class, .. } => {
                matches!(**source, object_store::Error::NotFound { .. }) && *class != ErrorClass::Settings
            }
            _ => false,
        }
    }

    /// Whether a store failed to write because nobody may write there, or there is no room.
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Store { operation, class, .. } => {
                *operation != "read"
                    && *operation != "list"
                    && (matches!(class, ErrorClass::Credentials | ErrorClass::Space) || self.is_read_only())
            }
            _ => false,
        }
    }

    /// Whether a store says that what it lies on may not be written to.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Store { source, .. } if is_read_only_failure(source.as_ref()))
    }

    /// Whether it is of a source, or of the place of a restore, and says nothing of the repository.
    pub fn is_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Source { .. } | Self::SourceCommand { .. } | Self::Firebird { .. } | Self::Local { .. }
        )
    }

    /// The class that retry rules look at.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoRepository { .. }
            | Self::RepositoryExists { .. }
            | Self::NotFound { .. }
            | Self::Invalid(_) => ErrorClass::Settings,
            Self::WrongPassword { .. } => ErrorClass::Credentials,
            Self::Locked { .. } | Self::LockLost { .. } | Self::Damaged { .. } => ErrorClass::Repository,
            Self::Store { class, .. } | Self::Firebird { class, .. } | Self::Foreign { class, .. } => *class,
            Self::Source { .. } | Self::SourceCommand { .. } => ErrorClass::Source,
            Self::Local { source, .. } if is_full(source) => ErrorClass::Space,
            Self::Local { .. } => ErrorClass::Source,
            Self::Upload(error) => error.class(),
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Crashed(_) => ErrorClass::Crash,
        }
    }
}

fn is_read_only_failure(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let kind = error.kind();
            if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

/// What the system says, without the number that means nothing to a person.
pub(crate) fn plain_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
