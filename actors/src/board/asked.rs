//! What is asked of the board: new tasks, pause, resume, cancel, limits, the end.

use chrono::{DateTime, Utc};
use keepwell_messages::{
    CancelReason, Event, GlobalPause, PendingReason, Refusal, Task, TaskCreated, TaskEnd, TaskId, TaskKind,
    TaskRef, TaskState, Trigger,
};

use super::{Board, BoardTask, Decision, Limits, NewTask, PAUSED_WORKERS_MAX, TASKS_MAX};
use crate::retry::Retries;
use crate::transition::Step;

impl Board {
    /// Takes a task in.
    ///
    /// # Errors
    /// [`Refusal::DuplicateTask`], [`Refusal::QueueFull`], [`Refusal::ShuttingDown`], and for what is due while
    /// everything is paused [`Refusal::GloballyPaused`]; nothing changed then.
    pub fn create(&mut self, new: NewTask, now: DateTime<Utc>) -> Result<Decision, Refusal> {
        if self.shutting_down {
            return Err(Refusal::ShuttingDown);
        }
        if let TaskKind::Backup(item) = &new.kind
            && let Some(task) = self.task_of_item(item)
        {
            return Err(Refusal::DuplicateTask(task));
        }
        if self.globally_paused && new.trigger != Trigger::Manual {
            return Err(Refusal::GloballyPaused);
        }
        if self.tasks.len() >= TASKS_MAX {
            return Err(Refusal::QueueFull(self.tasks.len() as u32));
        }
        Ok(self.decide(now, |board, decision| board.take_in(new, now, decision)))
    }

    fn take_in(&mut self, new: NewTask, now: DateTime<Utc>, decision: &mut Decision) {
        let NewTask { id, kind, trigger, item, repository } = new;
        if let TaskKind::Backup(item) = &kind {
            self.by_item.insert(item.clone(), id);
        }
        let task = Task {
            id,
            kind: kind.clone(),
            trigger,
            state: TaskState::Pending,
            pending: None,
            attempt: 0,
            attempts_max: self.retries.of(&kind).retries_max.saturating_add(1),
            created: now,
            changed: now,
            end: None,
            progress: None,
        };
        let waits_for_network = matches!(kind, TaskKind::Backup(_)) && self.outages.is_out(&repository);
        let turn = self.next_turn;
        self.next_turn += 1;
        let (sealed, retry, worker, standing) = (None, None, None, None);
        let entry = BoardTask { task, item, repository, sealed, retry, worker, turn, standing };
        self.tasks.insert(id, entry);
        decision.events.push(Event::TaskCreated(TaskCreated { task: id, kind, trigger }));
        // Somebody who asks for a backup himself may know that the network is back.
        let waits = waits_for_network && trigger != Trigger::Manual;
        let reason = if waits { PendingReason::WaitingForNetwork } else { PendingReason::Queued };
        self.wait(id, reason, decision);
    }

    /// Pauses one task. A task that has not run yet is taken out of the queue's turn.
    pub fn pause(&mut self, id: TaskId, now: DateTime<Utc>) -> Result<Decision, Refusal> {
        let entry = self.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
        if entry.task.pending == Some(PendingReason::Paused) || entry.task.state == TaskState::Paused {
            return Err(Refusal::WrongState(id, TaskState::Paused, TaskState::Paused));
        }
        Ok(self.decide(now, |board, decision| board.pause_now(id, now, decision)))
    }

    fn pause_now(&mut self, id: TaskId, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(entry) = self.tasks.get(&id) else { return };
        let was_running = entry.task.state == TaskState::Running;
        // What was to go on is what it was before: a paused worker.
        let is_worker_paused = entry.task.pending == Some(PendingReason::Resuming);
        if is_worker_paused {
            self.turns_remove(id);
            if let Some(entry) = self.tasks.get_mut(&id) {
                entry.task.state = TaskState::Paused;
                entry.task.pending = None;
                entry.task.changed = now;
            }
            let attempt = self.tasks.get(&id).map_or(0, |entry| entry.task.attempt);
            let (from, to) = (TaskState::Pending, TaskState::Paused);
            let update = keepwell_messages::TaskStatusUpdate { task: id, from, to, attempt };
            decision.events.push(Event::TaskStatusUpdate(update));
            decision.changed.insert(id);
        } else if self.step(id, Step::Pause, now, decision).is_ok() {
            if was_running {
                decision.effects.push(super::Effect::Pause(id));
                self.keep_few_paused_workers(decision);
            } else {
                self.wait(id, PendingReason::Paused, decision);
            }
            let repository = self.tasks.get(&id).map(|entry| entry.repository.clone());
            self.hand_probe_on(id, &repository.unwrap_or_default(), decision);
        }
        decision.events.push(Event::TaskPaused(TaskRef { task: id }));
    }

    /// Of too many paused workers the one that has stood still longest goes.
    fn keep_few_paused_workers(&mut self, decision: &mut Decision) {
        let paused = self.tasks.values().filter(|entry| entry.task.state == TaskState::Paused);
        let kept: Vec<&BoardTask> = paused.filter(|entry| entry.worker.is_some()).collect();
        if kept.len() <= PAUSED_WORKERS_MAX {
            return;
        }
        let Some(oldest) = kept.iter().min_by_key(|entry| (entry.task.changed, entry.turn)) else { return };
        let id = oldest.task.id;
        if let Some(generation) = self.tasks.get_mut(&id).and_then(|entry| entry.worker.take()) {
            self.wind_down(id, generation, None, decision);
        }
    }

