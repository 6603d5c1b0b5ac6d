//! How far a job is: the latest value only, replaced by the next.

use serde::{Deserialize, Serialize};

/// The part of its work that a job is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Opening, locking, or waiting for the source to be ready.
    Preparing,
    /// Reading the source.
    Compressing,
    /// The source is read; what is left is being stored.
    Uploading,
    /// Writing files back.
    Restoring,
    /// Reading what was written or stored and comparing hashes.
    Verifying,
}

/// One snapshot of a job's counters. Totals grow while the source is scanned
/// and are final once `totals_final` is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// The part of the work the job is at.
    pub stage: Stage,
    /// Whether the job is paused.
    pub paused: bool,
    /// Files finished, unchanged ones included.
    pub files_done: u64,
    /// Files known so far.
    pub files_total: u64,
    /// Source bytes finished, those of unchanged files included.
    pub bytes_done: u64,
    /// Source bytes known so far.
    pub bytes_total: u64,
    /// Whether `files_total` and `bytes_total` will not grow any more.
    pub totals_final: bool,
    /// Source bytes that the repository did not hold yet.
    pub bytes_new: u64,
    /// Bytes that were stored for them, after compression and encryption.
    pub bytes_stored: u64,
    /// Entries that could not be read or written.
    pub errors: u64,
    /// Source bytes a second over the last few seconds.
    pub bytes_per_second: u64,
    /// Estimated seconds to the end; absent while totals are not final.
    pub seconds_left: Option<u64>,
}
