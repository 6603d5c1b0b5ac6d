//! Keepwell's vocabulary: the plain values that the engine reports and that
//! commands and events carry. No behaviour beyond naming, no I/O.
//!
//! Every type here is serialised as JSON where people read and as bincode
//! between processes, so enums use serde's default (external) tagging and no
//! type uses `tag`, `untagged`, `flatten` or `skip`.

mod error_class;
mod progress;
mod schedule;

pub use error_class::ErrorClass;
pub use progress::{Progress, Stage};
pub use schedule::ScheduleText;
