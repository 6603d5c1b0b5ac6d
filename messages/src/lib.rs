//! Keepwell's vocabulary: the plain values that the engine reports and that
//! commands and events carry. No behaviour beyond naming, no I/O.
//!
//! Every type here is serialised as JSON where people read and as bincode
//! between processes, so enums use serde's default (external) tagging and no
//! type uses `tag`, `untagged`, `flatten` or `skip`.

mod answer;
mod command;
mod error_class;
mod event;
mod ids;
mod item;
#[cfg(feature = "openapi")]
pub mod openapi;
mod progress;
mod query;
mod schedule;
mod task;

pub use answer::{Answer, Failed, MESSAGE_VERSION};
pub use command::*;
pub use error_class::ErrorClass;
pub use event::*;
pub use ids::{CommandId, ItemId, TaskId};
pub use item::{FilesItem, Item, ItemOwner, ItemSource};
pub use progress::{Progress, Stage};
pub use query::*;
pub use schedule::ScheduleText;
pub use task::{
    BackedUp, CancelReason, Failure, FirebirdTarget, Missed, PendingReason, RestoreRequest, RestoreTarget,
    Restored, Retry, Task, TaskEnd, TaskKind, TaskState, Trigger,
};
