//! How many tasks stand where.
//!
//! Counted as tasks change, never by looking at all of them: people and pages ask for the statistics all the
//! time, and a hundred thousand tasks may wait.

use std::collections::BTreeSet;

use keepwell_messages::{PendingReason, Task, TaskId, TaskKind, TaskState};

use super::Board;

/// Where a task that has not ended stands, as statistics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Running,
    Restoring,
    Queued,
    Paused,
    Retrying,
}

impl Standing {
    pub(super) fn of(task: &Task) -> Self {
        match (task.state, &task.pending, &task.kind) {
            (TaskState::Running, _, TaskKind::Restore(_)) => Self::Restoring,
            (TaskState::Running, _, TaskKind::Backup(_)) => Self::Running,
            (TaskState::Paused, ..) | (_, Some(PendingReason::Paused), _) => Self::Paused,
            (_, Some(PendingReason::Retry(_) | PendingReason::WaitingForNetwork), _) => Self::Retrying,
            _ => Self::Queued,
        }
    }
}

/// How many tasks stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) running: u32,
    pub(super) restoring: u32,
    pub(super) queued: u32,
    pub(super) paused: u32,
    pub(super) retrying: u32,
}

impl Census {
    /// A task is no more where it was, and is now there.
    pub(super) fn note(&mut self, from: Option<Standing>, to: Option<Standing>) {
        if let Some(from) = from {
            let count = self.count_of(from);
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            *self.count_of(to) += 1;
        }
    }

    fn count_of(&mut self, standing: Standing) -> &mut u32 {
        match standing {
            Standing::Running => &mut self.running,
            Standing::Restoring => &mut self.restoring,
            Standing::Queued => &mut self.queued,
            Standing::Paused => &mut self.paused,
            Standing::Retrying => &mut self.retrying,
        }
    }
}

impl Board {
    /// Counts these tasks where they stand now. What ended stands nowhere.
    pub(super) fn recount(&mut self, changed: &BTreeSet<TaskId>) {
        for id in changed {
            if let Some(entry) = self.tasks.get_mut(id) {
                let to = Standing::of(&entry.task);
                let from = entry.standing.replace(to);
                self.census.note(from, Some(to));
            } else if let Some(entry) = self.ended.get_mut(id) {
                self.census.note(entry.standing.take(), None);
            }
        }
    }
}
