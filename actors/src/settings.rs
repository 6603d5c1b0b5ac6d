//! What a system starts with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keepwell_engine::clock::{Clock, SystemClock};
use keepwell_messages::{Item, ItemId};

use crate::board::Limits;
use crate::retry::Retries;
use crate::runner::Runner;
use crate::schedule::TIMER_MAX;
use crate::supervision::{ChildSettings, Faults};
use crate::task_ids::Randomness;

/// A worker whose counters stand still for so long, in a stage that has counters, is given up. A pack of
/// 16 MiB takes 20 minutes at 14 kB/s, and slower lines than that do not back up.
pub const HANG_AFTER: Duration = Duration::from_secs(30 * 60);

/// What a system starts with: all of it can be changed, and all but the first two have a default.
#[derive(Clone)]
pub struct Settings {
    /// Where the journal lives: one folder, one system.
    pub data_folder: PathBuf,
    /// What does the work.
    pub runner: Arc<dyn Runner>,
    /// The configuration file's items. Those that it had before and has no more are disabled.
    pub items: Vec<Item>,
    /// If set, this process is there for one item: nothing is due by itself and due times stay uncovered for
    /// the next start; tasks of other items, and restores, stay in the journal as they are; and what the
    /// journal knows of items stays as it is, whatever `items` says of this one.
    pub only_item: Option<ItemId>,
    /// How much runs at once. A number set by command counts more than the one here.
    pub limits: Limits,
    /// When a failed attempt is followed by another.
    pub retries: Retries,
    /// When a worker is given up that shows no sign of work.
    pub hang_after: Duration,
    /// The longest that one timer of a due time or a retry runs, [`TIMER_MAX`] at most, after which the clock is
    /// looked at again. It is looked at every minute anyway, for its jumps.
    pub timer_max: Duration,
    /// The wall clock. Timers are tokio's.
    pub clock: Arc<dyn Clock>,
    /// Where names of tasks come from.
    pub randomness: Randomness,
    /// The bounds of the manager's and the scheduler's supervision.
    pub supervision: ChildSettings,
    /// Faults to put in, for tests.
    pub faults: Faults,
    /// What the program that this is part of calls its version: told to who asks what is set up.
    pub program_version: String,
    /// The IANA name of the zone that the program gives to schedules in which its user names none: told likewise.
    pub time_zone: String,
}

impl Settings {
    /// A system on the machine's clock, with no items but those of its journal.
    pub fn new(data_folder: impl Into<PathBuf>, runner: Arc<dyn Runner>) -> Self {
        Self {
            data_folder: data_folder.into(),
            runner,
            items: Vec::new(),
            only_item: None,
            limits: Limits::default(),
            retries: Retries::default(),
            hang_after: HANG_AFTER,
            timer_max: TIMER_MAX,
            clock: Arc::new(SystemClock),
            randomness: Randomness::default(),
            supervision: ChildSettings::default(),
            faults: Faults::default(),
            program_version: env!("CARGO_PKG_VERSION").into(),
            time_zone: "UTC".into(),
        }
    }
}
