//! The rules of the board, one by one.

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_messages::{
    BackedUp, CancelReason, ErrorClass, Event, Failure, Item, ItemSource, PendingReason, Refusal,
    RestoreRequest, RestoreTarget, TaskEnd, TaskId, TaskKind, TaskState, Trigger,
};
use uuid::Uuid;

use super::*;

pub(super) fn id(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(number))
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

pub(super) fn backup(number: u128, repository: &str, trigger: Trigger) -> NewTask {
    let item = Item {
        id: keepwell_messages::ItemId(format!("item {number}")),
        source: ItemSource::Named("any".into()),
        repository: repository.into(),
        schedule: None,
        enabled: true,
        tags: Vec::new(),
    };
    NewTask {
        id: id(number),
        kind: TaskKind::Backup(item.id.clone()),
        trigger,
        repository: repository.into(),
        item: Some(item),
    }
}

pub(super) fn restore(number: u128) -> NewTask {
    let request = RestoreRequest {
        repository: "main".into(),
        snapshot: "latest".into(),
        path: String::new(),
        target: RestoreTarget::Folder("/restored".into()),
        verify: false,
    };
    NewTask {
        id: id(number),
        kind: TaskKind::Restore(request),
        trigger: Trigger::Manual,
        item: None,
        repository: "main".into(),
    }
}

pub(super) fn done() -> AttemptOutcome {
    AttemptOutcome::Done(TaskEnd::BackedUp(BackedUp {
        snapshot: "ab".repeat(32),
        files: 1,
        bytes: 1,
        bytes_new: 1,
        bytes_stored: 1,
        errors: 0,
    }))
}

pub(super) fn failed(class: ErrorClass) -> AttemptOutcome {
    AttemptOutcome::Failed(Failure { class, why: "it failed".into() })
}

/// A board, and the generations of the workers that it started.
struct Scene {
    board: Board,
    now: DateTime<Utc>,
}

impl Scene {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { board: Board::new(Retries::default(), limits), now: at(0) }
    }

    fn create(&mut self, new: NewTask) -> Decision {
        self.board.create(new, self.now).expect("taken in")
    }

    fn create_backups(&mut self, numbers: std::ops::RangeInclusive<u128>, repository: &str) {
        for number in numbers {
            self.create(backup(number, repository, Trigger::Due(self.now)));
        }
    }

    fn end(&mut self, number: u128, outcome: AttemptOutcome) -> Decision {
        let generation = self.generation(number);
        self.board.attempt_ended(id(number), generation, outcome, self.now)
    }

    fn generation(&self, number: u128) -> Generation {
        self.board.task(id(number)).and_then(|entry| entry.worker).expect("a worker")
    }

    fn state(&self, number: u128) -> TaskState {
        self.board.task(id(number)).expect("on the board").task.state
    }

    fn pending(&self, number: u128) -> PendingReason {
        self.board.task(id(number)).and_then(|entry| entry.task.pending.clone()).expect("pending")
    }

    fn attempt(&self, number: u128) -> u32 {
        self.board.task(id(number)).expect("on the board").task.attempt
    }

    fn wait_until_next_wake(&mut self) -> Decision {
        self.now = self.board.next_wake().expect("something to wait for");
        self.board.tick(self.now)
    }

    fn running(&self) -> Vec<u128> {
        let running = self.board.active().filter(|entry| entry.task.state == TaskState::Running);
        running.map(|entry| entry.task.id.as_u128()).collect()
    }
}

#[test]
fn three_run_and_the_fourth_waits_for_the_first_end() {
    let mut scene = Scene::new();
    scene.create_backups(1..=4, "main");
    assert_eq!(scene.running(), [1, 2, 3]);
    assert_eq!(scene.pending(4), PendingReason::Queued);
    let decision = scene.end(2, done());
    assert_eq!(scene.running(), [1, 3, 4]);
    let told: Vec<&Event> = decision.events.iter().collect();
    assert!(matches!(told[0], Event::TaskStatusUpdate(update) if update.to == TaskState::Completed));
    assert!(matches!(told[1], Event::TaskCompleted(_)));
    assert!(matches!(told[2], Event::TaskStatusUpdate(update) if update.to == TaskState::Running));
    assert!(decision.changed.contains(&id(2)) && decision.changed.contains(&id(4)));
    assert_eq!(scene.board.stats().completed, 1);
}

