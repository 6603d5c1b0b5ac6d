//! How batches that wait are written together, and do not harm each other.

use std::sync::mpsc;

use super::*;

/// Keeps the writer busy with telling a batch's fate until the value is dropped.
struct HeldWriter(#[expect(dead_code, reason = "dropped to let go")] mpsc::Sender<()>);

impl HeldWriter {
    fn new(journal: &Journal) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (reached, holding) = mpsc::channel();
        let done = move |_| {
            reached.send(()).unwrap();
            assert!(released.recv().is_err(), "until it is dropped");
        };
        journal.commit(Batch::new(now()), Box::new(done));
        holding.recv().unwrap();
        Self(release)
    }
}

pub(super) type Fates = mpsc::Receiver<(usize, Result<Committed, JournalError>)>;

/// Commits all while none can be written, so that they are one group; gives their fates as they are told.
pub(super) fn commit_as_group(journal: &Journal, batches: impl IntoIterator<Item = Batch>) -> Fates {
    let held = HeldWriter::new(journal);
    let (sender, fates) = mpsc::channel();
    for (index, batch) in batches.into_iter().enumerate() {
        let sender = sender.clone();
        journal.commit(batch, Box::new(move |fate| sender.send((index, fate)).unwrap()));
    }
    drop(held);
    fates
}

#[test]
fn batches_that_wait_share_a_transaction_and_are_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let fates = commit_as_group(&journal, (0..100).map(|_| events(2)));
    for (told, (index, fate)) in fates.iter().enumerate() {
        assert_eq!(index, told);
        let first = told as u64 * 2 + 1;
        assert_eq!(numbers(&fate.unwrap()), [first, first + 1]);
    }
    assert_eq!(journal.transactions(), 2, "one for the batch that held the writer, one for the hundred");
}

#[test]
fn a_batch_that_fails_leaves_its_neighbours_alone_and_uses_up_no_number() {
    let ended = put_task(completed_task(1));
    let unknown = task_id(99);
    let late = utc("2300-01-01T00:00:00Z");
    let mut large = item_record("large", ItemOwner::Journal);
    large.item.repository = "x".repeat(5 << 20);
    let cases: Vec<(Vec<Write>, JournalError)> = vec![
        (vec![put_task(waiting_task(1))], JournalError::TaskHasEnded(task_id(1))),
        (vec![ended.clone()], JournalError::TaskHasEnded(task_id(1))),
        (vec![Write::Sealed(task_id(1), "ab".into())], JournalError::TaskHasEnded(task_id(1))),
        (vec![Write::Sealed(unknown, "ab".into())], JournalError::UnknownTask(unknown)),
        (vec![Write::RemoveItem("none".into())], JournalError::UnknownItem("none".into())),
        (vec![put_outcome("home", late)], JournalError::TimeOutOfRange(late)),
        (vec![Write::PutItem(large)], JournalError::TooLarge { what: "an item", bytes_max: 4 << 20 }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.commit_and_wait(writes([put_outcome("home", now()), ended])).unwrap();
    for (round, (failing, expected)) in cases.into_iter().enumerate() {
        // What the batch would change before it fails must be taken back, too.
        let changes = [Write::GloballyPaused(true), Write::PutItem(item_record("made", ItemOwner::Journal))];
        let bad = Batch { writes: changes.into_iter().chain(failing).collect(), ..events(3) };
        let before = journal.transactions();
        let fates: Vec<_> = commit_as_group(&journal, [events(1), bad, events(1)]).iter().collect();
        let [(0, Ok(first)), (1, Err(error)), (2, Ok(last))] = &fates[..] else { panic!("{fates:?}") };
        assert_eq!(error, &expected);
        let number = round as u64 * 2 + 1;
        assert_eq!((numbers(first), numbers(last)), (vec![number], vec![number + 1]), "{expected:?}");
        assert_eq!(journal.transactions(), before + 2);
    }
    drop(journal);
    let (journal, opened) = open(folder.path());
    assert_eq!(opened.kept.settings, Settings::default());
    assert_eq!(opened.kept.items, []);
    assert_eq!(journal.outcomes(&home(), 10).unwrap().outcomes, [outcome(now())]);
}

#[test]
fn what_builds_on_a_batch_that_failed_fails_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let (course, other) = (Course::new(), Course::new());
    let on = |course: &Course, batch: Batch| Batch { course: Some(course.clone()), ..batch };
    let bad = writes([Write::RemoveItem("none".into())]);
    let group =
        [on(&course, events(1)), on(&course, bad), on(&course, events(1)), on(&other, events(1)), events(1)];
    let fates: Vec<_> = commit_as_group(&journal, group).iter().map(|(_, fate)| fate).collect();
    let numbers_of =
        |fate: &Result<Committed, JournalError>| fate.as_ref().map(numbers).map_err(Clone::clone);
    let unknown = JournalError::UnknownItem("none".into());
    let expected = [Ok(vec![1]), Err(unknown), Err(JournalError::CourseBroken), Ok(vec![2]), Ok(vec![3])];
    assert_eq!(fates.iter().map(numbers_of).collect::<Vec<_>>(), expected);
    assert!(course.is_broken() && !other.is_broken());
    assert_eq!(journal.commit_and_wait(on(&course, events(1))), Err(JournalError::CourseBroken));
}

#[test]
fn due_times_that_are_uncovered_have_no_outcome_and_no_item_is_made_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let hour = |hours| now() + TimeDelta::hours(hours);
    let item = Write::PutItem(item_record("home", ItemOwner::Journal));
    let outcomes = (1..=4).map(|hours| put_outcome("home", hour(hours)));
    let covered = Write::CoverUntil(home(), hour(4));
    journal.commit_and_wait(writes([item, covered].into_iter().chain(outcomes).collect::<Vec<_>>())).unwrap();
    let none = ItemId::from("none");
    journal.commit_and_wait(writes([Write::Uncover(home(), hour(3))])).unwrap();
    journal.commit_and_wait(writes([Write::Uncover(none.clone(), hour(3))])).unwrap();
    journal.commit_and_wait(writes([Write::CoverUntil(none, hour(3))])).unwrap();
    let items = journal.items().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].covered_until, hour(3) - TimeDelta::nanoseconds(1));
    let dues = journal.outcomes(&home(), 10).unwrap().outcomes.into_iter().map(|outcome| outcome.due);
    assert_eq!(dues.collect::<Vec<_>>(), [hour(2), hour(1)]);
}

