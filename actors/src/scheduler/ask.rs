//! What the scheduler is asked: backups of items, and changes of items.

use std::collections::HashMap;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use keepwell_messages::{
    Command, CommandId, Event, ItemId, ItemNow, ItemOwner, ItemRef, ItemRemoved, ItemSource, Items, Refusal,
    Reply, TaskKind, TaskMade, Trigger,
};

use super::SchedulerActor;
use crate::calendar::KeptItem;
use crate::journal::{Batch, ItemRecord, Write};
use crate::ledger::{AGAIN_AFTER, Ledger};
use crate::manager::{Ask, CancelItem, CreateTask, CreateTasks, ItemTask, ItemTasks};
use crate::setup::ask_journal;
use crate::supervision::{Answer, Owed, Unreachable};

/// Who waits for the answer to a command.
pub(super) type Waiter = Box<dyn FnOnce(Result<Reply, Refusal>)>;

/// Who waits to be shown items.
type Shown = Box<dyn FnOnce(Result<Vec<ItemNow>, Refusal>)>;

/// A change of an item, and what is known of its tasks.
pub(super) struct Change {
    id: CommandId,
    command: Command,
    tasks: ItemTask,
}

impl Handler<Ask> for SchedulerActor {
    type Result = Answer<Result<Reply, Refusal>>;

    fn handle(&mut self, Ask { id, command }: Ask, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("scheduler.ask", context);
        let (owed, answer) = Owed::new();
        let waiter: Waiter = Box::new(move |answer| owed.give(answer));
        if self.retiring {
            waiter(Err(Refusal::ShuttingDown));
            return answer;
        }
        match &command {
            Command::GetItems(_) => self.list(context, waiter),
            Command::PerformBackup(perform) => {
                let item = perform.item.clone();
                self.perform(context, id, &item, Reply::PerformBackup, waiter);
            }
            Command::PerformFirebirdBackup(perform) => {
                let item = perform.item.clone();
                let source = self.calendar.item(&item).map(|kept| &kept.item.source);
                if source.is_some_and(|source| !matches!(source, ItemSource::Firebird(_))) {
                    waiter(Err(Refusal::Invalid(format!("item {item} is not a Firebird database"))));
                } else {
                    self.perform(context, id, &item, Reply::PerformFirebirdBackup, waiter);
                }
            }
            Command::SetItem(set) => {
                let item = set.item.id.clone();
                self.change(context, id, item, command, waiter);
            }
            Command::EnableItem(enable) => {
                let item = enable.item.clone();
                self.change(context, id, item, command, waiter);
            }
            Command::RemoveItem(remove) => {
                let item = remove.item.clone();
                self.change(context, id, item, command, waiter);
            }
            _ => {
                waiter(Err(Refusal::Invalid("this command is not the scheduler's".into())));
            }
        }
        answer
    }
}

/// One item as it is now.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<ItemNow, Refusal>")]
pub struct GetItem {
    /// Which.
    pub item: ItemId,
}

impl Handler<GetItem> for SchedulerActor {
    type Result = Answer<Result<ItemNow, Refusal>>;

    fn handle(&mut self, GetItem { item }: GetItem, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("scheduler.get-item", context);
        let (owed, answer) = Owed::new();
        let wanted = vec![item.clone()];
        let one = move |found: Result<Vec<ItemNow>, Refusal>| {
            owed.give(found.and_then(|mut items| items.pop().ok_or(Refusal::UnknownItem(item))));
        };
        self.show(context, wanted, Box::new(one));
        answer
    }
}

