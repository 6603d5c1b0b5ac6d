//! What a restore did, and the problems that it met.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::{Counters, Problem, ReportSink};

/// What a restore did; after a rehearsal, what it would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Files whose content was written, in whole or in part.
    pub files_restored: u64,
    /// Files whose content was right already.
    pub files_unchanged: u64,
    /// Files and other entries that were left alone because something stands in their place.
    pub skipped: u64,
    /// Folders made or brought up to date.
    pub folders: u64,
    /// Links, hard ones included, pipes and devices.
    pub others: u64,
    /// Entries deleted because the snapshot does not have them, what was in them not counted.
    pub deleted: u64,
    /// Bytes of content written, holes included.
    pub bytes_written: u64,
    /// Bytes of content of all selected files.
    pub bytes_total: u64,
    /// Entries with errors.
    pub errors: u64,
    /// Files read back and found right.
    pub files_verified: u64,
}

/// Counts what is done, from many threads.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) files_restored: AtomicU64,
    pub(super) files_unchanged: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) folders: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) bytes_total: AtomicU64,
    pub(super) files_verified: AtomicU64,
    pub(super) owners_not_set: AtomicU64,
}

impl Tally {
    /// The figures as they are now.
    pub(super) fn outcome(&self, counters: &Counters) -> RestoreOutcome {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RestoreOutcome {
            files_restored: get(&self.files_restored),
            files_unchanged: get(&self.files_unchanged),
            skipped: get(&self.skipped),
            folders: get(&self.folders),
            others: get(&self.others),
            deleted: get(&self.deleted),
            bytes_written: get(&self.bytes_written),
            bytes_total: get(&self.bytes_total),
            errors: get(&counters.errors),
            files_verified: get(&self.files_verified),
        }
    }
}

/// Tells problems and counts those that are errors.
pub(super) struct Problems<'a> {
    pub(super) sink: &'a dyn ReportSink,
    pub(super) counters: &'a Counters,
}

impl Problems<'_> {
    /// An entry that is not as it should be.
    pub(super) fn error(&self, path: String, why: impl Into<String>) {
        Counters::add(&self.counters.errors, 1);
        self.sink.problem(&Problem { path, why: why.into(), is_error: true });
    }

    /// Something to know that is no error.
    pub(super) fn note(&self, path: String, why: impl Into<String>) {
        self.sink.problem(&Problem { path, why: why.into(), is_error: false });
    }
}
