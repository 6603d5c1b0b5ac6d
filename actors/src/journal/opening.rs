//! How a journal begins: from what is there, from nothing, or after damage.
//!
//! Whatever is found, the outcome is a journal that can be written and a word on
//! how it came about, or an error that left everything as it was. A damaged
//! journal is moved aside, never repaired: what SQLite could still read of it
//! may be half a transition.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::damaged::{self, Damage};
use super::folder::{Folder, JOURNAL_SUFFIXES, with_suffix};
use super::items_file::{self, ItemsFile};
use super::schema::Content;
use super::{JournalError, Kept, apply, load, schema};

/// How the journal was found, and the state to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How it was found.
    pub found: Found,
    /// What `items.json` had to say.
    pub items_file: ItemsFile,
    /// The state to start from.
    pub kept: Kept,
}

/// How a journal was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// As it was left.
    Whole,
    /// There was none: it is new.
    Nothing,
    /// Damaged: that one was moved aside, this one is new.
    Damaged(Damage),
}

/// The writer's connection, and what it begins with.
pub(super) fn begin(folder: &Folder, now: DateTime<Utc>) -> Result<(Connection, Opened), JournalError> {
    let (found, connection) = match open_existing(folder) {
        Ok(Existing::Whole(connection, kept)) => {
            let opened = Opened { found: Found::Whole, items_file: ItemsFile::NotNeeded, kept: *kept };
            return Ok((connection, opened));
        }
        Ok(Existing::Empty(connection)) => (Found::Nothing, connection),
        Err(JournalError::Damaged(why)) => {
            let damage = damaged::move_journal(folder, why, now)?;
            (Found::Damaged(damage), open_new(folder)?)
        }
        Err(error) => return Err(error),
    };
    let (items_file, kept) = fill_new(folder, &connection, now)?;
    Ok((connection, Opened { found, items_file, kept }))
}

enum Existing {
    Whole(Connection, Box<Kept>),
    Empty(Connection),
}

/// An error of damage if what is there is not a whole journal.
fn open_existing(folder: &Folder) -> Result<Existing, JournalError> {
    let path = folder.journal();
    if !path.exists() {
        if JOURNAL_SUFFIXES.iter().any(|suffix| with_suffix(&path, suffix).exists()) {
            return Err(JournalError::Damaged("only its write-ahead log is there".into()));
        }
        return open_new(folder).map(Existing::Empty);
    }
    let (connection, content) = schema::open(&path)?;
    match content {
        Content::Empty => Ok(Existing::Empty(connection)),
        Content::Journal => {
            schema::check(&connection)?;
            let kept = load::load(&connection)?;
            folder.restrict_journal()?;
            schema::prepare_for_writing(&connection)?;
            Ok(Existing::Whole(connection, Box::new(kept)))
        }
    }
}

fn open_new(folder: &Folder) -> Result<Connection, JournalError> {
    folder.make_file(&folder.journal())?;
    schema::open(&folder.journal()).map(|(connection, _)| connection)
}

/// Tables and items come in one transaction: a journal that has the one has the other.
fn fill_new(
    folder: &Folder,
    connection: &Connection,
    now: DateTime<Utc>,
) -> Result<(ItemsFile, Kept), JournalError> {
    folder.restrict_journal()?;
    schema::prepare_for_writing(connection)?;
    let (items_file, items) = items_file::read(folder, now)?;
    let transaction = connection.unchecked_transaction()?;
    schema::make_tables(&transaction)?;
    for record in &items {
        apply::put_item(&transaction, record)?;
    }
    transaction.commit()?;
    Ok((items_file, load::load(connection)?))
}
