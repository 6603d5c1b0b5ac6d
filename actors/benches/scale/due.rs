//! How late what is due is started: at spread instants, and when much is due at once.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::{Handle, Subscription, Told};
use keepwell_messages::{Event, GetTaskManagerStats, TaskId, Trigger};

use crate::figures::{Figures, spread};
use crate::journal::{BURST, BURST_AFTER, template_time};
use crate::runner::{Hold, TinyRunner};
use crate::start::memory;
use crate::system::{BenchClock, Started, run};

/// Any due time.
pub const LATE_MAX: Duration = Duration::from_millis(100);
/// Tasks that are due at spread instants are watched for so long.
const SPREAD: TimeDelta = TimeDelta::seconds(40);

const SPREAD_MIN: usize = 200;

/// A task that was due: when, and when that was committed and told.
pub type Created = HashMap<TaskId, (DateTime<Utc>, DateTime<Utc>)>;

struct Lateness {
    spread_created: Vec<Duration>,
    spread_started: Vec<Duration>,
    burst_created: Vec<Duration>,
    burst_started: Vec<Duration>,
}

/// See the module.
pub fn scenario(folder: &Path, figures: &mut Figures) {
    let (lateness, _) = run(
        folder,
        TimeDelta::zero(),
        |_| {},
        async |started: Started| {
            let Started { handle, runner, clock, .. } = started;
            let mut events = handle.subscribe(None).expect("it runs");
            let from = clock.time();
            let spread = watch(&mut events, clock, from + SPREAD).await;
            let spread: Created = spread.into_iter().filter(|(_, (due, _))| *due > from).collect();
            let started = runner.started();
            let (spread_created, spread_started) = (until_created(&spread), until_started(&spread, &started));
            let burst_due = template_time() + BURST_AFTER;
            watch(&mut events, clock, burst_due - TimeDelta::seconds(2)).await;
            let (burst, started) = burst(&handle, &mut events, &runner, clock, burst_due).await;
            let (burst_created, burst_started) = (until_created(&burst), until_started(&burst, &started));
            Lateness { spread_created, spread_started, burst_created, burst_started }
        },
    );
    let Lateness { spread_created, spread_started, burst_created, burst_started } = lateness;
    let count = spread_started.len();
    figures.holds("tasks due at spread instants", count, count >= SPREAD_MIN, "some hundred");
    late(figures, "from due to committed", spread_created);
    late(figures, "from due to started", spread_started);
    figures.holds(
        "tasks due at one instant",
        burst_created.len(),
        burst_created.len() >= BURST as usize,
        "all",
    );
    late(figures, "from due to committed", burst_created);
    figures.note("of these have slots", burst_started.len());
    late(figures, "from due to started", burst_started);
    memory(figures);
}

/// All are due, and 64 of them get slots.
async fn burst(
    handle: &Handle,
    events: &mut Subscription,
    runner: &TinyRunner,
    clock: BenchClock,
    due: DateTime<Utc>,
) -> (Created, HashMap<TaskId, DateTime<Utc>>) {
    runner.hold(Hold::Everything);
    let mut created = watch(events, clock, due + TimeDelta::seconds(3)).await;
    created.retain(|_, (was_due, _)| *was_due == due);
    let started = runner.started();
    runner.release();
    while handle.ask(GetTaskManagerStats {}).await.expect("the manager answers").queued > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (created, started)
}

/// Tasks that are made because they are due, until this time.
pub async fn watch(events: &mut Subscription, clock: BenchClock, until: DateTime<Utc>) -> Created {
    let mut created = Created::new();
    let wait = until.signed_duration_since(clock.time()).to_std().unwrap_or_default();
    let collect = async {
        while let Some(told) = events.next().await {
            let Told::Event(event) = told else { continue };
            if let Event::TaskCreated(task) = &event.event
                && let Trigger::Due(due) = task.trigger
            {
                created.insert(task.task, (due, clock.time()));
            }
        }
    };
    let _ = tokio::time::timeout(wait, collect).await;
    created
}

/// How late the tasks were committed.
pub fn until_created(created: &Created) -> Vec<Duration> {
    created.values().map(|(due, told)| lateness(*due, *told)).collect()
}

/// How late those that were started were.
pub fn until_started(created: &Created, started: &HashMap<TaskId, DateTime<Utc>>) -> Vec<Duration> {
    let of = |(task, (due, _)): (&TaskId, &(DateTime<Utc>, _))| Some(lateness(*due, *started.get(task)?));
    created.iter().filter_map(of).collect()
}

fn lateness(due: DateTime<Utc>, at: DateTime<Utc>) -> Duration {
    at.signed_duration_since(due).to_std().expect("nothing is started before it is due")
}

/// Judges how late tasks were.
pub fn late(figures: &mut Figures, what: &str, values: Vec<Duration>) {
    let [middle, almost, most] = spread(values);
    figures.note(&format!("{what}, half and 99 of 100 within"), format!("{middle:.1?}, {almost:.1?}"));
    figures.at_most(&format!("{what}, the latest"), most, LATE_MAX);
}
