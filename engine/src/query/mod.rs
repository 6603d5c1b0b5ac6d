//! The reading verbs: what is in a snapshot, where something is, what differs, how much it is.
//!
//! Everything here reads only, prints nothing and hands out typed values as it finds
//! them: a caller's function takes each. A tree or an entry that is damaged is told as
//! [`Unreadable`] and the rest goes on, so that a caller can show the most and fail at
//! the end. Ask with the index loaded ([`Repository::load_index`](crate::repository::Repository::load_index)).
//!
//! [`KeptOpen`] and [`Reading`] are for a process that is asked again and again: they see to the lock and the index.

mod blob_set;
pub mod cat;
mod content;
pub mod diff;
pub mod dump;
pub mod find;
mod find_ids;
mod json_indent;
mod kept_open;
mod known_snapshots;
pub mod list;
pub mod lookup;
pub mod pages;
mod reading;
pub mod stats;
pub mod tar;
mod walk;

#[cfg(test)]
mod restic_tests;
#[cfg(test)]
pub(crate) mod sample;

pub use content::write_content;
pub use kept_open::{KEPT_FOR, KEPT_MAX, KeptOpen};
pub use known_snapshots::SnapshotList;
pub use reading::{FileContent, INDEX_FRESH_FOR, Reading};
pub use walk::{DEPTH_MAX, Descent, Unreadable, Visitor, WalkedEntry, walk};

pub(crate) use blob_set::BlobSet;
