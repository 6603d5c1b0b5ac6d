//! The whole system on virtual time: its real actors and journal, a clock that jumps to whatever happens
//! next, and an engine that only pretends to work.
//!
//! Tests drive it through years with crashes of every kind; `keepwell simulate` shows a user what his
//! configuration would do. Real are the three actors, their supervision and the journal on its file;
//! simulated are time, the engine behind [`JobEngine`](keepwell_engine::job::JobEngine), and its store.

mod clock;
mod engine;

use std::cell::RefCell;
use std::future::Future;

use actix_rt::System;

pub use clock::SimulatedClock;
pub use engine::{Course, CourseEnd, Courses, SimulatedEngine, SimulatedStore, StoredSnapshot};

use crate::runner::{Attempt, KnownNames, Workshop};
use keepwell_engine::error::Result;
use keepwell_engine::repository::RepositoryAddress;
use keepwell_messages::{Item, TaskKind};

/// Runs `life` in an actix system of its own, on this thread, whose timers take no time. What is left of it
/// when `life` returns is dropped as it is, as when a process is killed.
///
/// # Errors
/// The system could not be made: the operating system has no room for it.
pub fn on_virtual_time<T>(life: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let runtime = RefCell::new(Some(runtime));
    // actix asks once, through a function that could be called often.
    let take = move || runtime.take().expect("a system has one runtime");
    Ok(System::with_tokio_rt(take).block_on(life))
}

/// Accepts whatever is asked for, and makes an attempt of an attempt: the simulated engine needs no more.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyPlace;

impl Workshop<Attempt> for AnyPlace {
    fn accepts(&self, _: &TaskKind, _: Option<&Item>) -> Result<(), String> {
        Ok(())
    }

    fn job(&self, attempt: &Attempt) -> Result<Attempt> {
        Ok(attempt.clone())
    }

    fn repository(&self, name: &str) -> Result<RepositoryAddress, String> {
        Err(format!("the repository {name} is only pretended, and cannot be asked"))
    }

    fn names(&self) -> KnownNames {
        KnownNames::default()
    }
}
