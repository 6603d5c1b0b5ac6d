//! The actor system: schedule, queue, run, supervise, retry.
//!
//! What stands so far are its rules, pure functions without a clock or I/O:
//! [`retry`] says whether a failed attempt is followed by another. The actors
//! are built on these and on the engine's seam (`keepwell_engine::job`).

pub mod retry;