#[test]
fn an_item_with_a_live_task_gets_no_second_one() {
    let mut scene = Scene::new();
    scene.create_backups(1..=1, "main");
    let mut second = backup(1, "main", Trigger::Manual);
    second.id = id(2);
    let refused = scene.board.create(second.clone(), scene.now);
    assert_eq!(refused, Err(Refusal::DuplicateTask(id(1))));
    scene.end(1, done());
    assert!(scene.board.create(second, scene.now).is_ok());
}

#[test]
fn failures_are_retried_after_growing_delays_and_then_end_the_task() {
    for (class, delays) in [
        (ErrorClass::Server, vec![30, 60, 120]),
        (ErrorClass::Network, vec![60, 120, 240]),
        (ErrorClass::Credentials, vec![]),
    ] {
        let mut scene = Scene::new();
        scene.create_backups(1..=1, "main");
        for (number, delay) in delays.iter().enumerate() {
            let failed_at = scene.now;
            let decision = scene.end(1, failed(class));
            assert!(decision.events.iter().any(|event| matches!(event, Event::TaskRetry(_))), "{class:?}");
            assert_eq!(scene.board.stats().retrying, 1);
            scene.wait_until_next_wake();
            assert_eq!(scene.now - failed_at, TimeDelta::seconds(*delay), "{class:?}");
            assert_eq!(scene.attempt(1), number as u32 + 2);
        }
        let decision = scene.end(1, failed(class));
        assert!(decision.events.iter().any(|event| matches!(event, Event::TaskFailed(_))), "{class:?}");
        assert_eq!(scene.board.active().count(), 0);
    }
}

#[test]
fn a_retry_holds_no_slot() {
    let mut scene = Scene::new();
    scene.create_backups(1..=4, "main");
    scene.end(1, failed(ErrorClass::Source));
    assert_eq!(scene.running(), [2, 3, 4]);
    scene.wait_until_next_wake();
    assert!(matches!(scene.pending(1), PendingReason::Retry(_)), "no slot is free for it");
    scene.end(3, done());
    assert_eq!(scene.running(), [1, 2, 4]);
}

#[test]
fn pause_frees_the_slot_and_resume_waits_at_the_front() {
    let mut scene = Scene::new();
    scene.create_backups(1..=5, "main");
    let decision = scene.board.pause(id(1), scene.now).expect("paused");
    assert_eq!(decision.effects[0], Effect::Pause(id(1)));
    assert_eq!(scene.running(), [2, 3, 4]);
    let worker = scene.generation(1);
    scene.board.resume(id(1), scene.now).expect("resumed");
    assert_eq!((scene.state(1), scene.pending(1)), (TaskState::Pending, PendingReason::Resuming));
    let decision = scene.end(3, done());
    assert_eq!(scene.running(), [1, 2, 4], "it goes before task 5");
    assert_eq!(decision.effects, [Effect::Resume(id(1))]);
    assert_eq!((scene.generation(1), scene.attempt(1)), (worker, 1), "the worker is the same");
}

#[test]
fn a_task_that_is_to_go_on_can_be_paused_again() {
    let mut scene = Scene::with(Limits { max_concurrent_tasks: 1, ..Limits::default() });
    scene.create_backups(1..=2, "main");
    scene.board.pause(id(1), scene.now).expect("paused");
    scene.board.resume(id(1), scene.now).expect("resumed");
    assert_eq!(scene.pending(1), PendingReason::Resuming);
    scene.board.pause(id(1), scene.now).expect("paused again");
    assert_eq!(scene.state(1), TaskState::Paused);
    scene.end(2, done());
    assert_eq!(scene.running(), [] as [u128; 0]);
}

