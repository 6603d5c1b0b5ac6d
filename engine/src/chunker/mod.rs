//! Where files are cut: restic's content-defined chunker.

mod polynomial;
mod rabin;
mod tables;

use std::sync::Arc;

pub use polynomial::Polynomial;
use tables::RollingTables;

/// Smallest chunk but for the last of a file.
pub const CHUNK_SIZE_BYTES_MIN: usize = 512 << 10;
/// Largest chunk.
pub const CHUNK_SIZE_BYTES_MAX: usize = 8 << 20;

/// Shared tables of one polynomial.
#[derive(Clone)]
pub struct ChunkTables(Arc<RollingTables>);

impl ChunkTables {
    /// Computes them.
    pub fn new(polynomial: Polynomial) -> Self {
        Self(Arc::new(RollingTables::new(polynomial)))
    }
}

/// Finds cuts.
pub struct Cutter {
    tables: ChunkTables,
    searched: usize,
}

impl Cutter {
    /// For one file after the other.
    pub fn new(tables: &ChunkTables) -> Self {
        Self { tables: tables.clone(), searched: 0 }
    }

    /// Begins a new chunk.
    pub fn reset(&mut self) {
        self.searched = 0;
    }

    /// The length of the chunk.
    pub fn find_cut(&mut self, chunk: &[u8]) -> Option<usize> {
        let start = (self.searched + 1).max(CHUNK_SIZE_BYTES_MIN);
        let end = chunk.len().min(CHUNK_SIZE_BYTES_MAX);
        if end < start {
            return None;
        }
        let found = rabin::first_split(&self.tables.0, chunk, start..end + 1)
            .or((end == CHUNK_SIZE_BYTES_MAX).then_some(end));
        self.searched = if found.is_some() { 0 } else { end };
        found
    }
}
