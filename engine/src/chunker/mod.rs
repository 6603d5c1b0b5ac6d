//! Where files are cut: restic's content-defined chunker, bit for bit.
//!
//! A chunk ends after at least [`CHUNK_SIZE_BYTES_MIN`] bytes where the Rabin digest of the last 64 has its low
//! 20 bits zero, or at [`CHUNK_SIZE_BYTES_MAX`], or with the file. [`Cutter`] finds that end in a chunk that grows
//! as a file is read; it neither reads nor copies.
//!
//! restic feeds its digest from 64 bytes before the shortest chunk's end on, starting from a window of zeros with a
//! one in it. That one has left the window when the first digest is looked at, and the digest is linear in the
//! window's bytes: so every digest that counts is that of the last 64 bytes alone. Hence a search may start at any
//! length, and several searches may run side by side over one chunk.

mod lanes;
mod polynomial;
mod rabin;
mod tables;
#[cfg(target_arch = "x86_64")]
mod vector;

use std::sync::Arc;

pub use polynomial::{
    POLYNOMIAL_DEGREE_MAX, POLYNOMIAL_DEGREE_MIN, Polynomial, PolynomialError, is_irreducible,
};
use tables::RollingTables;

/// No chunk is shorter, but the last of a file.
pub const CHUNK_SIZE_BYTES_MIN: usize = 512 * 1024;

/// No chunk is longer.
pub const CHUNK_SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The ways to search for a chunk's end. All find the same; they differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Byte by byte, on any machine: what the others are measured against and checked with.
    Plain,
    /// Several digests side by side, on any machine.
    Lanes,
    /// Many more of them in vector registers, where the processor has AVX2; elsewhere as `Lanes`.
    Vector,
}

/// A polynomial made ready for cutting. Clones share the tables.
#[derive(Clone)]
pub struct ChunkTables(Arc<Prepared>);

struct Prepared {
    rolling: RollingTables,
    search: Search,
    #[cfg(target_arch = "x86_64")]
    vectors: Option<vector::VectorTables>,
}

impl ChunkTables {
    /// Tables for the fastest search that this machine has.
    pub fn new(polynomial: Polynomial) -> Self {
        Self::with_search(polynomial, Search::Vector)
    }

    /// Tables for one way of searching.
    pub fn with_search(polynomial: Polynomial, search: Search) -> Self {
        let rolling = RollingTables::new(polynomial);
        #[cfg(target_arch = "x86_64")]
        let vectors = vector::VectorTables::new(&rolling).filter(|_| search == Search::Vector);
        Self(Arc::new(Prepared {
            rolling,
            search,
            #[cfg(target_arch = "x86_64")]
            vectors,
        }))
    }

    /// The way that is searched.
    pub fn search(&self) -> Search {
        self.0.search
    }

    fn first_split(&self, bytes: &[u8], lengths: std::ops::Range<usize>) -> Option<usize> {
        let Prepared { rolling, search, .. } = &*self.0;
        #[cfg(target_arch = "x86_64")]
        if let Some(vectors) = &self.0.vectors {
            return vector::first_split(vectors, rolling, bytes, lengths);
        }
        match search {
            Search::Plain => rabin::first_split(rolling, bytes, lengths),
            Search::Lanes | Search::Vector => lanes::first_split(rolling, bytes, lengths),
        }
    }
}

/// Finds the end of one chunk after the other, each in a buffer that grows while a file is read.
///
/// One cutter serves one file at a time.
pub struct Cutter {
    tables: ChunkTables,
    /// The chunk does not end at this length or before.
    searched: usize,
}

impl Cutter {
    /// A cutter at the start of a file.
    pub fn new(tables: &ChunkTables) -> Self {
        Self { tables: tables.clone(), searched: 0 }
    }

    /// The length of the current chunk, when it ends within `chunk_so_far`.
    ///
    /// `chunk_so_far` holds the file's bytes from the chunk's start on, as far as they were read; each call
    /// passes what the call before did and what was read since. Where the chunk ends does not depend on how the
    /// bytes are spread over calls, and no byte is searched twice. `Some(length)` is between
    /// [`CHUNK_SIZE_BYTES_MIN`] and [`CHUNK_SIZE_BYTES_MAX`] and makes the cutter ready for the next chunk, which
    /// begins with `chunk_so_far[length..]`: call again with that before reading on, as it may hold a whole chunk.
    ///
    /// What is left when the file ends is its last chunk, if it is not empty; then call [`Cutter::reset`].
    pub fn find_cut(&mut self, chunk_so_far: &[u8]) -> Option<usize> {
        debug_assert!(chunk_so_far.len() >= self.searched, "a chunk only grows until it is cut");
        let last = chunk_so_far.len().min(CHUNK_SIZE_BYTES_MAX);
        let lengths = (self.searched + 1).max(CHUNK_SIZE_BYTES_MIN)..last + 1;
        let cut = self
            .tables
            .first_split(chunk_so_far, lengths)
            .or((last == CHUNK_SIZE_BYTES_MAX).then_some(CHUNK_SIZE_BYTES_MAX));
        self.searched = if cut.is_some() { 0 } else { last };
        cut
    }

    /// Forgets the current chunk: the next call begins another file.
    pub fn reset(&mut self) {
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests;
