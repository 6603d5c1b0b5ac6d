//! How a scheduler begins: from the journal, and the configuration file's items.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use keepwell_messages::{ItemId, ItemOwner, Refusal};

use super::SchedulerActor;
use super::ask::put_item;
use crate::calendar::{Calendar, KeptItem};
use crate::journal::{Batch, ItemRecord, Journal, JournalError, Write};
use crate::ledger::{AGAIN_AFTER, Ledger};
use crate::manager::{ItemTasks, ManagerActor};
use crate::reconfiguration::Reconfigured;
use crate::setup::{Setup, ask_journal};
use crate::supervision::{Answer, Owed, Stable};

/// Items that are written at once.
const ITEMS_AT_ONCE: usize = 500;

/// What a scheduler begins from.
pub(crate) struct StartedScheduler {
    items: Vec<ItemRecord>,
}

impl StartedScheduler {
    /// Reads the journal, once what was asked and written before is in it or has failed.
    pub(crate) async fn find(
        setup: &Setup,
        journal: &Journal,
        manager: &Stable<ManagerActor>,
    ) -> Result<Self, JournalError> {
        // The manager answers when all that it was asked before is written. One that is gone was asked nothing.
        let _ = manager.send(ItemTasks { items: Vec::new() }).await;
        let now = setup.now();
        let items = ask_journal(journal, move |journal| {
            journal.commit_and_wait(Batch::new(now))?;
            journal.items()
        })
        .await?;
        Ok(Self { items })
    }

    /// The scheduler.
    pub(crate) fn scheduler(
        self,
        setup: Arc<Setup>,
        journal: Journal,
        manager: Stable<ManagerActor>,
    ) -> SchedulerActor {
        let ledger = Ledger::new(journal.clone(), setup.hub.clone());
        let looked_at_clock = setup.reading();
        SchedulerActor {
            setup,
            journal,
            manager,
            calendar: calendar_of(self.items),
            ledger,
            to_ask: VecDeque::new(),
            asking: false,
            held: None,
            undecided: BTreeMap::new(),
            in_flight: HashMap::new(),
            to_take_in: Vec::new(),
            looked_at_clock,
            wake: None,
            retiring: false,
        }
    }
}

impl Handler<Reconfigured> for SchedulerActor {
    type Result = Answer<Result<(), Refusal>>;

    fn handle(&mut self, _: Reconfigured, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("scheduler.reconfigured", context);
        if self.retiring {
            return Answer::Now(Err(Refusal::ShuttingDown));
        }
        // It is taken in when the journal is read again.
        if let Some(refusal) = self.ledger.failed() {
            return Answer::Now(Err(refusal));
        }
        let (owed, answer) = Owed::new();
        self.to_take_in.push(owed);
        self.take_in_if_decided(context);
        answer
    }
}

impl SchedulerActor {
    /// Takes in the configuration file's items, then deals with what is overdue.
    pub(super) fn begin(&mut self, context: &mut Context<Self>) {
        self.take_in_configuration(context);
        self.answer_taken_in(context);
        self.disbelieve_the_future(context);
        self.deal_with_due(context);
        self.set_wake(context);
    }

    /// Takes in a new configuration, unless a due time is undecided: its item must not change meanwhile.
    pub(super) fn take_in_if_decided(&mut self, context: &mut Context<Self>) {
        if self.to_take_in.is_empty() || !self.undecided.is_empty() || self.ledger.failed().is_some() {
            return;
        }
        self.take_in_configuration(context);
        self.answer_taken_in(context);
        self.set_wake(context);
    }

    /// Answers once what was taken in is written.
    fn answer_taken_in(&mut self, context: &mut Context<Self>) {
        for owed in std::mem::take(&mut self.to_take_in) {
            Ledger::after(self, context, Box::new(move |_, _, done| owed.give(done)));
        }
    }

