//! Jitter: how long after its due time an item's task starts.
//!
//! The delay is a hash of the item and the due time: a restart finds the same
//! one again, items with one due time are spread, and an item is not always the
//! last. It is part of when a task starts, never of when it is due: outcomes
//! are kept by due time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// The longest jitter. A day spreads even what is due once a month as far as anyone needs.
pub const JITTER_MAX: Duration = Duration::from_secs(86_400);

/// The delay of this item after this due time: whole seconds, evenly spread from 0 to `limit`, both included.
pub(super) fn delay(item_id: &str, due: DateTime<Utc>, limit: Duration) -> Duration {
    // The due time has a fixed length and comes first, so no two pairs are hashed from the same bytes.
    let digest = Sha256::new().chain_update(due.timestamp().to_le_bytes()).chain_update(item_id).finalize();
    let hash = digest.iter().take(8).fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
    let choices = u128::from(limit.as_secs()) + 1;
    let seconds = (u128::from(hash) * choices) >> 64;
    Duration::from_secs(seconds as u64)
}
