//! How many messages the manager takes, and whether what is due is on time while it takes as many as it must.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use keepwell_actors::board::Generation;
use keepwell_actors::manager::WorkerProgress;
use keepwell_actors::task::WorkerId;
use keepwell_actors::{Handle, Told};
use keepwell_messages::{
    BackupProgress, Event, GetActiveTasks, GetTaskManagerStats, PerformBackup, Progress, Stage, TaskState,
};

use crate::due::{Created, late, until_started, watch};
use crate::figures::Figures;
use crate::journal::{BURST, EVENTS, item};
use crate::runner::Hold;
use crate::start::memory;
use crate::system::{Started, run};

/// A second, of any kind.
pub const MESSAGES_MIN: u64 = 50_000;
const MEASURED: Duration = Duration::from_secs(5);
/// Each waits for its answer before it sends again.
const SENDERS: usize = 128;
/// As many as [`MESSAGES_MIN`] asks for and some more, if each sender sends one in this time.
const PACE: Duration = Duration::from_millis(2);
/// Tasks that run meanwhile; there are as many slots again for what is due.
const RUNNING: u32 = 32;

/// One kind of message.
#[derive(Clone, Copy)]
enum Kind {
    Stats,
    ActiveTasks,
    Progress,
    /// Now this, now that.
    Mixed,
}

/// See the module.
pub fn scenario(folder: &Path, figures: &mut Figures) {
    let ((counts, heard, lateness), _) = run(
        folder,
        TimeDelta::zero(),
        |_| {},
        async |started: Started| {
            let Started { handle, runner, clock, .. } = started;
            runner.hold(Hold::Unscheduled);
            let workers = Arc::new(start_tasks(&handle).await);
            let heard = listen(&handle);
            let mut counts = Vec::new();
            for kind in [Kind::Stats, Kind::ActiveTasks, Kind::Progress, Kind::Mixed] {
                counts.push(measure(&handle, kind, &workers, None).await);
            }
            let mut due = handle.subscribe(None).expect("it runs");
            let from = clock.time();
            let until = from + TimeDelta::from_std(MEASURED).expect("a short time");
            let watching = tokio::spawn(async move { watch(&mut due, clock, until).await });
            counts.push(measure(&handle, Kind::Mixed, &workers, Some(PACE)).await);
            let created: Created = watching.await.expect("it watches");
            let created: Created = created.into_iter().filter(|(_, (due, _))| *due > from).collect();
            let lateness = until_started(&created, &runner.started());
            runner.release();
            (counts, heard.load(Ordering::Relaxed), lateness)
        },
    );
    let names = [
        "get-task-manager-stats".into(),
        format!("get-active-tasks, with {RUNNING} tasks"),
        "progress".into(),
        "all three mixed".into(),
        "all three mixed, no more than needed".into(),
    ];
    for (name, (count, elapsed)) in names.iter().zip(counts) {
        figures.at_least_a_second(name, count, elapsed, MESSAGES_MIN);
    }
    figures.holds("progress that a subscriber heard", heard, heard > 0, "some");
    figures.holds("tasks due meanwhile", lateness.len(), !lateness.is_empty(), "some");
    late(figures, "from due to started", lateness);
    memory(figures);
}

/// Starts tasks that go on, and gives their workers.
async fn start_tasks(handle: &Handle) -> Vec<WorkerId> {
    let mut tasks = HashSet::new();
    for number in BURST..BURST + RUNNING {
        tasks.insert(handle.ask(PerformBackup { item: item(number).id }).await.expect("it is made").task);
    }
    // Each start has the next generation, from 1 on, and is told in this order.
    let mut events = handle.subscribe(Some(EVENTS)).expect("it runs");
    let (mut starts, mut workers) = (0, Vec::new());
    while workers.len() < tasks.len() {
        let Some(Told::Event(event)) = events.next().await else { continue };
        let Event::TaskStatusUpdate(update) = &event.event else { continue };
        if update.to == TaskState::Running {
            starts += 1;
            if tasks.contains(&update.task) {
                workers.push(WorkerId { task: update.task, generation: Generation(starts) });
            }
        }
    }
    workers
}

/// Counts the progress that one subscriber is told.
fn listen(handle: &Handle) -> Arc<AtomicU64> {
    let heard = Arc::new(AtomicU64::new(0));
    let (counter, mut subscription) = (heard.clone(), handle.subscribe(None).expect("it runs"));
    tokio::spawn(async move {
        while let Some(told) = subscription.next().await {
            if let Told::Progress(_) = told {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    heard
}

/// How many questions for the statistics are answered.
pub async fn stats_rate(handle: &Handle) -> (u64, Duration) {
    measure(handle, Kind::Stats, &Arc::new(Vec::new()), None).await
}

/// What goes through in a while, from senders that wait for nothing but their answers, or keep a pace.
async fn measure(
    handle: &Handle,
    kind: Kind,
    workers: &Arc<Vec<WorkerId>>,
    pace: Option<Duration>,
) -> (u64, Duration) {
    let began = Instant::now();
    let senders = (0..SENDERS).map(|sender| {
        let (handle, workers) = (handle.clone(), workers.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while began.elapsed() < MEASURED {
                if let Some(pace) = pace {
                    tokio::time::sleep_until((began + pace * count).into()).await;
                }
                match (kind, count % 3) {
                    (Kind::Stats, _) | (Kind::Mixed, 0) => ask_stats(&handle).await,
                    (Kind::ActiveTasks, _) | (Kind::Mixed, 1) => ask_active_tasks(&handle).await,
                    (Kind::Progress | Kind::Mixed, _) => {
                        tell_progress(&handle, workers[sender % workers.len()]).await;
                    }
                }
                count += 1;
            }
            u64::from(count)
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut count = 0;
    for sender in senders {
        count += sender.await.expect("it sends");
    }
    (count, began.elapsed())
}

async fn ask_stats(handle: &Handle) {
    handle.ask(GetTaskManagerStats {}).await.expect("an answer");
}

async fn ask_active_tasks(handle: &Handle) {
    let tasks = handle.ask(GetActiveTasks {}).await.expect("an answer").tasks;
    assert!(tasks.len() >= RUNNING as usize);
}

async fn tell_progress(handle: &Handle, worker: WorkerId) {
    let told = progress(worker);
    handle.manager().send(WorkerProgress { worker, told }).await.expect("it is taken in");
}

fn progress(worker: WorkerId) -> BackupProgress {
    let progress = Progress {
        stage: Stage::Compressing,
        paused: false,
        files_done: 45,
        files_total: 100,
        bytes_done: 45 << 20,
        bytes_total: 100 << 20,
        totals_final: true,
        bytes_new: 1 << 20,
        bytes_stored: 1 << 19,
        errors: 0,
        bytes_per_second: 1 << 20,
        seconds_left: Some(55),
    };
    BackupProgress {
        task: worker.task,
        attempt: 1,
        message: "Compressing: 45/100 files (45%)".into(),
        percent: 42,
        stage: Stage::Compressing,
        paused: false,
        progress,
    }
}
