//! What the manager is told and asked.

use std::collections::HashMap;

use actix::Message;
use keepwell_messages::{
    BackupProgress, Command, CommandId, Item, ItemId, LatestEnd, Refusal, Reply, TaskId, TaskMade, Trigger,
};

use crate::board::{AttemptOutcome, QueuePlace};
use crate::task::WorkerId;

/// A command, from any door. The same id again is the same command: it is carried out once and answered as
/// often as it comes. Both the manager and the scheduler take it, each its own commands.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Reply, Refusal>")]
pub struct Ask {
    /// As its sender numbers it.
    pub id: CommandId,
    /// What is asked for.
    pub command: Command,
}

/// The scheduler wants tasks. Each has its answer, in the same order.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Result<TaskMade, Refusal>>")]
pub struct CreateTasks {
    /// At most some hundred at once.
    pub tasks: Vec<CreateTask>,
}

/// One task of an item.
#[derive(Clone, Debug)]
pub struct CreateTask {
    /// The command that it answers, or what stands for a due time.
    pub command: CommandId,
    /// The item as it is now.
    pub item: Item,
    /// Why.
    pub trigger: Trigger,
    /// How the command is answered.
    pub reply: fn(TaskMade) -> Reply,
}

/// An item was removed: a task of it is to end.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), Refusal>")]
pub struct CancelItem {
    /// Which.
    pub item: ItemId,
}

/// How these items stand.
#[derive(Clone, Debug, Message)]
#[rtype(result = "HashMap<ItemId, ItemTask>")]
pub struct ItemTasks {
    /// Which; those of which nothing is known are not in the answer.
    pub items: Vec<ItemId>,
}

/// The tasks of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemTask {
    /// The one that has not ended.
    pub active: Option<TaskId>,
    /// How the latest ended.
    pub latest: Option<LatestEnd>,
}

/// How an item's task stands, and whether anything may run at all.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<ItemStanding, Refusal>")]
pub struct GetItemStanding {
    /// Which item.
    pub item: ItemId,
}

/// See [`GetItemStanding`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemStanding {
    /// Whether everything is paused.
    pub globally_paused: bool,
    /// Its task that has not ended, and where that stands.
    pub active: Option<QueuePlace>,
}

/// An attempt is over. Answered once that is in the journal; told again until then.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), Refusal>")]
pub struct WorkerEnded {
    /// Which.
    pub worker: WorkerId,
    /// How.
    pub outcome: AttemptOutcome,
}

/// A worker has sealed a snapshot. Once this is answered well, it stores it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), Refusal>")]
pub struct WorkerSealed {
    /// Which.
    pub worker: WorkerId,
    /// The snapshot's id.
    pub snapshot: String,
}

/// A worker has reached its destination.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerReached {
    /// Which.
    pub worker: WorkerId,
}

/// The newest progress of a worker.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerProgress {
    /// Which.
    pub worker: WorkerId,
    /// What is told to everybody.
    pub told: BackupProgress,
}
