//! One backup of one item, or one restore, from its creation to its end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ErrorClass, ItemId, Progress, TaskId};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It waits: for a slot, for its next attempt, or for somebody to resume it before it ran.
    Pending,
    /// It holds a slot and works.
    Running,
    /// It worked, and stands still without a slot.
    Paused,
    /// It ended well.
    Completed,
    /// It ended for good with an error.
    Failed,
    /// It was ended by a person or a shutdown.
    Cancelled,
}

impl TaskState {
    /// All six.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled];

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for TaskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A backup of this item.
    Backup(ItemId),
    /// A restore.
    Restore(RestoreRequest),
}

/// What is to be restored, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The name of a configured repository.
    pub repository: String,
    /// The beginning of a snapshot's id, or `latest`.
    pub snapshot: String,
    /// A folder or entry inside the snapshot; all of it if empty.
    pub path: String,
    /// Where to.
    pub target: RestoreTarget,
    /// Whether what was written is read back and compared. A database is validated always.
    pub verify: bool,
}

/// Where a restore writes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestoreTarget {
    /// An absolute folder beneath one of the configured restore roots.
    Folder(String),
    /// A Firebird database, made of the dump that the snapshot holds.
    Firebird(FirebirdTarget),
}

/// A Firebird database that is made of a dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FirebirdTarget {
    /// The name of a configured Firebird source, whose server, user and password are taken.
    pub source: String,
    /// The database's absolute path: beneath a restore root, or that source's own, with `replace`.
    pub database: String,
    /// Whether a database that is there is replaced, once the new one is whole.
    pub replace: bool,
}

/// Why a task was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Somebody asked for it.
    Manual,
    /// It was due at this time.
    Due(DateTime<Utc>),
    /// Due times were missed; one task makes up for all of them.
    CatchUp(Missed),
}

/// Due times that were missed together, one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Missed {
    /// The first of them.
    pub since: DateTime<Utc>,
    /// The last of them.
    pub due: DateTime<Utc>,
}

impl Trigger {
    /// The due times that the task stands for, the first and the last.
    pub fn due_times(self) -> Option<Missed> {
        match self {
            Self::Manual => None,
            Self::Due(due) => Some(Missed { since: due, due }),
            Self::CatchUp(missed) => Some(missed),
        }
    }
}

/// Why a pending task does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PendingReason {
    /// For its turn.
    Queued,
    /// It was paused, is to go on, and waits for a slot at the front of the queue.
    Resuming,
    /// For the time of its next attempt.
    Retry(Retry),
    /// Its destination cannot be reached; another task looks when it can be. Costs no retry.
    WaitingForNetwork,
    /// Somebody paused it before it ran.
    Paused,
}

/// The next attempt of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Its number, 2 for the first retry.
    pub attempt: u32,
    /// How many there may be.
    pub attempts_max: u32,
    /// When it begins, or may begin once there is a slot.
    pub at: DateTime<Utc>,
    /// What kind of failure ended the attempt before.
    pub class: ErrorClass,
    /// The failure in words.
    pub why: String,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// A snapshot was stored.
    BackedUp(BackedUp),
    /// Files were written back.
    Restored(Restored),
    /// It failed for good.
    Failed(Failure),
    /// It was cancelled.
    Cancelled(CancelReason),
}

impl TaskEnd {
    /// The state that it is the end of.
    pub fn state(&self) -> TaskState {
        match self {
            Self::BackedUp(_) | Self::Restored(_) => TaskState::Completed,
            Self::Failed(_) => TaskState::Failed,
            Self::Cancelled(_) => TaskState::Cancelled,
        }
    }
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackedUp {
    /// The snapshot's id, 64 hexadecimal digits.
    pub snapshot: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the repository did not hold yet.
    pub bytes_new: u64,
    /// Bytes stored for them.
    pub bytes_stored: u64,
    /// Entries that could not be read and are not in the snapshot.
    pub errors: u64,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// Files whose content was written.
    pub files_restored: u64,
    /// Files that were right already.
    pub files_unchanged: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Entries that could not be restored.
    pub errors: u64,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind of failure.
    pub class: ErrorClass,
    /// What happened, where, in one line, without secrets.
    pub why: String,
}

/// Who ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// A command.
    Requested,
    /// The system shut down; what was due counts as not covered.
    Shutdown,
    /// Its item was removed.
    ItemRemoved,
}

/// A task as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// Why it was made.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: TaskState,
    /// Why it does not run, while it is pending.
    pub pending: Option<PendingReason>,
    /// Its attempt, 1 for the first; 0 before it.
    pub attempt: u32,
    /// How many attempts it may have.
    pub attempts_max: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it last entered a state.
    pub changed: DateTime<Utc>,
    /// How it ended, once it did.
    pub end: Option<TaskEnd>,
    /// The newest counters of its attempt.
    pub progress: Option<Progress>,
}
