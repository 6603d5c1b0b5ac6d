//! What a subscriber makes of the events, and whether they obey the laws.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::retry::{RetryDecision, RetryPolicy};
use keepwell_actors::transition::{Step, next_state};
use keepwell_messages::{
    ActorRef, BackedUp, CancelReason, Event, ItemId, Missed, NumberedEvent, PendingReason, Retry, TaskEnd,
    TaskId, TaskKind, TaskState,
};

/// A task as its events tell.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: TaskKind,
    pub state: TaskState,
    pub attempt: u32,
    pub retry: Option<Retry>,
    /// The attempt that must come next.
    pub next_attempt: Option<u32>,
    pub actor_crashed: bool,
    /// It left its attempt, and nobody said yet what follows.
    pub attempt_failed: bool,
    pub end: Option<TaskEnd>,
}

/// See the module.
#[derive(Default)]
pub struct Model {
    pub tasks: BTreeMap<TaskId, Seen>,
    /// All events in order.
    pub events: Vec<NumberedEvent>,
    /// No more backups may run at once.
    pub slots: usize,
    pub globally_paused: bool,
    pub crashes: u64,
    pub gave_up: bool,
    /// The instants at which each item changed.
    pub item_changes: BTreeMap<ItemId, DateTime<Utc>>,
    /// Due times that a task was made for, of each item.
    made_for: BTreeMap<ItemId, Vec<(Missed, TaskId)>>,
    /// When the process that runs now began.
    pub process_began: Option<DateTime<Utc>>,
    pub violations: Vec<String>,
}

impl Model {
    pub fn with_slots(slots: usize) -> Self {
        Self { slots, ..Self::default() }
    }

    pub fn last_number(&self) -> u64 {
        self.events.last().map_or(0, |event| event.number)
    }

    fn violation(&mut self, at: DateTime<Utc>, what: String) {
        self.violations.push(format!("{at}: {what}"));
    }

    pub fn see(&mut self, event: &NumberedEvent) {
        let at = event.at;
        if event.number != self.last_number() + 1 {
            self.violation(at, format!("event {} follows {}", event.number, self.last_number()));
        }
        self.events.push(event.clone());
        match &event.event {
            Event::TaskCreated(created) => {
                self.see_created(at, created.task, &created.kind, created.trigger.due_times())
            }
            Event::TaskQueued(queued) => self.with(at, queued.task, |task, _| {
                // Waiting for the network costs no attempt.
                if queued.reason == PendingReason::WaitingForNetwork && task.attempt_failed {
                    task.attempt_failed = false;
                    task.next_attempt = Some(task.attempt);
                    task.attempt -= 1;
                }
            }),
            Event::TaskStatusUpdate(update) => self.see_state(at, update),
            Event::TaskRetry(retry) => self.see_retry(at, retry.task, &retry.retry),
            Event::TaskCompleted(end) => self.see_end(at, end.task, &end.end, TaskState::Completed),
            Event::TaskFailed(end) => self.see_end(at, end.task, &end.end, TaskState::Failed),
            Event::TaskCancelled(end) => self.see_end(at, end.task, &end.end, TaskState::Cancelled),
            Event::GlobalPause(pause) => self.globally_paused = pause.paused,
            Event::ItemChanged(item) => drop(self.item_changes.insert(item.item.clone(), at)),
            Event::ActorCrashed(crashed) => {
                self.crashes += 1;
                if let ActorRef::Task(task) = crashed.actor
                    && let Some(task) = self.tasks.get_mut(&task)
                {
                    task.actor_crashed = true;
                }
                self.gave_up |= crashed.failure.why.contains("was given up after");
            }
            Event::ItemRemoved(_)
            | Event::ActorRestarted(_)
            | Event::TaskPaused(_)
            | Event::TaskResumed(_) => {}
        }
        let running = self.running_backups();
        if running > self.slots {
            self.violation(at, format!("{running} backups run with {} slots", self.slots));
        }
    }

    pub fn running_backups(&self) -> usize {
        let runs =
            |task: &&Seen| task.state == TaskState::Running && matches!(task.kind, TaskKind::Backup(_));
        self.live().map(|(_, task)| task).filter(runs).count()
    }

    pub fn live(&self) -> impl Iterator<Item = (TaskId, &Seen)> {
        self.tasks.iter().filter(|(_, task)| !task.state.is_end()).map(|(id, task)| (*id, task))
    }

    fn with(&mut self, at: DateTime<Utc>, id: TaskId, change: impl FnOnce(&mut Seen, &mut Vec<String>)) {
        let mut wrong = Vec::new();
        match self.tasks.get_mut(&id) {
            Some(task) => change(task, &mut wrong),
            None => wrong.push("it was never created".into()),
        }
        for what in wrong {
            self.violation(at, format!("task {id}: {what}"));
        }
    }

