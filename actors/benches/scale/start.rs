//! A start, and what it takes.

use std::path::Path;
use std::time::{Duration, Instant};

use keepwell_actors::Settings;
use keepwell_messages::{GetTaskManagerStats, PauseAllBackups};

use chrono::TimeDelta;

use crate::figures::Figures;
use crate::journal::{BURST, ENDED_TASKS, ITEMS, ROUND, item};
use crate::memory::resident;
use crate::messages::{MESSAGES_MIN, stats_rate};
use crate::runner::Hold;
use crate::system::{Started, run};

const START_MAX: Duration = Duration::from_secs(5);
const MEMORY_MIB_MAX: u64 = 500;
/// An overdue task is in the queue, and runs as soon as it is its turn, after this at the latest.
const TAKEN_IN_MAX: Duration = Duration::from_secs(10);

/// Items that were made through a door.
pub fn of_journal_items(folder: &Path, figures: &mut Figures) {
    start(folder, figures, |_| {});
}

/// Items of a configuration file, which all are new to the journal's owner.
pub fn of_configured_items(folder: &Path, figures: &mut Figures) {
    let items = |settings: &mut Settings| settings.items = (0..ITEMS).map(item).collect();
    start(folder, figures, items);
}

fn start(folder: &Path, figures: &mut Figures, change: impl FnOnce(&mut Settings)) {
    let (start, shutdown) = run(folder, TimeDelta::zero(), change, async |started: Started| started.start);
    figures.at_most("start, until manager and scheduler answer", start, START_MAX);
    figures.note("shutdown", format!("{shutdown:.1?}"));
    memory(figures);
}

/// What the process takes.
pub fn memory(figures: &mut Figures) {
    match resident() {
        Some((now, most)) => {
            figures.note("memory now", format!("{} MiB", now >> 20));
            figures.at_most_mib("memory at most", most, MEMORY_MIB_MAX);
        }
        None => figures.note("memory", "skipped: the system does not tell"),
    }
}

/// A fifth of all items is due at the start, nearly all of them overdue.
pub fn with_overdue_items(folder: &Path, figures: &mut Figures) {
    let overdue = ITEMS / 5;
    // The burst is among them.
    let after = ROUND * (overdue - BURST) as i32 / ITEMS as i32;
    let (measured, shutdown) = run(
        folder,
        after,
        |_| {},
        async move |started: Started| {
            let began = Instant::now() - started.start;
            let Started { handle, runner, start, .. } = started;
            runner.hold(Hold::Everything);
            loop {
                let stats = handle.ask(GetTaskManagerStats {}).await.expect("the manager answers");
                let ended = stats.completed as u32 - ENDED_TASKS;
                if stats.running + stats.queued + ended >= overdue {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let all = began.elapsed();
            let rate = stats_rate(&handle).await;
            // So that workers end before the shutdown, and tasks that wait stay.
            handle.ask(PauseAllBackups {}).await.expect("it pauses");
            runner.release();
            (start, all, rate)
        },
    );
    let (start, all, (answers, elapsed)) = measured;
    figures.at_most(&format!("start with {overdue} overdue items"), start, START_MAX);
    figures.at_most("until all have tasks", all, TAKEN_IN_MAX);
    figures.at_least_a_second("get-task-manager-stats meanwhile", answers, elapsed, MESSAGES_MIN);
    figures.note("shutdown with as many tasks that wait", format!("{shutdown:.1?}"));
    memory(figures);
}
