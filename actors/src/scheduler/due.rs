//! Due times: each gets a task, or a reason why not.

use std::collections::btree_map::Entry;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use keepwell_messages::{ItemId, Refusal, Reply, ScheduleOutcome, TaskMade};

use super::{AGAIN_AFTER, SchedulerActor};
use crate::calendar::{Due, Wanted};
use crate::journal::{Batch, Write};
use crate::ledger::Ledger;
use crate::manager::{CreateTask, CreateTasks};
use crate::supervision::Unreachable;

/// Tasks that the manager is asked for at once: enough for one commit to serve many, and few enough that
/// other questions to the manager come in between.
const ASKED_AT_ONCE: usize = 256;

impl SchedulerActor {
    pub(super) fn deal_with_due(&mut self, context: &mut Context<Self>) {
        let now = self.setup.now();
        for due in self.calendar.due(now) {
            match due {
                Due::Skip(item, outcome) => self.write_outcome(context, item, outcome),
                // One whose due time is not decided yet is asked for again when the journal is read again.
                Due::Ask(wanted) => match self.undecided.entry(wanted.item.id.clone()) {
                    Entry::Occupied(_) => {
                        tracing::error!(item = %wanted.item.id, "two due times at once; the later one waits");
                        self.to_ask.push_back(wanted);
                    }
                    Entry::Vacant(place) => {
                        place.insert(Vec::new());
                        self.to_ask.push_back(wanted);
                    }
                },
            }
        }
        self.ask_next(context);
    }

    fn ask_next(&mut self, context: &mut Context<Self>) {
        if self.asking || self.to_ask.is_empty() || self.retiring {
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
                Ok(answers) => {
                    for (wanted, answer) in wanted.into_iter().zip(answers) {
                        actor.decided(context, wanted, answer);
                    }
                }
                Err(
                    why @ (Unreachable::GaveUp { .. }
                    | Unreachable::ShutDown { .. }
                    | Unreachable::Lost { .. }),
                ) => {
                    // They have no outcome, so the next start catches up.
                    tracing::error!(%why, count, "nobody takes in what is due");
                }
                Err(why) => actor.ask_again(context, wanted, &why.to_string()),
            }
            actor.ask_next(context);
        }));
    }

    fn ask_again(&mut self, context: &mut Context<Self>, wanted: Vec<Wanted>, why: &str) {
        tracing::warn!(why, count = wanted.len(), "what is due is asked for again");
        context.run_later(AGAIN_AFTER, move |actor, context| {
            // If the journal was read again in between, they are due again by themselves.
            let still = wanted.into_iter().filter(|wanted| actor.undecided.contains_key(&wanted.item.id));
            let still: Vec<Wanted> = still.collect();
            actor.to_ask.extend(still);
            actor.ask_next(context);
        });
    }

    fn decided(&mut self, context: &mut Context<Self>, wanted: Wanted, answer: Result<TaskMade, Refusal>) {
        match &answer {
            Err(Refusal::Journal(failure)) => {
                let why = failure.why.clone();
                return self.ask_again(context, vec![wanted], &why);
            }
            // It has no outcome, so the next start catches up.
            Err(Refusal::ShuttingDown) => return,
            _ => {}
        }
        let item = wanted.item.id.clone();
        if let Some(outcome) = wanted.outcome(&answer, self.setup.now()) {
            self.write_outcome(context, item.clone(), outcome);
        }
        self.go_on_with(context, &item);
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

    /// The item has no due time any more that is not decided: changes of it go on.
    fn go_on_with(&mut self, context: &mut Context<Self>, item: &ItemId) {
        for change in self.undecided.remove(item).unwrap_or_default() {
            self.change_now(context, change);
        }
    }
}