impl SchedulerActor {
    /// Somebody wants a backup now.
    fn perform(
        &mut self,
        context: &mut Context<Self>,
        command: CommandId,
        item: &ItemId,
        reply: fn(TaskMade) -> Reply,
        waiter: Waiter,
    ) {
        let Some(kept) = self.calendar.item(item) else {
            return waiter(Err(Refusal::UnknownItem(item.clone())));
        };
        // Another one may have a task in the journal that the manager was not told of.
        if let Some(only) = self.setup.only_item.as_ref().filter(|only| *only != item) {
            return waiter(Err(Refusal::Invalid(format!("this process is there for item {only} alone"))));
        }
        let task = CreateTask { command, item: kept.item.clone(), trigger: Trigger::Manual, reply };
        let manager = self.manager.clone();
        let ask = async move { manager.send(CreateTasks { tasks: vec![task] }).await };
        context.spawn(ask.into_actor(self).map(move |answers, _, _| {
            let answer = answers.map(|mut answers| answers.pop());
            waiter(match answer {
                Ok(Some(made)) => made.map(reply),
                Ok(None) => Err(Refusal::Invalid("the manager made nothing of it".into())),
                Err(why) => Err(unreachable(&why)),
            });
        }));
    }

    fn list(&mut self, context: &mut Context<Self>, waiter: Waiter) {
        let mut items: Vec<ItemId> = self.calendar.items().map(|kept| kept.item.id.clone()).collect();
        items.sort_unstable();
        let all = |items: Vec<ItemNow>| Reply::GetItems(Items { items });
        self.show(context, items, Box::new(move |found| waiter(found.map(all))));
    }

    /// These items as they are now, those that are not there left out.
    fn show(&mut self, context: &mut Context<Self>, items: Vec<ItemId>, waiter: Shown) {
        let (manager, ask) = (self.manager.clone(), ItemTasks { items: items.clone() });
        let ask = async move { manager.send(ask).await };
        context.spawn(ask.into_actor(self).map(move |tasks, actor, context| {
            let mut tasks: HashMap<ItemId, ItemTask> = match tasks {
                Ok(tasks) => tasks,
                Err(why) => return waiter(Err(unreachable(&why))),
            };
            let items = items.into_iter().filter_map(|item| {
                let tasks = tasks.remove(&item).unwrap_or_default();
                actor.calendar.item(&item).map(|kept| actor.item_now(kept, tasks))
            });
            let shown = items.collect();
            // A change that the journal may still refuse is shown to nobody.
            Ledger::after(actor, context, Box::new(move |_, _, done| waiter(done.map(|()| shown))));
        }));
    }

    fn item_now(&self, kept: &KeptItem, tasks: ItemTask) -> ItemNow {
        ItemNow {
            item: kept.item.clone(),
            owner: kept.owner,
            next_due: self.calendar.next_start(&kept.item.id),
            active_task: tasks.active,
            latest: tasks.latest,
        }
    }

    /// Changes an item once, however often it is asked, when no due time of it is undecided.
    fn change(
        &mut self,
        context: &mut Context<Self>,
        id: CommandId,
        item: ItemId,
        command: Command,
        waiter: Waiter,
    ) {
        if let Some(waiting) = self.in_flight.get_mut(&id) {
            return waiting.push(waiter);
        }
        self.in_flight.insert(id, vec![waiter]);
        let (manager, journal) = (self.manager.clone(), self.journal.clone());
        let ask = ItemTasks { items: vec![item.clone()] };
        let find = async move {
            let served = ask_journal(&journal, move |journal| journal.served(id)).await;
            // A manager that is gone for good knows of no task.
            (served, manager.send(ask).await.unwrap_or_default())
        };
        context.spawn(find.into_actor(self).map(move |(served, mut tasks), actor, context| match served {
            Err(error) => actor.answer(id, Err(Refusal::Journal(error.failure()))),
            Ok(Some(answer)) => {
                // Whoever answered the first time may have died before this was done.
                if let Ok(Reply::RemoveItem(removed)) = &answer {
                    actor.cancel_task_of(removed.item.clone());
                }
                actor.answer(id, answer);
            }
            Ok(None) => {
                let tasks = tasks.remove(&item).unwrap_or_default();
                let change = Change { id, command, tasks };
                match (actor.undecided.get_mut(&item), &actor.held) {
                    (Some(_), Some(why)) => {
                        let why = why.clone();
                        actor.answer(id, Err(why));
                    }
                    (Some(undecided), None) => undecided.changes.push(change),
                    (None, _) => actor.change_now(context, change),
                }
            }
        }));
    }

