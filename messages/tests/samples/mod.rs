//! One value of every command, reply, refusal and event, as a reader of docs/messages.md meets them, and of the
//! variants that they are made of. A new command, event or refusal without one here fails a test.

pub mod document;

use chrono::{DateTime, FixedOffset, Utc};
use keepwell_messages::*;
use serde::Serialize;
use uuid::Uuid;

/// A time of one night, so many seconds after the backup was due.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_568_400 + seconds, 0).expect("a time")
}

/// The same as a repository's snapshot or a schedule tells it.
fn civil(seconds: i64) -> DateTime<FixedOffset> {
    at(seconds).with_timezone(&FixedOffset::east_opt(3600).expect("an offset"))
}

fn task_id() -> TaskId {
    TaskId(Uuid::from_u128(0x019a_b9a5_3c80_7a31_8f02_6b1d_e4c7_9d10))
}

fn snapshot_id() -> String {
    "8d3c".repeat(16)
}

fn schedule() -> ScheduleText {
    ScheduleText { spec: "daily 02:00".into(), time_zone: "Europe/Berlin".into(), jitter_seconds: None }
}

fn item() -> Item {
    Item {
        id: "photos".into(),
        source: ItemSource::Files(FilesItem {
            paths: vec!["/home/ada/photos".into()],
            excludes: vec!["*.tmp".into()],
        }),
        repository: "main".into(),
        schedule: Some(schedule()),
        enabled: true,
        tags: vec!["büro".into()],
    }
}

fn restore() -> RestoreRequest {
    RestoreRequest {
        repository: "main".into(),
        snapshot: "latest".into(),
        path: "/home/ada/photos".into(),
        target: RestoreTarget::Folder("/restored".into()),
        verify: true,
    }
}

fn restore_to_firebird() -> RestoreRequest {
    let target =
        FirebirdTarget { source: "books".into(), database: "/restored/books.fdb".into(), replace: true };
    RestoreRequest { target: RestoreTarget::Firebird(target), ..restore() }
}

fn retry() -> Retry {
    let why = "the store cannot be reached: no route to host".into();
    Retry { attempt: 2, attempts_max: 4, at: at(75), class: ErrorClass::Network, why }
}

fn progress() -> Progress {
    Progress {
        stage: Stage::Compressing,
        paused: false,
        files_done: 45,
        files_total: 100,
        bytes_done: 450_000_000,
        bytes_total: 1_000_000_000,
        totals_final: true,
        bytes_new: 90_000_000,
        bytes_stored: 61_000_000,
        errors: 1,
        bytes_per_second: 50_000_000,
        seconds_left: Some(11),
    }
}

fn ends() -> Vec<TaskEnd> {
    vec![
        TaskEnd::BackedUp(BackedUp {
            snapshot: snapshot_id(),
            files: 100,
            bytes: 1_000_000_000,
            bytes_new: 90_000_000,
            bytes_stored: 61_000_000,
            errors: 0,
        }),
        TaskEnd::Restored(Restored {
            files_restored: 98,
            files_unchanged: 2,
            bytes_written: 980_000_000,
            errors: 0,
        }),
        TaskEnd::Failed(Failure { class: ErrorClass::Credentials, why: "wrong password".into() }),
        TaskEnd::Cancelled(CancelReason::Requested),
        TaskEnd::Cancelled(CancelReason::Shutdown),
        TaskEnd::Cancelled(CancelReason::ItemRemoved),
    ]
}

fn task(pending: Option<PendingReason>, end: Option<TaskEnd>) -> Task {
    Task {
        id: task_id(),
        kind: TaskKind::Backup("photos".into()),
        trigger: Trigger::Due(at(0)),
        state: end.as_ref().map_or(TaskState::Pending, TaskEnd::state),
        pending,
        attempt: 1,
        attempts_max: 4,
        created: at(0),
        changed: at(20),
        end,
        progress: Some(progress()),
    }
}

