//! What the manager is asked: commands, and the scheduler's wishes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix::{Context, Handler};
use chrono::{DateTime, Utc};
use keepwell_messages::{
    CancelReason, Command, CommandId, PausedAll, Refusal, Reply, RestoreRequest, RestoreTarget, Task, TaskId,
    TaskKind, TaskMade, TaskManagerStats, TaskNow, TaskState, Tasks, Trigger,
};

use super::{
    Ask, CancelItem, CreateTask, CreateTasks, GetItemStanding, ItemStanding, ItemTask, ItemTasks,
    ManagerActor,
};
use crate::board::{Decision, NewTask};
use crate::ledger::Ledger;
use crate::reconfiguration::Reconfigured;
use crate::supervision::{Answer, Owed};

/// Far more than any path that a kernel takes.
const RESTORE_TEXT_BYTES_MAX: usize = 64 << 10;

type Decided = Result<(Decision, Reply), Refusal>;

/// Who waits for the answer to a command.
pub(super) type Waiter = Box<dyn FnOnce(Result<Reply, Refusal>)>;

/// The task that a command made.
fn task_made_by(reply: Reply) -> Result<TaskMade, Refusal> {
    match reply {
        Reply::PerformBackup(made) | Reply::PerformFirebirdBackup(made) | Reply::PerformRestore(made) => {
            Ok(made)
        }
        _ => Err(Refusal::Invalid("another command was sent under the same id before".into())),
    }
}

impl Handler<Ask> for ManagerActor {
    type Result = Answer<Result<Reply, Refusal>>;

    fn handle(&mut self, Ask { id, command }: Ask, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.ask", context);
        let (owed, answer) = Owed::new();
        match command {
            Command::GetActiveTasks(_) => {
                let tasks = self.board.active().map(|entry| self.shown(&entry.task)).collect();
                self.answer_after(context, owed, Ok(Reply::GetActiveTasks(Tasks { tasks })));
            }
            Command::GetTaskManagerStats(_) => {
                let stats = self.stats();
                self.answer_after(context, owed, Ok(Reply::GetTaskManagerStats(stats)));
            }
            Command::GetTask(get) => {
                let task = self.board.task(get.task).map(|entry| self.shown(&entry.task));
                let reply = task.map(Reply::GetTask).ok_or(Refusal::UnknownTask(get.task));
                self.answer_after(context, owed, reply);
            }
            command => {
                let waiter = Box::new(move |answer| owed.give(answer));
                self.serve(context, id, waiter, |actor, now| actor.decide(command, now));
            }
        }
        answer
    }
}

impl Handler<CreateTasks> for ManagerActor {
    type Result = Answer<Vec<Result<TaskMade, Refusal>>>;

    fn handle(&mut self, CreateTasks { tasks }: CreateTasks, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.create-tasks", context);
        let (owed, answer) = Owed::new();
        let count = tasks.len();
        let all =
            Rc::new(RefCell::new(AllAnswers { answers: vec![None; count], left: count, owed: Some(owed) }));
        if count == 0 {
            all.borrow_mut().give_if_complete();
        }
        for (place, wanted) in tasks.into_iter().enumerate() {
            let all = all.clone();
            let made = OwedPart { all, place };
            self.create(context, wanted, made);
        }
        answer
    }
}

/// The answers of one message, given together.
struct AllAnswers {
    answers: Vec<Option<Result<TaskMade, Refusal>>>,
    left: usize,
    owed: Option<Owed<Vec<Result<TaskMade, Refusal>>>>,
}

impl AllAnswers {
    fn give_if_complete(&mut self) {
        if self.left == 0
            && let Some(owed) = self.owed.take()
        {
            owed.give(std::mem::take(&mut self.answers).into_iter().flatten().collect());
        }
    }
}

struct OwedPart {
    all: Rc<RefCell<AllAnswers>>,
    place: usize,
}

impl OwedPart {
    fn give(self, answer: Result<TaskMade, Refusal>) {
        let mut all = self.all.borrow_mut();
        if all.answers[self.place].replace(answer).is_none() {
            all.left -= 1;
        }
        all.give_if_complete();
    }
}

impl Handler<CancelItem> for ManagerActor {
    type Result = Answer<Result<(), Refusal>>;

