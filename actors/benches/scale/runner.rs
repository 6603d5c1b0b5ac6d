//! A runner without an engine: attempts end at once, or when told.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use keepwell_actors::runner::{Attempt, Runner};
use keepwell_engine::archive::BackupOutcome;
use keepwell_engine::clock::Clock;
use keepwell_engine::control::Control;
use keepwell_engine::format::{Snapshot, Timestamp};
use keepwell_engine::id::Id;
use keepwell_engine::job::{JobOutcome, JobSink};
use keepwell_messages::{Item, TaskId, TaskKind};
use parking_lot::Mutex;

use crate::system::BenchClock;

/// Which attempts go on until they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// None: all end at once.
    Nothing,
    /// Those of items that have no schedule.
    Unscheduled,
    /// All.
    Everything,
}

/// See the module.
pub struct TinyRunner {
    clock: BenchClock,
    hold: Mutex<Hold>,
    started: Mutex<HashMap<TaskId, DateTime<Utc>>>,
    held: Mutex<Vec<Arc<dyn JobSink>>>,
}

impl TinyRunner {
    /// One whose attempts end at once.
    pub fn new(clock: BenchClock) -> Self {
        let hold = Mutex::new(Hold::Nothing);
        Self { clock, hold, started: Mutex::default(), held: Mutex::default() }
    }

    /// From now on these attempts go on until they are released.
    pub fn hold(&self, hold: Hold) {
        *self.hold.lock() = hold;
    }

    /// Ends what is held. All others end at once from now on.
    pub fn release(&self) {
        self.hold(Hold::Nothing);
        let held = std::mem::take(&mut *self.held.lock());
        held.iter().for_each(|sink| sink.ended(done()));
    }

    /// When each task was started last.
    pub fn started(&self) -> HashMap<TaskId, DateTime<Utc>> {
        self.started.lock().clone()
    }
}

impl Runner for TinyRunner {
    fn accepts(&self, _: &TaskKind, _: Option<&Item>) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, attempt: Attempt, _: Control, sink: Arc<dyn JobSink>) {
        self.started.lock().insert(attempt.task, self.clock.now().into());
        let scheduled = attempt.item.as_ref().is_some_and(|item| item.schedule.is_some());
        let held = match *self.hold.lock() {
            Hold::Nothing => false,
            Hold::Unscheduled => !scheduled,
            Hold::Everything => true,
        };
        if held {
            self.held.lock().push(sink);
        } else {
            sink.ended(done());
        }
    }
}

fn done() -> JobOutcome {
    let snapshot = Snapshot::new(Timestamp::GO_ZERO, Id::of(b"tree"), Vec::new());
    let (id, recovered) = (Id::of(b"snapshot"), Default::default());
    JobOutcome::BackedUp(Box::new(BackupOutcome { id, snapshot, errors: 0, recovered }))
}