/// Every command, in the order of their names.
pub fn commands() -> Vec<Command> {
    vec![
        PerformBackup { item: "photos".into() }.into(),
        PerformFirebirdBackup { item: "books".into() }.into(),
        PerformRestore { restore: restore() }.into(),
        PerformRestore { restore: restore_to_firebird() }.into(),
        PauseBackup { task: Some(task_id()) }.into(),
        ResumeBackup { task: None }.into(),
        PauseAllBackups {}.into(),
        ResumeAllBackups {}.into(),
        GetActiveTasks {}.into(),
        GetTaskManagerStats {}.into(),
        CancelTask { task: task_id() }.into(),
        GetTask { task: task_id() }.into(),
        SetMaxConcurrentTasks { max_concurrent_tasks: 3 }.into(),
        SetItem { item: item() }.into(),
        SetItem { item: Item { source: ItemSource::Firebird("books".into()), schedule: None, ..item() } }
            .into(),
        SetItem { item: Item { source: ItemSource::Named("feed".into()), ..item() } }.into(),
        RemoveItem { item: "photos".into() }.into(),
        EnableItem { item: "photos".into(), enabled: false }.into(),
        GetItems {}.into(),
        GetScheduleOutcomes { item: "photos".into(), limit: 10 }.into(),
        GetHistory { item: None, before: Some(task_id()), limit: 50 }.into(),
        GetEvents { after: 41, limit: 100 }.into(),
        GetSetup {}.into(),
        GetDueTimes { schedule: schedule(), after: Some(at(0)), limit: 5 }.into(),
        GetItemExplanation { item: "photos".into() }.into(),
        GetSnapshots { repository: "main".into(), after: None, limit: 100 }.into(),
        GetFolder {
            repository: "main".into(),
            snapshot: "latest".into(),
            path: "/home/ada/photos".into(),
            after: Some("lake.jpg".into()),
            limit: 100,
        }
        .into(),
        GetMatchingEntries {
            repository: "main".into(),
            snapshots: vec!["latest".into()],
            pattern: "*.jpg".into(),
            limit: 100,
        }
        .into(),
        GetDifferences {
            repository: "main".into(),
            older: "5f21".into(),
            newer: "latest".into(),
            limit: 100,
        }
        .into(),
    ]
}

/// The reply to every command, in the same order.
pub fn replies() -> Vec<Reply> {
    let now = |state| TaskNow { task: task_id(), state };
    let item_now = ItemNow {
        item: item(),
        owner: ItemOwner::Journal,
        next_due: Some(at(86_400)),
        active_task: Some(task_id()),
        latest: Some(LatestEnd { task: task_id(), at: at(20), end: ends().remove(0) }),
    };
    let outcomes = due_outcomes()
        .into_iter()
        .map(|outcome| ScheduleOutcome { since: at(0), due: at(0), decided: at(1), outcome })
        .collect();
    let stats = TaskManagerStats {
        running: 1,
        queued: 2,
        completed: 412,
        max_concurrent_tasks: 3,
        ..TaskManagerStats::default()
    };
    let tasks: Vec<Task> = pending_reasons().into_iter().map(|reason| task(Some(reason), None)).collect();
    vec![
        Reply::PerformBackup(TaskMade { task: task_id() }),
        Reply::PerformFirebirdBackup(TaskMade { task: task_id() }),
        Reply::PerformRestore(TaskMade { task: task_id() }),
        Reply::PauseBackup(now(TaskState::Paused)),
        Reply::ResumeBackup(now(TaskState::Running)),
        Reply::PauseAllBackups(PausedAll { paused: true, tasks: 1 }),
        Reply::ResumeAllBackups(PausedAll { paused: false, tasks: 1 }),
        Reply::GetActiveTasks(Tasks { tasks }),
        Reply::GetTaskManagerStats(stats),
        Reply::CancelTask(now(TaskState::Cancelled)),
        Reply::GetTask(task(None, Some(ends().remove(0)))),
        Reply::SetMaxConcurrentTasks(stats),
        Reply::SetItem(item_now.clone()),
        Reply::RemoveItem(ItemRemoved { item: "photos".into() }),
        Reply::EnableItem(item_now.clone()),
        Reply::GetItems(Items { items: vec![item_now.clone()] }),
        Reply::GetScheduleOutcomes(ScheduleOutcomes { outcomes }),
        Reply::GetHistory(History { tasks: ends().into_iter().map(|end| task(None, Some(end))).collect() }),
        Reply::GetEvents(Events { events: events(), oldest_kept: 1 }),
        Reply::GetSetup(Setup {
            version: "0.1.0".into(),
            time_zone: "Europe/Berlin".into(),
            now: at(300),
            repositories: vec![RepositorySetup { name: "main".into(), location: "/srv/backup".into() }],
            sources: vec![SourceSetup { name: "books".into(), kind: SourceKind::Firebird }],
            restore_roots: vec!["/restored".into()],
        }),
        Reply::GetDueTimes(DueTimes { due_times: vec![civil(86_400), civil(2 * 86_400)] }),
        Reply::GetItemExplanation(ItemExplanation {
            item: item_now,
            reasons: vec![Reason {
                at: Some(at(86_400)),
                text: "it is due next at 02:00 in Europe/Berlin".into(),
                advice: None,
            }],
        }),
        Reply::GetSnapshots(Snapshots {
            snapshots: vec![SnapshotNow {
                id: snapshot_id(),
                time: civil(1),
                host: "tower".into(),
                user: "ada".into(),
                paths: vec!["/home/ada/photos".into()],
                tags: vec!["büro".into()],
                files: Some(100),
                bytes: Some(1_000_000_000),
                bytes_stored: None,
            }],
            more: true,
            unreadable: 0,
        }),
        Reply::GetFolder(Folder {
            snapshot: snapshot_id(),
            path: "/home/ada/photos".into(),
            entries: vec![entry()],
            more: true,
            next: Some("sea.jpg".into()),
            unreadable: 0,
        }),
        Reply::GetMatchingEntries(MatchingEntries {
            matches: vec![MatchingEntry { snapshot: snapshot_id(), time: civil(1), entry: entry() }],
            more: false,
            unreadable: 0,
        }),
        Reply::GetDifferences(Differences {
            older: "5f21".repeat(16),
            newer: snapshot_id(),
            differences: vec![Difference {
                path: "/home/ada/photos/sea.jpg".into(),
                kind: DifferenceKind::Content,
                bytes_before: Some(4_100_000),
                bytes_after: Some(4_200_000),
            }],
            more: false,
            unreadable: 0,
            added: 0,
            removed: 0,
            changed: 1,
        }),
    ]
}

