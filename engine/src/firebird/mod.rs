//! Firebird's own tools, driven: which database is meant and how it is reached, how `gbak` and `gfix` are
//! called, and what it means when they fail.
//!
//! A password is only ever a file that the tools read themselves: it is in no argument, no variable and no text.
//! The tools run in a session of their own, so that none of them can ask a person at our terminal, and with
//! messages in English, which are all that tells their failures apart.

mod failure;
mod lock_folder;
mod place;
mod tool;

use std::ffi::OsString;
use std::path::PathBuf;

pub use place::{FirebirdPlace, FirebirdReach};
pub(crate) use tool::Tools;

pub(crate) use failure::{Doing, failure, not_started};

/// The user of an embedded database if none is given: there it may do everything, and no password is asked.
const EMBEDDED_USER: &str = "sysdba";

/// A database, and what it takes to get at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirebirdAccess {
    /// Which database, and how it is reached.
    pub database: FirebirdPlace,
    /// The database's user; needed for all but an embedded one.
    pub user: Option<String>,
    /// A file that holds that user's password in its first line; needed for all but an embedded database.
    pub password_file: Option<PathBuf>,
    /// Firebird's `gbak`: a path, or a name that is looked up in `PATH`. `gfix` is looked for beside it.
    pub gbak: OsString,
    /// Where an embedded engine keeps its locks and temporary files, if not in the system's own place.
    pub lock_folder: Option<PathBuf>,
}

impl FirebirdAccess {
    /// With the system's tools, without user and password.
    pub fn new(database: FirebirdPlace) -> Self {
        Self { database, user: None, password_file: None, gbak: "gbak".into(), lock_folder: None }
    }

    /// What is missing for a login, in words, if something is. Looks at no file.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.database.is_embedded(), &self.user, &self.password_file) {
            (true, ..) | (_, Some(_), Some(_)) => None,
            (false, None, _) => Some("a server wants a user; name one beside the database"),
            (false, Some(_), None) => Some("a server wants a password; name a file that holds it"),
        }
    }

    /// The same access to another database of the same server.
    pub fn to_path(&self, path: impl Into<String>) -> Self {
        Self { database: self.database.with_path(path), ..self.clone() }
    }
}

/// How a database is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirebirdDumpOptions {
    /// Whether old versions of rows are left where they are: faster, and nothing is changed in the database.
    pub no_garbage_collection: bool,
    /// Whether the dump can be restored on a machine of another kind.
    pub transportable: bool,
    /// Threads that read at once, where the server has them (Firebird 5).
    pub parallel_workers: Option<u32>,
}

impl Default for FirebirdDumpOptions {
    fn default() -> Self {
        Self { no_garbage_collection: false, transportable: true, parallel_workers: None }
    }
}