    fn see_created(&mut self, at: DateTime<Utc>, id: TaskId, kind: &TaskKind, due: Option<Missed>) {
        if let TaskKind::Backup(item) = kind {
            let other = self.live().find(|(_, task)| task.kind == *kind).map(|(other, _)| other);
            if let Some(other) = other {
                self.violation(at, format!("item {item} has two tasks, {other} and {id}"));
            }
            if let Some(due) = due {
                let made_for = self.made_for.entry(item.clone()).or_default();
                let again = made_for
                    .iter()
                    .find(|(before, _)| before.since <= due.due && due.since <= before.due)
                    .map(|(_, task)| *task);
                made_for.push((due, id));
                if let Some(before) = again {
                    self.violation(at, format!("item {item}: {due:?} runs as {before} and again as {id}"));
                }
            }
        }
        let seen = Seen {
            kind: kind.clone(),
            state: TaskState::Pending,
            attempt: 0,
            retry: None,
            next_attempt: Some(1),
            actor_crashed: false,
            attempt_failed: false,
            end: None,
        };
        if self.tasks.insert(id, seen).is_some() {
            self.violation(at, format!("task {id} is created twice"));
        }
    }

    fn see_state(&mut self, at: DateTime<Utc>, update: &keepwell_messages::TaskStatusUpdate) {
        self.with(at, update.task, |task, wrong| {
            if task.state != update.from {
                wrong.push(format!("it leaves {} and was {}", update.from, task.state));
            }
            let legal = Step::ALL.iter().any(|step| next_state(update.from, *step) == Ok(update.to));
            // Pausing what was to resume takes it back to where it was.
            let taken_back = (update.from, update.to) == (TaskState::Pending, TaskState::Paused);
            if !legal && !taken_back {
                wrong.push(format!("{} to {} is not in the table", update.from, update.to));
            }
            if update.attempt < task.attempt || update.attempt > task.attempt + 1 || update.attempt > 4 {
                wrong.push(format!("attempt {} follows {}", update.attempt, task.attempt));
            }
            if update.to == TaskState::Running {
                if task.next_attempt.take().is_some_and(|next| next != update.attempt) {
                    wrong.push(format!("attempt {} runs, and not the one that was to come", update.attempt));
                }
                task.actor_crashed = false;
            }
            task.attempt_failed = update.to == TaskState::Pending;
            task.state = update.to;
            task.attempt = update.attempt;
        });
    }

    fn see_retry(&mut self, at: DateTime<Utc>, id: TaskId, retry: &Retry) {
        let policy = RetryPolicy::default();
        let process_began = self.process_began;
        self.with(at, id, |task, wrong| {
            task.next_attempt = Some(retry.attempt);
            task.attempt_failed = false;
            // A manager that crashes costs no attempt.
            let lost = retry.why == "the program ended while it ran";
            let just = |then: DateTime<Utc>| (at - then).abs() < TimeDelta::seconds(10);
            if lost && !task.actor_crashed && !process_began.is_some_and(just) {
                wrong.push("its attempt is lost with no crash of its own".into());
            }
            let again = task.retry.as_ref().is_some_and(|before| before.attempt == retry.attempt);
            let wait = retry.at - at;
            if again {
                // The clock was set back, and the retry waits anew.
                if wait > TimeDelta::from_std(policy.delay_max()).expect("a delay") {
                    wrong.push(format!("it is to wait {wait}"));
                }
            } else {
                match policy.decide(retry.class, task.attempt) {
                    RetryDecision::Retry { delay, attempt } if attempt == retry.attempt => {
                        if wait != TimeDelta::from_std(delay).expect("a delay") {
                            wrong.push(format!("it waits {wait} and not {delay:?} before attempt {attempt}"));
                        }
                    }
                    other => wrong.push(format!("{retry:?} after attempt {}: {other:?}", task.attempt)),
                }
            }
            task.retry = Some(retry.clone());
        });
    }

    fn see_end(&mut self, at: DateTime<Utc>, id: TaskId, end: &TaskEnd, state: TaskState) {
        self.with(at, id, |task, wrong| {
            if task.state != state || end.state() != state || task.end.is_some() {
                wrong.push(format!("it ends as {state} and was {}", task.state));
            }
            task.end = Some(end.clone());
        });
        // What a shutdown ended is caught up: its due times come again.
        if *end == TaskEnd::Cancelled(CancelReason::Shutdown)
            && let Some(Seen { kind: TaskKind::Backup(item), .. }) = self.tasks.get(&id)
            && let Some(made_for) = self.made_for.get_mut(item)
        {
            made_for.retain(|(_, task)| *task != id);
        }
    }

    /// Snapshots of completed backups.
    pub fn snapshots(&self) -> impl Iterator<Item = (TaskId, &BackedUp)> {
        self.tasks.iter().filter_map(|(id, task)| match &task.end {
            Some(TaskEnd::BackedUp(backup)) => Some((*id, backup)),
            _ => None,
        })
    }
}
