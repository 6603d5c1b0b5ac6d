//! The tables, their version, and how a connection is set up.
//!
//! `application_id` and `user_version` are written in the transaction that makes
//! the tables, so a file has all of them or is empty. A change of a table or of
//! a value's layout raises [`SCHEMA_VERSION`] and brings the step from the
//! version before.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::JournalError;

/// The version that this program writes. Version 1 was never released, so that no step leads from it: such a
/// journal is moved aside.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// "KWJL": tells a journal from any other SQLite file.
const APPLICATION_ID: i64 = 0x4b57_4a4c;

/// All statements of the writer and of a reader; each is parsed once.
const STATEMENTS_CACHED_MAX: usize = 64;

/// Nothing but a checkpoint at its end ever keeps a reader out, and for microseconds only.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a checkpoint leaves of the write-ahead log, after a burst has made it larger.
const WAL_BYTES_KEPT_MAX: i64 = 16 << 20;

/// Readable with the sqlite3 shell but for the values. `ended` counts tasks in the order of their ends.
const TABLES: &str = "
CREATE TABLE standing (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    globally_paused INTEGER NOT NULL,
    max_concurrent_tasks INTEGER,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL
);
INSERT INTO standing VALUES (1, 0, NULL, 0, 0, 0);
CREATE TABLE tasks (
    id BLOB PRIMARY KEY,
    item TEXT,
    ended INTEGER,
    sealed TEXT,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_active ON tasks (id) WHERE ended IS NULL;
CREATE INDEX tasks_ended ON tasks (ended) WHERE ended IS NOT NULL;
CREATE INDEX tasks_of_item ON tasks (item, ended);
CREATE TABLE items (
    id TEXT PRIMARY KEY,
    of_journal INTEGER NOT NULL,
    covered_until INTEGER NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_of_journal ON items (id) WHERE of_journal = 1;
CREATE TABLE outcomes (
    item TEXT NOT NULL,
    due INTEGER NOT NULL,
    since INTEGER NOT NULL,
    outcome BLOB NOT NULL,
    PRIMARY KEY (item, due)
) WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    event BLOB NOT NULL
);
CREATE TABLE served (
    number INTEGER PRIMARY KEY,
    command BLOB NOT NULL UNIQUE,
    answer BLOB NOT NULL
);
";

/// Whether a file holds a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing was ever written.
    Empty,
    /// A journal of this version.
    Journal,
}

/// Opens `path`, which exists, for writing, and looks at what it holds.
///
/// Changes nothing, and neither does closing the connection again before [`prepare_for_writing`]: a newer
/// journal stays as it is, and of a damaged one all is kept that may help.
pub(super) fn open(path: &Path) -> Result<(Connection, Content), JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let content = match (application, version, tables) {
        (0, 0, 0) => Content::Empty,
        (APPLICATION_ID, SCHEMA_VERSION, _) => Content::Journal,
        (APPLICATION_ID, found, _) if found > SCHEMA_VERSION => {
            return Err(JournalError::NewerVersion { found, known: SCHEMA_VERSION });
        }
        (APPLICATION_ID, found, _) => {
            let why = format!("it is of version {found}, which was never released");
            return Err(JournalError::Damaged(why));
        }
        _ => return Err(JournalError::Damaged("it is a database of something else".into())),
    };
    Ok((connection, content))
}

/// Makes every commit durable before it returns.
pub(super) fn prepare_for_writing(connection: &Connection) -> Result<(), JournalError> {
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(JournalError::Sqlite(format!("its file system allows journal mode {mode} only")));
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT_MAX, |_| Ok(()))
        .map_err(Into::into)
}

/// A connection that sees what is committed and changes nothing.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    Ok(connection)
}

/// Makes the tables inside the transaction that is open.
pub(super) fn make_tables(connection: &Connection) -> Result<(), JournalError> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// Whether SQLite finds every page in order, and the tables are those of this version.
pub(super) fn check(connection: &Connection) -> Result<(), JournalError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if found != "ok" {
        return Err(JournalError::Damaged(found));
    }
    let model = Connection::open_in_memory()?;
    make_tables(&model)?;
    if definitions(connection)? == definitions(&model)? {
        Ok(())
    } else {
        Err(JournalError::Damaged("its tables are not those of its version".into()))
    }
}

fn definitions(connection: &Connection) -> Result<Vec<(String, Option<String>)>, JournalError> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect::<Result<_, _>>().map_err(Into::into)
}
