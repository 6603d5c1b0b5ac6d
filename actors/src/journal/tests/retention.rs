//! What is forgotten, and what never is.

use super::super::retention::{BATCHES_BETWEEN_STEPS, Limits};
use super::*;

const LIMITS: Limits =
    Limits { events_max: 50, ended_tasks_max: 20, outcomes_of_item_max: 10, served_max: 30 };

fn open_small(folder: &Path) -> Journal {
    Journal::open_keeping(folder, now(), LIMITS).unwrap().0
}

/// Enough batches for `steps` steps; the last of them is in a step.
fn let_steps_pass(journal: &Journal, steps: usize) {
    for _ in 0..steps * BATCHES_BETWEEN_STEPS {
        journal.commit_and_wait(Batch::new(now())).unwrap();
    }
}

#[test]
fn old_events_are_forgotten_and_numbers_go_on_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let journal = open_small(folder.path());
        let committed = journal.commit_and_wait(events(700)).unwrap();
        let first = round * 700 + 1;
        assert!(numbers(&committed).into_iter().eq(first..first + 700));
        let_steps_pass(&journal, 1);
        let page = journal.events(0, 1000).unwrap();
        assert_eq!(page.oldest_kept, first + 650);
        let kept: Vec<_> = page.events.iter().map(|event| event.number).collect();
        assert!(kept.into_iter().eq(first + 650..first + 700));
    }
}

#[test]
fn a_burst_is_forgotten_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_small(folder.path());
    journal.commit_and_wait(events(2_500)).unwrap();
    for oldest_kept in [1_001, 2_001, 2_451, 2_451] {
        let_steps_pass(&journal, 1);
        // The very first batch counts, so that each step comes one batch early.
        assert_eq!(journal.events(0, 1).unwrap().oldest_kept, oldest_kept);
    }
}

#[test]
fn ended_tasks_are_forgotten_but_not_their_number_and_active_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_small(folder.path());
    journal.commit_and_wait(writes([put_task(waiting_task(0))])).unwrap();
    let ended: Vec<_> = (1..=100).map(|number| put_task(completed_task(number))).collect();
    journal.commit_and_wait(writes(ended)).unwrap();
    let_steps_pass(&journal, 1);
    let history: Vec<_> =
        journal.history(None, None, 1000).unwrap().tasks.iter().map(|task| task.id).collect();
    assert!(history.into_iter().eq((81..=100).rev().map(task_id)));
    assert_eq!(journal.task(task_id(80)).unwrap(), None);
    drop(journal);
    let (_, opened) = open(folder.path());
    assert_eq!(opened.kept.tasks, [waiting_task(0)]);
    assert_eq!(opened.kept.ended.completed, 100);
}

#[test]
fn answers_are_forgotten_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_small(folder.path());
    for number in 0..100 {
        let served = vec![(command_id(number), Err(keepwell_messages::Refusal::ShuttingDown))];
        journal.commit_and_wait(Batch { served, ..Batch::new(now()) }).unwrap();
    }
    let_steps_pass(&journal, 1);
    for number in 0..100 {
        assert_eq!(journal.served(command_id(number)).unwrap().is_some(), number >= 70, "{number}");
    }
}

#[test]
fn each_item_keeps_its_newest_outcomes_and_a_removed_one_those_that_its_tasks_outlive() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_small(folder.path());
    let due = |minutes| now() + TimeDelta::minutes(minutes);
    let names: Vec<String> = (0..40).map(|number| format!("item-{number:02}")).collect();
    for name in names.iter().map(String::as_str).chain(["removed", "home"]) {
        let record = Write::PutItem(item_record(name, ItemOwner::Journal));
        let outcomes = (0..25).map(|minutes| put_outcome(name, due(minutes)));
        journal.commit_and_wait(writes(std::iter::once(record).chain(outcomes).collect::<Vec<_>>())).unwrap();
    }
    // `home` has a task in its history, `removed` has none.
    let removals = ["removed", "home"].map(|name| Write::RemoveItem(name.into()));
    journal.commit_and_wait(writes(removals)).unwrap();
    journal.commit_and_wait(writes([put_task(completed_task(1))])).unwrap();
    let_steps_pass(&journal, 42 / 8 + 2);
    let newest: Vec<_> = (15..25).rev().map(|minutes| outcome(due(minutes))).collect();
    for name in names.iter().map(String::as_str).chain(["home"]) {
        assert_eq!(journal.outcomes(&name.into(), 100).unwrap().outcomes, newest, "{name}");
    }
    assert_eq!(journal.outcomes(&"removed".into(), 100).unwrap().outcomes, []);
}

#[test]
fn the_newest_event_stays_whatever_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { events_max: 0, ..LIMITS };
    let journal = Journal::open_keeping(folder.path(), now(), limits).unwrap().0;
    journal.commit_and_wait(events(5)).unwrap();
    let_steps_pass(&journal, 2);
    assert_eq!(journal.events(0, 10).unwrap().oldest_kept, 5);
    drop(journal);
    assert_eq!(open(folder.path()).1.kept.last_event, 5);
}
