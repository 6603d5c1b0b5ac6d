//! Whose turn it is.
//!
//! What goes on after a pause comes first, then what somebody asked for, then what was due; among
//! equals who waited longest. A repository that has no room does not hold the others up.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use keepwell_messages::{PendingReason, TaskId, TaskKind, TaskState, Trigger};

use super::{Board, BoardTask, Decision, Effect, Generation};
use crate::transition::Step;

/// Smaller is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Resuming,
    Manual,
    Scheduled,
}

type Place = (Rank, u64, TaskId);

/// Pending tasks where they wait.
#[derive(Default)]
pub(super) struct Turns {
    /// Backups that wait for a slot, by repository.
    backups: BTreeMap<String, BTreeSet<Place>>,
    restores: BTreeSet<Place>,
    /// Tasks whose next attempt has its time.
    retries: BTreeSet<(DateTime<Utc>, TaskId)>,
}

impl Turns {
    /// Puts a pending task where its reason says. Who waits for a person or the network is nowhere here.
    pub(super) fn insert(&mut self, entry: &BoardTask) {
        match &entry.task.pending {
            Some(PendingReason::Retry(retry)) => drop(self.retries.insert((retry.at, entry.task.id))),
            Some(PendingReason::Queued | PendingReason::Resuming) => self.line_up(entry),
            Some(PendingReason::Paused | PendingReason::WaitingForNetwork) | None => {}
        }
    }

    fn line_up(&mut self, entry: &BoardTask) {
        let place = place_of(entry);
        match entry.task.kind {
            TaskKind::Restore(_) => drop(self.restores.insert(place)),
            TaskKind::Backup(_) => {
                self.backups.entry(entry.repository.clone()).or_default().insert(place);
            }
        }
    }

    /// Takes a task out, wherever it waits.
    pub(super) fn remove(&mut self, entry: &BoardTask) {
        if let Some(PendingReason::Retry(retry)) = &entry.task.pending {
            self.retries.remove(&(retry.at, entry.task.id));
        }
        let place = place_of(entry);
        match entry.task.kind {
            TaskKind::Restore(_) => drop(self.restores.remove(&place)),
            TaskKind::Backup(_) => {
                if let Some(line) = self.backups.get_mut(&entry.repository) {
                    line.remove(&place);
                    if line.is_empty() {
                        self.backups.remove(&entry.repository);
                    }
                }
            }
        }
    }

    /// How many of its kind have their turn before it; 0 if it does not wait for its turn.
    pub(super) fn ahead_of(&self, entry: &BoardTask) -> usize {
        let place = place_of(entry);
        let count = |lines: &mut dyn Iterator<Item = &BTreeSet<Place>>| {
            let lines: Vec<_> = lines.collect();
            let waits = lines.iter().any(|line| line.contains(&place));
            if waits { lines.iter().map(|line| line.range(..place).count()).sum() } else { 0 }
        };
        match entry.task.kind {
            TaskKind::Restore(_) => count(&mut std::iter::once(&self.restores)),
            TaskKind::Backup(_) => count(&mut self.backups.values()),
        }
    }

    /// The earliest retry.
    pub(super) fn next_retry(&self) -> Option<DateTime<Utc>> {
        self.retries.first().map(|(at, _)| *at)
    }

    fn due_retry(&mut self, now: DateTime<Utc>) -> Option<TaskId> {
        let (at, id) = *self.retries.first()?;
        (at <= now).then(|| {
            self.retries.pop_first();
            id
        })
    }
}

fn place_of(entry: &BoardTask) -> Place {
    let rank = match (&entry.task.pending, entry.task.trigger) {
        (Some(PendingReason::Resuming), _) => Rank::Resuming,
        (_, Trigger::Manual) => Rank::Manual,
        (_, Trigger::Due(_) | Trigger::CatchUp(_)) => Rank::Scheduled,
    };
    (rank, entry.turn, entry.task.id)
}

impl Board {
    /// Gives free slots to whose turn it is.
    pub(super) fn fill_slots(&mut self, now: DateTime<Utc>, decision: &mut Decision) {
        if self.shutting_down {
            return;
        }
        while let Some(id) = self.turns.due_retry(now) {
            // It keeps its reason: everybody sees that what waits for a slot is a retry.
            if let Some(entry) = self.tasks.get(&id) {
                self.turns.line_up(entry);
            }
        }
        while self.running.restores < self.limits.restores.max(1) as usize {
            let Some(&(_, _, id)) = self.turns.restores.first() else { break };
            self.start(id, now, decision);
        }
        while !self.globally_paused && self.running.backups < self.limits.max_concurrent_tasks as usize {
            let Some(id) = self.next_backup() else { break };
            self.start(id, now, decision);
        }
    }

    fn next_backup(&self) -> Option<TaskId> {
        let has_room = |repository: &str| {
            let taken = self.running.by_repository.get(repository).copied().unwrap_or(0);
            self.limits.has_room_in(repository, taken)
        };
        let lines = self.turns.backups.iter().filter(|(repository, _)| has_room(repository));
        lines.filter_map(|(_, line)| line.first()).min().map(|(_, _, id)| *id)
    }

    /// Whether a task could have a slot at once if it came first.
    pub(super) fn has_slot_for(&self, entry: &BoardTask) -> bool {
        let taken = self.running.by_repository.get(&entry.repository).copied().unwrap_or(0);
        match entry.task.kind {
            TaskKind::Restore(_) => self.running.restores < self.limits.restores.max(1) as usize,
            TaskKind::Backup(_) => {
                !self.globally_paused
                    && self.running.backups < self.limits.max_concurrent_tasks as usize
                    && self.limits.has_room_in(&entry.repository, taken)
            }
        }
    }

    /// Gives a task a slot: its worker goes on, or a new one starts.
    pub(super) fn start(&mut self, id: TaskId, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(entry) = self.tasks.get_mut(&id) else { return };
        self.turns.remove(entry);
        let resumes =
            entry.task.state == TaskState::Paused || entry.task.pending == Some(PendingReason::Resuming);
        if entry.worker.is_none() && !(resumes && entry.task.attempt > 0) {
            entry.task.attempt += 1;
        }
        entry.retry = None;
        let worker = entry.worker;
        let generation = worker.unwrap_or(Generation(self.next_generation));
        entry.worker = Some(generation);
        if self.step(id, Step::Run, now, decision).is_err() {
            return;
        }
        if resumes {
            decision
                .events
                .push(keepwell_messages::Event::TaskResumed(keepwell_messages::TaskRef { task: id }));
        }
        match worker {
            Some(_) => decision.effects.push(Effect::Resume(id)),
            None => {
                self.next_generation += 1;
                decision.effects.push(Effect::Start(id, generation));
            }
        }
    }
}
