//! `unlock`: removes locks that others left behind.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending};
use crate::repository;

/// Options of `unlock`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Remove all locks, those of running processes too
    #[arg(long)]
    remove_all: bool,
}

#[derive(Serialize)]
struct Unlocked {
    locks_removed: usize,
}

/// Removes them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let repository = repository::open(context)?;
    let locks_removed = repository.unlock(arguments.remove_all)?;
    if context.output.is_json() {
        context.output.message("unlocked", &Unlocked { locks_removed })?;
    } else {
        let locks = if locks_removed == 1 { "lock" } else { "locks" };
        context.output.remark(&format!("removed {locks_removed} {locks}"))?;
    }
    Ok(Ending::Done)
}
