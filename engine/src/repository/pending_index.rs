//! Packs that are stored and that no index file names yet.

use std::time::{Duration, Instant};

use crate::format::{IndexFile, IndexedPack};

/// An index is written at least after so many bytes of packs …
const PACK_BYTES_MAX: u64 = 256 << 20;
/// … or so much time …
const AGE_MAX: Duration = Duration::from_secs(30);
/// … or so many blobs, which keeps index files below 8 MiB (restic: `indexMaxBlobs`).
const BLOBS_MAX: usize = 50_000;

/// What the next index file will say.
#[derive(Default)]
pub struct PendingIndex {
    file: IndexFile,
    pack_bytes: u64,
    blobs: usize,
    since: Option<Instant>,
}

impl PendingIndex {
    /// Notes a pack that has landed.
    pub fn add(&mut self, pack: IndexedPack) {
        self.pack_bytes += pack.blobs.iter().map(|blob| u64::from(blob.length_bytes)).sum::<u64>();
        self.blobs += pack.blobs.len();
        self.since.get_or_insert_with(Instant::now);
        self.file.packs.push(pack);
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        self.pack_bytes >= PACK_BYTES_MAX
            || self.blobs >= BLOBS_MAX
            || self.since.is_some_and(|since| since.elapsed() >= AGE_MAX)
    }

    /// What is to be written; `None` if nothing is.
    pub fn file(&self) -> Option<&IndexFile> {
        (!self.file.packs.is_empty()).then_some(&self.file)
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
