//! The actor system: schedule, queue, run, supervise, retry.
//!
//! What stands so far are its rules, pure functions without a clock or I/O:
//! [`schedule`] says when an item is due, [`retry`] whether a failed attempt is
//! followed by another, [`transition`] which state follows which, [`board`]
//! who runs now, and [`calendar`] what is due. [`supervision`] keeps actors
//! alive, and the [`journal`] remembers. The actors are built on these and on the
//! engine's seam (`keepwell_engine::job`).

pub mod board;
pub mod calendar;
pub mod journal;
pub mod retry;
pub mod schedule;
pub mod supervision;
pub mod transition;
