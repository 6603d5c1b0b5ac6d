//! From a decision to what follows from it: written first, then announced, then done.

use actix::Context;
use chrono::{DateTime, Utc};
use keepwell_messages::{
    CancelReason, DueOutcome, Event, ItemId, LatestEnd, ScheduleOutcome, Task, TaskEnd, TaskId, Trigger,
};

use super::ManagerActor;
use crate::board::{BoardTask, Decision, Effect};
use crate::calendar::due_command;
use crate::journal::{Batch, Served, TaskRecord, Write};
use crate::ledger::{Ledger, Then};
use crate::runner::Attempt;
use crate::schedule::believed;
use crate::task::WorkerId;

/// An effect with all that it needs, as it was when it was decided.
pub(super) enum Prepared {
    Start(WorkerId, Box<Attempt>),
    Pause(WorkerId),
    Resume(WorkerId),
    Cancel(WorkerId),
}

impl ManagerActor {
    /// Writes a decision, then announces it, does what follows from it, and then `then`.
    pub(super) fn carry_out(
        &mut self,
        context: &mut Context<Self>,
        decision: Decision,
        served: Vec<Served>,
        then: Then<Self>,
    ) {
        self.set_wake(context);
        let now = self.setup.now();
        let effects: Vec<Prepared> =
            decision.effects.iter().filter_map(|effect| self.prepare(effect)).collect();
        let ended: Vec<(TaskId, Option<(ItemId, LatestEnd)>)> =
            decision.changed.iter().filter_map(|id| self.board.task(*id)).filter_map(end_of).collect();
        let mut batch = self.batch_of(decision, now);
        batch.served.clone_from(&served);
        let written = move |actor: &mut Self, context: &mut Context<Self>, done: Result<(), _>| {
            if done.is_ok() {
                actor.setup.faults.point("manager.written", context);
                for (command, answer) in served {
                    actor.served.insert(command, answer);
                }
                for (task, latest) in ended {
                    actor.progress.remove(&task);
                    actor.latest_ends.extend(latest);
                }
                for effect in effects {
                    actor.perform(context, effect);
                }
            }
            then(actor, context, done);
            actor.stop_if_done(context);
        };
        Ledger::write(self, context, batch, Box::new(written));
    }

    fn prepare(&self, effect: &Effect) -> Option<Prepared> {
        let worker = |task: TaskId| {
            let generation = self.board.task(task)?.worker()?;
            Some(WorkerId { task, generation })
        };
        match *effect {
            Effect::Start(task, generation) => {
                let entry = self.board.task(task)?;
                self.setup.unstarted.lock().insert(task);
                let attempt = Attempt {
                    task,
                    attempt: entry.task.attempt,
                    kind: entry.task.kind.clone(),
                    item: entry.item.clone(),
                    sealed: entry.sealed.clone(),
                };
                Some(Prepared::Start(WorkerId { task, generation }, Box::new(attempt)))
            }
            Effect::Pause(task) => worker(task).map(Prepared::Pause),
            Effect::Resume(task) => worker(task).map(Prepared::Resume),
            Effect::Cancel(task, generation) => Some(Prepared::Cancel(WorkerId { task, generation })),
        }
    }

    fn batch_of(&self, decision: Decision, now: DateTime<Utc>) -> Batch {
        let mut batch = Batch::new(now);
        for entry in decision.changed.iter().filter_map(|id| self.board.task(*id)) {
            batch.writes.push(Write::PutTask(Box::new(record_of(entry))));
            batch.writes.extend(outcome_of(&entry.task, entry.item.as_ref().map(|item| &item.id), now));
        }
        // The due time of a task counts as covered from the moment at which there is a task for it.
        for event in &decision.events {
            if let Event::TaskCreated(created) = event
                && let (keepwell_messages::TaskKind::Backup(item), Some(missed)) =
                    (&created.kind, created.trigger.due_times())
            {
                batch.writes.push(Write::CoverUntil(item.clone(), missed.due));
            }
        }
        batch.writes.extend(decision.globally_paused.map(Write::GloballyPaused));
        batch.writes.extend(decision.max_concurrent_tasks.map(Write::MaxConcurrentTasks));
        batch.events = decision.events;
        batch
    }
}

fn record_of(entry: &BoardTask) -> TaskRecord {
    TaskRecord { task: entry.task.clone(), item: entry.item.clone(), sealed: entry.sealed.clone() }
}

/// What became of the due times that a task stood for, once it has ended. One that was ended by a shutdown
/// leaves them without an outcome: the next start catches up.
fn outcome_of(task: &Task, item: Option<&ItemId>, now: DateTime<Utc>) -> Vec<Write> {
    let (Some(end), Some(item)) = (&task.end, item) else { return Vec::new() };
    let ended_by_shutdown = *end == TaskEnd::Cancelled(CancelReason::Shutdown);
    let Some(missed) = task.trigger.due_times() else {
        // What was due while somebody's own backup ran was skipped for its sake.
        let skipped = ended_by_shutdown.then(|| Write::Uncover(item.clone(), task.created));
        return skipped.into_iter().collect();
    };
    if ended_by_shutdown {
        let asked_by = due_command(item, missed.due);
        return vec![Write::Uncover(item.clone(), missed.since), Write::Unserve(asked_by)];
    }
    let outcome = match task.trigger {
        Trigger::CatchUp(_) => DueOutcome::CoveredBy(task.id),
        Trigger::Due(_) | Trigger::Manual => DueOutcome::Ran(task.id),
    };
    // A task that a wrong clock made tells nothing of times that have not come.
    let (since, due) = (believed(missed.since, now), believed(missed.due, now));
    let outcome = ScheduleOutcome { since, due, decided: now, outcome };
    vec![Write::PutOutcome(item.clone(), outcome)]
}

fn end_of(entry: &BoardTask) -> Option<(TaskId, Option<(ItemId, LatestEnd)>)> {
    let task = &entry.task;
    let end = task.end.clone()?;
    let latest = LatestEnd { task: task.id, at: task.changed, end };
    Some((task.id, entry.item.as_ref().map(|item| (item.id.clone(), latest))))
}
