//! What is committed comes back after the journal is opened again.

use keepwell_messages::{
    CancelReason, ErrorClass, Failure, Missed, Progress, Refusal, Reply, RestoreRequest, RestoreTarget,
    Retry, Stage, TaskMade,
};

use super::*;

fn every_kind_of_task() -> Vec<TaskRecord> {
    let mut sealed = waiting_task(1);
    sealed.sealed = Some("cd".repeat(32));
    sealed.task.state = TaskState::Running;
    sealed.task.pending = None;
    let mut retrying = waiting_task(2);
    retrying.task.attempt = 2;
    retrying.task.pending = Some(PendingReason::Retry(Retry {
        attempt: 3,
        attempts_max: 4,
        at: now(),
        class: ErrorClass::Network,
        why: "connection reset".into(),
    }));
    let mut paused = waiting_task(3);
    paused.task.state = TaskState::Paused;
    paused.task.trigger = Trigger::CatchUp(Missed { since: now() - TimeDelta::days(2), due: now() });
    let mut restore = waiting_task(4);
    restore.item = None;
    restore.task.kind = TaskKind::Restore(RestoreRequest {
        repository: "cellar".into(),
        snapshot: "latest".into(),
        path: String::new(),
        target: RestoreTarget::Folder("/srv/restored".into()),
        verify: true,
    });
    vec![sealed, retrying, paused, restore]
}

#[test]
fn tasks_that_have_not_ended_come_back_as_they_were_but_for_their_progress() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let tasks = every_kind_of_task();
    let mut put = tasks.clone();
    put[0].task.progress = Some(Progress {
        stage: Stage::Compressing,
        paused: false,
        files_done: 1,
        files_total: 2,
        bytes_done: 3,
        bytes_total: 4,
        totals_final: true,
        bytes_new: 5,
        bytes_stored: 6,
        errors: 7,
        bytes_per_second: 8,
        seconds_left: Some(9),
    });
    let batch = writes(put.into_iter().map(put_task).collect::<Vec<_>>());
    journal.commit_and_wait(batch).unwrap();
    assert_eq!(journal.task(task_id(4)).unwrap().as_ref(), Some(&tasks[3]));
    assert_eq!(journal.task(task_id(5)).unwrap(), None);
    drop(journal);
    let (_, opened) = open(folder.path());
    assert_eq!((opened.found, opened.kept.tasks), (Found::Whole, tasks));
}

#[test]
fn items_settings_and_how_far_schedules_are_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, opened) = open(folder.path());
    assert_eq!(opened.found, Found::Nothing);
    assert_eq!(opened.kept, Kept::default());
    let [home_of_journal, etc, gone] = [
        item_record("home", ItemOwner::Journal),
        item_record("etc", ItemOwner::ConfigurationFile),
        item_record("gone", ItemOwner::Journal),
    ];
    let first = [&home_of_journal, &etc, &gone].map(|record| Write::PutItem(record.clone()));
    journal.commit_and_wait(writes(first)).unwrap();
    let second = [
        Write::RemoveItem("gone".into()),
        Write::CoverUntil("home".into(), now()),
        Write::GloballyPaused(true),
        Write::MaxConcurrentTasks(7),
    ];
    journal.commit_and_wait(writes(second)).unwrap();
    drop(journal);
    let (_, opened) = open(folder.path());
    assert_eq!(opened.kept.items, [etc, ItemRecord { covered_until: now(), ..home_of_journal }]);
    assert_eq!(opened.kept.settings, Settings { globally_paused: true, max_concurrent_tasks: Some(7) });
}

