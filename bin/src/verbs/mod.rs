//! One file a verb: its options, the engine calls it comes to, and its words.

pub mod backup;
pub mod backup_source;
pub mod cat;
pub mod check;
pub mod completions;
pub mod copy;
pub mod diff;
pub mod dump;
pub mod find;
pub mod init;
pub mod key;
pub mod ls;
pub mod man;
pub mod restore;
pub mod restore_firebird;
pub mod run;
mod run_words;
pub mod simulate;
pub mod snapshots;
pub mod stats;
pub mod tag;
pub mod unlock;
pub mod version;
