//! Whatever happens in whatever order, the laws of the board hold after every step.
//!
//! Defects that were planted, and that this or the tests by name caught: a slot that is not given back
//! when a cancelled worker has ended; the duplicate check dropped; a wait for the network that spends a
//! retry; stale reports believed.

use std::collections::{BTreeMap, HashMap};

use keepwell_messages::{CancelReason, ErrorClass, Event, TaskId, TaskState, Trigger};
use proptest::prelude::*;

use super::tests::{at, backup, done, failed, id, restore};
use super::*;

/// One thing that happens. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Happens {
    Backup { item: u8, repository: u8, manual: bool },
    Restore,
    Pause(u8),
    Resume(u8),
    PauseAll,
    ResumeAll,
    Cancel(u8),
    Limit(u8),
    Ends(u8, u8),
    Reached(u8),
    Sealed(u8),
    Time(u16),
    ManagerDies,
    ProcessDies,
}

fn happening() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..30u8, 0..3u8, any::<bool>())
            .prop_map(|(item, repository, manual)| Happens::Backup { item, repository, manual }),
        1 => Just(Happens::Restore),
        2 => any::<u8>().prop_map(Happens::Pause),
        3 => any::<u8>().prop_map(Happens::Resume),
        1 => Just(Happens::PauseAll),
        1 => Just(Happens::ResumeAll),
        1 => any::<u8>().prop_map(Happens::Cancel),
        1 => (1..6u8).prop_map(Happens::Limit),
        8 => any::<(u8, u8)>().prop_map(|(worker, how)| Happens::Ends(worker, how)),
        1 => any::<u8>().prop_map(Happens::Reached),
        1 => any::<u8>().prop_map(Happens::Sealed),
        4 => (0..400u16).prop_map(Happens::Time),
        1 => Just(Happens::ManagerDies),
        1 => Just(Happens::ProcessDies),
    ]
}

const CLASSES: [ErrorClass; 9] = [
    ErrorClass::Network,
    ErrorClass::Server,
    ErrorClass::Source,
    ErrorClass::Repository,
    ErrorClass::Credentials,
    ErrorClass::Space,
    ErrorClass::Settings,
    ErrorClass::Crash,
    ErrorClass::Cancelled,
];

/// The world around a board: workers, a journal, and who listens.
struct World {
    board: Board,
    limits: Limits,
    now: i64,
    next_id: u128,
    /// Workers that live, and whether they work.
    workers: BTreeMap<Generation, (TaskId, bool)>,
    /// What a reader of events believes of each task.
    believed: BTreeMap<TaskId, TaskState>,
}

impl World {
    fn new() -> Self {
        let limits = Limits { by_repository: [("repository 1".to_owned(), 1)].into(), ..Limits::default() };
        Self {
            board: Board::new(Retries::default(), limits.clone()),
            limits,
            now: 0,
            next_id: 1,
            workers: BTreeMap::new(),
            believed: BTreeMap::new(),
        }
    }

    fn task(&self, choice: u8) -> TaskId {
        let active: Vec<TaskId> = self.board.active().map(|entry| entry.task.id).collect();
        active.get(usize::from(choice) % active.len().max(1)).copied().unwrap_or(id(0))
    }

    fn worker(&self, choice: u8) -> Option<(TaskId, Generation)> {
        let working: Vec<_> = self.workers.iter().filter(|(_, (_, works))| *works).collect();
        let (generation, (task, _)) = working.get(usize::from(choice) % working.len().max(1))?;
        Some((*task, **generation))
    }

    fn happen(&mut self, what: &Happens) {
        let now = at(self.now);
        let decision = match what {
            Happens::Backup { item, repository, manual } => {
                let trigger = if *manual { Trigger::Manual } else { Trigger::Due(now) };
                let mut new = backup(u128::from(*item), &format!("repository {repository}"), trigger);
                self.next_id += 1;
                new.id = id(1000 + self.next_id);
                self.board.create(new, now).ok()
            }
            Happens::Restore => {
                self.next_id += 1;
                self.board.create(restore(1000 + self.next_id), now).ok()
            }
            Happens::Pause(choice) => self.board.pause(self.task(*choice), now).ok(),
            Happens::Resume(choice) => self.board.resume(self.task(*choice), now).ok(),
            Happens::PauseAll => Some(self.board.pause_all(now).0),
            Happens::ResumeAll => Some(self.board.resume_all(now).0),
            Happens::Cancel(choice) => {
                self.board.cancel(self.task(*choice), CancelReason::Requested, now).ok()
            }
            Happens::Limit(limit) => {
                self.limits.max_concurrent_tasks = u32::from(*limit);
                self.board.set_max_concurrent_tasks(u32::from(*limit), now).ok()
            }
            Happens::Ends(choice, how) => self.worker(*choice).map(|(task, generation)| {
                self.workers.remove(&generation);
                let class = CLASSES.get(usize::from(*how) % (CLASSES.len() + 4));
                let outcome = class.map_or_else(done, |class| failed(*class));
                self.board.attempt_ended(task, generation, outcome, now)
            }),
            Happens::Reached(choice) => {
                self.worker(*choice).map(|(task, generation)| self.board.reached(task, generation, now))
            }
            Happens::Sealed(choice) => self
                .worker(*choice)
                .and_then(|(task, generation)| self.board.sealed(task, generation, "ab".repeat(32), now)),
            Happens::Time(seconds) => {
                self.now += i64::from(*seconds);
                Some(self.board.tick(at(self.now)))
            }
            Happens::ManagerDies => Some(self.restart()),
            Happens::ProcessDies => {
                self.workers.clear();
                Some(self.restart())
            }
        };
        if let Some(decision) = decision {
            self.carry_out(&decision);
        }
    }

