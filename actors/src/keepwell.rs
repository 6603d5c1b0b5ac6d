//! The way in for a program that embeds the system: start it, ask it, listen to it, shut it down.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use actix::{Actor, Context, Handler, Recipient, ResponseFuture};
use keepwell_messages::{
    ActorCrashed, ActorRef, Command, CommandId, ErrorClass, Event, Failure, ItemId, Refusal, Reply, Request,
    TaskKind,
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;
use uuid::Uuid;

use crate::calendar::ensure_valid;
use crate::hub::Hub;
use crate::journal::{Batch, Damage, Found, ItemsFile, Journal, JournalError};
use crate::manager::{Ask, ManagerActor, StartedManager, WORKERS_MAX};
use crate::schedule::Schedule;
use crate::scheduler::{SchedulerActor, StartedScheduler};
use crate::settings::Settings;
use crate::setup::{Setup, ask_journal};
use crate::subscription::{Subscription, Told};
use crate::supervision::{Guardian, Notice, Post, Stable, Straggler, Unreachable, Watched};
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

/// Why a command has no answer, or is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// It was refused. Nothing was done, unless the reason says that somebody could not be reached.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody answered. The command may have been carried out: asked again under the same id, it is answered
    /// and not repeated.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// What was found wrong at a start and set right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// A journal that was damaged: it was moved aside, and a new one begun with the items that are known.
    pub journal: Option<Damage>,
    /// An `items.json` that was damaged and moved aside.
    pub items_file: Option<Damage>,
}

/// A running system. Clones are handles of the same one; usable from any thread and any tokio runtime.
#[derive(Clone)]
pub struct Handle {
    manager: Stable<ManagerActor>,
    scheduler: Stable<SchedulerActor>,
    hub: Hub,
    folder: PathBuf,
    repairs: Repairs,
    shared: Arc<Shared>,
}

struct Shared {
    journal: Mutex<Option<Journal>>,
    guardian: Mutex<Option<Guardian>>,
    /// Held while it shuts down.
    shutting_down: tokio::sync::Mutex<()>,
    workers: Watched<WorkerId, TaskActor>,
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
        ensure_items(&settings)?;
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
        let setup = setup(settings, hub.clone());
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
        let shared = Shared {
            journal: Mutex::new(Some(journal)),
            guardian: Mutex::new(Some(guardian)),
            shutting_down: tokio::sync::Mutex::new(()),
            workers,
        };
        Ok(Handle { manager, scheduler, hub, folder, repairs, shared: Arc::new(shared) })
    }
}

impl Handle {
    /// Asks for something and gives the answer. However actors crash meanwhile, it is carried out once.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, AskError> {
        let reply = self.command(CommandId(Uuid::now_v7()), request.into(), IsNew::Yes).await?;
        let other = || Refusal::Invalid("another command was answered".into());
        R::reply_of(reply).ok_or_else(|| other().into())
    }

    /// Carries out a command that its sender numbered. The same id again, also after a restart of the whole
    /// process, is answered as the first time and carried out no second time; one that was refused was not
    /// carried out, and may be the next time.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask_as(&self, id: CommandId, command: Command) -> Result<Reply, AskError> {
        self.command(id, command, IsNew::Unknown).await
    }

    async fn command(&self, id: CommandId, command: Command, is_new: IsNew) -> Result<Reply, AskError> {
        let answer = match route(&command) {
            Route::Manager => {
                if is_new == IsNew::Unknown
                    && let Some(answer) = self.read(move |journal| journal.served(id)).await?
                {
                    return Ok(answer?);
                }
                match (self.manager.send(Ask { id, command: command.clone() }).await?, command) {
                    // One that has ended is the journal's.
                    (Err(Refusal::UnknownTask(task)), Command::GetTask(_)) => {
                        let record = self.read(move |journal| journal.task(task)).await?;
                        record.map(|record| Reply::GetTask(record.task)).ok_or(Refusal::UnknownTask(task))
                    }
                    (answer, _) => answer,
                }
            }
            Route::Scheduler => {
                if is_new == IsNew::Unknown
                    && let Some(answer) = self.read(move |journal| journal.served(id)).await?
                {
                    return Ok(answer?);
                }
                self.scheduler.send(Ask { id, command }).await?
            }
            Route::Journal(question) => return self.read(question).await,
        };
        Ok(answer?)
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, AskError> {
        let journal = self.shared.journal.lock().clone().ok_or(Refusal::ShuttingDown)?;
        Ok(ask_journal(&journal, question).await.map_err(|error| Refusal::Journal(error.failure()))?)
    }

    /// Subscribes to durable events after number `after`, those that are kept first; from now on if it is
    /// `None`. Progress comes with them. `None` once the system has shut down.
    pub fn subscribe(&self, after: Option<u64>) -> Option<Subscription> {
        let journal = self.shared.journal.lock().clone()?;
        Some(Subscription::new(self.hub.listen()?, after, journal))
    }

    /// As [`Handle::subscribe`], told to `subscriber`, one by one, until it or the system ends. False if the
    /// system has shut down.
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub fn subscribe_recipient(&self, subscriber: Recipient<Tell>, after: Option<u64>) -> bool {
        let Some(mut subscription) = self.subscribe(after) else { return false };
        actix_rt::spawn(async move {
            while let Some(told) = subscription.next().await {
                if subscriber.send(Tell(told)).await.is_err() {
                    break;
                }
            }
        });
        true
    }

    /// Reaches the manager, whoever holds its post, with every message that it takes.
    pub fn manager(&self) -> Stable<ManagerActor> {
        self.manager.clone()
    }

    /// Reaches the scheduler, whoever holds its post, with every message that it takes.
    pub fn scheduler(&self) -> Stable<SchedulerActor> {
        self.scheduler.clone()
    }

    /// A recipient of every command, for actors of the embedding program. It lives on the current arbiter,
    /// as long as somebody has it.
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub fn recipient(&self) -> Recipient<Perform> {
        Door { handle: self.clone() }.start().recipient()
    }

    /// What was found wrong at the start.
    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// Where the journal lives.
    pub fn data_folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Shuts down: nothing is due any more, all tasks are cancelled and their due times left for the next
    /// start to catch up; workers end, and the journal is closed. Called again it does nothing.
    ///
    /// Gives the actors that did not end as they should.
    pub async fn shutdown(&self) -> Vec<Straggler> {
        // Whoever comes second waits for the first.
        let _turn = self.shared.shutting_down.lock().await;
        let guardian = self.shared.guardian.lock().take();
        let stragglers = match guardian {
            Some(guardian) => guardian.shutdown().await,
            None => Vec::new(),
        };
        // A manager that died over its end has left some: nothing may go on unwatched.
        for worker in self.shared.workers.living() {
            self.shared.workers.kill(&worker.id);
        }
        self.hub.close();
        let journal = self.shared.journal.lock().take();
        // Closing writes what waits, and may take as long as that does.
        let _ = tokio::task::spawn_blocking(move || drop(journal)).await;
        stragglers
    }
}

