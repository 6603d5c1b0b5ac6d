//! Supervision in OTP's terms: children that crash are started again, handles
//! reach whoever holds the post now, and a death is never overlooked.
//!
//! Knows actix, and nothing of backups. A [`Guardian`] supervises *posts*
//! ([`Post`]): a child that holds one is restarted from a factory within a
//! restart intensity. [`Watched`] children are started by somebody else; their
//! deaths are reported to an owner, and they outlive a crash of that owner,
//! which adopts them.
//!
//! # How a death is noticed
//! A child's context is not handed to actix to spawn: the guardian's own task
//! polls it, inside `catch_unwind` (`life.rs`). What was tried on actix 0.13.5:
//! - A panic in `started`, `stopping`, `stopped`, a handler, a future of the
//!   context (`ctx.spawn`, `ctx.wait`, `ResponseActFuture`, an interval) or a
//!   stream handler leaves through the context's `poll`: all are caught, with
//!   their text, and none needs a panic hook, which a library must not set. The
//!   embedding program's hook still runs, as for every panic.
//! - Left to itself, actix calls `stopping` and `stopped` of an actor that has
//!   just panicked, while the stack unwinds; a panic there aborts the process.
//!   Here a crashed actor's code does not run again: only its `Drop`s do, with
//!   their panics caught. (Two values that panic in `drop` while one actor is
//!   dropped abort; that is Rust's rule.)
//! - A `ResponseFuture` runs outside of the actor: its panic kills no actor, and
//!   its sender is told [`Unreachable::Unanswered`]. Children answer with
//!   `ResponseActFuture` or `AtomicResponse`.
//! - `Addr::send` does not wait for room: each clone of an address has a slot of
//!   its own beyond the capacity. [`Stable`] counts requests instead.
//! - When an arbiter stops, its tasks are dropped unpolled: handles then fail
//!   with [`Unreachable::Lost`], watched children are reported as killed.
//!
//! # Which thread
//! Children, guardian and reports live on the arbiter on which [`Guardian::supervise`]
//! and [`Watched::new`] are called; handles may be used on any thread and runtime.
//! An embedding program is safest with an arbiter that is Keepwell's alone: a
//! handler of its own that blocks then delays no backup, nor the other way
//! round, and dropping that arbiter ends all of it. Tests on virtual time use
//! the system's arbiter, since each runtime has a clock of its own.

mod answer;
mod child;
mod death;
mod faults;
mod guardian;
mod intensity;
mod life;
mod post;
mod stable;
mod watched;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Later, Owed};
pub use child::{Notice, Retire, Start};
pub use death::{DEATH_TEXT_BYTES_MAX, Death};
pub use faults::{Fault, FaultPlan, Faults, PanicAtCall, RandomFaults};
pub use guardian::{Guardian, Straggler, StragglerEnd, UNHEARD_MAX};
pub use intensity::{BACKOFF, Intensity, RESTARTS_MAX, RESTARTS_WINDOW};
pub use post::{ChildSettings, DELIVERIES_MAX, Post, REQUESTS_MAX, RETIRE_MAX};
pub use stable::{AGAIN_TURN_MAX, Stable, Unreachable};
pub use watched::{ChildDied, Living, NotWatched, Watched, WatchedCounts};