fn entry() -> Entry {
    Entry {
        name: "sea.jpg".into(),
        path: "/home/ada/photos/sea.jpg".into(),
        kind: EntryKind::File,
        bytes: 4_200_000,
        modified: civil(-7200),
        mode: 0o644,
        user: "ada".into(),
        group: "users".into(),
        link_target: None,
    }
}

/// Every event, in the order of their names.
pub fn events() -> Vec<NumberedEvent> {
    let ended = |end: TaskEnd| TaskEnded { task: task_id(), end };
    let created = TaskCreated {
        task: task_id(),
        kind: TaskKind::Backup("photos".into()),
        trigger: Trigger::Due(at(0)),
    };
    let events = [
        Event::TaskCreated(created),
        Event::TaskQueued(TaskPending { task: task_id(), reason: PendingReason::Queued }),
        Event::TaskStatusUpdate(TaskStatusUpdate {
            task: task_id(),
            from: TaskState::Pending,
            to: TaskState::Running,
            attempt: 1,
        }),
        Event::TaskCompleted(ended(ends().remove(0))),
        Event::TaskFailed(ended(ends().remove(2))),
        Event::TaskCancelled(ended(ends().remove(3))),
        Event::TaskRetry(TaskRetry { task: task_id(), retry: retry() }),
        Event::TaskPaused(TaskRef { task: task_id() }),
        Event::TaskResumed(TaskRef { task: task_id() }),
        Event::GlobalPause(GlobalPause { paused: true }),
        Event::ItemChanged(ItemRef { item: "photos".into() }),
        Event::ItemRemoved(ItemRef { item: "photos".into() }),
        Event::ActorCrashed(ActorCrashed {
            actor: ActorRef::Task(task_id()),
            failure: Failure { class: ErrorClass::Crash, why: "a defect: index out of bounds".into() },
        }),
        Event::ActorRestarted(ActorRef::Manager),
    ];
    let numbered = |(number, event)| NumberedEvent { number: number as u64 + 42, at: at(20), event };
    events.into_iter().enumerate().map(numbered).collect()
}

