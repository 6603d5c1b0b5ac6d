//! What can be asked for: one struct for each command, each with one typed reply.
//!
//! A command in [`commands!`] is reachable through every door at once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Differences, DueTimes, Failure, Folder, GetDifferences, GetDueTimes, GetFolder, GetItemExplanation,
    GetMatchingEntries, GetSetup, GetSnapshots, Item, ItemExplanation, ItemId, ItemOwner, MatchingEntries,
    NumberedEvent, RestoreRequest, Setup, Snapshots, Task, TaskEnd, TaskId, TaskState,
};

/// A command's own struct.
pub trait Request: Into<Command> + Send + 'static {
    /// What it is answered with.
    type Reply: Send + 'static;

    /// Takes the reply out of the general one; `None` if that answers another command.
    fn reply_of(reply: Reply) -> Option<Self::Reply>;
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])* $text:literal $name:ident -> $reply:ident;)*) => {
        /// Any command.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum Command {
            $($(#[doc = $doc])* $name($name),)*
        }

        /// The answer to a command of the same name.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum Reply {
            $($(#[doc = $doc])* $name($reply),)*
        }

        $(
            impl From<$name> for Command {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }

            impl Request for $name {
                type Reply = $reply;

                fn reply_of(reply: Reply) -> Option<$reply> {
                    match reply {
                        Reply::$name(reply) => Some(reply),
                        _ => None,
                    }
                }
            }
        )*

        impl Command {
            /// The names of all commands, as doors spell them.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// What each does, in one sentence, in the order of [`Command::NAMES`].
            pub const SUMMARIES: &'static [&'static str] = &[$(concat!($($doc),*)),*];

            /// Its name, as doors spell it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }
        }

        impl Reply {
            /// The name of the command that it answers.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }
        }

        /// What a door's description says of each command, in the order of [`Command::NAMES`].
        #[cfg(feature = "openapi")]
        pub fn described_commands() -> Vec<crate::openapi::DescribedCommand> {
            vec![$(crate::openapi::DescribedCommand::new::<$name, $reply>($text, concat!($($doc),*))),*]
        }
    };
}

commands! {
    /// Back an item up now.
    "perform-backup" PerformBackup -> TaskMade;
    /// Back an item up now whose source is a Firebird database.
    "perform-firebird-backup" PerformFirebirdBackup -> TaskMade;
    /// Restore a snapshot.
    "perform-restore" PerformRestore -> TaskMade;
    /// Pause a task.
    "pause-backup" PauseBackup -> TaskNow;
    /// Let a paused task go on.
    "resume-backup" ResumeBackup -> TaskNow;
    /// Pause everything; nothing starts.
    "pause-all-backups" PauseAllBackups -> PausedAll;
    /// Let everything go on.
    "resume-all-backups" ResumeAllBackups -> PausedAll;
    /// All tasks that have not ended.
    "get-active-tasks" GetActiveTasks -> Tasks;
    /// How many of what.
    "get-task-manager-stats" GetTaskManagerStats -> TaskManagerStats;
    /// End a task.
    "cancel-task" CancelTask -> TaskNow;
    /// One task, ended or not, as long as it is kept.
    "get-task" GetTask -> Task;
    /// Change how many tasks run at once.
    "set-max-concurrent-tasks" SetMaxConcurrentTasks -> TaskManagerStats;
    /// Add an item, or replace what is known of it.
    "set-item" SetItem -> ItemNow;
    /// Remove an item; a task of it is cancelled, its history stays.
    "remove-item" RemoveItem -> ItemRemoved;
    /// Let an item's schedule count, or not.
    "enable-item" EnableItem -> ItemNow;
    /// All items.
    "get-items" GetItems -> Items;
    /// What became of an item's due times.
    "get-schedule-outcomes" GetScheduleOutcomes -> ScheduleOutcomes;
    /// Ended tasks, the newest first.
    "get-history" GetHistory -> History;
    /// Events from a number on.
    "get-events" GetEvents -> Events;
    /// What is set up here: repositories, sources, restore roots.
    "get-setup" GetSetup -> Setup;
    /// The next due times of a schedule, which need not be an item's.
    "get-due-times" GetDueTimes -> DueTimes;
    /// Why an item's backup runs, waits, or did not run.
    "get-item-explanation" GetItemExplanation -> ItemExplanation;
    /// Snapshots of a repository, the newest first.
    "get-snapshots" GetSnapshots -> Snapshots;
    /// What stands in one folder of a snapshot.
    "get-folder" GetFolder -> Folder;
    /// Entries of snapshots whose names match.
    "get-matching-entries" GetMatchingEntries -> MatchingEntries;
    /// What differs between two snapshots.
    "get-differences" GetDifferences -> Differences;
}

