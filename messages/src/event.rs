//! What happened: in the past tense, to everybody who listens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Failure, ItemId, PendingReason, Progress, Retry, Stage, TaskEnd, TaskId, TaskKind, TaskState, Trigger,
};

/// A durable event. The journal numbers them without a gap, across restarts: who comes back with
/// the last number that he has seen misses none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NumberedEvent {
    /// One more than that of the event before.
    pub number: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: Event,
}

macro_rules! events {
    ($($(#[doc = $doc:literal])* $text:literal $name:ident($payload:ident);)*) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum Event {
            $($(#[doc = $doc])* $name($payload),)*
        }

        impl Event {
            /// The names of all events, as doors spell them.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// When each is told, in the order of [`Event::NAMES`].
            pub const SUMMARIES: &'static [&'static str] = &[$(concat!($($doc),*)),*];

            /// Its name, as doors spell it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }
        }
    };
}

events! {
    /// A task was made.
    "task-created" TaskCreated(TaskCreated);
    /// A task waits for its turn.
    "task-queued" TaskQueued(TaskPending);
    /// A task entered a state. Told with every change, beside the event of its own that the change may have.
    "task-status-update" TaskStatusUpdate(TaskStatusUpdate);
    /// A task ended well.
    "task-completed" TaskCompleted(TaskEnded);
    /// A task failed for good.
    "task-failed" TaskFailed(TaskEnded);
    /// A task was cancelled.
    "task-cancelled" TaskCancelled(TaskEnded);
    /// An attempt failed, there will be another.
    "task-retry" TaskRetry(TaskRetry);
    /// A task was paused.
    "task-paused" TaskPaused(TaskRef);
    /// A task goes on.
    "task-resumed" TaskResumed(TaskRef);
    /// All was paused, or is no more.
    "global-pause" GlobalPause(GlobalPause);
    /// An item was added or changed.
    "item-changed" ItemChanged(ItemRef);
    /// An item was removed.
    "item-removed" ItemRemoved(ItemRef);
    /// An actor died, its handler's panic included.
    "actor-crashed" ActorCrashed(ActorCrashed);
    /// An actor was started again with what the journal holds.
    "actor-restarted" ActorRestarted(ActorRef);
}

/// A new task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskCreated {
    /// Its name.
    pub task: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// Why.
    pub trigger: Trigger,
}

/// A task that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskPending {
    /// The task.
    pub task: TaskId,
    /// What it waits for.
    pub reason: PendingReason,
}

/// A task's new state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskStatusUpdate {
    /// The task.
    pub task: TaskId,
    /// Its state before.
    pub from: TaskState,
    /// Its state now.
    pub to: TaskState,
    /// Its attempt.
    pub attempt: u32,
}

/// A task's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskEnded {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub end: TaskEnd,
}

/// A task's next attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskRetry {
    /// The task.
    pub task: TaskId,
    /// Which attempt, when, and why.
    pub retry: Retry,
}

/// A task that something happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// The task.
    pub task: TaskId,
}

/// An item that something happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemRef {
    /// The item.
    pub item: ItemId,
}

/// Whether everything is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GlobalPause {
    /// It is.
    pub paused: bool,
}

/// One of the actors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ActorRef {
    /// The scheduler.
    Scheduler,
    /// The manager.
    Manager,
    /// The actor of this task.
    Task(TaskId),
}

/// An actor's death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ActorCrashed {
    /// Who died.
    pub actor: ActorRef,
    /// What of.
    pub failure: Failure,
}

/// How far a task is, in the user's words: the latest value only, unnumbered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackupProgress {
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: u32,
    /// As `Compressing: 45/100 files (45%)`.
    pub message: String,
    /// Of the whole attempt, 0 to 100; never falls within an attempt.
    pub percent: u8,
    /// The part of the work.
    pub stage: Stage,
    /// Whether it stands still.
    pub paused: bool,
    /// The counters behind it.
    pub progress: Progress,
}

impl BackupProgress {
    /// Its name, as doors spell it.
    pub const NAME: &'static str = "backup-progress";
}