    pub(super) fn change_now(&mut self, context: &mut Context<Self>, change: Change) {
        let id = change.id;
        if let Some(refusal) = self.ledger.failed() {
            return self.answer(id, Err(refusal));
        }
        match self.decide_change(change) {
            Err(refusal) => self.answer(id, Err(refusal)),
            Ok((mut batch, reply)) => {
                batch.served = vec![(id, Ok(reply.clone()))];
                let then = move |actor: &mut Self, context: &mut Context<Self>, done: Result<(), Refusal>| {
                    actor.setup.faults.point("scheduler.written", context);
                    if let (Ok(()), Reply::RemoveItem(removed)) = (&done, &reply) {
                        actor.cancel_task_of(removed.item.clone());
                    }
                    actor.answer(id, done.map(|()| reply));
                };
                self.set_wake(context);
                Ledger::write(self, context, batch, Box::new(then));
            }
        }
    }

    fn decide_change(&mut self, change: Change) -> Result<(Batch, Reply), Refusal> {
        let now = self.setup.now();
        let mut batch = Batch::new(now);
        let reply = match change.command {
            Command::SetItem(set) => {
                let kind = TaskKind::Backup(set.item.id.clone());
                let runner = self.setup.configured().runner.clone();
                runner.accepts(&kind, Some(&set.item)).map_err(Refusal::Invalid)?;
                let kept = self.calendar.set(set.item, ItemOwner::Journal, now)?.clone();
                put_item(&mut batch, &kept);
                Reply::SetItem(self.item_now(&kept, change.tasks))
            }
            Command::EnableItem(enable) => {
                let kept = self.calendar.enable(&enable.item, enable.enabled)?.clone();
                put_item(&mut batch, &kept);
                Reply::EnableItem(self.item_now(&kept, change.tasks))
            }
            Command::RemoveItem(remove) => {
                let item = self.calendar.remove(&remove.item)?.item.id;
                batch.writes.push(Write::RemoveItem(item.clone()));
                batch.events.push(Event::ItemRemoved(ItemRef { item: item.clone() }));
                Reply::RemoveItem(ItemRemoved { item })
            }
            _ => return Err(Refusal::Invalid("this command changes no item".into())),
        };
        Ok((batch, reply))
    }

    fn cancel_task_of(&self, item: ItemId) {
        let manager = self.manager.clone();
        actix_rt::spawn(async move {
            while let Ok(Err(why)) = manager.send(CancelItem { item: item.clone() }).await {
                tracing::warn!(%item, %why, "a task of an item that was removed goes on for now");
                if !matches!(why, Refusal::Journal(_)) {
                    break;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        });
    }

    pub(super) fn answer(&mut self, id: CommandId, answer: Result<Reply, Refusal>) {
        for waiter in self.in_flight.remove(&id).unwrap_or_default() {
            waiter(answer.clone());
        }
    }

    /// Changes that wait for a decision that does not come soon.
    pub(super) fn refuse_waiting(&mut self, why: &Refusal) {
        let undecided = self.undecided.values_mut();
        let waiting: Vec<Change> =
            undecided.flat_map(|undecided| std::mem::take(&mut undecided.changes)).collect();
        for change in waiting {
            self.answer(change.id, Err(why.clone()));
        }
    }
}

/// Adds an item as it is to be kept, and the word of it.
pub(super) fn put_item(batch: &mut Batch, kept: &KeptItem) {
    let KeptItem { item, owner, anchor, covered_until } = kept.clone();
    batch.events.push(Event::ItemChanged(ItemRef { item: item.id.clone() }));
    batch.writes.push(Write::PutItem(ItemRecord { item, owner, anchor, covered_until }));
}

fn unreachable(why: &Unreachable) -> Refusal {
    match why {
        Unreachable::ShutDown { .. } => Refusal::ShuttingDown,
        why => Refusal::Invalid(format!("the manager cannot be reached: {why}")),
    }
}
