//! What becomes of a damaged file: it is kept under a name with the date, for
//! whoever wants to look into it, and is out of the way of a new one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::JournalError;
use super::folder::{Folder, JOURNAL_SUFFIXES, with_suffix};

/// A damaged file that was moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong with it.
    pub why: String,
    /// Where it is now.
    pub moved_to: PathBuf,
}

/// Files of one name that were damaged within the same second.
const SAME_SECOND_MAX: u32 = 1_000;

/// Moves the journal aside, its log with it, so that SQLite's shell opens both together.
///
/// The journal goes first: a crash in between leaves a log without a journal, which the next start moves
/// aside as well. The other way round would leave a journal that looks whole and lacks its newest part.
pub(super) fn move_journal(folder: &Folder, why: String, now: DateTime<Utc>) -> Result<Damage, JournalError> {
    move_aside(folder, &folder.journal(), "journal-damaged", &JOURNAL_SUFFIXES, why, now)
}

/// Moves `items.json` aside.
pub(super) fn move_items_file(
    folder: &Folder,
    why: String,
    now: DateTime<Utc>,
) -> Result<Damage, JournalError> {
    move_aside(folder, &folder.items_file(), "items-damaged", &[""], why, now)
}

fn move_aside(
    folder: &Folder,
    path: &Path,
    name: &str,
    suffixes: &[&str],
    why: String,
    now: DateTime<Utc>,
) -> Result<Damage, JournalError> {
    let moved_to = free_name(folder, path, name, suffixes, now)?;
    for suffix in suffixes {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&moved_to, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(JournalError::file("move aside", &from, &error));
            }
            _ => {}
        }
    }
    folder.sync()?;
    // Told here as well, in case that what follows fails and there is no `Opened` to tell it.
    tracing::warn!(%why, moved_to = %moved_to.display(), "a damaged file was moved aside");
    Ok(Damage { why, moved_to })
}

/// Nothing that was moved aside before is overwritten.
fn free_name(
    folder: &Folder,
    path: &Path,
    name: &str,
    suffixes: &[&str],
    now: DateTime<Utc>,
) -> Result<PathBuf, JournalError> {
    let date = now.format("%Y%m%dT%H%M%SZ");
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let unnumbered = std::iter::once(format!("{name}-{date}.{extension}"));
    let numbered = (2..=SAME_SECOND_MAX).map(|number| format!("{name}-{date}-{number}.{extension}"));
    unnumbered
        .chain(numbered)
        .map(|name| folder.join(&name))
        .find(|free| suffixes.iter().all(|suffix| !with_suffix(free, suffix).exists()))
        .ok_or_else(|| JournalError::file("move aside", path, &ErrorKind::AlreadyExists.into()))
}
