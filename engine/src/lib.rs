//! Keepwell's backup work: sources, the archive pipeline, the repository in
//! restic's format, restore and check.
//!
//! The engine never prints, never reads the environment or a home directory,
//! never ends the process and does not know the actor system. Time comes in
//! through [`clock::Clock`], pause and cancel through [`control::Control`].

pub mod archive;
mod buffer;
pub mod check;
pub mod chunker;
pub mod clock;
pub mod codec;
mod command;
pub mod compress;
pub mod compute;
pub mod control;
pub mod copy;
pub mod crypto;
pub mod error;
pub mod firebird;
pub mod format;
pub mod id;
pub mod job;
mod pace;
pub mod query;
mod randomness;
pub mod report;
pub mod repository;
pub mod restore;
pub mod sha256;
pub mod source;
pub mod store;
pub mod tag;