/// See [`Command::PerformBackup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PerformBackup {
    /// Which.
    pub item: ItemId,
}

/// See [`Command::PerformFirebirdBackup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PerformFirebirdBackup {
    /// Which.
    pub item: ItemId,
}

/// See [`Command::PerformRestore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PerformRestore {
    /// What, and where to.
    pub restore: RestoreRequest,
}

/// See [`Command::PauseBackup`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseBackup {
    /// Which; absent: the only active one.
    pub task: Option<TaskId>,
}

/// See [`Command::ResumeBackup`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResumeBackup {
    /// Which; absent: the only active one.
    pub task: Option<TaskId>,
}

/// See [`Command::PauseAllBackups`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseAllBackups {}

/// See [`Command::ResumeAllBackups`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResumeAllBackups {}

/// See [`Command::GetActiveTasks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetActiveTasks {}

/// See [`Command::GetTaskManagerStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetTaskManagerStats {}

/// See [`Command::CancelTask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelTask {
    /// Which.
    pub task: TaskId,
}

/// See [`Command::GetTask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetTask {
    /// Which.
    pub task: TaskId,
}

/// See [`Command::SetMaxConcurrentTasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetMaxConcurrentTasks {
    /// 1 to 64. Tasks that run beyond a smaller number run to their end.
    pub max_concurrent_tasks: u32,
}

/// See [`Command::SetItem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetItem {
    /// The item, whole.
    pub item: Item,
}

/// See [`Command::RemoveItem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveItem {
    /// Which.
    pub item: ItemId,
}

/// See [`Command::EnableItem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnableItem {
    /// Which.
    pub item: ItemId,
    /// Whether its schedule counts.
    pub enabled: bool,
}

/// See [`Command::GetItems`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetItems {}

/// See [`Command::GetScheduleOutcomes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetScheduleOutcomes {
    /// Which item.
    pub item: ItemId,
    /// At most so many, the newest; at most [`PAGE_MAX`].
    pub limit: u32,
}

/// See [`Command::GetHistory`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetHistory {
    /// Only of this item.
    pub item: Option<ItemId>,
    /// Only tasks that ended before this one did, which is the last of the page before; absent: from the newest on.
    /// Many tasks may end at the same instant, as in a shutdown, so that a time would not do.
    pub before: Option<TaskId>,
    /// At most so many, the newest; at most [`PAGE_MAX`].
    pub limit: u32,
}

/// See [`Command::GetEvents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GetEvents {
    /// Those after this number.
    pub after: u64,
    /// At most so many, the oldest; at most [`PAGE_MAX`].
    pub limit: u32,
}

/// The most that one answer lists.
pub const PAGE_MAX: u32 = 1000;

/// A task was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskMade {
    /// Its name.
    pub task: TaskId,
}

/// A task and where it stands once the command is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskNow {
    /// Its name.
    pub task: TaskId,
    /// Its state.
    pub state: TaskState,
}

/// Whether everything is paused now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PausedAll {
    /// It is.
    pub paused: bool,
    /// How many tasks the command paused or let go on.
    pub tasks: u32,
}

/// Tasks, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// The tasks.
    pub tasks: Vec<Task>,
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskManagerStats {
    /// Backups that hold a slot.
    pub running: u32,
    /// Restores that run, beside the slots.
    pub restoring: u32,
    /// Tasks that wait for a slot.
    pub queued: u32,
    /// Tasks that are paused, those that never ran included.
    pub paused: u32,
    /// Tasks that wait for their next attempt, or for the network.
    pub retrying: u32,
    /// Tasks that ended well since the journal began.
    pub completed: u64,
    /// Tasks that failed since the journal began.
    pub failed: u64,
    /// Tasks that were cancelled since the journal began.
    pub cancelled: u64,
    /// Whether everything is paused.
    pub globally_paused: bool,
    /// How many backups may run at once.
    pub max_concurrent_tasks: u32,
    /// Workers that did not answer and were given up, and have not ended yet.
    pub fenced_workers: u32,
}