#[test]
fn outcomes_that_stand_for_several_due_times_never_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let hour = |hours| now() + TimeDelta::hours(hours);
    let cases = [
        ((10, 20), true),
        ((20, 20), false),
        ((20, 25), false),
        ((10, 10), false),
        ((5, 10), false),
        ((15, 15), false),
        ((12, 18), false),
        ((1, 30), false),
        ((21, 30), true),
        ((1, 9), true),
        ((9, 21), false),
        ((31, 31), true),
    ];
    for ((since, due), accepted) in cases {
        let outcome = ScheduleOutcome { since: hour(since), ..outcome(hour(due)) };
        journal.commit_and_wait(writes([Write::PutOutcome(home(), outcome.clone())])).unwrap();
        let kept = journal.outcomes(&home(), 10).unwrap().outcomes;
        assert_eq!(kept.contains(&outcome), accepted, "{since} to {due}");
        journal
            .commit_and_wait(writes([Write::PutOutcome(format!("{since}-{due}").as_str().into(), outcome)]))
            .unwrap();
    }
    let kept = journal.outcomes(&home(), 10).unwrap().outcomes;
    assert!(kept.into_iter().map(|outcome| outcome.due).eq([31, 30, 20, 9].map(hour)));
}

#[test]
fn outcomes_of_times_that_have_not_come_are_forgotten_and_one_of_several_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let hour = |hours| now() + TimeDelta::hours(hours);
    let spans = [(1, 2), (3, 3), (5, 9), (10, 12)];
    for (until, left) in
        [(20, vec![12, 9, 3, 2]), (11, vec![11, 9, 3, 2]), (5, vec![5, 3, 2]), (4, vec![3, 2]), (0, vec![])]
    {
        for (since, due) in spans {
            let outcome = ScheduleOutcome { since: hour(since), ..outcome(hour(due)) };
            journal.commit_and_wait(writes([Write::PutOutcome(home(), outcome)])).unwrap();
        }
        journal.commit_and_wait(writes([Write::ForgetOutcomesAfter(home(), hour(until))])).unwrap();
        let kept = journal.outcomes(&home(), 10).unwrap().outcomes;
        assert!(kept.iter().map(|outcome| outcome.due).eq(left.into_iter().map(hour)), "{until}: {kept:?}");
        assert!(kept.iter().all(|outcome| outcome.since <= outcome.due));
        journal.commit_and_wait(writes([Write::ForgetOutcomesAfter(home(), hour(0))])).unwrap();
    }
}

