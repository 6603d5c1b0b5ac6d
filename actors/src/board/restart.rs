//! The board as the journal has it, after a crash of its owner or of the whole process.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use keepwell_messages::{ErrorClass, Failure, PendingReason, Task, TaskId, TaskKind, TaskState};

use super::census::Standing;
use super::{Board, BoardTask, Decision, EndCounts, Generation, Limits};
use crate::retry::Retries;

/// A task as the journal has it.
#[derive(Clone, Debug)]
pub struct KeptTask {
    /// What everybody may see.
    pub task: Task,
    /// The item as it was when the task was made.
    pub item: Option<keepwell_messages::Item>,
    /// The repository that it uses.
    pub repository: String,
    /// The snapshot that its attempt sealed and may have stored.
    pub sealed: Option<String>,
}

/// All that the journal has of the board.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Tasks that have not ended.
    pub tasks: Vec<KeptTask>,
    /// Of those that run, the ones whose worker is known not to have been started yet.
    pub unstarted: HashSet<TaskId>,
    /// Whether everything is paused.
    pub globally_paused: bool,
    /// How tasks ended.
    pub counts: EndCounts,
}

impl Board {
    /// The board again. Workers in `live` are adopted; an attempt whose worker is lost is one that
    /// crashed, unless it never had one, or had sealed its snapshot: then it starts again, and looks
    /// first. New workers get generations from `first_generation` on, which no worker before had.
    pub fn restore(
        retries: Retries,
        limits: Limits,
        kept: Kept,
        live: &HashMap<TaskId, Generation>,
        first_generation: Generation,
        now: DateTime<Utc>,
    ) -> (Self, Decision) {
        let mut board = Self::new(retries, limits);
        board.globally_paused = kept.globally_paused;
        board.counts = kept.counts;
        board.next_generation = first_generation.0;
        let mut tasks = kept.tasks;
        tasks.sort_by_key(|kept| (kept.task.created, kept.task.id));
        let ids: Vec<TaskId> = tasks.iter().map(|kept| kept.task.id).collect();
        for kept in tasks {
            // One that lives on although its attempt is over and written has nobody that counts on it.
            let resumes = kept.task.pending == Some(PendingReason::Resuming);
            let has_worker = matches!(kept.task.state, TaskState::Running | TaskState::Paused) || resumes;
            let worker = live.get(&kept.task.id).copied().filter(|_| has_worker);
            board.put_back(kept, worker);
        }
        // A worker whose task has ended, or is not known, is to end.
        let decision = board.decide(now, |board, decision| {
            let counts_on = |id: &TaskId, generation: &Generation| board.counts_on(*id, *generation);
            let stray = live.iter().filter(|(id, generation)| !counts_on(id, generation));
            let mut stray: Vec<(TaskId, Generation)> =
                stray.map(|(id, generation)| (*id, *generation)).collect();
            stray.sort_unstable();
            for (id, generation) in stray {
                board.wind_down(id, generation, None, decision);
            }
            for id in ids {
                board.rejoin(id, kept.unstarted.contains(&id), now, decision);
            }
        });
        (board, decision)
    }

    fn put_back(&mut self, kept: KeptTask, worker: Option<Generation>) {
        let KeptTask { task, item, repository, sealed } = kept;
        if let TaskKind::Backup(item) = &task.kind {
            self.by_item.insert(item.clone(), task.id);
        }
        let retry = match &task.pending {
            Some(PendingReason::Retry(retry)) => Some(retry.clone()),
            _ => None,
        };
        let turn = self.next_turn;
        self.next_turn += 1;
        let standing = Some(Standing::of(&task));
        self.census.note(None, standing);
        let entry = BoardTask { task, item, repository, sealed, retry, worker, turn, standing };
        if entry.task.state == TaskState::Running {
            self.running.take(super::slot_of(&entry));
        }
        self.turns.insert(&entry);
        self.tasks.insert(entry.task.id, entry);
    }

    fn rejoin(&mut self, id: TaskId, is_unstarted: bool, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(entry) = self.tasks.get_mut(&id) else { return };
        // Who looked for the network is forgotten; everybody's next attempt tells.
        if entry.task.pending == Some(PendingReason::WaitingForNetwork) {
            return self.wait(id, PendingReason::Queued, decision);
        }
        if entry.task.state != TaskState::Running || entry.worker.is_some() {
            return;
        }
        if is_unstarted || entry.sealed.is_some() {
            let generation = Generation(self.next_generation);
            self.next_generation += 1;
            entry.worker = Some(generation);
            decision.effects.push(super::Effect::Start(id, generation));
            return;
        }
        let why = "the program ended while it ran".to_owned();
        self.failed(id, Failure { class: ErrorClass::Crash, why }, now, decision);
    }
}
