//! How a manager begins: from the journal, and from the workers that live.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, Addr, AsyncContext, Context, WrapFuture};
use keepwell_messages::{TaskId, TaskKind, TaskState};
use tokio::time::timeout;

use super::{ManagerActor, SERVED_KEPT, Served};
use crate::board::{Board, Decision, EndCounts, Generation, Kept, KeptTask};
use crate::journal::{self, Batch, Journal, JournalError, TaskRecord};
use crate::ledger::{AGAIN_AFTER, Ledger};
use crate::setup::{Setup, ask_journal};
use crate::supervision::{Stable, Watched};
use crate::task::{Cancel, GetState, Pause, Resume, TaskActor, WorkerId};

/// A task's actor that has not said by then how it stands is taken for one that works.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Generations of one manager; no manager starts so many workers.
const GENERATIONS: u64 = 1 << 40;

/// What a manager begins from.
pub(crate) struct StartedManager {
    kept: journal::Kept,
    served: Vec<journal::Served>,
    workers: Vec<Survivor>,
    /// Workers whose death has not been told yet: it will be.
    dying: Vec<WorkerId>,
}

/// A worker that lives.
struct Survivor {
    worker: WorkerId,
    task: Addr<TaskActor>,
    cancelled: bool,
}

/// What follows from how a manager began.
pub(super) struct Beginning {
    decision: Decision,
    survivors: Vec<Survivor>,
}

impl StartedManager {
    /// Reads the journal, once all that was decided before is in it or has failed, and asks the workers.
    pub(crate) async fn find(
        setup: &Setup,
        journal: &Journal,
        watched: &Watched<WorkerId, TaskActor>,
    ) -> Result<Self, JournalError> {
        let now = setup.now();
        let (kept, served) = ask_journal(journal, move |journal| {
            journal.commit_and_wait(Batch::new(now))?;
            Ok((journal.kept_without_items()?, journal.latest_served(SERVED_KEPT as u32)?))
        })
        .await?;
        let mut workers = Vec::new();
        let dying = watched.unreported();
        for living in watched.living() {
            let state = timeout(ANSWER_MAX, living.addr.send(GetState)).await;
            let cancelled = match state {
                Ok(Ok(state)) => state.cancelled,
                // One that has died just now is told of, too.
                Ok(Err(_)) | Err(_) => false,
            };
            workers.push(Survivor { worker: living.id, task: living.addr, cancelled });
        }
        Ok(Self { kept, served, workers, dying })
    }

    /// The manager.
    pub(crate) fn manager(
        self,
        setup: Arc<Setup>,
        journal: Journal,
        stable: Stable<ManagerActor>,
        watched: Watched<WorkerId, TaskActor>,
    ) -> ManagerActor {
        let ledger = Ledger::new(journal.clone(), setup.hub.clone());
        let configured = setup.configured();
        let board = Board::new(configured.retries.clone(), configured.limits.clone());
        let looked_at_clock = setup.reading();
        let mut manager = ManagerActor {
            setup,
            journal,
            stable,
            watched,
            board,
            asked_max_concurrent_tasks: None,
            workers: BTreeMap::new(),
            progress: HashMap::new(),
            latest_ends: HashMap::new(),
            ledger,
            served: Served::default(),
            in_flight: HashMap::new(),
            beginning: None,
            looked_at_clock,
            wake: None,
            retiring: false,
        };
        manager.take(self);
        manager
    }
}

