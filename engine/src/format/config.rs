//! The repository's `config`: its version, its id, and where its files are cut.

use serde::{Deserialize, Serialize};

use crate::chunker::Polynomial;
use crate::id::Id;

/// The sealed file `config` (restic: doc/design.rst, "Repository Format").
/// It is never compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Repository version: 1 or 2.
    pub version: u32,
    /// Names the repository wherever it lies.
    pub id: Id,
    /// The polynomial of the chunker.
    pub chunker_polynomial: Polynomial,
}

impl Config {
    /// The newest version, which Keepwell writes.
    pub const VERSION: u32 = 2;
}