#[test]
fn a_task_paused_before_it_ran_is_passed_over() {
    let mut scene = Scene::with(Limits { max_concurrent_tasks: 1, ..Limits::default() });
    scene.create_backups(1..=3, "main");
    scene.board.pause(id(2), scene.now).expect("paused");
    assert_eq!((scene.state(2), scene.pending(2)), (TaskState::Pending, PendingReason::Paused));
    scene.end(1, done());
    assert_eq!(scene.running(), [3]);
    scene.board.resume(id(2), scene.now).expect("resumed");
    scene.end(3, done());
    assert_eq!((scene.running(), scene.attempt(2)), (vec![2], 1));
}

#[test]
fn global_pause_stops_all_backups_and_resume_all_lets_them_go_on() {
    let mut scene = Scene::new();
    scene.create_backups(1..=4, "main");
    scene.create(restore(9));
    let (decision, count) = scene.board.pause_all(scene.now);
    assert_eq!(count, 3);
    assert_eq!(decision.globally_paused, Some(true));
    assert_eq!(scene.running(), [9], "restores go on");
    scene.create(backup(5, "main", Trigger::Manual));
    assert_eq!(scene.running(), [9], "nothing starts");
    let due = scene.board.create(backup(6, "main", Trigger::Due(scene.now)), scene.now);
    assert_eq!(due, Err(Refusal::GloballyPaused));
    let (_, again) = scene.board.pause_all(scene.now);
    assert_eq!(again, 0);
    let (_, resumed) = scene.board.resume_all(scene.now);
    assert_eq!(resumed, 3);
    assert_eq!(scene.running(), [1, 2, 3, 9], "those that were paused go first");
    assert!(!scene.board.stats().globally_paused);
}

#[test]
fn cancel_ends_a_task_in_every_state_and_its_slot_is_free_when_its_worker_has_ended() {
    let mut scene = Scene::new();
    scene.create_backups(1..=5, "main");
    let worker = scene.generation(1);
    let decision = scene.board.cancel(id(1), CancelReason::Requested, scene.now).expect("cancelled");
    assert_eq!(decision.effects, [Effect::Cancel(id(1), worker)]);
    assert_eq!(scene.running(), [2, 3], "its worker holds the slot");
    let decision = scene.board.attempt_ended(id(1), worker, failed(ErrorClass::Cancelled), scene.now);
    assert_eq!(decision.changed.len(), 1, "only the next one starts");
    assert_eq!(scene.running(), [2, 3, 4]);

    scene.end(2, failed(ErrorClass::Source));
    scene.board.pause(id(3), scene.now).expect("paused");
    for number in [2, 3, 4, 5] {
        scene.board.cancel(id(number), CancelReason::Requested, scene.now).expect("cancelled");
        let again = scene.board.cancel(id(number), CancelReason::Requested, scene.now);
        assert_eq!(again, Err(Refusal::UnknownTask(id(number))));
    }
    assert_eq!(scene.board.active().count(), 0);
    assert_eq!(scene.board.stats().cancelled, 5);
    assert_eq!(scene.board.next_wake(), None, "nothing is left of the retry");
}

#[test]
fn reports_of_workers_that_were_given_up_change_nothing() {
    let mut scene = Scene::new();
    scene.create_backups(1..=1, "main");
    let stale = scene.generation(1);
    scene.end(1, failed(ErrorClass::Source));
    scene.wait_until_next_wake();
    assert_ne!(scene.generation(1), stale);
    assert_eq!(scene.board.attempt_ended(id(1), stale, done(), scene.now), Decision::default());
    assert_eq!(scene.board.sealed(id(1), stale, "ab".into(), scene.now), None);
    assert_eq!(scene.running(), [1]);
}

#[test]
fn restores_never_wait_behind_backups() {
    let mut scene = Scene::new();
    scene.create_backups(1..=4, "main");
    scene.create(restore(9));
    assert_eq!(scene.running(), [1, 2, 3, 9]);
    scene.create(restore(10));
    assert_eq!(scene.pending(10), PendingReason::Queued, "they wait for one another");
    let stats = scene.board.stats();
    assert_eq!((stats.running, stats.restoring, stats.queued), (3, 1, 2));
}