#[test]
fn ended_tasks_are_history_the_latest_end_first_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let mut failed = waiting_task(9);
    failed.task.state = TaskState::Failed;
    failed.task.end = Some(TaskEnd::Failed(Failure { class: ErrorClass::Server, why: "no".into() }));
    let mut cancelled = waiting_task(5);
    cancelled.task.kind = TaskKind::Backup("etc".into());
    cancelled.task.state = TaskState::Cancelled;
    cancelled.task.end = Some(TaskEnd::Cancelled(CancelReason::Requested));
    let ends = [failed, completed_task(7), cancelled, completed_task(6)];
    journal.commit_and_wait(writes([put_task(waiting_task(7))])).unwrap();
    for record in &ends {
        journal.commit_and_wait(writes([put_task(record.clone())])).unwrap();
    }
    journal.commit_and_wait(writes([Write::PutItem(item_record("home", ItemOwner::Journal))])).unwrap();

    journal.commit_and_wait(writes([put_task(waiting_task(8))])).unwrap();
    let ids = |item: Option<&str>, before: Option<u64>, limit| {
        let item = item.map(ItemId::from);
        let tasks = journal.history(item.as_ref(), before.map(task_id), limit).unwrap().tasks;
        tasks.iter().map(|task| task.id).collect::<Vec<_>>()
    };
    for (item, before, limit, expected) in [
        (None, None, 10, &[6, 5, 7, 9][..]),
        (None, None, 2, &[6, 5]),
        (None, Some(5), 2, &[7, 9]),
        (None, Some(9), 10, &[]),
        // It has not ended, and will do so after all others.
        (None, Some(8), 10, &[6, 5, 7, 9]),
        // It is not known, or no more.
        (None, Some(99), 10, &[]),
        (Some("home"), None, u32::MAX, &[6, 7, 9]),
        (Some("home"), Some(5), 10, &[7, 9]),
        (Some("unknown"), None, 10, &[]),
    ] {
        let expected: Vec<_> = expected.iter().copied().map(task_id).collect();
        assert_eq!(ids(item, before, limit), expected, "{item:?} {before:?} {limit}");
    }
    drop(journal);
    let (_, opened) = open(folder.path());
    assert_eq!(opened.kept.ended, EndedCounts { completed: 2, failed: 1, cancelled: 1 });
    assert_eq!(opened.kept.tasks, [waiting_task(8)]);
    let latest: Vec<_> = opened.kept.latest_ends.iter().map(|(item, end)| (item.clone(), end.task)).collect();
    assert_eq!(latest, [(home(), task_id(6))], "an item that is not there has none");
}

#[test]
fn outcomes_come_back_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let due = |hours| now() + TimeDelta::hours(hours);
    let put: Vec<_> = [2, 1, 3].map(|hours| put_outcome("home", due(hours))).into();
    journal.commit_and_wait(writes(put)).unwrap();
    journal.commit_and_wait(writes([put_outcome("etc", due(2))])).unwrap();
    drop(journal);
    let (journal, _) = open(folder.path());
    let outcomes = |limit| journal.outcomes(&home(), limit).unwrap().outcomes;
    assert_eq!(outcomes(9), [3, 2, 1].map(|hours| outcome(due(hours))));
    assert_eq!(outcomes(1), [outcome(due(3))]);
}

#[test]
fn an_answer_comes_back_and_is_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let answers = [
        Ok(Reply::PerformBackup(TaskMade { task: task_id(1) })),
        Err(Refusal::UnknownItem("nothing".into())),
    ];
    for (number, answer) in (1..).zip(&answers) {
        let served = vec![(command_id(number), answer.clone())];
        journal.commit_and_wait(Batch { served, ..Batch::new(now()) }).unwrap();
    }
    let again = Batch { served: vec![(command_id(1), answers[1].clone())], ..events(1) };
    assert_eq!(journal.commit_and_wait(again), Err(JournalError::AlreadyServed(command_id(1))));
    drop(journal);
    let (journal, opened) = open(folder.path());
    assert_eq!(opened.kept.last_event, 0, "nothing of the refused batch is there");
    for (number, answer) in (1..).zip(answers) {
        assert_eq!(journal.served(command_id(number)).unwrap(), Some(answer));
    }
    assert_eq!(journal.served(command_id(3)).unwrap(), None);
    let newest: Vec<_> = journal.latest_served(1).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(newest, [command_id(2)]);
    journal.commit_and_wait(writes([Write::Unserve(command_id(2))])).unwrap();
    assert_eq!(journal.served(command_id(2)).unwrap(), None);
}

#[test]
fn event_numbers_go_on_where_they_ended() {
    let folder = tempfile::tempdir().unwrap();
    for (round, expected) in [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]].into_iter().enumerate() {
        let (journal, opened) = open(folder.path());
        assert_eq!(opened.kept.last_event, round as u64 * 3);
        assert_eq!(numbers(&journal.commit_and_wait(events(3)).unwrap()), expected);
    }
    let (journal, _) = open(folder.path());
    let page = journal.events(4, 3).unwrap();
    assert_eq!(page.oldest_kept, 1);
    let expected = [(5, 1), (6, 2), (7, 0)];
    for (event, (number, content)) in page.events.iter().zip(expected) {
        assert_eq!((event.number, event.at, &event.event), (number, now(), &super::event(content)));
    }
    assert_eq!(page.events.len(), 3);
    assert_eq!(journal.events(9, 3).unwrap().events, []);
    assert_eq!(journal.events(u64::MAX, 3).unwrap().events, []);
}

#[test]
fn an_empty_journal_has_no_event_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let page = journal.events(0, 10).unwrap();
    assert_eq!((page.events, page.oldest_kept), (vec![], 1));
}
