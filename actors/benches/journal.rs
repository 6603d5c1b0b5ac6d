//! How many transitions a second the journal takes, with one committer that waits for each and with
//! a hundred, on the disk that holds the build and on memory; and what a start with much in it takes.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use keepwell_actors::journal::{Batch, Committed, ItemRecord, Journal, JournalError, TaskRecord, Write};
use keepwell_messages::{
    CancelReason, DueOutcome, Event, FilesItem, Item, ItemId, ItemOwner, ItemSource, PendingReason,
    ScheduleOutcome, ScheduleText, Task, TaskEnd, TaskId, TaskKind, TaskPending, TaskState, TaskStatusUpdate,
    Trigger,
};
use uuid::Uuid;

/// Files in memory, on Linux.
const MEMORY: &str = "/dev/shm";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(1_795_392_000_000_000_000)
}

fn task_id(number: u64) -> TaskId {
    TaskId(Uuid::from_u64_pair(1, number))
}

fn item(number: u64) -> Item {
    Item {
        id: ItemId(format!("item-{number:06}")),
        source: ItemSource::Files(FilesItem {
            paths: vec!["/home".into(), "/srv/shared".into()],
            excludes: vec!["*.tmp".into(), "node_modules".into()],
        }),
        repository: "cellar".into(),
        schedule: Some(ScheduleText {
            spec: "daily 02:00".into(),
            time_zone: "Europe/Berlin".into(),
            jitter_seconds: Some(60),
        }),
        enabled: true,
        tags: vec!["nightly".into()],
    }
}

fn item_record(number: u64, owner: ItemOwner) -> ItemRecord {
    ItemRecord { item: item(number), owner, anchor: now(), covered_until: now() }
}

fn task_record(number: u64, state: TaskState) -> TaskRecord {
    let task = Task {
        id: task_id(number),
        kind: TaskKind::Backup(item(number).id),
        trigger: Trigger::Due(now()),
        state,
        pending: (state == TaskState::Pending).then_some(PendingReason::Queued),
        attempt: 1,
        attempts_max: 4,
        created: now(),
        changed: now(),
        end: state.is_end().then_some(TaskEnd::Cancelled(CancelReason::Requested)),
        progress: None,
    };
    TaskRecord { task, item: Some(item(number)), sealed: None }
}

/// A task goes on to its next state, and two events tell it.
fn transition(number: u64) -> Batch {
    let task = task_id(number % 1000);
    Batch {
        writes: vec![Write::PutTask(Box::new(task_record(number % 1000, TaskState::Pending)))],
        events: vec![
            Event::TaskStatusUpdate(TaskStatusUpdate {
                task,
                from: TaskState::Running,
                to: TaskState::Pending,
                attempt: 1,
            }),
            Event::TaskQueued(TaskPending { task, reason: PendingReason::Queued }),
        ],
        ..Batch::new(now())
    }
}

/// The time that `count` transitions take, with at most `committers` of them in flight.
fn commit(journal: &Journal, count: u64, committers: u64) -> Duration {
    let (sender, told) = mpsc::channel::<Result<Committed, JournalError>>();
    let wait = || told.recv().expect("each is told").expect("each is committed");
    let started = Instant::now();
    for number in 0..count {
        if number >= committers {
            wait();
        }
        let sender = sender.clone();
        let done = move |fate| sender.send(fate).expect("all are waited for");
        journal.commit(transition(number), Box::new(done));
    }
    for _ in 0..count.min(committers) {
        wait();
    }
    started.elapsed()
}

fn folders() -> Vec<(&'static str, PathBuf)> {
    let mut folders = vec![("disk", PathBuf::from(env!("CARGO_TARGET_TMPDIR")))];
    folders.extend(Some(("memory", PathBuf::from(MEMORY))).filter(|(_, path)| path.exists()));
    folders
}

fn transitions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transitions");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for (place, path) in folders() {
        for committers in [1, 100] {
            let folder = tempfile::tempdir_in(&path).expect("a folder");
            let (journal, _) = Journal::open(folder.path(), now()).expect("a new journal");
            group.bench_function(format!("{place}, {committers} waiting"), |bencher| {
                bencher.iter_custom(|count| commit(&journal, count, committers));
            });
        }
    }
    group.finish();
}

fn commit_many(journal: &Journal, writes: impl Iterator<Item = Write>) {
    let writes: Vec<Write> = writes.collect();
    for some in writes.chunks(1000) {
        let batch = Batch { writes: some.to_vec(), ..Batch::new(now()) };
        journal.commit_and_wait(batch).expect("committed");
    }
}

/// 100,000 items with 20 outcomes each, all of the history that is kept, and 1,000 tasks.
fn fill(folder: &Path) {
    let (journal, _) = Journal::open(folder, now()).expect("a new journal");
    let owner = ItemOwner::ConfigurationFile;
    commit_many(&journal, (0..100_000).map(|number| Write::PutItem(item_record(number, owner))));
    for hour in 0..20 {
        let due = now() - TimeDelta::hours(hour);
        let outcome = ScheduleOutcome { since: due, due, decided: due, outcome: DueOutcome::Ran(task_id(1)) };
        commit_many(&journal, (0..100_000).map(|number| Write::PutOutcome(item(number).id, outcome.clone())));
    }
    let ended = (1_000..11_000).map(|number| task_record(number, TaskState::Cancelled));
    commit_many(&journal, ended.map(|record| Write::PutTask(Box::new(record))));
    commit(&journal, 50_000, 1000);
}

fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    fill(folder.path());
    group.sample_size(10).bench_function("100,000 items and full history", |bencher| {
        bencher.iter_batched(
            || (),
            |()| Journal::open(folder.path(), now()).expect("a whole journal"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn items_file(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a change of one of the journal's own");
    for items in [100, 10_000] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let (journal, _) = Journal::open(folder.path(), now()).expect("a new journal");
        let change = |number| Write::PutItem(item_record(number, ItemOwner::Journal));
        commit_many(&journal, (0..items).map(change));
        group.sample_size(10).bench_function(format!("{items} items"), |bencher| {
            bencher.iter(|| commit_many(&journal, std::iter::once(change(0))));
        });
    }
    group.finish();
}

criterion_group!(benches, transitions, start, items_file);
criterion_main!(benches);