/// Something that a subscriber is told, as a message.
#[derive(Clone, Debug, PartialEq, actix::Message)]
#[rtype(result = "()")]
pub struct Tell(pub Told);

/// A command, as a message to [`Handle::recipient`].
#[derive(Clone, Debug, PartialEq, actix::Message)]
#[rtype(result = "Result<Reply, AskError>")]
pub struct Perform {
    /// As its sender numbers it.
    pub id: CommandId,
    /// What is asked for.
    pub command: Command,
}

struct Door {
    handle: Handle,
}

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<Perform> for Door {
    type Result = ResponseFuture<Result<Reply, AskError>>;

    fn handle(&mut self, Perform { id, command }: Perform, _: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move { handle.ask_as(id, command).await })
    }
}

/// Whether a command's id was made just now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsNew {
    Yes,
    Unknown,
}

type Question = Box<dyn FnOnce(&Journal) -> Result<Reply, JournalError> + Send>;

/// Who answers a command.
enum Route {
    Manager,
    Scheduler,
    Journal(Question),
}

fn route(command: &Command) -> Route {
    match command.clone() {
        Command::PerformRestore(_)
        | Command::PauseBackup(_)
        | Command::ResumeBackup(_)
        | Command::PauseAllBackups(_)
        | Command::ResumeAllBackups(_)
        | Command::GetActiveTasks(_)
        | Command::GetTaskManagerStats(_)
        | Command::CancelTask(_)
        | Command::GetTask(_)
        | Command::SetMaxConcurrentTasks(_) => Route::Manager,
        Command::PerformBackup(_)
        | Command::PerformFirebirdBackup(_)
        | Command::SetItem(_)
        | Command::RemoveItem(_)
        | Command::EnableItem(_)
        | Command::GetItems(_) => Route::Scheduler,
        Command::GetScheduleOutcomes(get) => Route::Journal(Box::new(move |journal| {
            journal.outcomes(&get.item, get.limit).map(Reply::GetScheduleOutcomes)
        })),
        Command::GetHistory(get) => Route::Journal(Box::new(move |journal| {
            journal.history(get.item.as_ref(), get.limit).map(Reply::GetHistory)
        })),
        Command::GetEvents(get) => Route::Journal(Box::new(move |journal| {
            journal.events(get.after, get.limit).map(Reply::GetEvents)
        })),
    }
}

const MANAGER: &str = "manager";
const SCHEDULER: &str = "scheduler";

/// The configuration's items are checked before anything is started: a person reads the error.
fn ensure_items(settings: &Settings) -> Result<(), StartError> {
    for item in &settings.items {
        let wrong = |why: String| StartError::Item { item: item.id.clone(), why };
        ensure_valid(item).map_err(|refusal| wrong(refusal.to_string()))?;
        if let Some(schedule) = &item.schedule {
            Schedule::parse(schedule).map_err(|error| wrong(error.to_string()))?;
        }
        settings.runner.accepts(&TaskKind::Backup(item.id.clone()), Some(item)).map_err(wrong)?;
    }
    Ok(())
}

fn setup(settings: Settings, hub: Hub) -> Arc<Setup> {
    Arc::new(Setup {
        runner: settings.runner,
        items: settings.items,
        only_item: settings.only_item,
        limits: settings.limits,
        retries: settings.retries,
        hang_after: settings.hang_after,
        clock: settings.clock,
        task_ids: TaskIds::new(settings.randomness),
        faults: settings.faults,
        hub,
        fenced_workers: Arc::new(AtomicU32::new(0)),
        managers: AtomicU64::new(0),
        unstarted: Mutex::default(),
        began: Instant::now(),
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
        let done = move |fate: Result<crate::journal::Committed, JournalError>| match fate {
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