#[test]
fn a_sealed_snapshot_is_kept_until_the_task_is_put_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let snapshot = "ef".repeat(32);
    let sealed = || journal.task(task_id(1)).unwrap().unwrap().sealed;
    journal.commit_and_wait(writes([put_task(waiting_task(1))])).unwrap();
    assert_eq!(sealed(), None);
    journal.commit_and_wait(writes([Write::Sealed(task_id(1), snapshot.clone())])).unwrap();
    assert_eq!(sealed(), Some(snapshot));
    journal.commit_and_wait(writes([put_task(waiting_task(1))])).unwrap();
    assert_eq!(sealed(), None);
}

#[test]
fn a_listener_that_panics_or_is_gone_does_not_stop_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.commit(events(1), Box::new(|_| panic!("of a listener")));
    assert_eq!(numbers(&journal.commit_and_wait(events(1)).unwrap()), [2]);
}

#[test]
fn a_full_queue_makes_committers_wait_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let held = HeldWriter::new(&journal);
    let (sender, told) = mpsc::channel();
    let total = queue::BATCHES_WAITING_MAX as u64 + 5;
    let taken_in = Arc::new(AtomicU64::new(0));
    let committer = {
        let (journal, taken_in) = (journal.clone(), Arc::clone(&taken_in));
        std::thread::spawn(move || {
            for _ in 0..total {
                let sender = sender.clone();
                journal.commit(events(1), Box::new(move |fate| sender.send(fate).unwrap()));
                taken_in.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let taken = || taken_in.load(Ordering::Relaxed) as usize;
    while taken() < queue::BATCHES_WAITING_MAX {
        std::thread::yield_now();
    }
    // Time enough for the last five, if it did not wait.
    (0..1_000).for_each(|_| std::thread::yield_now());
    assert_eq!(taken(), queue::BATCHES_WAITING_MAX);
    drop(held);
    let told: Vec<_> = told.iter().map(|fate| numbers(&fate.unwrap())).collect();
    committer.join().unwrap();
    assert!(told.into_iter().eq((1..=total).map(|number| vec![number])));
}

#[test]
fn the_last_handle_commits_what_waits_and_folds_the_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let fates = commit_as_group(&journal, (0..50).map(|_| events(1)));
    drop(journal);
    assert_eq!(fates.try_iter().filter(|(_, fate)| fate.is_ok()).count(), 50, "told before drop returns");
    assert_eq!(names(folder.path()), ["items.json", "journal.sqlite", "lock"]);
    assert_eq!(open(folder.path()).1.kept.last_event, 50);
}

#[test]
fn the_last_handle_may_be_dropped_on_the_writers_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let (sender, told) = mpsc::channel();
    let held = HeldWriter::new(&journal);
    let last = journal.clone();
    let done = move |fate| {
        drop(last);
        sender.send(fate).unwrap();
    };
    journal.commit(events(1), Box::new(done));
    drop(journal);
    drop(held);
    told.recv().unwrap().unwrap();
}

#[test]
fn whoever_waits_for_a_writer_that_is_gone_is_told_so() {
    let queue = queue::Queue::default();
    let (sender, told) = mpsc::channel();
    let job = || {
        let sender = sender.clone();
        queue::Job::new(events(1), Box::new(move |fate| sender.send(fate).unwrap()))
    };
    queue.push(job());
    queue.push(job());
    assert!(told.try_recv().is_err(), "they wait");
    queue.abandon();
    queue.push(job());
    let fates: Vec<_> = told.try_iter().collect();
    assert_eq!(fates, [Err(JournalError::Closed), Err(JournalError::Closed), Err(JournalError::Closed)]);
    assert!(queue.take_all().is_none());
}
