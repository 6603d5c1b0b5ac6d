//! What a configuration would do: its items on the real actors, with an engine that pretends and a clock that
//! jumps to whatever happens next.
//!
//! No repository is touched and no password is wanted. The journal lives in a folder that is gone afterwards.
//! The same plan gives the same timetable.

mod attempts;
mod record;
mod sleep;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::runner::EngineRunner;
use keepwell_actors::simulation::{
    AnyPlace, SimulatedClock, SimulatedEngine, SimulatedStore, on_virtual_time,
};
use keepwell_actors::{Handle, Keepwell, Randomness, Settings, Subscription};
use keepwell_messages::{GetScheduleOutcomes, PAGE_MAX};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

pub use attempts::{Attempts, FailRate};
pub use record::{Line, SkipReason, SkippedLine, Tally, TaskLine};
pub use sleep::{SleepHours, SleepTimes};

use crate::configuration::Configuration;
use crate::exit::Failure;
use record::Record;

/// What became of due times is read this often: an item has at most one a minute, and one answer lists
/// [`PAGE_MAX`].
const OUTCOMES_READ_EVERY: TimeDelta = TimeDelta::hours(12);

/// What is simulated.
pub struct Plan {
    /// From here on.
    pub from: DateTime<Utc>,
    /// Up to here.
    pub until: DateTime<Utc>,
    /// When the machine sleeps.
    pub sleep: Option<SleepTimes>,
    /// What attempts meet.
    pub attempts: Attempts,
    /// Where the names of tasks come from.
    pub seed: u64,
}

/// Lives through the plan. `tell` is given every line, in the order of their times; the tallies come back, by
/// item.
pub fn forecast(
    configuration: &Configuration,
    plan: Plan,
    tell: &mut dyn FnMut(&Line) -> Result<(), Failure>,
) -> Result<Vec<Tally>, Failure> {
    let folder = temporary_folder()?;
    let clock = Arc::new(SimulatedClock::new(plan.from));
    let engine = SimulatedEngine::new(SimulatedStore::default(), plan.attempts);
    let runner = Arc::new(EngineRunner::new(engine, AnyPlace));
    let settings = Settings {
        clock: clock.clone(),
        randomness: Randomness::Seed(plan.seed),
        ..configuration.settings(folder.path(), runner)
    };
    let record = Record::new(&configuration.items);
    let (from, until, sleep) = (plan.from, plan.until, plan.sleep);
    let lived = on_virtual_time(async {
        clock.go();
        let handle = Keepwell::start(settings).await.map_err(|error| Failure::usage(error.to_string()))?;
        let told = handle.subscribe(Some(0)).ok_or_else(ended_early)?;
        let mut life = Life { clock, handle, told, record, tell, until, read_outcomes_at: from };
        life.live(sleep.as_ref()).await?;
        Ok(life.record.into_tallies())
    });
    lived.map_err(|error| Failure::local("start the simulation in", folder.path(), error))?
}

/// In memory where there is a folder for that: nothing of it is kept.
fn temporary_folder() -> Result<TempDir, Failure> {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("keepwell-simulate-").tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir())
        .map_err(|error| Failure::local("make a folder in", &std::env::temp_dir(), error))
}

fn ended_early() -> Failure {
    Failure::usage("the simulated system ended early; this is a defect of Keepwell, please report it")
}

struct Life<'a> {
    clock: Arc<SimulatedClock>,
    handle: Handle,
    told: Subscription,
    record: Record,
    tell: &'a mut dyn FnMut(&Line) -> Result<(), Failure>,
    until: DateTime<Utc>,
    read_outcomes_at: DateTime<Utc>,
}

impl Life<'_> {
    async fn live(&mut self, sleep: Option<&SleepTimes>) -> Result<(), Failure> {
        loop {
            let now = self.clock.shown();
            if now >= self.until {
                break;
            }
            // The monotonic clock, by which work is done, stands still while the machine sleeps.
            if let Some(wakes) = sleep.and_then(|sleep| sleep.wakes_after(now)) {
                if wakes >= self.until {
                    break;
                }
                self.clock.jump(wakes - now);
                continue;
            }
            if now >= self.read_outcomes_at {
                self.read_outcomes().await?;
                self.read_outcomes_at = now + OUTCOMES_READ_EVERY;
            }
            let sleeps = sleep.and_then(|sleep| sleep.next(now)).unwrap_or(self.until);
            let next = self.until.min(self.read_outcomes_at).min(sleeps);
            self.listen_for((next - now).to_std().unwrap_or_default()).await?;
        }
        // What happened in the last instant is told by then.
        self.listen_for(Duration::from_millis(1)).await?;
        self.read_outcomes().await?;
        self.record.end();
        self.tell_until(DateTime::<Utc>::MAX_UTC)
    }

    /// Lets time go by.
    async fn listen_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                told = self.told.next() => self.record.hear(&told.ok_or_else(ended_early)?),
                () = sleep_until(end) => return Ok(()),
            }
        }
    }

    async fn read_outcomes(&mut self) -> Result<(), Failure> {
        let now = self.clock.shown();
        for item in self.record.items() {
            let ask = GetScheduleOutcomes { item: item.clone(), limit: PAGE_MAX };
            let outcomes =
                self.handle.ask(ask).await.map_err(|error| Failure::usage(error.to_string()))?.outcomes;
            self.record.decide(&item, outcomes);
        }
        // An outcome that is read the next time was decided after this.
        self.tell_until(now)
    }

    fn tell_until(&mut self, before: DateTime<Utc>) -> Result<(), Failure> {
        for line in self.record.take_lines(before) {
            (self.tell)(&line)?;
        }
        Ok(())
    }
}
