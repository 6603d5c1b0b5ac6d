//! Workers: started, steered, heard, and mourned.

use actix::{Addr, AsyncContext, Context, Handler};
use keepwell_messages::{ActorCrashed, ActorRef, ErrorClass, Event, Failure, Refusal};

use super::carry_out::Prepared;
use super::{ManagerActor, WorkerEnded, WorkerProgress, WorkerReached, WorkerSealed};
use crate::board::{AttemptOutcome, Decision};
use crate::ledger::Ledger;
use crate::supervision::{Answer, ChildDied, Death, Owed};
use crate::task::{Cancel, Execute, MAILBOX_MAX, Pause, Resume, TaskActor, WorkerId};

impl ManagerActor {
    /// Does what was decided and is written. A worker that is dead is not reached, and its death is told.
    pub(super) fn perform(&mut self, context: &mut Context<Self>, effect: Prepared) {
        match effect {
            Prepared::Start(worker, attempt) => {
                let actor = TaskActor::new(worker, *attempt, self.setup.clone(), self.stable.clone());
                let started = self.watched.start(worker, actor, MAILBOX_MAX);
                self.setup.unstarted.lock().remove(&worker.task);
                match started {
                    Ok(living) => {
                        self.workers.insert(worker, living.addr.clone());
                        living.addr.do_send(Execute);
                    }
                    Err(why) => self.not_started(context, worker, why.to_string()),
                }
            }
            Prepared::Pause(worker) => self.tell(worker, |task| task.do_send(Pause)),
            Prepared::Resume(worker) => self.tell(worker, |task| task.do_send(Resume)),
            Prepared::Cancel(worker) => self.tell(worker, |task| task.do_send(Cancel)),
        }
    }

    fn tell(&self, worker: WorkerId, tell: impl FnOnce(&Addr<TaskActor>)) {
        if let Some(task) = self.workers.get(&worker) {
            tell(task);
        }
    }

    fn not_started(&mut self, context: &mut Context<Self>, worker: WorkerId, why: String) {
        // Later: this runs while another decision is carried out.
        context.run_later(std::time::Duration::ZERO, move |actor, context| {
            let outcome = AttemptOutcome::Failed(Failure { class: ErrorClass::Crash, why });
            let decision = actor.attempt_over(worker, outcome);
            actor.carry_out(context, decision, Vec::new(), Box::new(|_, _, _| {}));
        });
    }

    fn attempt_over(&mut self, worker: WorkerId, outcome: AttemptOutcome) -> Decision {
        self.board.attempt_ended(worker.task, worker.generation, outcome, self.setup.now())
    }
}

impl Handler<WorkerEnded> for ManagerActor {
    type Result = Answer<Result<(), Refusal>>;

    fn handle(&mut self, ended: WorkerEnded, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.worker-ended", context);
        if let Some(refusal) = self.ledger.failed() {
            return Answer::Now(Err(refusal));
        }
        let worker = ended.worker;
        let decision = self.attempt_over(worker, ended.outcome);
        let (owed, answer) = Owed::new();
        let then = move |actor: &mut Self, context: &mut Context<Self>, done: Result<(), Refusal>| {
            if done.is_ok() {
                actor.workers.remove(&worker);
            }
            owed.give(done);
            actor.stop_if_done(context);
        };
        if decision == Decision::default() {
            Ledger::after(self, context, Box::new(then));
        } else {
            self.carry_out(context, decision, Vec::new(), Box::new(then));
        }
        answer
    }
}

impl Handler<WorkerSealed> for ManagerActor {
    type Result = Answer<Result<(), Refusal>>;

    fn handle(&mut self, sealed: WorkerSealed, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.worker-sealed", context);
        if let Some(refusal) = self.ledger.failed() {
            return Answer::Now(Err(refusal));
        }
        let WorkerSealed { worker, snapshot } = sealed;
        match self.board.sealed(worker.task, worker.generation, snapshot, self.setup.now()) {
            None => Answer::Now(Err(Refusal::Invalid("nothing counts on this attempt any more".into()))),
            Some(decision) => {
                let (owed, answer) = Owed::new();
                self.carry_out(context, decision, Vec::new(), Box::new(move |_, _, done| owed.give(done)));
                answer
            }
        }
    }
}

impl Handler<WorkerReached> for ManagerActor {
    type Result = ();

    fn handle(&mut self, reached: WorkerReached, context: &mut Context<Self>) {
        self.setup.faults.point("manager.worker-reached", context);
        if self.ledger.failed().is_some() {
            return;
        }
        let WorkerId { task, generation } = reached.worker;
        let decision = self.board.reached(task, generation, self.setup.now());
        if decision != Decision::default() {
            self.carry_out(context, decision, Vec::new(), Box::new(|_, _, _| {}));
        }
    }
}

impl Handler<WorkerProgress> for ManagerActor {
    type Result = ();

    fn handle(&mut self, WorkerProgress { worker, told }: WorkerProgress, context: &mut Context<Self>) {
        self.setup.faults.point("manager.worker-progress", context);
        if self.workers.contains_key(&worker) {
            self.progress.insert(worker.task, told.progress.clone());
            self.setup.hub.tell_progress(told);
        }
    }
}

impl Handler<ChildDied<WorkerId>> for ManagerActor {
    type Result = Answer<()>;

    fn handle(&mut self, died: ChildDied<WorkerId>, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("manager.child-died", context);
        let worker = died.id;
        self.workers.remove(&worker);
        if self.ledger.failed().is_some() {
            // The journal is read again soon, and whoever does not live then has crashed.
            return Answer::Now(());
        }
        let why = format!("the task's actor died: {}", died.death);
        let failure = Failure { class: ErrorClass::Crash, why };
        let mut decision = self.attempt_over(worker, AttemptOutcome::Failed(failure.clone()));
        if died.death != Death::Stopped {
            let crashed = ActorCrashed { actor: ActorRef::Task(worker.task), failure };
            decision.events.insert(0, Event::ActorCrashed(crashed));
        }
        if decision == Decision::default() {
            self.stop_if_done(context);
            return Answer::Now(());
        }
        let (owed, answer) = Owed::new();
        self.carry_out(context, decision, Vec::new(), Box::new(move |_, _, _| owed.give(())));
        answer
    }
}
