//! One file a verb: its options, the engine calls it comes to, and its words.

pub mod backup;
pub mod backup_source;
pub mod completions;
pub mod init;
pub mod key;
pub mod man;
pub mod snapshots;
pub mod unlock;
pub mod version;