    fn take_in_configuration(&mut self, context: &mut Context<Self>) {
        let now = self.setup.now();
        let (setup, configured) = (self.setup.clone(), self.setup.configured());
        let mut batch = Batch::new(now);
        for item in &configured.items {
            let known = self.calendar.item(&item.id);
            if known.is_some_and(|kept| kept.owner == ItemOwner::ConfigurationFile && kept.item == *item) {
                continue;
            }
            match self.calendar.set(item.clone(), ItemOwner::ConfigurationFile, now) {
                // The file that such a process was given need not be the one that counts.
                Ok(_) if setup.only_item.is_some() => {}
                Ok(kept) => put_item(&mut batch, kept),
                // They were checked before anything was started.
                Err(why) => {
                    tracing::error!(item = %item.id, %why, "an item of the configuration is left out")
                }
            }
            if batch.writes.len() >= ITEMS_AT_ONCE {
                let full = std::mem::replace(&mut batch, Batch::new(now));
                Ledger::write(self, context, full, Box::new(|_, _, _| {}));
            }
        }
        if setup.only_item.is_some() {
            return;
        }
        let named: HashSet<&ItemId> = configured.items.iter().map(|item| &item.id).collect();
        let known = self.calendar.items().map(|kept| kept.item.id.clone());
        let gone: Vec<ItemId> = known.filter(|id| !named.contains(id)).collect();
        for id in gone {
            if self.calendar.withdraw(&id)
                && let Some(kept) = self.calendar.item(&id)
            {
                put_item(&mut batch, kept);
            }
        }
        if !batch.writes.is_empty() {
            Ledger::write(self, context, batch, Box::new(|_, _, _| {}));
        }
    }

    /// Lets items be due again that a wrong clock covered far into the future.
    pub(super) fn disbelieve_the_future(&mut self, context: &mut Context<Self>) {
        if self.setup.only_item.is_some() || self.ledger.failed().is_some() {
            return;
        }
        let now = self.setup.now();
        let ids = self.calendar.disbelieve_the_future(now);
        if let Some(first) = ids.first() {
            tracing::warn!(items = ids.len(), %first, "a clock far ahead had covered due times to come; they count");
        }
        for ids in ids.chunks(ITEMS_AT_ONCE) {
            let mut batch = Batch::new(now);
            for kept in ids.iter().filter_map(|id| self.calendar.item(id)) {
                put_item(&mut batch, kept);
                batch.writes.push(Write::ForgetOutcomesAfter(kept.item.id.clone(), now));
            }
            Ledger::write(self, context, batch, Box::new(|_, _, _| {}));
        }
    }

    /// Begins again in place: its state is ahead of the journal's.
    pub(super) fn begin_again(&mut self, context: &mut Context<Self>) {
        if self.retiring {
            context.stop();
            return;
        }
        if self.asking {
            // What becomes of due times that are asked for now must be known first.
            context.run_later(AGAIN_AFTER, Self::begin_again);
            return;
        }
        self.to_ask.clear();
        let why = self.ledger.failed().unwrap_or(Refusal::ShuttingDown);
        self.refuse_waiting(&why);
        self.undecided.clear();
        let (setup, journal, manager) = (self.setup.clone(), self.journal.clone(), self.manager.clone());
        let find = async move { StartedScheduler::find(&setup, &journal, &manager).await };
        context.wait(find.into_actor(self).map(|found, actor, context| match found {
            Ok(found) => {
                actor.ledger = Ledger::new(actor.journal.clone(), actor.setup.hub.clone());
                actor.calendar = calendar_of(found.items);
                actor.begin(context);
            }
            Err(error) => {
                tracing::warn!(%error, "the journal cannot be read again yet");
                context.run_later(AGAIN_AFTER, Self::begin_again);
            }
        }));
    }
}

fn calendar_of(items: Vec<ItemRecord>) -> Calendar {
    let mut calendar = Calendar::default();
    for ItemRecord { item, owner, anchor, covered_until } in items {
        let id = item.id.clone();
        if let Err(error) = calendar.put_back(KeptItem { item, owner, anchor, covered_until }) {
            tracing::error!(item = %id, %error, "an item's schedule is not understood; it is never due");
        }
    }
    calendar
}
