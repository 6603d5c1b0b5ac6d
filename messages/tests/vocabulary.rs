//! Every command, reply, refusal and event goes through JSON and bincode and comes back the same,
//! under the names that doors know.

use chrono::{DateTime, FixedOffset, Utc};
use keepwell_messages::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 123_456_789).expect("a time")
}

fn task_id() -> TaskId {
    TaskId(Uuid::from_u128(0x0193_5a5a_0000_7000_8000_0000_0000_0001))
}

fn schedule() -> ScheduleText {
    ScheduleText { spec: "daily 02:00".into(), time_zone: "Europe/Berlin".into(), jitter_seconds: None }
}

fn item() -> Item {
    Item {
        id: "photos".into(),
        source: ItemSource::Files(FilesItem {
            paths: vec!["/home/a".into()],
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
        path: "/home/a".into(),
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
    Retry { attempt: 2, attempts_max: 4, at: at(100), class: ErrorClass::Network, why: "no route".into() }
}

fn progress() -> Progress {
    Progress {
        stage: Stage::Compressing,
        paused: false,
        files_done: 45,
        files_total: 100,
        bytes_done: 1 << 40,
        bytes_total: 1 << 41,
        totals_final: true,
        bytes_new: 5,
        bytes_stored: 3,
        errors: 1,
        bytes_per_second: 7,
        seconds_left: Some(9),
    }
}

fn ends() -> Vec<TaskEnd> {
    vec![
        TaskEnd::BackedUp(BackedUp {
            snapshot: "ab".repeat(32),
            files: 1,
            bytes: 2,
            bytes_new: 3,
            bytes_stored: 4,
            errors: 0,
        }),
        TaskEnd::Restored(Restored { files_restored: 1, files_unchanged: 2, bytes_written: 3, errors: 0 }),
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
        trigger: Trigger::Due(at(60)),
        state: end.as_ref().map_or(TaskState::Pending, TaskEnd::state),
        pending,
        attempt: 1,
        attempts_max: 4,
        created: at(0),
        changed: at(1),
        end,
        progress: Some(progress()),
    }
}

fn commands() -> Vec<Command> {
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
        GetHistory { item: None, before: Some(task_id()), limit: PAGE_MAX }.into(),
        GetEvents { after: u64::MAX, limit: 1 }.into(),
        GetSetup {}.into(),
        GetDueTimes { schedule: schedule(), after: Some(at(7)), limit: 5 }.into(),
        GetItemExplanation { item: "photos".into() }.into(),
        GetSnapshots { repository: "main".into(), after: None, limit: 100 }.into(),
        GetFolder {
            repository: "main".into(),
            snapshot: "latest".into(),
            path: "/home/a".into(),
            after: Some("b.txt".into()),
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
            older: "0123".into(),
            newer: "latest".into(),
            limit: 100,
        }
        .into(),
    ]
}

fn replies() -> Vec<Reply> {
    let now = TaskNow { task: task_id(), state: TaskState::Paused };
    let item_now = ItemNow {
        item: item(),
        owner: ItemOwner::Journal,
        next_due: Some(at(5)),
        active_task: Some(task_id()),
        latest: Some(LatestEnd { task: task_id(), at: at(6), end: ends().remove(0) }),
    };
    let outcomes = [
        DueOutcome::Ran(task_id()),
        DueOutcome::Disabled,
        DueOutcome::Duplicate(task_id()),
        DueOutcome::GloballyPaused,
        DueOutcome::CoveredBy(task_id()),
        DueOutcome::Refused("the queue is full".into()),
    ];
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| ScheduleOutcome { since: at(0), due: at(1), decided: at(2), outcome })
        .collect();
    let pending = [
        PendingReason::Queued,
        PendingReason::Resuming,
        PendingReason::Retry(retry()),
        PendingReason::WaitingForNetwork,
        PendingReason::Paused,
    ];
    let tasks: Vec<Task> = pending.into_iter().map(|reason| task(Some(reason), None)).collect();
    vec![
        Reply::PerformBackup(TaskMade { task: task_id() }),
        Reply::PerformFirebirdBackup(TaskMade { task: task_id() }),
        Reply::PerformRestore(TaskMade { task: task_id() }),
        Reply::PauseBackup(now),
        Reply::ResumeBackup(now),
        Reply::PauseAllBackups(PausedAll { paused: true, tasks: 2 }),
        Reply::ResumeAllBackups(PausedAll { paused: false, tasks: 2 }),
        Reply::GetActiveTasks(Tasks { tasks }),
        Reply::GetTaskManagerStats(TaskManagerStats { running: 3, ..TaskManagerStats::default() }),
        Reply::CancelTask(now),
        Reply::GetTask(task(None, None)),
        Reply::SetMaxConcurrentTasks(TaskManagerStats::default()),
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
            now: at(8),
            repositories: vec![RepositorySetup { name: "main".into(), location: "/srv/backup".into() }],
            sources: vec![SourceSetup { name: "books".into(), kind: SourceKind::Firebird }],
            restore_roots: vec!["/restored".into()],
        }),
        Reply::GetDueTimes(DueTimes { due_times: vec![civil(9)] }),
        Reply::GetItemExplanation(ItemExplanation {
            item: item_now,
            reasons: vec![Reason {
                at: Some(at(10)),
                text: "it is due next".into(),
                advice: Some("nothing is to be done".into()),
            }],
        }),
        Reply::GetSnapshots(Snapshots {
            snapshots: vec![SnapshotNow {
                id: "0123".into(),
                time: civil(11),
                host: "house".into(),
                user: "a".into(),
                paths: vec!["/home/a".into()],
                tags: vec!["büro".into()],
                files: Some(2),
                bytes: Some(3),
                bytes_stored: None,
            }],
            more: true,
            unreadable: 1,
        }),
        Reply::GetFolder(Folder {
            snapshot: "0123".into(),
            path: "/home/a".into(),
            entries: vec![entry()],
            more: true,
            next: Some("b.jpg".into()),
            unreadable: 0,
        }),
        Reply::GetMatchingEntries(MatchingEntries {
            matches: vec![MatchingEntry { snapshot: "0123".into(), time: civil(12), entry: entry() }],
            more: false,
            unreadable: 2,
        }),
        Reply::GetDifferences(Differences {
            older: "0123".into(),
            newer: "4567".into(),
            differences: vec![Difference {
                path: "/home/a/b.jpg".into(),
                kind: DifferenceKind::Content,
                bytes_before: Some(1),
                bytes_after: Some(2),
            }],
            more: false,
            unreadable: 0,
            added: 0,
            removed: 0,
            changed: 1,
        }),
    ]
}

