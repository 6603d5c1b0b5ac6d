//! The scheduler: it owns the items and looks at the clock. It never runs anything itself.
//!
//! What is due is the [calendar's](crate::calendar) business. This actor asks the manager for a task for each
//! due time, under a command id that is the same after a crash, so that a due time asked for twice runs once;
//! and it writes down why there was none. The next due time follows from the one that was dealt with last,
//! not from the end of its task: rescheduling after a success or a failure depends on no message that could
//! be lost.

mod ask;
mod due;
mod start;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use keepwell_messages::{CommandId, ItemId, Refusal};

use crate::calendar::{Calendar, Wanted};
use crate::journal::Journal;
use crate::ledger::{AGAIN_AFTER, Keeper, Ledger};
use crate::manager::ManagerActor;
use crate::schedule::{ClockJump, ClockReading, jump_between, timer_for};
use crate::setup::{CLOCK_LOOK_EVERY, Setup};
use crate::supervision::{Owed, Retire, Stable};

pub use ask::GetItem;
pub(crate) use start::StartedScheduler;

/// See the module.
pub struct SchedulerActor {
    setup: Arc<Setup>,
    journal: Journal,
    manager: Stable<ManagerActor>,
    calendar: Calendar,
    ledger: Ledger<Self>,
    /// Tasks that are due and not asked for yet.
    to_ask: VecDeque<Wanted>,
    /// The manager is being asked.
    asking: bool,
    /// Why nothing is asked for now, if so: it is tried again a while later.
    held: Option<Refusal>,
    /// Items with due times of which it is not decided what becomes of them.
    undecided: BTreeMap<ItemId, due::Undecided>,
    /// Commands that are being carried out, and who waits for the answer.
    in_flight: HashMap<CommandId, Vec<ask::Waiter>>,
    /// Who waits until a new configuration is taken in: it is when no due time is undecided.
    to_take_in: Vec<Owed<Result<(), Refusal>>>,
    looked_at_clock: ClockReading,
    wake: Option<SpawnHandle>,
    retiring: bool,
}

impl SchedulerActor {
    /// Sets the timer for the next due time.
    fn set_wake(&mut self, context: &mut Context<Self>) {
        if let Some(wake) = self.wake.take() {
            context.cancel_future(wake);
        }
        if self.setup.only_item.is_some() {
            return;
        }
        let now = self.setup.now();
        if self.ledger.failed().is_some() || self.held.is_some() {
            self.wake = Some(context.run_later(AGAIN_AFTER, Self::wake));
            return;
        }
        let longest = self.setup.configured().timer_max.min(CLOCK_LOOK_EVERY);
        let to_next = self.calendar.next_wake().map_or(longest, |next| timer_for(next, now, longest));
        self.wake = Some(context.run_later(to_next, Self::wake));
    }

    /// A due time may have come. After a jump of the clock this is what a start does: what was missed is
    /// caught up, and a clock that was set back makes nothing due again.
    fn wake(&mut self, context: &mut Context<Self>) {
        self.wake = None;
        self.setup.faults.point("scheduler.wake", context);
        let reading = self.setup.reading();
        match jump_between(self.looked_at_clock, reading) {
            ClockJump::None => {}
            ClockJump::Forward(by) => {
                tracing::info!(?by, "the clock went forward; what was missed is caught up")
            }
            ClockJump::Backward(by) => {
                tracing::info!(?by, "the clock was set back; nothing runs twice");
                self.disbelieve_the_future(context);
            }
        }
        self.looked_at_clock = reading;
        // What falls due while nothing can be asked for is missed, and caught up together.
        if self.ledger.failed().is_none() && self.held.is_none() && !self.retiring {
            self.deal_with_due(context);
        }
        self.set_wake(context);
    }
}

impl Actor for SchedulerActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.setup.faults.point("scheduler.started", context);
        self.begin(context);
    }
}

impl Keeper for SchedulerActor {
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

impl Handler<Retire> for SchedulerActor {
    type Result = ();

    /// All timers are cleared. What is due and not decided stays uncovered: the next start catches up.
    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        self.setup.faults.point("scheduler.retire", context);
        self.retiring = true;
        if let Some(wake) = self.wake.take() {
            context.cancel_future(wake);
        }
        Ledger::after(self, context, Box::new(|_, context, _| context.stop()));
    }
}
