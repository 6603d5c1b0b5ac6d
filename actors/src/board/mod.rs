//! The board: every task that has not ended, who waits for what, and who may run now.
//!
//! Pure: it reads no clock, waits for nothing and sends nothing. Each call changes the board and
//! gives a [`Decision`]: which tasks are to be written to the journal, which events are then
//! announced, and which effects then follow, in this order. Its owner writes first and acts
//! second, so what anybody saw is never forgotten.
//!
//! Laws: never more backups with a slot than the limit, in all and for each repository; restores
//! have slots of their own; no two tasks of one item that have not ended; only transitions of the
//! table ([`crate::transition`]); a report of a worker that was given up changes nothing.

mod asked;
mod census;
mod limits;
mod outage;
mod queue_place;
mod report;
mod restart;
mod turns;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use keepwell_messages::{
    Event, Item, ItemId, PendingReason, Task, TaskEnd, TaskEnded, TaskId, TaskKind, TaskManagerStats,
    TaskPending, TaskState, TaskStatusUpdate, Trigger,
};

pub use limits::Limits;
pub use queue_place::QueuePlace;
pub use report::AttemptOutcome;
pub use restart::{Kept, KeptTask};

use crate::retry::Retries;
use crate::transition::{IllegalTransition, Step, next_state};
use census::{Census, Standing};
use outage::Outages;
use turns::Turns;

/// Tasks that may wait at once: each takes some 2 KiB here and in the journal.
pub const TASKS_MAX: usize = 200_000;
/// Workers of paused tasks that are kept; each holds buffers and a thread. Older ones give theirs up
/// and go on later from what the repository already holds.
pub const PAUSED_WORKERS_MAX: usize = 8;

/// A task that somebody wants.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its name, never used before.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// Why.
    pub trigger: Trigger,
    /// The item, for a backup.
    pub item: Option<Item>,
    /// The repository that it uses.
    pub repository: String,
}

/// A task and what belongs to it. All but `worker` is in the journal.
#[derive(Clone, Debug)]
pub struct BoardTask {
    /// What everybody may see.
    pub task: Task,
    /// The item as it was when the task was made, for a backup.
    pub item: Option<Item>,
    /// The repository that it uses.
    pub repository: String,
    /// The snapshot that its attempt sealed and may have stored.
    pub sealed: Option<String>,
    /// When it may be tried again, also while it is paused.
    retry: Option<keepwell_messages::Retry>,
    worker: Option<Generation>,
    turn: u64,
    /// As the census has it.
    standing: Option<Standing>,
}

impl BoardTask {
    /// The worker that the task counts on.
    pub fn worker(&self) -> Option<Generation> {
        self.worker
    }
}

/// Which start of which worker: reports of another one are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// What follows once a decision is in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a worker for this attempt. If an attempt before sealed a snapshot, look first whether it is stored.
    Start(TaskId, Generation),
    /// Let the worker stand still.
    Pause(TaskId),
    /// Let the worker go on.
    Resume(TaskId),
    /// End the worker. What it reports of its end frees its slot.
    Cancel(TaskId, Generation),
}

/// What one call decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Tasks that changed, to be written as they are now; sorted.
    pub changed: BTreeSet<TaskId>,
    /// Whether everything is paused now, if that changed.
    pub globally_paused: Option<bool>,
    /// How many backups may run at once, if somebody changed that.
    pub max_concurrent_tasks: Option<u32>,
    /// What is announced, in order.
    pub events: Vec<Event>,
    /// What is done, in order.
    pub effects: Vec<Effect>,
}

/// All tasks that have not ended.
pub struct Board {
    retries: Retries,
    limits: Limits,
    tasks: BTreeMap<TaskId, BoardTask>,
    /// Tasks that ended by the call whose decision is not written yet.
    ended: BTreeMap<TaskId, BoardTask>,
    by_item: HashMap<ItemId, TaskId>,
    turns: Turns,
    /// Workers that were given up and have not ended yet, with the slots that those who worked still hold.
    winding_down: HashMap<Generation, Option<Slot>>,
    running: Slots,
    census: Census,
    outages: Outages,
    globally_paused: bool,
    shutting_down: bool,
    next_generation: u64,
    next_turn: u64,
    counts: EndCounts,
}

/// Which kind of slot a task takes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Backup(String),
    Restore,
}

/// Slots that are taken.
#[derive(Clone, Debug, Default)]
struct Slots {
    backups: usize,
    restores: usize,
    by_repository: HashMap<String, usize>,
}

/// How many tasks ended how, since the journal began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts {
    /// Well.
    pub completed: u64,
    /// With an error.
    pub failed: u64,
    /// By a person or a shutdown.
    pub cancelled: u64,
}

impl Board {
    /// An empty board.
    pub fn new(retries: Retries, limits: Limits) -> Self {
        Self {
            retries,
            limits,
            tasks: BTreeMap::new(),
            ended: BTreeMap::new(),
            by_item: HashMap::new(),
            turns: Turns::default(),
            winding_down: HashMap::new(),
            running: Slots::default(),
            census: Census::default(),
            outages: Outages::default(),
            globally_paused: false,
            shutting_down: false,
            next_generation: 1,
            next_turn: 0,
            counts: EndCounts::default(),
        }
    }

    /// A task that has not ended, or whose end the latest decision holds.
    pub fn task(&self, id: TaskId) -> Option<&BoardTask> {
        self.tasks.get(&id).or_else(|| self.ended.get(&id))
    }

    /// All tasks that have not ended, the oldest first.
    pub fn active(&self) -> impl Iterator<Item = &BoardTask> {
        self.tasks.values()
    }

