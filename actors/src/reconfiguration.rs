//! What a running system can take on anew.
//!
//! It lies in the one cell of the [setup](crate::setup) that changes: an actor that is started again, for whatever
//! reason, starts with what counts then. Actors that live are told [`Reconfigured`]. It says nothing of what is
//! new, so that told twice, or late, it does no harm.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use keepwell_messages::{Item, ItemId, Refusal, TaskKind};
use thiserror::Error;

use crate::board::Limits;
use crate::calendar::ensure_valid;
use crate::handle::AskError;
use crate::retry::Retries;
use crate::runner::Runner;
use crate::schedule::Schedule;
use crate::settings::Settings;

/// What a running system can take on anew: see the fields of the same names in [`Settings`].
#[derive(Clone)]
pub struct Reconfiguration {
    /// What does the work of attempts that begin from now on. Those that run go on with the one before.
    pub runner: Arc<dyn Runner>,
    /// The configuration file's items, all of them. Those that it had before and has no more are disabled; a
    /// schedule that is another one counts from now on. Tasks that were made before go on as they are.
    pub items: Vec<Item>,
    /// How much runs at once. What runs beyond smaller limits runs to its end.
    pub limits: Limits,
    /// What follows attempts that fail from now on. A retry that has its time keeps it.
    pub retries: Retries,
    /// When a worker is given up that begins from now on.
    pub hang_after: Duration,
    /// The longest that a timer runs which is set from now on.
    pub timer_max: Duration,
}

/// Why a system did not take on a new configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReconfigureError {
    /// An item is not valid. Nothing was changed.
    #[error(transparent)]
    Item(#[from] InvalidItem),
    /// Not every actor took it in. It counts for what begins from now on, and an actor that is started again, or
    /// reads the journal again, takes it in then.
    #[error("the new configuration is not taken in everywhere: {0}")]
    NotTakenIn(#[from] AskError),
}

/// An item of the configuration that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("item {item}: {why}")]
pub struct InvalidItem {
    /// Which.
    pub item: ItemId,
    /// What is wrong, and what to write instead.
    pub why: String,
}

/// There is a new configuration. Answered once what follows from it is in the journal.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(crate) struct Reconfigured;

impl Reconfiguration {
    /// Checks the items: a person reads the error before anything is done.
    pub(crate) fn ensure_items(&self) -> Result<(), InvalidItem> {
        for item in &self.items {
            let wrong = |why: String| InvalidItem { item: item.id.clone(), why };
            ensure_valid(item).map_err(|refusal| wrong(refusal.to_string()))?;
            if let Some(schedule) = &item.schedule {
                Schedule::parse(schedule).map_err(|error| wrong(error.to_string()))?;
            }
            self.runner.accepts(&TaskKind::Backup(item.id.clone()), Some(item)).map_err(wrong)?;
        }
        Ok(())
    }
}

impl From<&Settings> for Reconfiguration {
    fn from(settings: &Settings) -> Self {
        Self {
            runner: settings.runner.clone(),
            items: settings.items.clone(),
            limits: settings.limits.clone(),
            retries: settings.retries.clone(),
            hang_after: settings.hang_after,
            timer_max: settings.timer_max,
        }
    }
}
