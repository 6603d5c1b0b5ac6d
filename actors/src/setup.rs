//! What the three actors of one system have in common: none of it is a task, and none of it changes, but for one cell
//! that only a reconfiguration replaces.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use chrono::{DateTime, Utc};
use keepwell_engine::clock::Clock;
use keepwell_messages::{ItemId, TaskId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hub::Hub;
use crate::journal::Journal;
use crate::reconfiguration::Reconfiguration;
use crate::schedule::ClockReading;
use crate::supervision::Faults;
use crate::task_ids::TaskIds;

/// The wall clock is looked at this often while something waits for its time: a jump is noticed within a minute.
pub(crate) const CLOCK_LOOK_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Setup {
    /// See [`Setup::configured`].
    pub(crate) configured: Mutex<Arc<Reconfiguration>>,
    pub(crate) only_item: Option<ItemId>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) task_ids: TaskIds,
    pub(crate) faults: Faults,
    pub(crate) hub: Hub,
    /// Workers that were given up and have not ended yet.
    pub(crate) fenced_workers: Arc<AtomicU32>,
    /// How often a manager began: each has generations of its own.
    pub(crate) managers: AtomicU64,
    /// Tasks whose worker is decided and not started yet: a manager that dies in between leaves them to the next.
    pub(crate) unstarted: Mutex<HashSet<TaskId>>,
    pub(crate) began: Instant,
    pub(crate) program_version: String,
    pub(crate) time_zone: String,
}

impl Setup {
    /// What the configuration says now. Whoever decides several things that belong together asks once.
    pub(crate) fn configured(&self) -> Arc<Reconfiguration> {
        self.configured.lock().clone()
    }

    /// The configuration says something else from now on.
    pub(crate) fn reconfigure(&self, new: Reconfiguration) {
        *self.configured.lock() = Arc::new(new);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now().into()
    }

    /// Both clocks.
    pub(crate) fn reading(&self) -> ClockReading {
        ClockReading { wall: self.now(), monotonic: Instant::now().saturating_duration_since(self.began) }
    }
}

/// Runs a question to the journal where it may block.
pub(crate) async fn ask_journal<T: Send + 'static>(
    journal: &Journal,
    question: impl FnOnce(&Journal) -> Result<T, crate::journal::JournalError> + Send + 'static,
) -> Result<T, crate::journal::JournalError> {
    let journal = journal.clone();
    let asked = tokio::task::spawn_blocking(move || question(&journal)).await;
    asked.unwrap_or(Err(crate::journal::JournalError::Closed))
}
