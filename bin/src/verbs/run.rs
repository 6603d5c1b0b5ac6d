//! `run`: one item of the configuration, backed up now, with the retries that it would have in the daemon.
//!
//! Where a daemon serves, it is asked (`run_by_daemon`). Else an actor system is started in this process for this
//! one task, on the data folder's journal, and shut down after it. Nothing else that is due is started, and no due
//! time is decided: that is the daemon's.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use keepwell_actors::runner::EngineRunner;
use keepwell_actors::suggestion::did_you_mean;
use keepwell_actors::{AskError, Handle, Keepwell, Settings, Subscription, Told};
use keepwell_engine::error::Error;
use keepwell_engine::job::Engine;
use keepwell_messages::{
    BackedUp, CancelReason, CancelTask, Event, GetItems, GetTask, GetTaskManagerStats, Item, ItemId, ItemNow,
    ItemOwner, PendingReason, PerformBackup, Refusal, ResumeBackup, Task, TaskEnd, TaskId, TaskState,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cli::Context;
use crate::client::ClientArguments;
use crate::configuration::{Configuration, DEFAULT_REPOSITORY, refuse_repository_options};
use crate::exit::{Ended, Ending, Failure, start_failure};
use crate::observed_runner::{LatestFailure, ObservedRunner};
use crate::repository::{NO_LOCK_REFUSED, repository_options};
use crate::verbs::run_by_daemon;
use crate::verbs::run_words::RunWords;

/// How soon an interrupt is noticed.
const SIGNALS_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);
/// How often the task is asked about, in case that its end was not told.
const TASK_LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
The item, its repository and where the password comes from stand in the configuration file; so do retries. \
What is due meanwhile, this item included, is left to the daemon.

Exit codes are those of `backup`: 3 if some files could not be read, 130 if it was interrupted. What was stored \
by then is kept.")]
pub struct Arguments {
    /// Name of an item
    #[arg(value_name = "ITEM")]
    item: String,
    #[command(flatten)]
    client: ClientArguments,
}

/// Backs it up.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    refuse_repository_options(&context.global, "run")?;
    if context.global.no_lock {
        return Err(Failure::usage(NO_LOCK_REFUSED));
    }
    let id = ItemId(arguments.item.clone());
    if let Some(client) = arguments.client.elsewhere()? {
        let by_daemon = run_by_daemon::run(&client, &id, context);
        return actix_rt::System::new().block_on(by_daemon)?.ok_or_else(gave_up);
    }
    let configuration = arguments.client.configuration()?;
    if let Some(client) = arguments.client.of_folder(configuration.data_folder()?)? {
        let by_daemon = run_by_daemon::run(&client, &id, context);
        if let Some(ending) = actix_rt::System::new().block_on(by_daemon)? {
            return Ok(ending);
        }
    }
    let journal = configuration.data_folder()?.join("journal");
    let item = configuration.item(&id);
    // Items may also stand in the journal; without one there is nothing to look into.
    if item.is_none() && !journal.exists() {
        return Err(unknown_item(&id, &configuration, &[]));
    }
    if item.is_some_and(|item| item.repository == DEFAULT_REPOSITORY) {
        configuration.make_default_repository(context)?;
    }
    let engine = Engine::new(repository_options(&context.global));
    let runner = Arc::new(EngineRunner::new(engine, configuration.places(&context.global)?));
    let runner = ObservedRunner::new(runner, context.output.clone());
    let latest_failure = runner.latest_failure();
    let settings = Settings {
        items: item.into_iter().cloned().collect(),
        only_item: Some(id.clone()),
        ..configuration.settings(&journal, Arc::new(runner))
    };
    let one = OneTask { id, configuration: &configuration, latest_failure, context };
    actix_rt::System::new().block_on(one.carry_out(settings))
}

fn unknown_item(id: &ItemId, configuration: &Configuration, others: &[ItemNow]) -> Failure {
    let configured = configuration.items.iter().map(|item| &item.id);
    let known: Vec<&str> =
        configured.chain(others.iter().map(|other| &other.item.id)).map(|id| id.0.as_str()).collect();
    let meant = did_you_mean(&id.0, known.iter().copied());
    let file = configuration.file.display();
    let failure = Failure::usage(format!("there is no item {id} in {file}{meant}"));
    match known.as_slice() {
        [] => failure.hint("write one there: [items.NAME] with paths = [\"/path\"]"),
        known => failure.hint(format!("there are {}", known.join(", "))),
    }
}

/// One task, from its start to its end.
struct OneTask<'a> {
    id: ItemId,
    configuration: &'a Configuration,
    latest_failure: LatestFailure,
    context: &'a Context,
}

/// A task that is followed.
#[derive(Clone, Copy)]
struct Followed {
    task: TaskId,
    /// Whether an earlier process had begun it.
    joined: bool,
}