#[test]
fn manual_backups_go_before_scheduled_ones() {
    let mut scene = Scene::with(Limits { max_concurrent_tasks: 1, ..Limits::default() });
    scene.create_backups(1..=2, "main");
    scene.create(backup(3, "main", Trigger::Manual));
    scene.end(1, done());
    assert_eq!(scene.running(), [3]);
}

#[test]
fn a_full_repository_does_not_hold_up_the_others() {
    let by_repository = [("slow".to_owned(), 1)].into();
    let mut scene = Scene::with(Limits { by_repository, ..Limits::default() });
    scene.create_backups(1..=2, "slow");
    scene.create_backups(3..=4, "fast");
    assert_eq!(scene.running(), [1, 3, 4]);
    scene.end(3, done());
    assert_eq!(scene.running(), [1, 4], "one slot is free, and slow has no room");
    scene.end(1, done());
    assert_eq!(scene.running(), [2, 4]);
}

#[test]
fn one_probe_looks_for_the_network_and_the_others_spend_no_retry() {
    let mut scene = Scene::new();
    scene.create_backups(1..=23, "far");
    scene.create_backups(30..=30, "near");
    for number in [1, 2, 3] {
        scene.end(number, failed(ErrorClass::Network));
    }
    // The fourth to sixth, already running when the first failed, and whatever starts after it.
    let mut starts = 3;
    while let Some(far) = scene.running().into_iter().find(|number| *number != 30) {
        starts += 1;
        assert!(starts < 40, "somebody starts again and again");
        scene.end(far, failed(ErrorClass::Network));
    }
    assert!(matches!(scene.pending(1), PendingReason::Retry(_)), "the first one looks");
    for number in 2..=23 {
        assert_eq!((scene.pending(number), scene.attempt(number)), (PendingReason::WaitingForNetwork, 0));
    }
    assert_eq!(scene.running(), [30], "who goes elsewhere goes on");

    scene.wait_until_next_wake();
    assert_eq!(scene.running(), [1, 30]);
    let generation = scene.generation(1);
    scene.board.reached(id(1), generation, scene.now);
    assert_eq!(scene.running(), [1, 2, 30], "the network is back while the probe still works");
    assert_eq!(scene.board.stats().retrying, 0);
}

#[test]
fn a_source_that_cannot_be_reached_is_no_outage_of_the_repository() {
    let mut scene = Scene::new();
    scene.create_backups(1..=3, "far");
    let elsewhere = Failure { class: ErrorClass::Network, why: "its database server is down".into() };
    for number in [1, 2] {
        scene.end(number, AttemptOutcome::FailedElsewhere(elsewhere.clone()));
        assert!(matches!(scene.pending(number), PendingReason::Retry(_)), "by its own retries");
    }
    scene.create_backups(4..=4, "far");
    assert_eq!(scene.running(), [3, 4], "others are not held up");
    // In an outage of the repository it looks no less for the others.
    for number in [3, 4] {
        scene.end(number, failed(ErrorClass::Network));
    }
    assert!(matches!(scene.pending(3), PendingReason::Retry(_)), "{:?}", scene.pending(3));
    assert_eq!(scene.pending(4), PendingReason::WaitingForNetwork);
}

#[test]
fn a_probe_that_gives_up_or_is_cancelled_or_paused_hands_on() {
    let out = || {
        let mut scene = Scene::with(Limits { max_concurrent_tasks: 1, ..Limits::default() });
        scene.create_backups(1..=3, "far");
        scene.end(1, failed(ErrorClass::Network));
        for number in [2, 3] {
            scene.end(number, failed(ErrorClass::Network));
        }
        assert_eq!(scene.running(), [] as [u128; 0]);
        scene
    };
    let mut scene = out();
    scene.board.cancel(id(1), CancelReason::Requested, scene.now).expect("cancelled");
    assert_eq!(scene.running(), [2]);
    let mut scene = out();
    scene.board.pause(id(1), scene.now).expect("paused");
    assert_eq!(scene.running(), [2]);
    let mut scene = out();
    scene.wait_until_next_wake();
    scene.board.pause(id(1), scene.now).expect("paused while it looks");
    assert_eq!(scene.running(), [2]);
    let mut scene = out();
    for _ in 0..3 {
        scene.wait_until_next_wake();
        scene.end(1, failed(ErrorClass::Network));
    }
    assert_eq!(scene.running(), [2], "the first one has no retry left");
    assert_eq!(scene.attempt(2), 1);
}

