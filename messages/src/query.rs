//! Questions about what is set up, about schedules, and about what repositories hold.
//!
//! Names and paths that are not UTF-8 have U+FFFD in place of what is not; an entry with such a name cannot be
//! asked for by it, but is restored with its folder. What is damaged in a repository is left out of an answer, which
//! says how much that is; `keepwell check` says what it is. An answer may list less than was asked for, if its
//! entries are very large, and says so as for any other page.

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};

use crate::{ItemId, ItemNow, ScheduleText};

/// See [`Command::GetSetup`](crate::Command::GetSetup).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetSetup {}

/// What is set up here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The program's version.
    pub version: String,
    /// The IANA name of the zone that schedules are in which name none.
    pub time_zone: String,
    /// The time that its clock shows.
    pub now: DateTime<Utc>,
    /// The repositories that items may name, by name.
    pub repositories: Vec<RepositorySetup>,
    /// The sources that items may name, by name.
    pub sources: Vec<SourceSetup>,
    /// Absolute folders below which restores may write.
    pub restore_roots: Vec<String>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RepositorySetup {
    /// What items call it.
    pub name: String,
    /// Where it lies, without secrets.
    pub location: String,
}

/// A source that is no folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceSetup {
    /// What items call it.
    pub name: String,
    /// Of what kind it is.
    pub kind: SourceKind,
}

/// The kind of a source that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A Firebird database.
    Firebird,
    /// Anything else that the configuration or the embedding program knows.
    Named,
}

/// See [`Command::GetDueTimes`](crate::Command::GetDueTimes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetDueTimes {
    /// The schedule.
    pub schedule: ScheduleText,
    /// Those after this instant; absent: after now.
    pub after: Option<DateTime<Utc>>,
    /// At most so many; at most [`DueTimes::MAX`].
    pub limit: u32,
}

/// Due times in order, without jitter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DueTimes {
    /// The due times in the civil time of the schedule's zone. Fewer than asked for if there are no more.
    pub due_times: Vec<DateTime<FixedOffset>>,
}

impl DueTimes {
    /// The most that are given at once.
    pub const MAX: u32 = 100;
}

/// See [`Command::GetItemExplanation`](crate::Command::GetItemExplanation).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetItemExplanation {
    /// Which.
    pub item: ItemId,
}

/// Why an item's backup runs, waits, or did not run: what is true now first, then what became of its latest due times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemExplanation {
    /// The item.
    pub item: ItemNow,
    /// At least one.
    pub reasons: Vec<Reason>,
}

/// One reason, in words that stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// When it came to be, or will; absent: it is so now.
    pub at: Option<DateTime<Utc>>,
    /// What is so, in one sentence.
    pub text: String,
    /// What to do about it, if something is to be done.
    pub advice: Option<String>,
}

/// See [`Command::GetSnapshots`](crate::Command::GetSnapshots).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetSnapshots {
    /// The name of a configured repository.
    pub repository: String,
    /// Those that follow the snapshot of this id in the list; absent: from the newest on.
    pub after: Option<String>,
    /// At most so many; at most [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: u32,
}

/// Snapshots, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// The snapshots.
    pub snapshots: Vec<SnapshotNow>,
    /// Whether others follow.
    pub more: bool,
    /// Snapshots of the repository that cannot be read and are in no answer.
    pub unreadable: u64,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SnapshotNow {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// When it was begun.
    pub time: DateTime<FixedOffset>,
    /// Where it was made.
    pub host: String,
    /// Who made it.
    pub user: String,
    /// What was backed up.
    pub paths: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Files in it; absent if it does not say.
    pub files: Option<u64>,
    /// Their bytes; absent if it does not say.
    pub bytes: Option<u64>,
    /// Bytes that were added to the repository for it; absent if it does not say.
    pub bytes_stored: Option<u64>,
}

/// See [`Command::GetFolder`](crate::Command::GetFolder).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetFolder {
    /// The name of a configured repository.
    pub repository: String,
    /// The beginning of a snapshot's id, or `latest`.
    pub snapshot: String,
    /// The folder, absolute in the snapshot; `/` or empty: its top.
    pub path: String,
    /// Entries that follow: what the answer before gave as `next`; absent: from the first on.
    pub after: Option<String>,
    /// At most so many; at most [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: u32,
}

/// What stands in a folder, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The snapshot's id, whole.
    pub snapshot: String,
    /// The folder.
    pub path: String,
    /// Its entries, in the order in which they are stored.
    pub entries: Vec<Entry>,
    /// Whether others follow.
    pub more: bool,
    /// What to give as `after` for them; absent if none follow. It is the last entry's name if that is UTF-8.
    pub next: Option<String>,
    /// Entries of the folder that are unsound and are in no answer.
    pub unreadable: u64,
}

/// A file, a folder, or something else in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its path in the snapshot.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of its content; 0 unless it is a file.
    pub bytes: u64,
    /// When it was last changed.
    pub modified: DateTime<FixedOffset>,
    /// Its permission bits, as Unix has them, at most 0o7777.
    pub mode: u32,
    /// Its owner, by name or number.
    pub user: String,
    /// Its group, by name or number.
    pub group: String,
    /// Where it points to, if it is a link.
    pub link_target: Option<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// See [`Command::GetMatchingEntries`](crate::Command::GetMatchingEntries).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetMatchingEntries {
    /// The name of a configured repository.
    pub repository: String,
    /// Only in these, each the beginning of an id, or `latest`; empty: in all.
    pub snapshots: Vec<String>,
    /// As restic's: `*.c`, `src/**/main.rs`; without regard to case.
    pub pattern: String,
    /// At most so many; at most [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: u32,
}

/// Entries that match, those of the newest snapshot first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchingEntries {
    /// The entries.
    pub matches: Vec<MatchingEntry>,
    /// Whether there are others.
    pub more: bool,
    /// Folders and entries on the way that cannot be read: what is in them was not searched.
    pub unreadable: u64,
}

/// An entry that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchingEntry {
    /// The id of the snapshot that it stands in.
    pub snapshot: String,
    /// When that was begun.
    pub time: DateTime<FixedOffset>,
    /// The entry.
    pub entry: Entry,
}

/// See [`Command::GetDifferences`](crate::Command::GetDifferences).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetDifferences {
    /// The name of a configured repository.
    pub repository: String,
    /// The beginning of a snapshot's id, or `latest`.
    pub older: String,
    /// The beginning of another's, or `latest`.
    pub newer: String,
    /// At most so many; at most [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: u32,
}

/// What differs between two snapshots, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Differences {
    /// The first snapshot's id, whole.
    pub older: String,
    /// The second's.
    pub newer: String,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Whether there is more; the counts are whole all the same.
    pub more: bool,
    /// Folders and entries that cannot be read in one of the two: what is in them was not compared.
    pub unreadable: u64,
    /// Entries that only the newer one has.
    pub added: u64,
    /// Entries that only the older one has.
    pub removed: u64,
    /// Entries whose content, kind or metadata differs.
    pub changed: u64,
}

/// An entry that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Its path; folders end in a slash.
    pub path: String,
    /// In what it differs.
    pub kind: DifferenceKind,
    /// Bytes of the file in the older snapshot, if it is one there.
    pub bytes_before: Option<u64>,
    /// The same in the newer one.
    pub bytes_after: Option<u64>,
}

/// In what an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the newer snapshot has it.
    Added,
    /// Only the older snapshot has it.
    Removed,
    /// Its content.
    Content,
    /// What it is.
    Type,
    /// Its metadata only.
    Metadata,
}