impl ManagerActor {
    /// Takes its state from what was found.
    fn take(&mut self, found: StartedManager) {
        let StartedManager { mut kept, served, workers: survivors, dying } = found;
        if let Some(only) = &self.setup.only_item {
            let only = TaskKind::Backup(only.clone());
            kept.tasks.retain(|record| record.task.kind == only);
        }
        let now = self.setup.now();
        self.asked_max_concurrent_tasks = kept.settings.max_concurrent_tasks;
        let survive = survivors.iter().filter(|survivor| !survivor.cancelled).map(|survivor| survivor.worker);
        // A worker that lives comes after one of the same task that is dying.
        let live: HashMap<TaskId, Generation> =
            dying.into_iter().chain(survive).map(|worker| (worker.task, worker.generation)).collect();
        self.latest_ends = std::mem::take(&mut kept.latest_ends).into_iter().collect();
        let before = self.setup.managers.fetch_add(1, Ordering::Relaxed);
        let first_generation = Generation(before * GENERATIONS + 1);
        let mut kept = kept_of(kept);
        kept.unstarted = self.unstarted(&kept.tasks);
        let (retries, limits) = (self.setup.configured().retries.clone(), self.limits());
        let (board, decision) = Board::restore(retries, limits, kept, &live, first_generation, now);
        self.board = board;
        self.workers = survivors.iter().map(|survivor| (survivor.worker, survivor.task.clone())).collect();
        self.served = Served { answers: HashMap::new(), order: VecDeque::new() };
        for (command, answer) in served.into_iter().rev() {
            self.served.insert(command, answer);
        }
        self.beginning = Some(Beginning { decision, survivors });
    }

    /// The tasks that run by the journal, and whose worker nobody has come to start. All others are forgotten:
    /// what was decided of them was not written.
    fn unstarted(&self, tasks: &[KeptTask]) -> HashSet<TaskId> {
        let running = tasks.iter().filter(|kept| kept.task.state == TaskState::Running);
        let running: HashSet<TaskId> = running.map(|kept| kept.task.id).collect();
        let mut unstarted = self.setup.unstarted.lock();
        unstarted.retain(|task| running.contains(task));
        unstarted.clone()
    }

    /// Writes and does what follows from how it began.
    pub(super) fn begin(&mut self, context: &mut Context<Self>) {
        let Some(Beginning { decision, survivors }) = self.beginning.take() else { return };
        // The manager before may have died between writing and telling.
        for Survivor { worker, task, cancelled } in survivors {
            let counted_on =
                self.board.task(worker.task).filter(|entry| entry.worker() == Some(worker.generation));
            match counted_on.map(|entry| entry.task.state) {
                _ if cancelled => {}
                None => task.do_send(Cancel),
                Some(TaskState::Running) => task.do_send(Resume),
                Some(_) => task.do_send(Pause),
            }
        }
        self.set_wake(context);
        if decision != Decision::default() {
            self.carry_out(context, decision, Vec::new(), Box::new(|_, _, _| {}));
        }
    }

    /// Begins again in place.
    pub(super) fn begin_again(&mut self, context: &mut Context<Self>) {
        if self.retiring {
            context.stop();
            return;
        }
        let (setup, journal, watched) = (self.setup.clone(), self.journal.clone(), self.watched.clone());
        let find = async move { StartedManager::find(&setup, &journal, &watched).await };
        // Nothing else is done meanwhile.
        context.wait(find.into_actor(self).map(|found, actor, context| match found {
            Ok(found) => {
                actor.ledger = Ledger::new(actor.journal.clone(), actor.setup.hub.clone());
                actor.take(found);
                actor.begin(context);
            }
            Err(error) => {
                tracing::warn!(%error, "the journal cannot be read again yet");
                context.run_later(AGAIN_AFTER, Self::begin_again);
            }
        }));
    }
}

fn kept_of(kept: journal::Kept) -> Kept {
    let counts = EndCounts {
        completed: kept.ended.completed,
        failed: kept.ended.failed,
        cancelled: kept.ended.cancelled,
    };
    let tasks = kept.tasks.into_iter().map(kept_task).collect();
    Kept { tasks, globally_paused: kept.settings.globally_paused, counts, ..Kept::default() }
}

fn kept_task(record: TaskRecord) -> KeptTask {
    let TaskRecord { task, item, sealed } = record;
    let repository = match (&task.kind, &item) {
        (TaskKind::Restore(restore), _) => restore.repository.clone(),
        (TaskKind::Backup(_), Some(item)) => item.repository.clone(),
        (TaskKind::Backup(_), None) => String::new(),
    };
    KeptTask { task, item, repository, sealed }
}
