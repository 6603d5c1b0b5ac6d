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

#[cfg(test)]
mod tests {
    use keepwell_messages::Trigger;

    use super::super::tests::{at, backup, id, restore};
    use super::*;
    use crate::board::Limits;
    use crate::retry::Retries;

    #[test]
    fn a_task_knows_who_is_before_it_and_what_has_no_room() {
        let limits = Limits {
            max_concurrent_tasks: 2,
            by_repository: [("b".to_owned(), 1)].into(),
            ..Limits::default()
        };
        let mut board = Board::new(Retries::default(), limits);
        let due = Trigger::Due(at(0));
        for (number, repository, trigger) in [
            (1, "a", due),
            (2, "b", due),
            (3, "b", due),
            (4, "a", due),
            (5, "b", due),
            // What somebody asked for comes before what is due.
            (6, "a", Trigger::Manual),
        ] {
            board.create(backup(number, repository, trigger), at(0)).unwrap();
        }
        board.create(restore(7), at(0)).unwrap();
        board.create(restore(8), at(0)).unwrap();
        let shown = |number| {
            let place = board.queue_place(id(number)).unwrap();
            assert_eq!(place.task.id, id(number));
            let in_repository = (place.running_in_repository, place.running_in_repository_max);
            (place.ahead, place.running, place.running_max, place.repository, in_repository)
        };
        for (number, ahead, repository, in_repository) in [
            (1, 0, "a", (1, None)),
            (2, 0, "b", (1, Some(1))),
            (6, 0, "a", (1, None)),
            (3, 1, "b", (1, Some(1))),
            (4, 2, "a", (1, None)),
            (5, 3, "b", (1, Some(1))),
        ] {
            assert_eq!(shown(number), (ahead, 2, 2, repository.to_owned(), in_repository), "{number}");
        }
        for (number, ahead) in [(7, 0), (8, 0)] {
            let (found, running, max, _, (_, limit)) = shown(number);
            assert_eq!((found, running, max, limit), (ahead, 1, 1, None), "{number}");
        }
        assert_eq!(board.queue_place(id(9)), None);
        board.pause(id(4), at(1)).unwrap();
        assert_eq!(board.queue_place(id(4)).unwrap().ahead, 0, "it does not wait for its turn");
        assert_eq!(board.queue_place(id(5)).unwrap().ahead, 2);
    }
}
