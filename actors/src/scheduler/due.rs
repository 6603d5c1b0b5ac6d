//! Due times: each gets a task, or a reason why not.

use std::collections::btree_map::Entry;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use keepwell_messages::{ItemId, Refusal, Reply, ScheduleOutcome, TaskMade};

use super::SchedulerActor;
use super::ask::Change;
use crate::calendar::{Due, Wanted};
use crate::journal::{Batch, Write};
use crate::ledger::{AGAIN_AFTER, Ledger};
use crate::manager::{CreateTask, CreateTasks};
use crate::supervision::Unreachable;

/// Tasks that the manager is asked for at once: enough for one commit to serve many, and few enough that
/// other questions to the manager come in between.
const ASKED_AT_ONCE: usize = 256;

/// Due times of one item that are asked for.
#[derive(Default)]
pub(super) struct Undecided {
    count: usize,
    /// Changes of the item, which wait until all are decided.
    pub(super) changes: Vec<Change>,
}

impl SchedulerActor {
    pub(super) fn deal_with_due(&mut self, context: &mut Context<Self>) {
        if self.setup.only_item.is_some() {
            return;
        }
        let now = self.setup.now();
        for due in self.calendar.due(now) {
            match due {
                Due::Skip(item, outcome) => self.write_outcome(context, item, outcome),
                Due::Ask(wanted) => {
                    self.undecided.entry(wanted.item.id.clone()).or_default().count += 1;
                    self.to_ask.push_back(wanted);
                }
            }
        }
        self.ask_next(context);
    }

    fn ask_next(&mut self, context: &mut Context<Self>) {
        if self.asking || self.to_ask.is_empty() || self.held.is_some() || self.retiring {
            return;
        }
        self.asking = true;
        let count = self.to_ask.len().min(ASKED_AT_ONCE);
        let wanted: Vec<Wanted> = self.to_ask.drain(..count).collect();
        let task = |wanted: &Wanted| CreateTask {
            command: wanted.command,
            item: wanted.item.clone(),
            trigger: wanted.trigger,
            reply: Reply::PerformBackup,
        };
        let (manager, tasks) = (self.manager.clone(), wanted.iter().map(task).collect());
        let ask = async move { manager.send(CreateTasks { tasks }).await };
        context.spawn(ask.into_actor(self).map(move |answers, actor, context| {
            actor.setup.faults.point("scheduler.answered", context);
            actor.asking = false;
            match answers {
                Ok(answers) => actor.decided(context, wanted.into_iter().zip(answers).collect()),
                Err(
                    why @ (Unreachable::GaveUp { .. }
                    | Unreachable::ShutDown { .. }
                    | Unreachable::Lost { .. }),
                ) => {
                    // They have no outcome, so the next start catches up.
                    tracing::error!(%why, count, "nobody takes in what is due");
                    actor.to_ask.clear();
                    actor.refuse_waiting(&Refusal::Invalid(format!("what is due cannot be decided: {why}")));
                    actor.undecided.clear();
                    actor.take_in_if_decided(context);
                }
                Err(why) => {
                    let why = Refusal::Invalid(format!("what is due is not decided yet: {why}"));
                    actor.ask_again(context, wanted, why);
                }
            }
            actor.ask_next(context);
        }));
    }

    /// Asks for these again, before others, a while later.
    fn ask_again(&mut self, context: &mut Context<Self>, wanted: Vec<Wanted>, why: Refusal) {
        tracing::warn!(%why, count = wanted.len(), "what is due is asked for again");
        for wanted in wanted.into_iter().rev() {
            self.to_ask.push_front(wanted);
        }
        // Who wants to change an item that is due need not wait for that.
        self.refuse_waiting(&why);
        if self.held.replace(why).is_none() {
            context.run_later(AGAIN_AFTER, |actor, context| {
                actor.held = None;
                actor.ask_next(context);
            });
        }
    }

    fn decided(&mut self, context: &mut Context<Self>, answers: Vec<(Wanted, Result<TaskMade, Refusal>)>) {
        let mut again = Vec::new();
        let mut why = None;
        for (wanted, answer) in answers {
            match &answer {
                Err(refusal @ Refusal::Journal(_)) => {
                    why.get_or_insert(refusal.clone());
                    again.push(wanted);
                    continue;
                }
                // It has no outcome, so the next start catches up.
                Err(Refusal::ShuttingDown) => continue,
                _ => {}
            }
            let item = wanted.item.id.clone();
            if let Some(outcome) = wanted.outcome(&answer, self.setup.now()) {
                self.write_outcome(context, item.clone(), outcome);
            }
            self.go_on_with(context, item);
        }
        if let Some(why) = why {
            self.ask_again(context, again, why);
        }
    }

    fn write_outcome(&mut self, context: &mut Context<Self>, item: ItemId, outcome: ScheduleOutcome) {
        if self.ledger.failed().is_some() {
            return;
        }
        let mut batch = Batch::new(outcome.decided);
        let until = outcome.due;
        batch.writes = vec![Write::PutOutcome(item.clone(), outcome), Write::CoverUntil(item, until)];
        Ledger::write(self, context, batch, Box::new(|_, _, _| {}));
    }

    /// One due time of the item is decided. If it was the last, changes of the item go on.
    fn go_on_with(&mut self, context: &mut Context<Self>, item: ItemId) {
        let Entry::Occupied(mut undecided) = self.undecided.entry(item) else { return };
        undecided.get_mut().count = undecided.get().count.saturating_sub(1);
        if undecided.get().count == 0 {
            for change in undecided.remove().changes {
                self.change_now(context, change);
            }
            self.take_in_if_decided(context);
        }
    }
}
