//! What a check finds: a closed list of conditions, each with the object that has it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::Counters;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Waste, or unfinished work; nothing is lost.
    Warning,
    /// Something that was stored is lost or wrong.
    Error,
}

/// The condition that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// `config` can no longer be opened.
    ConfigDamaged,
    /// A key file is not what its name says, or no key file.
    KeyDamaged,
    /// A lock whose holder is gone.
    LockStale,
    /// What a killed writer left in a local store.
    StagingLeftover,
    /// An index file cannot be read, or says what cannot be.
    IndexDamaged,
    /// Two index files say different things of one pack.
    IndexesDisagree,
    /// A pack is named more than once, each time the same.
    PackIndexedTwice,
    /// An index names a pack that is not in the store.
    PackMissing,
    /// A pack is not as long as its blobs and its header.
    PackSizeWrong,
    /// A pack that no index names.
    PackOrphaned,
    /// A pack's content does not match its name, or cannot be read.
    PackDamaged,
    /// A pack's header cannot be read.
    PackHeaderDamaged,
    /// A pack's header is not what the index says.
    PackHeaderDiffers,
    /// A blob inside a pack does not open, decompress or match its name.
    BlobDamaged,
    /// A snapshot file cannot be read.
    SnapshotDamaged,
    /// No index names the tree of a snapshot, or its pack is gone.
    SnapshotTreeMissing,
    /// No index names the tree of a folder, or its pack is gone.
    TreeMissing,
    /// A folder's tree cannot be read.
    TreeDamaged,
    /// A tree's entries are not in the order that the format asks for.
    TreeUnordered,
    /// An entry of a tree cannot be restored.
    NodeDamaged,
    /// No index names a blob of a file.
    BlobMissing,
    /// A file's blobs are together not as long as the file.
    FileSizeDiffers,
}

impl FindingKind {
    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::LockStale
            | Self::StagingLeftover
            | Self::PackIndexedTwice
            | Self::PackOrphaned
            | Self::TreeUnordered
            | Self::FileSizeDiffers => Severity::Warning,
            Self::ConfigDamaged
            | Self::KeyDamaged
            | Self::IndexDamaged
            | Self::IndexesDisagree
            | Self::PackMissing
            | Self::PackSizeWrong
            | Self::PackDamaged
            | Self::PackHeaderDamaged
            | Self::PackHeaderDiffers
            | Self::BlobDamaged
            | Self::SnapshotDamaged
            | Self::SnapshotTreeMissing
            | Self::TreeMissing
            | Self::TreeDamaged
            | Self::NodeDamaged
            | Self::BlobMissing => Severity::Error,
        }
    }

    /// A word for programs, stable across versions.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigDamaged => "config-damaged",
            Self::KeyDamaged => "key-damaged",
            Self::LockStale => "lock-stale",
            Self::StagingLeftover => "staging-leftover",
            Self::IndexDamaged => "index-damaged",
            Self::IndexesDisagree => "indexes-disagree",
            Self::PackIndexedTwice => "pack-indexed-twice",
            Self::PackMissing => "pack-missing",
            Self::PackSizeWrong => "pack-size-wrong",
            Self::PackOrphaned => "pack-orphaned",
            Self::PackDamaged => "pack-damaged",
            Self::PackHeaderDamaged => "pack-header-damaged",
            Self::PackHeaderDiffers => "pack-header-differs",
            Self::BlobDamaged => "blob-damaged",
            Self::SnapshotDamaged => "snapshot-damaged",
            Self::SnapshotTreeMissing => "snapshot-tree-missing",
            Self::TreeMissing => "tree-missing",
            Self::TreeDamaged => "tree-damaged",
            Self::TreeUnordered => "tree-unordered",
            Self::NodeDamaged => "node-damaged",
            Self::BlobMissing => "blob-missing",
            Self::FileSizeDiffers => "file-size-differs",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which object: a path inside the repository, or kind and id.
    pub object: String,
    /// Which condition.
    pub what: FindingKind,
    /// The details, for people: one line, not a sentence of its own.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.why)
    }
}

/// Counts findings and passes them on.
pub(super) struct Findings<'a> {
    found: &'a (dyn Fn(Finding) + Sync),
    counters: &'a Counters,
    errors: AtomicU64,
    warnings: AtomicU64,
}

impl<'a> Findings<'a> {
    pub(super) fn new(found: &'a (dyn Fn(Finding) + Sync), counters: &'a Counters) -> Self {
        Self { found, counters, errors: AtomicU64::new(0), warnings: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, what: FindingKind, object: impl Into<String>, why: impl Into<String>) {
        let severity = what.severity();
        match severity {
            Severity::Error => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                Counters::add(&self.counters.errors, 1);
            }
            Severity::Warning => {
                self.warnings.fetch_add(1, Ordering::Relaxed);
            }
        }
        (self.found)(Finding { severity, object: object.into(), what, why: why.into() });
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }
}