#[test]
fn a_paused_task_looks_for_nobody() {
    let mut scene = Scene::new();
    scene.create_backups(1..=2, "far");
    scene.board.pause(id(1), scene.now).expect("paused");
    scene.end(1, failed(ErrorClass::Network));
    scene.end(2, failed(ErrorClass::Network));
    assert!(matches!(scene.pending(2), PendingReason::Retry(_)), "{:?}", scene.pending(2));
}

#[test]
fn few_paused_workers_are_kept() {
    let mut scene = Scene::with(Limits { max_concurrent_tasks: 20, ..Limits::default() });
    scene.create_backups(1..=12, "main");
    for number in 1..=12 {
        scene.now += TimeDelta::seconds(1);
        scene.board.pause(id(number), scene.now).expect("paused");
    }
    let kept = scene.board.active().filter(|entry| entry.worker.is_some()).count();
    assert_eq!(kept, PAUSED_WORKERS_MAX);
    let decision = scene.board.resume(id(1), scene.now).expect("resumed");
    assert!(
        matches!(decision.effects[0], Effect::Start(task, _) if task == id(1)),
        "its worker was given up"
    );
    assert_eq!(scene.attempt(1), 1, "the attempt is the same");
}

#[test]
fn shutdown_ends_everything_and_takes_nothing_in() {
    let mut scene = Scene::new();
    scene.create_backups(1..=5, "main");
    let decision = scene.board.shut_down(scene.now);
    assert_eq!(decision.effects.len(), 3, "three workers are ended");
    assert_eq!(scene.board.stats().cancelled, 5);
    let refused = scene.board.create(backup(6, "main", Trigger::Manual), scene.now);
    assert_eq!(refused, Err(Refusal::ShuttingDown));
}

#[test]
fn the_limit_can_be_changed_while_running() {
    let mut scene = Scene::new();
    scene.create_backups(1..=6, "main");
    scene.board.set_max_concurrent_tasks(5, scene.now).expect("raised");
    assert_eq!(scene.running().len(), 5);
    scene.board.set_max_concurrent_tasks(1, scene.now).expect("lowered");
    assert_eq!(scene.running().len(), 5, "nobody is interrupted");
    scene.end(1, done());
    assert_eq!(scene.running().len(), 4);
    for wrong in [0, 65] {
        assert!(matches!(scene.board.set_max_concurrent_tasks(wrong, scene.now), Err(Refusal::Invalid(_))));
    }
}

#[test]
fn a_command_without_a_task_means_the_only_one() {
    let mut scene = Scene::new();
    assert_eq!(scene.board.only_active(), Err(Refusal::WhichTask(vec![])));
    scene.create_backups(1..=1, "main");
    assert_eq!(scene.board.only_active(), Ok(id(1)));
    scene.create_backups(2..=2, "main");
    assert_eq!(scene.board.only_active(), Err(Refusal::WhichTask(vec![id(1), id(2)])));
}

#[test]
fn what_cannot_be_paused_or_resumed_names_its_state() {
    let mut scene = Scene::new();
    scene.create_backups(1..=1, "main");
    let refused = scene.board.resume(id(1), scene.now).expect_err("it runs");
    assert_eq!(refused, Refusal::WrongState(id(1), TaskState::Running, TaskState::Running));
    scene.board.pause(id(1), scene.now).expect("paused");
    assert!(scene.board.pause(id(1), scene.now).is_err());
    assert_eq!(scene.board.pause(id(7), scene.now), Err(Refusal::UnknownTask(id(7))));
}

fn kept_of(board: &Board) -> Kept {
    let tasks = board.active().map(|entry| KeptTask {
        task: entry.task.clone(),
        item: entry.item.clone(),
        repository: entry.repository.clone(),
        sealed: entry.sealed.clone(),
    });
    let (globally_paused, counts) = (board.globally_paused, board.counts);
    Kept { tasks: tasks.collect(), globally_paused, counts, ..Kept::default() }
}