    fn handle(&mut self, CancelItem { item }: CancelItem, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.cancel-item", context);
        if let Some(refusal) = self.ledger.failed() {
            return Answer::Now(Err(refusal));
        }
        let Some(task) = self.board.task_of_item(&item) else { return Answer::Now(Ok(())) };
        match self.board.cancel(task, CancelReason::ItemRemoved, self.setup.now()) {
            Err(refusal) => Answer::Now(Err(refusal)),
            Ok(decision) => {
                let (owed, answer) = Owed::new();
                let then = Box::new(move |_: &mut Self, _: &mut Context<Self>, done| owed.give(done));
                self.carry_out(context, decision, Vec::new(), then);
                answer
            }
        }
    }
}

impl Handler<Reconfigured> for ManagerActor {
    type Result = Answer<Result<(), Refusal>>;

    /// What is new counts from now on; tasks that run go on.
    fn handle(&mut self, _: Reconfigured, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.reconfigured", context);
        if let Some(refusal) = self.ledger.failed() {
            return Answer::Now(Err(refusal));
        }
        let (owed, answer) = Owed::new();
        let (retries, limits) = (self.setup.configured().retries.clone(), self.limits());
        let decision = self.board.reconfigure(retries, limits, self.setup.now());
        if decision == Decision::default() {
            self.set_wake(context);
            Ledger::after(self, context, Box::new(move |_, _, done| owed.give(done)));
        } else {
            self.carry_out(context, decision, Vec::new(), Box::new(move |_, _, done| owed.give(done)));
        }
        answer
    }
}

impl Handler<ItemTasks> for ManagerActor {
    type Result = Answer<HashMap<keepwell_messages::ItemId, ItemTask>>;

    fn handle(&mut self, ItemTasks { items }: ItemTasks, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.item-tasks", context);
        let task_of = |item: &_| ItemTask {
            active: self.board.task_of_item(item),
            latest: self.latest_ends.get(item).cloned(),
        };
        let tasks = items.into_iter().map(|item| (item.clone(), task_of(&item)));
        let tasks = tasks.filter(|(_, tasks)| *tasks != ItemTask::default()).collect();
        let (owed, answer) = Owed::new();
        // What the journal may still refuse is shown to nobody.
        Ledger::after(self, context, Box::new(move |_, _, _| owed.give(tasks)));
        answer
    }
}

impl Handler<GetItemStanding> for ManagerActor {
    type Result = Answer<Result<ItemStanding, Refusal>>;

    fn handle(
        &mut self,
        GetItemStanding { item }: GetItemStanding,
        context: &mut Context<Self>,
    ) -> Self::Result {
        self.setup.faults.point("manager.item-standing", context);
        let active = self.board.task_of_item(&item).and_then(|task| self.board.queue_place(task));
        let standing = ItemStanding { globally_paused: self.board.is_globally_paused(), active };
        let (owed, answer) = Owed::new();
        Ledger::after(self, context, Box::new(move |_, _, done| owed.give(done.map(|()| standing))));
        answer
    }
}

impl ManagerActor {
    /// Carries a command out once, whoever asks and however often.
    fn serve(
        &mut self,
        context: &mut Context<Self>,
        id: CommandId,
        waiter: Waiter,
        decide: impl FnOnce(&mut Self, DateTime<Utc>) -> Decided,
    ) {
        if let Some(answer) = self.served.answers.get(&id) {
            return waiter(answer.clone());
        }
        if let Some(waiting) = self.in_flight.get_mut(&id) {
            return waiting.push(waiter);
        }
        if let Some(refusal) = self.ledger.failed() {
            return waiter(Err(refusal));
        }
        match decide(self, self.setup.now()) {
            // A refusal may rest on what was decided and is being written: if that fails, so does it.
            Err(refusal) => {
                Ledger::after(self, context, Box::new(move |_, _, done| waiter(done.and(Err(refusal)))));
            }
            Ok((decision, reply)) => {
                self.in_flight.insert(id, vec![waiter]);
                let served = vec![(id, Ok(reply.clone()))];
                let then = move |actor: &mut Self, _: &mut Context<Self>, done: Result<(), Refusal>| {
                    let answer = done.map(|()| reply);
                    for waiter in actor.in_flight.remove(&id).unwrap_or_default() {
                        waiter(answer.clone());
                    }
                };
                self.carry_out(context, decision, served, Box::new(then));
            }
        }
    }

