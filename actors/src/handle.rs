//! The way in for a program that embeds the system: ask it, listen to it, shut it down.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::{Actor, Context, Handler, Recipient, ResponseFuture};
use keepwell_messages::{
    Command, CommandId, GetDueTimes, GetItemExplanation, ItemExplanation, ItemId, ItemNow, Refusal, Reply,
    Request,
};
use parking_lot::Mutex;
use thiserror::Error;
use uuid::Uuid;

use crate::hub::Hub;
use crate::journal::{Damage, Journal, JournalError};
use crate::manager::{Ask, GetItemStanding, ManagerActor};
use crate::questions::explanation::{Facts, OUTCOMES_LOOKED_AT, TASKS_LOOKED_AT, explain};
use crate::questions::{FileDownload, Questions};
use crate::reconfiguration::{Reconfiguration, ReconfigureError, Reconfigured};
use crate::runner::{RepositoryQuestion, WantedFile};
use crate::scheduler::{GetItem, SchedulerActor};
use crate::setup::{Setup, ask_journal};
use crate::subscription::{ProgressSubscription, Subscription, Told};
use crate::supervision::{Guardian, Stable, Straggler, Unreachable, Watched};
use crate::task::{TaskActor, WorkerId};

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
    /// It did not come to its turn, and nothing was done: what others asked for takes too long.
    #[error("{0}")]
    Busy(String),
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
    running: Arc<Running>,
}

/// What ends with the system.
pub(crate) struct Running {
    journal: Mutex<Option<Journal>>,
    guardian: Mutex<Option<Guardian>>,
    /// Held while it shuts down.
    shutting_down: tokio::sync::Mutex<()>,
    /// Held while it takes on a new configuration.
    reconfiguring: tokio::sync::Mutex<()>,
    workers: Watched<WorkerId, TaskActor>,
    questions: Questions,
    setup: Arc<Setup>,
}

impl Running {
    pub(crate) fn new(
        journal: Journal,
        guardian: Guardian,
        workers: Watched<WorkerId, TaskActor>,
        questions: Questions,
        setup: Arc<Setup>,
    ) -> Self {
        Self {
            journal: Mutex::new(Some(journal)),
            guardian: Mutex::new(Some(guardian)),
            shutting_down: tokio::sync::Mutex::new(()),
            reconfiguring: tokio::sync::Mutex::new(()),
            workers,
            questions,
            setup,
        }
    }
}

impl Handle {
    pub(crate) fn new(
        manager: Stable<ManagerActor>,
        scheduler: Stable<SchedulerActor>,
        hub: Hub,
        folder: PathBuf,
        repairs: Repairs,
        running: Running,
    ) -> Self {
        Self { manager, scheduler, hub, folder, repairs, running: Arc::new(running) }
    }

