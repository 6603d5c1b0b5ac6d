//! The manager: it owns the queue, the slots and the list of tasks, and it alone decides who runs.
//!
//! What it decides is the [board's](crate::board) business; this actor writes each decision to the journal,
//! and only then announces it, acts on it and answers for it, in the order of the decisions. If a write
//! fails, what was decided and not written is undone by reading the journal again.
//!
//! It holds no worker: those are task actors, which outlive a crash of the manager. A new manager adopts
//! those that live, and takes the rest from the journal.

mod ask;
mod carry_out;
mod messages;
mod start;
mod workers;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, SpawnHandle};
use keepwell_messages::{CommandId, ItemId, LatestEnd, Refusal, Reply, TaskId};

pub use messages::{
    Ask, CancelItem, CreateTask, CreateTasks, GetItemStanding, ItemStanding, ItemTask, ItemTasks,
    WorkerEnded, WorkerProgress, WorkerReached, WorkerSealed,
};

use crate::board::{Board, Decision, Limits};
use crate::journal::Journal;
use crate::ledger::{Keeper, Ledger};
use crate::schedule::{ClockJump, ClockReading, jump_between, timer_for};
use crate::setup::{CLOCK_LOOK_EVERY, Setup};
use crate::supervision::{Retire, Stable, Watched};
use crate::task::{TaskActor, WorkerId};

pub(crate) use start::StartedManager;

/// Workers at once: those that run, those that are paused or end, with room to spare.
pub(crate) const WORKERS_MAX: usize = 1024;

/// Answers of commands that are known without asking the journal: a command is sent again within moments,
/// when the manager died over it.
const SERVED_KEPT: usize = 4096;

/// See the module.
pub struct ManagerActor {
    setup: Arc<Setup>,
    journal: Journal,
    stable: Stable<Self>,
    watched: Watched<WorkerId, TaskActor>,
    board: Board,
    /// The number that a command set, which counts more than the configuration's.
    asked_max_concurrent_tasks: Option<u32>,
    workers: BTreeMap<WorkerId, Addr<TaskActor>>,
    progress: HashMap<TaskId, keepwell_messages::Progress>,
    latest_ends: HashMap<ItemId, LatestEnd>,
    ledger: Ledger<Self>,
    served: Served,
    /// Commands whose decision is being written, and who waits for the answer.
    in_flight: HashMap<CommandId, Vec<ask::Waiter>>,
    /// What follows from how it began, until it is written.
    beginning: Option<start::Beginning>,
    looked_at_clock: ClockReading,
    wake: Option<SpawnHandle>,
    retiring: bool,
}

/// Answers given lately.
#[derive(Default)]
struct Served {
    answers: HashMap<CommandId, Result<Reply, Refusal>>,
    order: VecDeque<CommandId>,
}

impl Served {
    fn insert(&mut self, command: CommandId, answer: Result<Reply, Refusal>) {
        if self.answers.insert(command, answer).is_none() {
            self.order.push_back(command);
        }
        if self.order.len() > SERVED_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

impl ManagerActor {
    /// How much may run at once, by the configuration and by command.
    fn limits(&self) -> Limits {
        let mut limits = self.setup.configured().limits.clone();
        if let Some(max) = self.asked_max_concurrent_tasks {
            limits.max_concurrent_tasks = max;
        }
        limits
    }

    /// Sets the timer for the earliest retry.
    fn set_wake(&mut self, context: &mut Context<Self>) {
        if let Some(wake) = self.wake.take() {
            context.cancel_future(wake);
        }
        let Some(next) = self.board.next_wake() else { return };
        let longest = self.setup.configured().timer_max.min(CLOCK_LOOK_EVERY);
        let wait = timer_for(next, self.setup.now(), longest);
        self.wake = Some(context.run_later(wait, Self::tick));
    }

    /// The time of a retry has come, or the clock is to be looked at.
    fn tick(&mut self, context: &mut Context<Self>) {
        self.wake = None;
        self.setup.faults.point("manager.tick", context);
        let now = self.setup.now();
        let reading = self.setup.reading();
        let jump = jump_between(self.looked_at_clock, reading);
        self.looked_at_clock = reading;
        if self.ledger.failed().is_some() || self.retiring {
            return;
        }
        let decision = match jump {
            ClockJump::Backward(_) => self.board.clock_set_back(now),
            ClockJump::None | ClockJump::Forward(_) => self.board.tick(now),
        };
        if decision == Decision::default() {
            self.set_wake(context);
        } else {
            self.carry_out(context, decision, Vec::new(), Box::new(|_, _, _| {}));
        }
    }

    /// Stops once it is to retire and nothing is left to wait for.
    fn stop_if_done(&mut self, context: &mut Context<Self>) {
        if self.retiring && self.workers.is_empty() && self.ledger.is_idle() {
            context.stop();
        }
    }
}

impl Actor for ManagerActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.setup.faults.point("manager.started", context);
        self.begin(context);
    }
}

impl Keeper for ManagerActor {
    fn ledger(&mut self) -> &mut Ledger<Self> {
        &mut self.ledger
    }

    fn is_retiring(&self) -> bool {
        self.retiring
    }

    fn read_again(&mut self, context: &mut Context<Self>) {
        self.begin_again(context);
    }
}

impl Handler<Retire> for ManagerActor {
    type Result = ();

    /// Ends all tasks; then its own end follows when the last worker has ended.
    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        self.setup.faults.point("manager.retire", context);
        self.retiring = true;
        if self.ledger.failed().is_some() {
            context.stop();
            return;
        }
        let decision = self.board.shut_down(self.setup.now());
        let then = Box::new(|actor: &mut Self, context: &mut Context<Self>, _: Result<(), Refusal>| {
            actor.stop_if_done(context);
        });
        self.carry_out(context, decision, Vec::new(), then);
    }
}