    fn restart(&mut self) -> Decision {
        let tasks = self.board.active().map(|entry| KeptTask {
            task: entry.task.clone(),
            item: entry.item.clone(),
            repository: entry.repository.clone(),
            sealed: entry.sealed.clone(),
        });
        let kept = Kept {
            tasks: tasks.collect(),
            globally_paused: self.board.globally_paused,
            counts: self.board.counts,
            ..Kept::default()
        };
        // Of two workers of one task the newer is the one that counts.
        let live: HashMap<TaskId, Generation> =
            self.workers.iter().map(|(generation, (task, _))| (*task, *generation)).collect();
        self.workers.retain(|generation, (task, _)| live.get(task) == Some(generation));
        let next = Generation(self.board.next_generation + 1000);
        let (board, decision) =
            Board::restore(Retries::default(), self.limits.clone(), kept, &live, next, at(self.now));
        self.board = board;
        decision
    }

    fn carry_out(&mut self, decision: &Decision) {
        for event in &decision.events {
            match event {
                Event::TaskCreated(created) => {
                    assert_eq!(self.believed.insert(created.task, TaskState::Pending), None);
                }
                Event::TaskStatusUpdate(update) => {
                    assert_eq!(self.believed.insert(update.task, update.to), Some(update.from), "{update:?}");
                }
                _ => {}
            }
        }
        for effect in &decision.effects {
            match effect {
                Effect::Start(task, generation) => {
                    let twice = self.workers.insert(*generation, (*task, true));
                    assert_eq!(twice, None, "a generation starts once");
                }
                Effect::Pause(task) => self.set_working(*task, false),
                Effect::Resume(task) => self.set_working(*task, true),
                // A cancelled worker still has its end to tell.
                Effect::Cancel(_, generation) => {
                    if let Some((_, works)) = self.workers.get_mut(generation) {
                        *works = true;
                    }
                }
            }
        }
    }

    fn set_working(&mut self, task: TaskId, working: bool) {
        let generation = self.board.task(task).and_then(|entry| entry.worker).expect("it has a worker");
        self.workers.get_mut(&generation).expect("its worker lives").1 = working;
    }

    fn check(&self) {
        let mut backups: BTreeMap<&str, usize> = BTreeMap::new();
        let mut items = BTreeMap::new();
        for entry in self.board.active() {
            let task = &entry.task;
            assert!(!task.state.is_end());
            assert_eq!(self.believed.get(&task.id), Some(&task.state), "events tell every state");
            assert_eq!(task.pending.is_some(), task.state == TaskState::Pending);
            assert!(task.attempt <= task.attempts_max, "{task:?}");
            match &task.kind {
                TaskKind::Backup(item) => {
                    assert_eq!(items.insert(item, task.id), None, "two tasks of {item}")
                }
                TaskKind::Restore(_) => {}
            }
            if task.state == TaskState::Running {
                let generation = entry.worker.expect("what runs has a worker");
                assert_eq!(self.workers.get(&generation), Some(&(task.id, true)), "and it works");
                if matches!(task.kind, TaskKind::Backup(_)) {
                    *backups.entry(&entry.repository).or_default() += 1;
                }
            }
        }
        assert!(backups.get("repository 1").copied().unwrap_or(0) <= 1, "the limit of a repository");
        let held: usize = self.board.winding_down.values().flatten().count();
        let (taken, running) = (self.board.running.clone(), backups.values().sum::<usize>());
        let mut census = Census::default();
        self.board.active().for_each(|entry| census.note(None, Some(Standing::of(&entry.task))));
        assert_eq!(self.board.census, census, "tasks are counted where they stand");
        let restoring = self.board.stats().restoring as usize;
        assert_eq!(taken.backups + taken.restores, running + restoring + held, "slots are counted right");
        assert!(taken.restores <= 1);
        for (task, state) in &self.believed {
            assert!(state.is_end() || self.board.task(*task).is_some(), "{task} is forgotten");
        }
    }

    /// Nothing is left waiting for ever: workers that end well free everything.
    fn drain(&mut self) {
        self.happen(&Happens::ResumeAll);
        for _ in 0..10_000 {
            if self.board.active().next().is_none() {
                return;
            }
            match self.worker(0) {
                Some(_) => self.happen(&Happens::Ends(0, CLASSES.len() as u8)),
                None => {
                    let wake = self.board.next_wake().expect("what waits has something to wait for");
                    self.now = self.now.max(wake.timestamp() + 1);
                    self.happen(&Happens::Time(0));
                }
            }
            self.check();
        }
        panic!("tasks are left: {:?}", self.board.active().map(|entry| &entry.task).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_whatever_happens(happenings in prop::collection::vec(happening(), 1..200)) {
        let mut world = World::new();
        for what in &happenings {
            let before = world.board.running.backups;
            world.happen(what);
            world.check();
            let limit = world.limits.max_concurrent_tasks as usize;
            prop_assert!(world.board.running.backups <= limit.max(before), "more run than there are slots");
        }
        world.drain();
    }
}