    /// Lets one task go on: at once if there is a slot, else at the front of the queue.
    pub fn resume(&mut self, id: TaskId, now: DateTime<Utc>) -> Result<Decision, Refusal> {
        let entry = self.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
        let is_paused =
            entry.task.state == TaskState::Paused || entry.task.pending == Some(PendingReason::Paused);
        if !is_paused {
            return Err(Refusal::WrongState(id, entry.task.state, TaskState::Running));
        }
        Ok(self.decide(now, |board, decision| board.resume_now(id, now, decision)))
    }

    fn resume_now(&mut self, id: TaskId, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(entry) = self.tasks.get(&id) else { return };
        if entry.task.state == TaskState::Paused {
            if self.has_slot_for(entry) {
                self.start(id, now, decision);
            } else if self.step(id, Step::Resume, now, decision).is_ok() {
                self.wait(id, PendingReason::Resuming, decision);
            }
            return;
        }
        let reason = match &entry.retry {
            Some(retry) => PendingReason::Retry(retry.clone()),
            None if self.outages.is_out(&entry.repository) => PendingReason::WaitingForNetwork,
            None => PendingReason::Queued,
        };
        decision.events.push(Event::TaskResumed(TaskRef { task: id }));
        self.wait(id, reason, decision);
    }

    /// Pauses every backup that runs, one by one; no other starts. Restores go on.
    /// The count is of tasks that were paused. Asked twice, it changes nothing.
    pub fn pause_all(&mut self, now: DateTime<Utc>) -> (Decision, u32) {
        let is_backup = |entry: &&BoardTask| matches!(entry.task.kind, TaskKind::Backup(_));
        let running = self.tasks.values().filter(|entry| entry.task.state == TaskState::Running);
        let running: Vec<TaskId> = running.filter(is_backup).map(|entry| entry.task.id).collect();
        let decision = self.decide(now, |board, decision| {
            for &id in &running {
                board.pause_now(id, now, decision);
            }
            board.set_globally_paused(true, decision);
        });
        (decision, running.len() as u32)
    }

    /// Lets every paused task, however it was paused, and the queue go on. The count is of paused tasks.
    pub fn resume_all(&mut self, now: DateTime<Utc>) -> (Decision, u32) {
        let is_paused = |entry: &&BoardTask| {
            entry.task.state == TaskState::Paused || entry.task.pending == Some(PendingReason::Paused)
        };
        let mut paused: Vec<&BoardTask> = self.tasks.values().filter(is_paused).collect();
        paused.sort_by_key(|entry| entry.turn);
        let paused: Vec<TaskId> = paused.into_iter().map(|entry| entry.task.id).collect();
        let decision = self.decide(now, |board, decision| {
            board.set_globally_paused(false, decision);
            for &id in &paused {
                board.resume_now(id, now, decision);
            }
        });
        (decision, paused.len() as u32)
    }

    fn set_globally_paused(&mut self, paused: bool, decision: &mut Decision) {
        if self.globally_paused != paused {
            self.globally_paused = paused;
            decision.globally_paused = Some(paused);
            decision.events.push(Event::GlobalPause(GlobalPause { paused }));
        }
    }

    /// Ends a task for good, whatever it does.
    pub fn cancel(
        &mut self,
        id: TaskId,
        reason: CancelReason,
        now: DateTime<Utc>,
    ) -> Result<Decision, Refusal> {
        if !self.tasks.contains_key(&id) {
            return Err(Refusal::UnknownTask(id));
        }
        Ok(self.decide(now, |board, decision| board.end(id, TaskEnd::Cancelled(reason), now, decision)))
    }

    /// Ends everything; nothing starts or is taken in any more.
    pub fn shut_down(&mut self, now: DateTime<Utc>) -> Decision {
        self.shutting_down = true;
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        self.decide(now, |board, decision| {
            for id in all {
                board.end(id, TaskEnd::Cancelled(CancelReason::Shutdown), now, decision);
            }
        })
    }

    /// Changes how many backups run at once. Those beyond a smaller number run to their end.
    pub fn set_max_concurrent_tasks(&mut self, count: u32, now: DateTime<Utc>) -> Result<Decision, Refusal> {
        let max = Limits::MAX_CONCURRENT_TASKS_MAX;
        if !(1..=max).contains(&count) {
            return Err(Refusal::Invalid(format!("max_concurrent_tasks is 1 to {max}, not {count}")));
        }
        Ok(self.decide(now, |board, decision| {
            board.limits.max_concurrent_tasks = count;
            decision.max_concurrent_tasks = Some(count);
        }))
    }

    /// The configuration says something else. What runs beyond smaller limits runs to its end; a retry that has its
    /// time keeps it.
    pub fn reconfigure(&mut self, retries: Retries, limits: Limits, now: DateTime<Utc>) -> Decision {
        self.decide(now, |board, _| {
            board.retries = retries;
            board.limits = limits;
        })
    }

    /// The one task that a command without an id means.
    pub fn only_active(&self) -> Result<TaskId, Refusal> {
        let mut active = self.tasks.keys().copied();
        match (active.next(), active.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Refusal::WhichTask(self.tasks.keys().copied().take(WHICH_TASK_MAX).collect())),
        }
    }

    fn turns_remove(&mut self, id: TaskId) {
        if let Some(entry) = self.tasks.get(&id) {
            self.turns.remove(entry);
        }
    }
}

/// Tasks that a refusal lists.
const WHICH_TASK_MAX: usize = 20;