fn civil(seconds: i64) -> DateTime<FixedOffset> {
    at(seconds).with_timezone(&FixedOffset::east_opt(7200).expect("an offset"))
}

fn entry() -> Entry {
    Entry {
        name: "b.jpg".into(),
        path: "/home/a/b.jpg".into(),
        kind: EntryKind::File,
        bytes: 2,
        modified: civil(13),
        mode: 0o644,
        user: "a".into(),
        group: "users".into(),
        link_target: None,
    }
}

fn events() -> Vec<NumberedEvent> {
    let ended = |end: TaskEnd| TaskEnded { task: task_id(), end };
    let kinds = [
        TaskKind::Backup("photos".into()),
        TaskKind::Restore(restore()),
        TaskKind::Restore(restore_to_firebird()),
    ];
    let mut events: Vec<Event> = kinds
        .into_iter()
        .map(|kind| {
            Event::TaskCreated(TaskCreated {
                task: task_id(),
                kind,
                trigger: Trigger::CatchUp(Missed { since: at(2), due: at(3) }),
            })
        })
        .collect();
    events.extend([
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
            failure: Failure { class: ErrorClass::Crash, why: "a fault".into() },
        }),
        Event::ActorRestarted(ActorRef::Manager),
        Event::ActorRestarted(ActorRef::Scheduler),
    ]);
    let numbered = |(number, event)| NumberedEvent { number: number as u64, at: at(9), event };
    events.into_iter().enumerate().map(numbered).collect()
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::DuplicateTask(task_id()),
        Refusal::UnknownItem("photos".into()),
        Refusal::UnknownTask(task_id()),
        Refusal::WhichTask(vec![task_id()]),
        Refusal::WrongState(task_id(), TaskState::Completed, TaskState::Running),
        Refusal::ItemOfConfigurationFile("photos".into()),
        Refusal::Invalid("no such zone".into()),
        Refusal::QueueFull(100),
        Refusal::GloballyPaused,
        Refusal::ShuttingDown,
        Refusal::Journal(Failure { class: ErrorClass::Space, why: "the disk is full".into() }),
        Refusal::Failed(Failure { class: ErrorClass::Credentials, why: "wrong password".into() }),
    ]
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("JSON");
    assert_eq!(&serde_json::from_str::<T>(&json).expect("its own JSON"), value, "{json}");
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(value, config).expect("bincode");
    let (again, read) = bincode::serde::decode_from_slice::<T, _>(&bytes, config).expect("its own bytes");
    assert_eq!((&again, read), (value, bytes.len()));
    json
}

