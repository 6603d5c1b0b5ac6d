//! How a system starts: its settings are checked, the journal is opened, the actors are put under a guardian.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use keepwell_messages::{ActorCrashed, ActorRef, ErrorClass, Event, Failure, ItemId};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;

use crate::handle::{Handle, Repairs, Running};
use crate::hub::Hub;
use crate::journal::{Batch, Committed, Found, ItemsFile, Journal, JournalError};
use crate::manager::{ManagerActor, StartedManager, WORKERS_MAX};
use crate::questions::Questions;
use crate::reconfiguration::{InvalidItem, Reconfiguration};
use crate::scheduler::{SchedulerActor, StartedScheduler};
use crate::settings::Settings;
use crate::setup::Setup;
use crate::supervision::{Guardian, Notice, Post, Stable, Watched};
use crate::task::{TaskActor, WorkerId};
use crate::task_ids::TaskIds;

/// Starts systems.
pub struct Keepwell;

/// Why a system was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The journal cannot be used; nothing was changed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An item of the configuration is not valid.
    #[error("item {item}: {why}")]
    Item {
        /// Which.
        item: ItemId,
        /// What is wrong, and what to write instead.
        why: String,
    },
}

impl Keepwell {
    /// Starts the actors on the current arbiter of the actix system that is running. They take up what the
    /// journal holds, and what is overdue, after this has returned; only the journal's opening is waited for.
    ///
    /// # Errors
    /// See [`StartError`]. A damaged journal is none: see [`Handle::repairs`].
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub async fn start(settings: Settings) -> Result<Handle, StartError> {
        let configured = Reconfiguration::from(&settings);
        configured.ensure_items().map_err(|InvalidItem { item, why }| StartError::Item { item, why })?;
        let folder = settings.data_folder.clone();
        let now = settings.clock.now().into();
        let opening = tokio::task::spawn_blocking(move || Journal::open(&folder, now)).await;
        let (journal, opened) = opening.unwrap_or(Err(JournalError::Closed))?;
        let repairs = Repairs {
            journal: match opened.found {
                Found::Damaged(damage) => Some(damage),
                Found::Whole | Found::Nothing => None,
            },
            items_file: match opened.items_file {
                ItemsFile::Damaged(damage) => Some(damage),
                ItemsFile::NotNeeded | ItemsFile::Absent | ItemsFile::Read(_) => None,
            },
        };
        let folder = settings.data_folder.clone();
        let (supervision, hub) = (settings.supervision, Hub::new());
        let setup = setup(settings, configured, hub.clone());
        let mut guardian = guardian(&setup, &journal);
        let post = Post::new(MANAGER, supervision);
        let workers = Watched::new(post.stable(), WORKERS_MAX);
        let manager = supervise_manager(&mut guardian, post, &setup, &journal, &workers);
        let scheduler = supervise_scheduler(
            &mut guardian,
            Post::new(SCHEDULER, supervision),
            &setup,
            &journal,
            manager.clone(),
        );
        let questions = Questions::new(setup.clone());
        let running = Running::new(journal, guardian, workers, questions, setup);
        Ok(Handle::new(manager, scheduler, hub, folder, repairs, running))
    }
}

const MANAGER: &str = "manager";
const SCHEDULER: &str = "scheduler";

fn setup(settings: Settings, configured: Reconfiguration, hub: Hub) -> Arc<Setup> {
    Arc::new(Setup {
        configured: Mutex::new(Arc::new(configured)),
        only_item: settings.only_item,
        clock: settings.clock,
        task_ids: TaskIds::new(settings.randomness),
        faults: settings.faults,
        hub,
        fenced_workers: Arc::new(AtomicU32::new(0)),
        managers: AtomicU64::new(0),
        unstarted: Mutex::default(),
        began: Instant::now(),
        program_version: settings.program_version,
        time_zone: settings.time_zone,
    })
}

/// A guardian that writes down what happens to its children.
fn guardian(setup: &Arc<Setup>, journal: &Journal) -> Guardian {
    let (setup, journal) = (setup.clone(), journal.clone());
    Guardian::new(move |notice| {
        let mut batch = Batch::new(setup.now());
        batch.events.push(match notice {
            Notice::Died { child, death } => crashed(child, death.to_string()),
            Notice::Restarted { child, .. } => Event::ActorRestarted(actor_of(child)),
            Notice::GaveUp { child, why } => crashed(child, why.to_string()),
        });
        let hub = setup.hub.clone();
        let done = move |fate: Result<Committed, JournalError>| match fate {
            Ok(committed) => hub.tell(&committed.events),
            Err(error) => tracing::error!(%error, "a death of an actor is not written down"),
        };
        journal.commit(batch, Box::new(done));
    })
}

fn crashed(child: &str, why: String) -> Event {
    let failure = Failure { class: ErrorClass::Crash, why };
    Event::ActorCrashed(ActorCrashed { actor: actor_of(child), failure })
}

fn actor_of(child: &str) -> ActorRef {
    if child == SCHEDULER { ActorRef::Scheduler } else { ActorRef::Manager }
}

fn supervise_manager(
    guardian: &mut Guardian,
    post: Post<ManagerActor>,
    setup: &Arc<Setup>,
    journal: &Journal,
    workers: &Watched<WorkerId, TaskActor>,
) -> Stable<ManagerActor> {
    let (setup, journal, workers) = (setup.clone(), journal.clone(), workers.clone());
    guardian.supervise(post, move |start| {
        let (setup, journal, workers) = (setup.clone(), journal.clone(), workers.clone());
        async move {
            setup.faults.passage("manager.start").await;
            let found = StartedManager::find(&setup, &journal, &workers).await?;
            Ok::<_, JournalError>(found.manager(setup, journal, start.stable, workers))
        }
    })
}

fn supervise_scheduler(
    guardian: &mut Guardian,
    post: Post<SchedulerActor>,
    setup: &Arc<Setup>,
    journal: &Journal,
    manager: Stable<ManagerActor>,
) -> Stable<SchedulerActor> {
    let (setup, journal) = (setup.clone(), journal.clone());
    guardian.supervise(post, move |_| {
        let (setup, journal, manager) = (setup.clone(), journal.clone(), manager.clone());
        async move {
            setup.faults.passage("scheduler.start").await;
            let found = StartedScheduler::find(&setup, &journal, &manager).await?;
            Ok::<_, JournalError>(found.scheduler(setup, journal, manager))
        }
    })
}
