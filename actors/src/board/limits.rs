//! How much may run at once.

use std::collections::HashMap;

/// How much may run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Backups, in all.
    pub max_concurrent_tasks: u32,
    /// Backups into one repository that `by_repository` does not name; absent: as many as there are slots.
    pub per_repository: Option<u32>,
    /// Backups into these repositories.
    pub by_repository: HashMap<String, u32>,
    /// Restores, beside the backups.
    pub restores: u32,
}

impl Limits {
    /// The most that may be asked for: each worker has threads and some 100 MiB of buffers.
    pub const MAX_CONCURRENT_TASKS_MAX: u32 = 64;

    /// Whether `taken` backups into `repository` leave room for another one.
    pub(super) fn has_room_in(&self, repository: &str, taken: usize) -> bool {
        self.limit_of(repository).is_none_or(|limit| taken < limit as usize)
    }

    /// How many backups into `repository` may run at once, if it has a limit of its own.
    pub(super) fn limit_of(&self, repository: &str) -> Option<u32> {
        let limit = self.by_repository.get(repository).copied().or(self.per_repository);
        limit.map(|limit| limit.max(1))
    }
}

impl Default for Limits {
    /// Three backups, as the user's program has it, and one restore.
    fn default() -> Self {
        Self { max_concurrent_tasks: 3, per_repository: None, by_repository: HashMap::new(), restores: 1 }
    }
}