/// An item as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemNow {
    /// The item.
    pub item: Item,
    /// Whose it is.
    pub owner: ItemOwner,
    /// When it is due next; absent: not by itself.
    pub next_due: Option<DateTime<Utc>>,
    /// Its task that has not ended.
    pub active_task: Option<TaskId>,
    /// How its latest task ended, and when.
    pub latest: Option<LatestEnd>,
}

/// How an item's latest task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LatestEnd {
    /// The task.
    pub task: TaskId,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How.
    pub end: TaskEnd,
}

/// An item is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemRemoved {
    /// The item.
    pub item: ItemId,
}

/// Items by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// The items.
    pub items: Vec<ItemNow>,
}

/// What became of due times, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleOutcomes {
    /// One for each due time, or for several that one catch-up made up for.
    pub outcomes: Vec<ScheduleOutcome>,
}

/// What became of one due time, or of several that were missed together: exactly one outcome each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleOutcome {
    /// The first of the due times that it stands for: `due` itself, unless several were missed.
    pub since: DateTime<Utc>,
    /// The due time, or the last of them.
    pub due: DateTime<Utc>,
    /// When it was decided.
    pub decided: DateTime<Utc>,
    /// What became of it.
    pub outcome: DueOutcome,
}

/// What becomes of a due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DueOutcome {
    /// It ran as this task.
    Ran(TaskId),
    /// Skipped: the item was disabled.
    Disabled,
    /// Skipped: this task of the item had not ended.
    Duplicate(TaskId),
    /// Skipped: everything was paused.
    GloballyPaused,
    /// Missed while nothing ran here, and made up for by this task.
    CoveredBy(TaskId),
    /// Skipped: the manager could not take it in, for this reason.
    Refused(String),
}

/// Ended tasks, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The tasks.
    pub tasks: Vec<Task>,
}

/// Events in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The events.
    pub events: Vec<NumberedEvent>,
    /// The number of the oldest event that is kept; what was before it cannot be had any more.
    pub oldest_kept: u64,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// This task of the same item has not ended.
    DuplicateTask(TaskId),
    /// No item of this name.
    UnknownItem(ItemId),
    /// No task of this name is kept.
    UnknownTask(TaskId),
    /// The command names no task, and there is not exactly one: these are active.
    WhichTask(Vec<TaskId>),
    /// A task in the one state does not go to the other.
    WrongState(TaskId, TaskState, TaskState),
    /// The item is the configuration file's: change it there.
    ItemOfConfigurationFile(ItemId),
    /// What was asked for is not valid, for this reason.
    Invalid(String),
    /// So many wait already, tasks or questions; ask again later.
    QueueFull(u32),
    /// Everything is paused, and what is due is skipped.
    GloballyPaused,
    /// The system is shutting down.
    ShuttingDown,
    /// The journal could not be written, so nothing was done.
    Journal(Failure),
    /// It was tried, and this went wrong: a repository cannot be reached, is locked or damaged, a password is wrong.
    Failed(Failure),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DuplicateTask(task) => write!(f, "task {task} of this item has not ended"),
            Self::UnknownItem(item) => write!(f, "there is no item {item}"),
            Self::UnknownTask(task) => write!(f, "there is no task {task}, or no longer"),
            Self::WhichTask(tasks) if tasks.is_empty() => write!(f, "no task is active"),
            Self::WhichTask(tasks) => {
                let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
                write!(f, "several tasks are active, say which: {}", tasks.join(", "))
            }
            Self::WrongState(task, from, to) => write!(f, "task {task} is {from} and cannot become {to}"),
            Self::ItemOfConfigurationFile(item) => {
                write!(f, "item {item} stands in the configuration file; change it there")
            }
            Self::Invalid(why) => f.write_str(why),
            Self::QueueFull(waiting) => write!(f, "{waiting} wait already; ask again later"),
            Self::GloballyPaused => f.write_str("everything is paused"),
            Self::ShuttingDown => f.write_str("the system is shutting down"),
            Self::Journal(failure) => write!(f, "the journal could not be written: {}", failure.why),
            Self::Failed(failure) => f.write_str(&failure.why),
        }
    }
}

impl std::error::Error for Refusal {}
