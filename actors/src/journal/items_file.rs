//! `items.json`: the journal's own items once more, for people, and for the day
//! on which the journal is lost.
//!
//! It follows the journal and is never asked while there is one: what stands in
//! it is overwritten with the next change. The configuration file's items are
//! not in it.

use std::fs::File;
use std::io::{ErrorKind, Read};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::damaged::{self, Damage};
use super::folder::Folder;
use super::{ItemRecord, JournalError, load};

const VERSION: u32 = 1;

/// 100,000 items take some 60 MB.
const BYTES_MAX: u64 = 256 << 20;

const ABOUT: &str = "Written by Keepwell whenever one of these items changes, and read only if the journal \
                     beside it is lost. To change an item, tell Keepwell.";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    about: String,
    version: u32,
    items: Vec<ItemRecord>,
}

/// What `items.json` gave to a new journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemsFile {
    /// It was not asked: the journal is there.
    NotNeeded,
    /// There is none.
    Absent,
    /// So many items came back. Their `covered_until` is as old as the file, so that a due time since then
    /// counts as missed rather than as done.
    Read(usize),
    /// It is damaged, or of a newer version, and was moved aside.
    Damaged(Damage),
}

/// The file's items.
pub(super) fn read(
    folder: &Folder,
    now: DateTime<Utc>,
) -> Result<(ItemsFile, Vec<ItemRecord>), JournalError> {
    let path = folder.items_file();
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((ItemsFile::Absent, Vec::new())),
        Err(error) => return Err(JournalError::file("read", &path, &error)),
        Ok(_) => {}
    }
    match decode(&bytes) {
        Ok(items) => Ok((ItemsFile::Read(items.len()), items)),
        Err(why) => Ok((ItemsFile::Damaged(damaged::move_items_file(folder, why, now)?), Vec::new())),
    }
}

fn decode(bytes: &[u8]) -> Result<Vec<ItemRecord>, String> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("it takes more than {BYTES_MAX} bytes"));
    }
    let content: Content = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if content.version == VERSION {
        Ok(content.items)
    } else {
        Err(format!("it is of version {}, this program knows {VERSION}", content.version))
    }
}

/// Writes the file anew from what the journal holds.
pub(super) fn write(folder: &Folder, connection: &Connection) -> Result<(), JournalError> {
    let query = "SELECT record, covered_until FROM items WHERE of_journal = 1 ORDER BY id";
    let items = load::load_items(connection, query)?;
    let content = Content { about: ABOUT.into(), version: VERSION, items };
    let mut bytes = serde_json::to_vec_pretty(&content)
        .map_err(|error| JournalError::file("write", &folder.items_file(), &error.into()))?;
    bytes.push(b'\n');
    folder.replace_file(&folder.items_file(), &bytes)
}
