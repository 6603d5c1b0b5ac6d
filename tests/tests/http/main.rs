//! The HTTP door in detail, each file one matter of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod connections;
mod health;
mod listeners;
mod logins;
mod slow_questions;
mod statuses;