    /// Asks for something and gives the answer. However actors crash meanwhile, it is carried out once.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, AskError> {
        let reply = self.ask_command(request.into()).await?;
        let other = || Refusal::Invalid("another command was answered".into());
        R::reply_of(reply).ok_or_else(|| other().into())
    }

    /// The same for a command of any kind, with its reply among the others.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask_command(&self, command: Command) -> Result<Reply, AskError> {
        self.command(CommandId(Uuid::now_v7()), command, IsNew::Yes).await
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
            Route::Repository(question) => return self.running.questions.ask(question).await,
            Route::Setup => Ok(Reply::GetSetup(self.running.questions.setup())),
            Route::DueTimes(get) => self.running.questions.due_times(&get).map(Reply::GetDueTimes),
            Route::Explanation(get) => self.explain(get.item).await?.map(Reply::GetItemExplanation),
        };
        Ok(answer?)
    }

    /// Whether both actors answer, and what they decided is being written. However much there is to do and to remember,
    /// it costs them next to nothing.
    pub async fn answers(&self) -> bool {
        matches!(self.ask_of_nobody().await, Ok(Ok(_) | Err(Refusal::UnknownItem(_))))
    }

    /// Whether both actors answer, be it with a refusal: while the disk under the journal is full everything is refused,
    /// and nothing hangs.
    pub async fn lives(&self) -> bool {
        self.ask_of_nobody().await.is_ok()
    }

    /// The scheduler asks the manager of the item before it says that there is none of no name.
    async fn ask_of_nobody(&self) -> Result<Result<ItemNow, Refusal>, Unreachable> {
        self.scheduler.send(GetItem { item: ItemId(String::new()) }).await
    }

    /// Opens a file of a snapshot: `snapshot` is the beginning of an id, or `latest`, and `path` absolute in it. Its
    /// content comes as it is taken, each piece checked before it is given; dropped, it ends.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if a name stands for nothing, or the path for no file; [`Refusal::QueueFull`];
    /// [`Refusal::Failed`] if the repository cannot be read; [`AskError::Busy`].
    pub async fn open_file(
        &self,
        repository: &str,
        snapshot: &str,
        path: &str,
    ) -> Result<FileDownload, AskError> {
        let wanted =
            WantedFile { repository: repository.into(), snapshot: snapshot.into(), path: path.into() };
        self.running.questions.open_file(wanted).await
    }

    /// Questions to repositories and downloads that somebody waits for.
    pub fn questions_under_way(&self) -> usize {
        self.running.questions.count()
    }

    /// Why an item's backup runs, waits, or did not run.
    async fn explain(&self, item: ItemId) -> Result<Result<ItemExplanation, Refusal>, AskError> {
        let now = match self.scheduler.send(GetItem { item: item.clone() }).await? {
            Ok(now) => now,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let standing = match self.manager.send(GetItemStanding { item: item.clone() }).await? {
            Ok(standing) => standing,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let past = self.read(move |journal| {
            let outcomes = journal.outcomes(&item, OUTCOMES_LOOKED_AT)?.outcomes;
            Ok((outcomes, journal.history(Some(&item), None, TASKS_LOOKED_AT)?.tasks))
        });
        let (outcomes, history) = past.await?;
        let facts = Facts { now: self.running.questions.now(), item: now, standing, outcomes, history };
        Ok(Ok(explain(facts)))
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, AskError> {
        let journal = self.running.journal.lock().clone().ok_or(Refusal::ShuttingDown)?;
        Ok(ask_journal(&journal, question).await.map_err(|error| Refusal::Journal(error.failure()))?)
    }

    /// Subscribes to durable events after number `after`, those that are kept first; from now on if it is
    /// `None`. Progress comes with them. `None` once the system has shut down.
    pub fn subscribe(&self, after: Option<u64>) -> Option<Subscription> {
        let journal = self.running.journal.lock().clone()?;
        Some(Subscription::new(self.hub.listen()?, after, journal))
    }

    /// Subscribes to the progress of tasks alone, from now on. `None` once the system has shut down.
    pub fn subscribe_to_progress(&self) -> Option<ProgressSubscription> {
        self.hub.listen_to_progress().map(ProgressSubscription)
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

    /// Takes on a new configuration, while everything runs on. Returns once all that follows from it is in the
    /// journal. Several at once are taken on one after the other.
    ///
    /// # Errors
    /// See [`ReconfigureError`].
    pub async fn reconfigure(&self, new: Reconfiguration) -> Result<(), ReconfigureError> {
        let _turn = self.running.reconfiguring.lock().await;
        new.ensure_items()?;
        self.running.setup.reconfigure(new);
        let manager = self.manager.send(Reconfigured).await.map_err(AskError::from);
        // Also if the manager cannot take it in: what is in the cell counts for both.
        let scheduler = self.scheduler.send(Reconfigured).await.map_err(AskError::from);
        for taken_in in [manager, scheduler] {
            taken_in?.map_err(AskError::from)?;
        }
        Ok(())
    }

    /// What was found wrong at the start.
    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// Where the journal lives.
    pub fn data_folder(&self) -> &Path {
        &self.folder
    }

    /// Shuts down: nothing is due any more, all tasks are cancelled and their due times left for the next
    /// start to catch up; workers end, and the journal is closed. Called again it does nothing.
    ///
    /// Gives the actors that did not end as they should.
    pub async fn shutdown(&self) -> Vec<Straggler> {
        // Whoever comes second waits for the first.
        let _turn = self.running.shutting_down.lock().await;
        let guardian = self.running.guardian.lock().take();
        let retire = async {
            match guardian {
                Some(guardian) => guardian.shutdown().await,
                None => Vec::new(),
            }
        };
        // A store that does not answer a question must not keep tasks from hearing that they are to end.
        let (stragglers, ()) = futures::join!(retire, self.running.questions.close());
        // A manager that died over its end has left some: nothing may go on unwatched.
        for worker in self.running.workers.living() {
            self.running.workers.kill(&worker.id);
        }
        self.hub.close();
        let journal = self.running.journal.lock().take();
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

type JournalQuestion = Box<dyn FnOnce(&Journal) -> Result<Reply, JournalError> + Send>;

/// Who answers a command. [`route`] is the one place that says so: the actors refuse what it does not send them.
enum Route {
    Manager,
    Scheduler,
    Journal(JournalQuestion),
    Repository(RepositoryQuestion),
    /// What is known here will do.
    Setup,
    /// A schedule alone tells.
    DueTimes(GetDueTimes),
    /// Several together.
    Explanation(GetItemExplanation),
}

/// Whether a command is a question that a repository answers, which may take minutes.
pub fn asks_repository(command: &Command) -> bool {
    matches!(route(command), Route::Repository(_))
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
        Command::GetItemExplanation(get) => Route::Explanation(get),
        Command::GetSetup(_) => Route::Setup,
        Command::GetDueTimes(get) => Route::DueTimes(get),
        Command::GetSnapshots(get) => Route::Repository(RepositoryQuestion::Snapshots(get)),
        Command::GetFolder(get) => Route::Repository(RepositoryQuestion::Folder(get)),
        Command::GetMatchingEntries(get) => Route::Repository(RepositoryQuestion::MatchingEntries(get)),
        Command::GetDifferences(get) => Route::Repository(RepositoryQuestion::Differences(get)),
        Command::GetScheduleOutcomes(get) => Route::Journal(Box::new(move |journal| {
            journal.outcomes(&get.item, get.limit).map(Reply::GetScheduleOutcomes)
        })),
        Command::GetHistory(get) => Route::Journal(Box::new(move |journal| {
            journal.history(get.item.as_ref(), get.before, get.limit).map(Reply::GetHistory)
        })),
        Command::GetEvents(get) => Route::Journal(Box::new(move |journal| {
            journal.events(get.after, get.limit).map(Reply::GetEvents)
        })),
    }
}
