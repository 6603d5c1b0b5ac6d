//! What the journal keeps of tasks and items, and what a start begins from.
//!
//! Times are kept whole. Counters of an attempt's progress are not kept: they
//! change four times a second and mean nothing once their worker is gone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use keepwell_messages::{Item, ItemId, ItemOwner, LatestEnd, Task, TaskKind};
use serde::{Deserialize, Serialize};

/// A task, and what its next attempt needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// The task. Its `progress` is not kept: it comes back as `None`.
    pub task: Task,
    /// A backup's item as it was when the task was made; a change of the item does not change its task.
    pub item: Option<Item>,
    /// The id of the snapshot that an attempt sealed, and maybe put: to be looked up before the next one.
    pub sealed: Option<String>,
}

impl TaskRecord {
    /// The item that the task backs up; none for a restore.
    pub fn item_id(&self) -> Option<&ItemId> {
        match &self.task.kind {
            TaskKind::Backup(item) => Some(item),
            TaskKind::Restore(_) => None,
        }
    }
}

/// An item, and how far its schedule is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemRecord {
    /// The item.
    pub item: Item,
    /// Whose it is.
    pub owner: ItemOwner,
    /// What elapsed time, as in `every 4h`, is counted from.
    pub anchor: DateTime<Utc>,
    /// Every due time up to here, this one included, has its outcome.
    pub covered_until: DateTime<Utc>,
}

/// What users set while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether everything is paused.
    pub globally_paused: bool,
    /// How many backups run at once; absent: nobody changed what the configuration says.
    pub max_concurrent_tasks: Option<u32>,
}

/// How many tasks ended since the journal began, those that it has forgotten included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedCounts {
    /// Well.
    pub completed: u64,
    /// With an error.
    pub failed: u64,
    /// By a person or a shutdown.
    pub cancelled: u64,
}

/// The state that a start begins from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// All tasks that have not ended, by id, which is the order in which they were made.
    pub tasks: Vec<TaskRecord>,
    /// All items, by id.
    pub items: Vec<ItemRecord>,
    /// How the latest task of each of these items ended, as far as it is kept.
    pub latest_ends: BTreeMap<ItemId, LatestEnd>,
    /// What users set.
    pub settings: Settings,
    /// The number of the newest event; 0 before the first.
    pub last_event: u64,
    /// How many tasks ended.
    pub ended: EndedCounts,
}