/// Every refusal.
pub fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::DuplicateTask(task_id()),
        Refusal::UnknownItem("photos".into()),
        Refusal::UnknownTask(task_id()),
        Refusal::WhichTask(vec![task_id()]),
        Refusal::WrongState(task_id(), TaskState::Completed, TaskState::Running),
        Refusal::ItemOfConfigurationFile("photos".into()),
        Refusal::Invalid("there is no time zone Europe/Berln; did you mean Europe/Berlin?".into()),
        Refusal::QueueFull(100),
        Refusal::GloballyPaused,
        Refusal::ShuttingDown,
        Refusal::Journal(Failure { class: ErrorClass::Space, why: "the disk is full".into() }),
        Refusal::Failed(Failure { class: ErrorClass::Credentials, why: "wrong password".into() }),
    ]
}

/// The one event that has no number.
pub fn progress_event() -> BackupProgress {
    BackupProgress {
        task: task_id(),
        attempt: 1,
        message: "Compressing: 45/100 files (45%)".into(),
        percent: 42,
        stage: Stage::Compressing,
        paused: false,
        progress: progress(),
    }
}

/// A value of every variant that fields of messages hold, under what a reader would call it.
pub fn variants() -> Vec<(&'static str, Vec<String>)> {
    fn json<T: Serialize>(values: impl IntoIterator<Item = T>) -> Vec<String> {
        values.into_iter().map(|value| serde_json::to_string(&value).expect("JSON")).collect()
    }
    let kinds = [
        TaskKind::Backup("photos".into()),
        TaskKind::Restore(restore()),
        TaskKind::Restore(restore_to_firebird()),
    ];
    let triggers =
        [Trigger::Manual, Trigger::Due(at(0)), Trigger::CatchUp(Missed { since: at(-86_400), due: at(0) })];
    let stages = [Stage::Preparing, Stage::Compressing, Stage::Uploading, Stage::Restoring, Stage::Verifying];
    let entry_kinds = [EntryKind::File, EntryKind::Folder, EntryKind::Link, EntryKind::Other];
    let difference_kinds = [
        DifferenceKind::Added,
        DifferenceKind::Removed,
        DifferenceKind::Content,
        DifferenceKind::Type,
        DifferenceKind::Metadata,
    ];
    vec![
        ("what a task does (`kind`)", json(kinds)),
        ("why a task was made (`trigger`)", json(triggers)),
        ("where a task stands (`state`)", json(TaskState::ALL)),
        ("why a pending task does not run (`pending`, `reason`)", json(pending_reasons())),
        ("how a task ended (`end`)", json(ends())),
        ("what kind of failure it was (`class`)", json(error_classes())),
        ("the part of its work that a task is at (`stage`)", json(stages)),
        ("what became of a due time (`outcome`)", json(due_outcomes())),
        ("whose an item is (`owner`)", json([ItemOwner::ConfigurationFile, ItemOwner::Journal])),
        ("which actor it was (`actor`)", json(actors())),
        ("of what kind a source is (`kind`)", json([SourceKind::Firebird, SourceKind::Named])),
        ("what an entry is (`kind`)", json(entry_kinds)),
        ("in what an entry differs (`kind`)", json(difference_kinds)),
    ]
}

fn error_classes() -> [ErrorClass; 9] {
    use ErrorClass::*;
    [Network, Server, Source, Repository, Credentials, Space, Settings, Crash, Cancelled]
}

fn actors() -> [ActorRef; 3] {
    [ActorRef::Scheduler, ActorRef::Manager, ActorRef::Task(task_id())]
}

fn pending_reasons() -> [PendingReason; 5] {
    [
        PendingReason::Queued,
        PendingReason::Resuming,
        PendingReason::Retry(retry()),
        PendingReason::WaitingForNetwork,
        PendingReason::Paused,
    ]
}

fn due_outcomes() -> [DueOutcome; 6] {
    [
        DueOutcome::Ran(task_id()),
        DueOutcome::Disabled,
        DueOutcome::Duplicate(task_id()),
        DueOutcome::GloballyPaused,
        DueOutcome::CoveredBy(task_id()),
        DueOutcome::Refused("100 tasks wait already; ask again later".into()),
    ]
}
