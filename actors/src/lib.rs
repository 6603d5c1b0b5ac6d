//! The actor system: schedule, queue, run, supervise, retry.
//!
//! [`Keepwell::start`] starts it inside any running actix system, and the [`Handle`] it gives is the way in
//! and out. Three actors speak typed messages: the [`scheduler`] knows items and the clock, the [`manager`]
//! decides who runs, and one [task actor](task) for each task that runs has its worker.
//!
//! Their rules are pure functions without a clock or I/O: [`schedule`] says when an item is due, [`calendar`]
//! what is due, [`board`] who runs now, [`transition`] which state follows which, and [`retry`] whether a failed attempt
//! is followed by another. [`supervision`] keeps actors alive, the [`journal`] remembers, and a [`runner`] does the work.
//! What is asked of repositories goes past the actors: [`Handle::ask`] answers it, and [`Handle::open_file`] gives files.

pub mod board;
pub mod calendar;
mod handle;
mod hub;
pub mod journal;
mod keepwell;
mod ledger;
pub mod manager;
mod questions;
mod reconfiguration;
pub mod retry;
pub mod runner;
pub mod schedule;
pub mod scheduler;
mod settings;
mod setup;
pub mod simulation;
mod subscription;
pub mod suggestion;
pub mod supervision;
pub mod task;
mod task_ids;
pub mod transition;

pub use handle::{AskError, Handle, Perform, Repairs, Tell, asks_repository};
pub use hub::{EVENTS_BEHIND_MAX, PROGRESS_BEHIND_MAX};
pub use keepwell::{Keepwell, StartError};
pub use questions::{
    DOWNLOADS_AT_ONCE_MAX, DOWNLOADS_WAITING_MAX, FileDownload, QUESTION_TIME_MAX,
    QUESTIONS_A_REPOSITORY_MAX, QUESTIONS_AT_ONCE_MAX, QUESTIONS_WAITING_MAX, STALL_MAX, TURN_TIME_MAX,
};
pub use reconfiguration::{InvalidItem, Reconfiguration, ReconfigureError};
pub use settings::{HANG_AFTER, Settings};
pub use subscription::{ProgressSubscription, Subscription, Told};
pub use task_ids::Randomness;
