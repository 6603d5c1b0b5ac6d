//! The actor system: schedule, queue, run, supervise, retry.
//!
//! This room is empty so far: the engine and the command line come first, and
//! the actors are built on the engine's seam (`keepwell_engine::job`).