/// The name under which a value stands in its JSON.
fn name_in(json: &str) -> &str {
    json.trim_start_matches(['{', '"']).split('"').next().unwrap_or_default()
}

#[test]
fn every_command_and_its_reply_survive_under_the_same_name() {
    let names = |jsons: Vec<String>| -> Vec<String> {
        let mut names: Vec<String> = jsons.iter().map(|json| name_in(json).to_owned()).collect();
        names.dedup();
        names
    };
    let known: Vec<String> = Command::NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(commands().iter().map(survives).collect()), known);
    assert_eq!(names(replies().iter().map(survives).collect()), known);
    assert!(commands().iter().all(|command| name_in(&survives(command)) == command.name()));
    assert!(replies().iter().all(|reply| name_in(&survives(reply)) == reply.name()));
    assert!(events().iter().all(|told| name_in(&survives(&told.event)) == told.event.name()));
}

#[test]
fn the_users_names_are_the_names_of_commands() {
    let known: Vec<String> = Command::NAMES.iter().map(|name| (*name).to_owned()).collect();
    for name in [
        "perform-backup",
        "perform-firebird-backup",
        "pause-backup",
        "resume-backup",
        "pause-all-backups",
        "resume-all-backups",
        "get-active-tasks",
        "get-task-manager-stats",
        "cancel-task",
    ] {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn every_event_survives_under_the_users_name() {
    let events = events();
    let jsons: Vec<String> = events.iter().map(survives).collect();
    for name in [
        "task-created",
        "task-queued",
        "task-status-update",
        "task-completed",
        "task-failed",
        "task-cancelled",
        "task-retry",
        "task-paused",
        "task-resumed",
        "global-pause",
        "item-changed",
        "item-removed",
        "actor-crashed",
        "actor-restarted",
    ] {
        let key = format!("\"event\":{{\"{name}\":");
        assert!(jsons.iter().any(|json| json.contains(&key)), "{name}");
    }
}

#[test]
fn progress_and_refusals_survive() {
    survives(&BackupProgress {
        task: task_id(),
        attempt: 1,
        message: "Compressing: 45/100 files (45%)".into(),
        percent: 45,
        stage: Stage::Compressing,
        paused: false,
        progress: progress(),
    });
    for refusal in refusals() {
        survives(&refusal);
        let told = refusal.to_string();
        assert!(!told.contains("Refusal") && !told.ends_with('.'), "{told}");
    }
}

#[test]
fn a_misspelt_field_is_refused() {
    let misspelt = r#"{"perform-backup":{"itme":"photos"}}"#;
    let error = serde_json::from_str::<Command>(misspelt).expect_err("misspelt").to_string();
    assert!(error.contains("itme") && error.contains("item"), "{error}");
}