    /// Answers once all that was decided before is written: nobody sees what may still be undone.
    fn answer_after(
        &mut self,
        context: &mut Context<Self>,
        owed: Owed<Result<Reply, Refusal>>,
        answer: Result<Reply, Refusal>,
    ) {
        Ledger::after(self, context, Box::new(move |_, _, done| owed.give(done.and(answer))));
    }

    fn decide(&mut self, command: Command, now: DateTime<Utc>) -> Decided {
        match command {
            Command::PerformRestore(perform) => self.decide_restore(perform.restore, now),
            Command::PauseBackup(pause) => {
                let task = pause.task.map_or_else(|| self.board.only_active(), Ok)?;
                let decision = self.board.pause(task, now)?;
                Ok((decision, Reply::PauseBackup(self.task_now(task))))
            }
            Command::ResumeBackup(resume) => {
                let task = resume.task.map_or_else(|| self.board.only_active(), Ok)?;
                let decision = self.board.resume(task, now)?;
                Ok((decision, Reply::ResumeBackup(self.task_now(task))))
            }
            Command::CancelTask(cancel) => {
                let decision = self.board.cancel(cancel.task, CancelReason::Requested, now)?;
                Ok((decision, Reply::CancelTask(self.task_now(cancel.task))))
            }
            Command::PauseAllBackups(_) => {
                let (decision, tasks) = self.board.pause_all(now);
                Ok((decision, Reply::PauseAllBackups(PausedAll { paused: true, tasks })))
            }
            Command::ResumeAllBackups(_) => {
                let (decision, tasks) = self.board.resume_all(now);
                Ok((decision, Reply::ResumeAllBackups(PausedAll { paused: false, tasks })))
            }
            Command::SetMaxConcurrentTasks(set) => {
                let decision = self.board.set_max_concurrent_tasks(set.max_concurrent_tasks, now)?;
                self.asked_max_concurrent_tasks = Some(set.max_concurrent_tasks);
                Ok((decision, Reply::SetMaxConcurrentTasks(self.stats())))
            }
            _ => Err(Refusal::Invalid("this command is not the manager's".into())),
        }
    }

    fn decide_restore(&mut self, restore: RestoreRequest, now: DateTime<Utc>) -> Decided {
        let mut texts = vec![&restore.repository, &restore.snapshot, &restore.path];
        match &restore.target {
            RestoreTarget::Folder(target) => texts.push(target),
            RestoreTarget::Firebird(target) => texts.extend([&target.source, &target.database]),
        }
        if texts.iter().any(|text| text.len() > RESTORE_TEXT_BYTES_MAX) {
            let why = format!("a restore's names and paths take at most {RESTORE_TEXT_BYTES_MAX} bytes each");
            return Err(Refusal::Invalid(why));
        }
        let kind = TaskKind::Restore(restore.clone());
        self.setup.configured().runner.accepts(&kind, None).map_err(Refusal::Invalid)?;
        let id = self.setup.task_ids.next(now);
        let repository = restore.repository;
        let new = NewTask { id, kind, trigger: Trigger::Manual, item: None, repository };
        let decision = self.board.create(new, now)?;
        Ok((decision, Reply::PerformRestore(TaskMade { task: id })))
    }

    fn create(&mut self, context: &mut Context<Self>, wanted: CreateTask, part: OwedPart) {
        let CreateTask { command, item, trigger, reply } = wanted;
        let waiter = Box::new(move |answer: Result<Reply, Refusal>| part.give(answer.and_then(task_made_by)));
        self.serve(context, command, waiter, move |actor, now| {
            let id = actor.setup.task_ids.next(now);
            let repository = item.repository.clone();
            let kind = TaskKind::Backup(item.id.clone());
            let new = NewTask { id, kind, trigger, item: Some(item), repository };
            Ok((actor.board.create(new, now)?, reply(TaskMade { task: id })))
        });
    }

    fn stats(&self) -> TaskManagerStats {
        let fenced_workers = self.setup.fenced_workers.load(std::sync::atomic::Ordering::Relaxed);
        TaskManagerStats { fenced_workers, ..self.board.stats() }
    }

    fn task_now(&self, task: TaskId) -> TaskNow {
        let state = self.board.task(task).map_or(TaskState::Cancelled, |entry| entry.task.state);
        TaskNow { task, state }
    }

    /// A task with its newest counters.
    fn shown(&self, task: &Task) -> Task {
        Task { progress: self.progress.get(&task.id).cloned(), ..task.clone() }
    }
}