    /// The task of an item that has not ended.
    pub fn task_of_item(&self, item: &ItemId) -> Option<TaskId> {
        self.by_item.get(item).copied()
    }

    /// Whether everything is paused.
    pub fn is_globally_paused(&self) -> bool {
        self.globally_paused
    }

    /// How many of what. `fenced_workers` is its caller's to know.
    pub fn stats(&self) -> TaskManagerStats {
        let Census { running, restoring, queued, paused, retrying } = self.census;
        TaskManagerStats {
            running,
            restoring,
            queued,
            paused,
            retrying,
            completed: self.counts.completed,
            failed: self.counts.failed,
            cancelled: self.counts.cancelled,
            globally_paused: self.globally_paused,
            max_concurrent_tasks: self.limits.max_concurrent_tasks,
            fenced_workers: 0,
        }
    }

    /// When the board wants to be looked at again: the earliest retry that is to come.
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        self.turns.next_retry()
    }

    /// The time has come for whatever waits for it.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Decision {
        self.decide(now, |_, _| {})
    }

    /// Runs `change`, then gives free slots away.
    fn decide(&mut self, now: DateTime<Utc>, change: impl FnOnce(&mut Self, &mut Decision)) -> Decision {
        self.ended.clear();
        let mut decision = Decision::default();
        change(self, &mut decision);
        self.fill_slots(now, &mut decision);
        self.recount(&decision.changed);
        decision
    }

    /// Takes a step of the table, notes it, and tells the new state if it is another one.
    fn step(
        &mut self,
        id: TaskId,
        step: Step,
        now: DateTime<Utc>,
        decision: &mut Decision,
    ) -> Result<(), IllegalTransition> {
        let Some(entry) = self.tasks.get_mut(&id) else { return Ok(()) };
        let from = entry.task.state;
        let to = next_state(from, step)?;
        entry.task.state = to;
        entry.task.changed = now;
        if to != TaskState::Pending {
            entry.task.pending = None;
        }
        let slot = slot_of(entry);
        match (from == TaskState::Running, to == TaskState::Running) {
            (false, true) => self.running.take(slot),
            (true, false) => self.running.free(&slot),
            _ => {}
        }
        decision.changed.insert(id);
        if from != to {
            let attempt = entry.task.attempt;
            let update = TaskStatusUpdate { task: id, from, to, attempt };
            decision.events.push(Event::TaskStatusUpdate(update));
        }
        Ok(())
    }

    /// Says why a pending task waits, and puts it where it waits.
    fn wait(&mut self, id: TaskId, reason: PendingReason, decision: &mut Decision) {
        let Some(entry) = self.tasks.get_mut(&id) else { return };
        self.turns.remove(entry);
        entry.task.pending = Some(reason.clone());
        self.turns.insert(entry);
        decision.changed.insert(id);
        if matches!(
            reason,
            PendingReason::Queued | PendingReason::Resuming | PendingReason::WaitingForNetwork
        ) {
            decision.events.push(Event::TaskQueued(TaskPending { task: id, reason }));
        }
    }

    /// Ends a task for good.
    fn end(&mut self, id: TaskId, end: TaskEnd, now: DateTime<Utc>, decision: &mut Decision) {
        let step = match end.state() {
            TaskState::Completed => Step::Complete,
            TaskState::Failed => Step::Fail,
            _ => Step::Cancel,
        };
        let Some(entry) = self.tasks.get_mut(&id) else { return };
        self.turns.remove(entry);
        let held = (entry.task.state == TaskState::Running).then(|| slot_of(entry));
        if self.step(id, step, now, decision).is_err() {
            return;
        }
        let Some(mut entry) = self.tasks.remove(&id) else { return };
        entry.task.end = Some(end.clone());
        entry.retry = None;
        if let TaskKind::Backup(item) = &entry.task.kind {
            self.by_item.remove(item);
        }
        let ended = TaskEnded { task: id, end };
        decision.events.push(match step {
            Step::Complete => {
                self.counts.completed += 1;
                Event::TaskCompleted(ended)
            }
            Step::Fail => {
                self.counts.failed += 1;
                Event::TaskFailed(ended)
            }
            _ => {
                self.counts.cancelled += 1;
                Event::TaskCancelled(ended)
            }
        });
        if let (Step::Cancel, Some(generation)) = (step, entry.worker.take()) {
            self.wind_down(id, generation, held, decision);
        }
        let repository = entry.repository.clone();
        self.ended.insert(id, entry);
        self.hand_probe_on(id, &repository, decision);
    }

    /// Ends a worker whose task no longer counts on it. A slot that it holds is free once it has ended.
    fn wind_down(&mut self, id: TaskId, generation: Generation, held: Option<Slot>, decision: &mut Decision) {
        if let Some(slot) = &held {
            self.running.take(slot.clone());
        }
        self.winding_down.insert(generation, held);
        decision.effects.push(Effect::Cancel(id, generation));
    }
}

impl Slots {
    fn take(&mut self, slot: Slot) {
        match slot {
            Slot::Restore => self.restores += 1,
            Slot::Backup(repository) => {
                self.backups += 1;
                *self.by_repository.entry(repository).or_default() += 1;
            }
        }
    }

    fn free(&mut self, slot: &Slot) {
        match slot {
            Slot::Restore => self.restores = self.restores.saturating_sub(1),
            Slot::Backup(repository) => {
                self.backups = self.backups.saturating_sub(1);
                if let Some(count) = self.by_repository.get_mut(repository) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.by_repository.remove(repository);
                    }
                }
            }
        }
    }
}

fn slot_of(entry: &BoardTask) -> Slot {
    match entry.task.kind {
        TaskKind::Backup(_) => Slot::Backup(entry.repository.clone()),
        TaskKind::Restore(_) => Slot::Restore,
    }
}