impl OneTask<'_> {
    async fn carry_out(&self, settings: Settings) -> Ended {
        let handle = Keepwell::start(settings).await.map_err(start_failure)?;
        self.tell_repairs(&handle);
        let ended = self.ask_and_follow(&handle).await;
        for straggler in handle.shutdown().await {
            tracing::warn!(?straggler, "did not end in time");
        }
        ended
    }

    fn tell_repairs(&self, handle: &Handle) {
        let repairs = handle.repairs();
        for (what, damage, consequence) in [
            ("the journal", &repairs.journal, "a new one is begun, and history starts again"),
            ("items.json", &repairs.items_file, "items that only it knew are gone"),
        ] {
            if let Some(damage) = damage {
                let (why, moved_to) = (&damage.why, damage.moved_to.display());
                self.context.output.notice(&format!(
                    "{what} was damaged ({why}); it was moved to {moved_to}; {consequence}"
                ));
            }
        }
    }

    async fn ask_and_follow(&self, handle: &Handle) -> Ended {
        // Before the question: the end of what it starts cannot be missed.
        let mut told = handle.subscribe(None).ok_or_else(gave_up)?;
        self.ensure_known(handle).await?;
        let words = RunWords::new(&self.context.output, self.id.clone());
        let followed = self.ask(handle).await?;
        let task = self.follow(handle, &mut told, followed, &words).await?;
        let elapsed = words.elapsed();
        words.end();
        match task.end {
            Some(TaskEnd::BackedUp(backed_up)) => {
                words.tell_summary(task.id, task.attempt, &backed_up, elapsed)?;
                Ok(ending_of(&backed_up))
            }
            Some(TaskEnd::Failed(failure)) => {
                // The engine's own words are those of the last attempt, unless that ended otherwise.
                let latest = self.latest_failure.lock().take();
                let latest = latest.filter(|latest| latest.message() == failure.why);
                Err(latest.unwrap_or_else(|| Failure::of_class(failure.class, failure.why)))
            }
            Some(TaskEnd::Cancelled(CancelReason::Requested | CancelReason::Shutdown)) => {
                Err(Error::Cancelled.into())
            }
            Some(TaskEnd::Cancelled(CancelReason::ItemRemoved) | TaskEnd::Restored(_)) | None => {
                Err(gave_up())
            }
        }
    }

    /// An item of the configuration, or one that a command made; not one that the configuration had once.
    async fn ensure_known(&self, handle: &Handle) -> Result<(), Failure> {
        let is_here = |item: &Item| item.id == self.id;
        if self.configuration.items.iter().any(is_here) {
            return Ok(());
        }
        let items = handle.ask(GetItems {}).await.map_err(ask_failure)?.items;
        let of_journal: Vec<ItemNow> =
            items.into_iter().filter(|item| item.owner == ItemOwner::Journal).collect();
        match of_journal.iter().any(|item| item.item.id == self.id) {
            true => Ok(()),
            false => Err(unknown_item(&self.id, self.configuration, &of_journal)),
        }
    }

    async fn ask(&self, handle: &Handle) -> Result<Followed, Failure> {
        if handle.ask(GetTaskManagerStats {}).await.map_err(ask_failure)?.globally_paused {
            return Err(Failure::usage("everything is paused, and nothing starts")
                .hint("let it go on (resume-all-backups) where it was paused, then run this again"));
        }
        match handle.ask(PerformBackup { item: self.id.clone() }).await {
            Ok(made) => Ok(Followed { task: made.task, joined: false }),
            Err(AskError::Refused(Refusal::DuplicateTask(task))) => {
                self.join(handle, task).await?;
                Ok(Followed { task, joined: true })
            }
            Err(error) => Err(ask_failure(error)),
        }
    }

    /// An earlier process was killed before it could end this task.
    async fn join(&self, handle: &Handle, task: TaskId) -> Result<(), Failure> {
        self.context.output.notice(&format!("a backup of {} had been interrupted; it goes on", self.id));
        let now = handle.ask(GetTask { task }).await.map_err(ask_failure)?;
        let is_paused = now.state == TaskState::Paused || now.pending == Some(PendingReason::Paused);
        if is_paused {
            handle.ask(ResumeBackup { task: Some(task) }).await.map_err(ask_failure)?;
        }
        Ok(())
    }

    /// Until the task has ended.
    async fn follow(
        &self,
        handle: &Handle,
        told: &mut Subscription,
        followed: Followed,
        words: &RunWords,
    ) -> Result<Task, Failure> {
        let task = followed.task;
        if followed.joined {
            let now = handle.ask(GetTask { task }).await.map_err(ask_failure)?;
            words.tell_pending(&now);
        }
        let mut look_at_signals = interval(SIGNALS_LOOKED_AT_EVERY);
        look_at_signals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut cancelled, mut looked_at_task) = (false, Instant::now());
        loop {
            let may_have_ended = tokio::select! {
                told = told.next() => match told.ok_or_else(gave_up)? {
                    Told::Event(event) => {
                        words.event(&event, task)?;
                        is_end_of(&event.event, task)
                    }
                    Told::Progress(progress) => {
                        words.progress(&progress, task)?;
                        false
                    }
                    Told::Missed { .. } => true,
                },
                _ = look_at_signals.tick() => {
                    if self.context.control.is_cancelled() && !cancelled {
                        cancelled = true;
                        match handle.ask(CancelTask { task }).await {
                            // It ended by itself just now.
                            Err(AskError::Refused(Refusal::WrongState(..) | Refusal::UnknownTask(_))) => {}
                            answer => drop(answer.map_err(ask_failure)?),
                        }
                    }
                    looked_at_task.elapsed() >= TASK_LOOKED_AT_EVERY
                }
            };
            if may_have_ended {
                looked_at_task = Instant::now();
                let now = handle.ask(GetTask { task }).await.map_err(ask_failure)?;
                if now.state.is_end() {
                    return Ok(now);
                }
            }
        }
    }
}

fn is_end_of(event: &Event, task: TaskId) -> bool {
    match event {
        Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended) => {
            ended.task == task
        }
        _ => false,
    }
}

pub(super) fn ending_of(backed_up: &BackedUp) -> Ending {
    match backed_up.errors {
        0 => Ending::Done,
        errors => Ending::SomeUnreadable { errors },
    }
}

fn ask_failure(error: AskError) -> Failure {
    Failure::usage(error.to_string())
}

fn gave_up() -> Failure {
    Failure::usage("the backup's actors have given up; the log says why")
        .hint("run the same command again: what was stored until now is kept")
}
