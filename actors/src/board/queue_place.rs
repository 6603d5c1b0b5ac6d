//! Where a task stands among the others: for the question why it does not run.

use keepwell_messages::{Task, TaskId, TaskKind};

use super::Board;

/// A task that has not ended, and what its turn depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// The task.
    pub task: Task,
    /// How many tasks of its kind, backups or restores, have their turn before it; 0 unless it waits for its turn.
    pub ahead: u32,
    /// How many of its kind run.
    pub running: u32,
    /// How many of its kind may.
    pub running_max: u32,
    /// How many backups run into its repository.
    pub running_in_repository: u32,
    /// How many of these may, if that is fewer than may run at all.
    pub running_in_repository_max: Option<u32>,
    /// The name of its repository.
    pub repository: String,
}

impl Board {
    /// Where a task stands; `None` if it has ended, or never was.
    pub fn queue_place(&self, id: TaskId) -> Option<QueuePlace> {
        let entry = self.tasks.get(&id)?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let is_restore = matches!(entry.task.kind, TaskKind::Restore(_));
        let (running, running_max) = match is_restore {
            true => (self.running.restores, self.limits.restores.max(1)),
            false => (self.running.backups, self.limits.max_concurrent_tasks),
        };
        let in_repository = self.running.by_repository.get(&entry.repository).copied().unwrap_or(0);
        let limit = self.limits.limit_of(&entry.repository).filter(|limit| *limit < running_max);
        Some(QueuePlace {
            task: entry.task.clone(),
            ahead: count(self.turns.ahead_of(entry)),
            running: count(running),
            running_max,
            running_in_repository: count(in_repository),
            running_in_repository_max: limit.filter(|_| !is_restore),
            repository: entry.repository.clone(),
        })
    }
}
