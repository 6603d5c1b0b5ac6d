//! Tests of the journal on real files: what is committed comes back, whatever
//! happens to the process, the disk or the bytes.

mod damage;
mod folder;
mod full_disk;
mod groups;
mod items_file;
mod killed;
mod retention;
mod round_trip;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_messages::{
    BackedUp, CommandId, DueOutcome, Event, FilesItem, Item, ItemId, ItemOwner, ItemSource, PendingReason,
    ScheduleOutcome, ScheduleText, Task, TaskCreated, TaskEnd, TaskId, TaskKind, TaskState, Trigger,
};
use uuid::Uuid;

use super::*;

/// The time of every test, with nanoseconds that must not get lost.
fn now() -> DateTime<Utc> {
    utc("2026-11-23T00:00:00.123456789Z")
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn open(folder: &Path) -> (Journal, Opened) {
    Journal::open(folder, now()).unwrap()
}

fn task_id(number: u64) -> TaskId {
    TaskId(Uuid::from_u64_pair(1, number))
}

fn command_id(number: u64) -> CommandId {
    CommandId(Uuid::from_u64_pair(2, number))
}

fn item(name: &str) -> Item {
    Item {
        id: name.into(),
        source: ItemSource::Files(FilesItem { paths: vec!["/home".into()], excludes: vec!["*.tmp".into()] }),
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

fn item_record(name: &str, owner: ItemOwner) -> ItemRecord {
    ItemRecord { item: item(name), owner, anchor: now(), covered_until: now() - TimeDelta::hours(1) }
}

/// A backup of item `home` that waits for its turn.
fn waiting_task(number: u64) -> TaskRecord {
    let task = Task {
        id: task_id(number),
        kind: TaskKind::Backup("home".into()),
        trigger: Trigger::Due(now()),
        state: TaskState::Pending,
        pending: Some(PendingReason::Queued),
        attempt: 0,
        attempts_max: 4,
        created: now(),
        changed: now(),
        end: None,
        progress: None,
    };
    TaskRecord { task, item: Some(item("home")), sealed: None }
}

fn completed_task(number: u64) -> TaskRecord {
    let mut record = waiting_task(number);
    record.task.state = TaskState::Completed;
    record.task.pending = None;
    record.task.attempt = 1;
    record.task.end = Some(TaskEnd::BackedUp(BackedUp {
        snapshot: "ab".repeat(32),
        files: 1,
        bytes: 2,
        bytes_new: 3,
        bytes_stored: 4,
        errors: 0,
    }));
    record
}

fn outcome(due: DateTime<Utc>) -> ScheduleOutcome {
    ScheduleOutcome { since: due, due, decided: now(), outcome: DueOutcome::Ran(task_id(1)) }
}

fn put_task(record: TaskRecord) -> Write {
    Write::PutTask(Box::new(record))
}

fn put_outcome(name: &str, due: DateTime<Utc>) -> Write {
    Write::PutOutcome(name.into(), outcome(due))
}

fn event(number: u64) -> Event {
    Event::TaskCreated(TaskCreated {
        task: task_id(number),
        kind: TaskKind::Backup("home".into()),
        trigger: Trigger::Manual,
    })
}

fn writes(writes: impl Into<Vec<Write>>) -> Batch {
    Batch { writes: writes.into(), ..Batch::new(now()) }
}

fn events(count: u64) -> Batch {
    Batch { events: (0..count).map(event).collect(), ..Batch::new(now()) }
}

fn numbers(committed: &Committed) -> Vec<u64> {
    committed.events.iter().map(|event| event.number).collect()
}

fn item_ids(kept: &Kept) -> Vec<&str> {
    kept.items.iter().map(|record| record.item.id.0.as_str()).collect()
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn home() -> ItemId {
    "home".into()
}