#[test]
fn a_manager_that_restarts_adopts_the_workers_that_run() {
    let mut scene = Scene::new();
    scene.create_backups(1..=4, "main");
    scene.board.pause(id(2), scene.now).expect("paused");
    let live = [1, 2, 3, 4].map(|number| (id(number), scene.generation(number))).into();
    let kept = kept_of(&scene.board);
    let (board, decision) =
        Board::restore(Retries::default(), Limits::default(), kept, &live, Generation(1000), scene.now);
    assert_eq!(decision, Decision::default(), "nothing changes");
    scene.board = board;
    assert_eq!(scene.running(), [1, 3, 4]);
    scene.end(1, done());
    scene.board.resume(id(2), scene.now).expect("resumed");
    assert_eq!(scene.running(), [2, 3, 4]);
}

#[test]
fn after_the_death_of_the_process_attempts_go_on_counting() {
    let mut scene = Scene::new();
    scene.create_backups(1..=5, "main");
    scene.end(3, failed(ErrorClass::Source));
    let generation = scene.generation(2);
    scene.board.sealed(id(2), generation, "ab".repeat(32), scene.now).expect("noted");
    scene.board.pause(id(4), scene.now).expect("paused");
    let kept = kept_of(&scene.board);
    let (board, decision) = Board::restore(
        Retries::default(),
        Limits::default(),
        kept,
        &HashMap::new(),
        Generation(1000),
        scene.now,
    );
    scene.board = board;
    assert!(matches!(scene.pending(1), PendingReason::Retry(retry) if retry.attempt == 2));
    assert_eq!(
        (scene.state(2), scene.attempt(2)),
        (TaskState::Running, 1),
        "it looks for its snapshot first"
    );
    assert!(decision.effects.iter().any(|effect| matches!(effect, Effect::Start(task, _) if *task == id(2))));
    assert!(matches!(scene.pending(3), PendingReason::Retry(retry) if retry.attempt == 2));
    assert_eq!(scene.state(4), TaskState::Paused);
    let decision = scene.board.resume(id(4), scene.now).expect("resumed");
    assert!(matches!(decision.effects[0], Effect::Start(task, _) if task == id(4)));
    assert_eq!(scene.attempt(4), 1);
}

#[test]
fn a_worker_that_was_never_started_costs_no_attempt() {
    let mut scene = Scene::new();
    scene.create_backups(1..=2, "main");
    let kept = Kept { unstarted: [id(2)].into(), ..kept_of(&scene.board) };
    let (policy, limits, live) = (Retries::default(), Limits::default(), HashMap::new());
    let (board, decision) = Board::restore(policy, limits, kept, &live, Generation(1000), scene.now);
    scene.board = board;
    assert!(
        matches!(scene.pending(1), PendingReason::Retry(retry) if retry.attempt == 2),
        "that one crashed"
    );
    assert_eq!((scene.state(2), scene.attempt(2)), (TaskState::Running, 1));
    assert_eq!(decision.effects, [Effect::Start(id(2), Generation(1000))]);
}

#[test]
fn a_paused_task_whose_worker_crashes_stays_paused_and_resumed_it_is_retried() {
    for class in [ErrorClass::Crash, ErrorClass::Network] {
        let mut scene = Scene::new();
        scene.create_backups(1..=1, "main");
        scene.board.pause(id(1), scene.now).expect("paused");
        scene.end(1, failed(class));
        assert_eq!(
            (scene.state(1), scene.pending(1)),
            (TaskState::Pending, PendingReason::Paused),
            "{class:?}"
        );
        scene.now += chrono::TimeDelta::hours(1);
        assert_eq!(scene.board.tick(scene.now), Decision::default(), "{class:?}: it waits for a person");
        scene.board.resume(id(1), scene.now).expect("resumed");
        assert_eq!((scene.state(1), scene.attempt(1)), (TaskState::Running, 2), "{class:?}");
    }
}
