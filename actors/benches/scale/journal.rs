//! The journal that all scenarios begin with: a hundred thousand items and as much history as there would be.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::journal::{Batch, ItemRecord, Journal, TaskRecord, Write};
use keepwell_messages::{
    BackedUp, DueOutcome, Event, FilesItem, Item, ItemId, ItemOwner, ItemSource, ScheduleOutcome,
    ScheduleText, Task, TaskEnd, TaskEnded, TaskId, TaskKind, TaskState, Trigger,
};
use uuid::Uuid;

use crate::figures::Figures;

/// Items in all.
pub const ITEMS: u32 = 100_000;
/// Of these, so many are due at the same instant,
pub const BURST: u32 = 1_000;
/// and so many only when somebody asks.
pub const MANUAL: u32 = 2_000;

/// Every item is due once in this time, and they are spread evenly over it.
pub const ROUND: TimeDelta = TimeDelta::hours(4);
/// The burst is due so long after [`template_time`].
pub const BURST_AFTER: TimeDelta = TimeDelta::seconds(75);

const OUTCOMES_OF_ITEM: i32 = 20;
/// Ended tasks in its history.
pub const ENDED_TASKS: u32 = 10_000;
/// Events in its history, numbered from 1.
pub const EVENTS: u64 = 100_000;

/// When the journal was left: every due time until then has its outcome.
pub fn template_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_392_000, 0).expect("a time")
}

/// An item by its number: the burst comes first, then those that are only asked for.
pub fn item(number: u32) -> Item {
    let is_manual = (BURST..BURST + MANUAL).contains(&number);
    let schedule =
        ScheduleText { spec: "every 4h".into(), time_zone: "Europe/Berlin".into(), jitter_seconds: None };
    Item {
        id: ItemId(format!("item-{number:06}")),
        source: ItemSource::Files(FilesItem {
            paths: vec!["/home".into(), "/srv/shared".into()],
            excludes: vec!["*.tmp".into(), "node_modules".into()],
        }),
        repository: format!("cellar-{}", number % 10),
        schedule: (!is_manual).then_some(schedule),
        enabled: true,
        tags: vec!["nightly".into()],
    }
}

/// The instant from which an item's schedule counts.
fn anchor(number: u32) -> DateTime<Utc> {
    let after = match number {
        ..BURST => BURST_AFTER,
        number => ROUND * number.saturating_sub(BURST + MANUAL) as i32 / ITEMS as i32,
    };
    template_time() + after - ROUND * 8
}

fn record(number: u32) -> ItemRecord {
    let anchor = anchor(number);
    ItemRecord { item: item(number), owner: ItemOwner::Journal, anchor, covered_until: template_time() }
}

fn ended(number: u32) -> TaskRecord {
    let item = item(number);
    let due = template_time() - TimeDelta::hours(1);
    let end = TaskEnd::BackedUp(BackedUp {
        snapshot: "5e".repeat(32),
        files: 1000,
        bytes: 1 << 30,
        bytes_new: 1 << 20,
        bytes_stored: 1 << 19,
        errors: 0,
    });
    let task = Task {
        id: TaskId(Uuid::from_u64_pair(1, number.into())),
        kind: TaskKind::Backup(item.id.clone()),
        trigger: Trigger::Due(due),
        state: TaskState::Completed,
        pending: None,
        attempt: 1,
        attempts_max: 4,
        created: due,
        changed: due,
        end: Some(end),
        progress: None,
    };
    TaskRecord { task, item: Some(item), sealed: None }
}

/// Makes it in `folder`.
pub fn fill(folder: &Path, figures: &mut Figures) {
    let (journal, _) = Journal::open(folder, template_time()).expect("a new journal");
    let commit = |batch| journal.commit_and_wait(batch).expect("committed");
    let begun = || Batch::new(template_time());
    // In one batch: items.json follows once.
    commit(Batch { writes: (0..ITEMS).map(|number| Write::PutItem(record(number))).collect(), ..begun() });
    for some in (0..ITEMS).collect::<Vec<_>>().chunks(1000) {
        let outcomes = some.iter().flat_map(|&number| {
            (0..OUTCOMES_OF_ITEM).map(move |round| {
                let due = template_time() - ROUND * round - TimeDelta::hours(1);
                let outcome = DueOutcome::Ran(TaskId(Uuid::from_u64_pair(1, number.into())));
                Write::PutOutcome(item(number).id, ScheduleOutcome { since: due, due, decided: due, outcome })
            })
        });
        commit(Batch { writes: outcomes.collect(), ..begun() });
    }
    let tasks = (ITEMS - ENDED_TASKS..ITEMS).map(|number| Write::PutTask(Box::new(ended(number))));
    commit(Batch { writes: tasks.collect(), ..begun() });
    let told = ended(0).task;
    let told = Event::TaskCompleted(TaskEnded { task: told.id, end: told.end.expect("it has ended") });
    commit(Batch { events: vec![told; EVENTS as usize], ..begun() });
    drop(journal);
    let size = std::fs::metadata(folder.join("journal.sqlite")).map_or(0, |metadata| metadata.len());
    figures.note("items", ITEMS);
    figures.note("outcomes of each item", OUTCOMES_OF_ITEM);
    figures.note("size of the journal", format!("{} MiB", size >> 20));
}

/// Copies a journal that is closed.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a filled folder") {
        let entry = entry.expect("an entry");
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).expect("a copy");
        // What is written later would be measured with the first commits.
        std::fs::File::open(copy).and_then(|copy| copy.sync_all()).expect("it is on the disk");
    }
}
