//! What a backup did, counted as restic's snapshot summary counts it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::repository::Stored;

/// Counts that many workers add to.
#[derive(Default)]
pub(super) struct Tally {
    pub files: Changes,
    pub folders: Changes,
    pub data_blobs: AtomicU64,
    pub tree_blobs: AtomicU64,
    pub added_bytes: AtomicU64,
    pub added_stored_bytes: AtomicU64,
    pub processed_bytes: AtomicU64,
}

/// Entries by what became of them since the parent snapshot.
#[derive(Default)]
pub(super) struct Changes {
    pub new: AtomicU64,
    pub changed: AtomicU64,
    pub unmodified: AtomicU64,
}

impl Changes {
    /// Counts one that was there before or not, and is the same or not.
    pub(super) fn count(&self, had_previous: bool, unmodified: bool) {
        let counter = match (had_previous, unmodified) {
            (_, true) => &self.unmodified,
            (true, false) => &self.changed,
            (false, false) => &self.new,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        [&self.new, &self.changed, &self.unmodified]
            .map(|counter| counter.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

impl Tally {
    /// Counts a blob.
    pub(super) fn count_blob(&self, blobs: &AtomicU64, plaintext_bytes: u64, stored: Stored) {
        if let Stored::New { stored_bytes } = stored {
            blobs.fetch_add(1, Ordering::Relaxed);
            self.added_bytes.fetch_add(plaintext_bytes, Ordering::Relaxed);
            self.added_stored_bytes.fetch_add(stored_bytes, Ordering::Relaxed);
        }
    }
}
