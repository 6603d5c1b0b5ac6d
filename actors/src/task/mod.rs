//! The actor of one task: its worker, from the start of an attempt to its end.
//!
//! It owns the worker's reins and its own state, [`TaskState`], which only ever takes the steps of the
//! [table](crate::transition). It decides nothing about other tasks, slots or retries: the manager tells it to
//! execute, pause, resume and cancel, and it tells the manager what the worker reports. It lives as long as
//! the task has a worker, so a hundred thousand tasks that wait cost no actor.
//!
//! - What the worker reports is told again until the manager has it in the journal: a manager that crashes
//!   or a journal on a full disk loses no end of an attempt.
//! - If it dies, or a worker shows no sign of work for too long, the worker is fenced: it writes nothing more,
//!   and counts as fenced until its threads have ended.

mod heartbeat;
mod percent;
mod reporter;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use keepwell_engine::control::Control;
use keepwell_messages::{BackupProgress, ErrorClass, Failure, Progress, Refusal, Stage, TaskId, TaskState};
use tokio::time::Instant;

use heartbeat::moves_counters;
pub use percent::Percent;

use crate::board::{AttemptOutcome, Generation};
use crate::manager::{ManagerActor, WorkerEnded, WorkerProgress, WorkerReached, WorkerSealed};
use crate::runner::Attempt;
use crate::setup::Setup;
use crate::supervision::{Stable, Unreachable};
use crate::transition::{IllegalTransition, Step, next_state};
use reporter::{Go, Reporter, WorkerTold, Working};

/// Messages that a task's actor has unread: reports four times a second, and a few commands.
pub(crate) const MAILBOX_MAX: usize = 64;

/// A worker that was cancelled and has not ended after this is fenced. Every stage looks between chunks, so an
/// orderly end takes well under a second; only a reader or a store that hangs takes longer.
pub const CANCEL_MAX: Duration = Duration::from_secs(5);

/// How often the worker's counters are looked at.
const PULSE_EVERY: Duration = Duration::from_secs(10);

/// How long after a failure the manager is told again: a disk that is full stays so for a while.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// One start of one worker of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId {
    /// The task.
    pub task: TaskId,
    /// Which start.
    pub generation: Generation,
}

/// See the module.
pub struct TaskActor {
    worker: WorkerId,
    attempt: Attempt,
    setup: Arc<Setup>,
    manager: Stable<ManagerActor>,
    state: TaskState,
    cancelled: bool,
    control: Control,
    working: Working,
    percent: Percent,
    reached: bool,
    newest: Option<Progress>,
    /// A value of progress is on its way to the manager; the next one goes after it.
    telling_progress: bool,
    pulse: Pulse,
    /// As it was when the attempt began.
    hang_after: Duration,
    /// A snapshot that may not be stored yet, and the worker that waits for that.
    sealing: Option<(String, Go)>,
    outcome: Option<AttemptOutcome>,
    give_up: Option<SpawnHandle>,
}

/// When the counters last changed.
struct Pulse {
    progress: Option<Progress>,
    at: Instant,
}

/// Starts the worker. Sent once, first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), IllegalTransition>")]
pub struct Execute;

/// Lets the worker stand still.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), IllegalTransition>")]
pub struct Pause;

/// Lets the worker go on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), IllegalTransition>")]
pub struct Resume;

/// Ends the worker. Its end is told as any other. Asked twice it changes nothing.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), IllegalTransition>")]
pub struct Cancel;

/// Asks how it stands.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "WorkerState")]
pub struct GetState;

/// How a task's actor stands.
#[derive(Clone, Debug, PartialEq, Eq, actix::MessageResponse)]
pub struct WorkerState {
    /// Where its task stands, as far as it knows.
    pub state: TaskState,
    /// Whether it was told to end.
    pub cancelled: bool,
    /// The newest counters.
    pub progress: Option<Progress>,
}

impl TaskActor {
    pub(crate) fn new(
        worker: WorkerId,
        attempt: Attempt,
        setup: Arc<Setup>,
        manager: Stable<ManagerActor>,
    ) -> Self {
        let working = Working::new(setup.fenced_workers.clone());
        let hang_after = setup.configured().hang_after;
        Self {
            worker,
            attempt,
            setup,
            manager,
            state: TaskState::Pending,
            cancelled: false,
            control: Control::new(),
            working,
            percent: Percent::default(),
            reached: false,
            newest: None,
            telling_progress: false,
            pulse: Pulse { progress: None, at: Instant::now() },
            hang_after,
            sealing: None,
            outcome: None,
            give_up: None,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), IllegalTransition> {
        self.state = next_state(self.state, step)?;
        Ok(())
    }

    /// The worker's end, its own or the one that it is given.
    fn end(&mut self, outcome: AttemptOutcome, context: &mut Context<Self>) {
        if self.outcome.is_some() {
            return;
        }
        // The step is legal from every state before the end.
        let step = match &outcome {
            AttemptOutcome::Done(_) => Step::Complete,
            failed if failed.failure().is_some_and(|failure| failure.class == ErrorClass::Cancelled) => {
                Step::Cancel
            }
            AttemptOutcome::Failed(_) | AttemptOutcome::FailedElsewhere(_) => Step::Fail,
        };
        if let Err(illegal) = self.step(step) {
            tracing::error!(task = %self.worker.task, %illegal, "a worker ended twice");
        }
        if let Some(give_up) = self.give_up.take() {
            context.cancel_future(give_up);
        }
        self.outcome = Some(outcome);
        self.tell_end(context);
    }

    fn tell_end(&mut self, context: &mut Context<Self>) {
        let Some(outcome) = self.outcome.clone() else { return };
        let ended = WorkerEnded { worker: self.worker, outcome };
        let manager = self.manager.clone();
        let tell = async move { manager.send(ended).await };
        context.spawn(tell.into_actor(self).map(|told, actor, context| match told {
            Ok(Ok(())) => context.stop(),
            Ok(Err(refusal)) => actor.tell_end_later(&refusal.to_string(), context),
            Err(
                why @ (Unreachable::GaveUp { .. } | Unreachable::ShutDown { .. } | Unreachable::Lost { .. }),
            ) => {
                // The next start finds an attempt without an end, and looks for its snapshot first.
                tracing::error!(task = %actor.worker.task, %why, "nobody takes in how this attempt ended");
                context.stop();
            }
            Err(why) => actor.tell_end_later(&why.to_string(), context),
        }));
    }

    fn tell_end_later(&mut self, why: &str, context: &mut Context<Self>) {
        tracing::warn!(task = %self.worker.task, why, "how this attempt ended is not written down yet");
        context.run_later(TELL_AGAIN_AFTER, Self::tell_end);
    }

    fn fence(&mut self, why: String, context: &mut Context<Self>) {
        tracing::error!(task = %self.worker.task, why, "a worker is given up");
        self.control.fence();
        self.working.fence();
        self.end(AttemptOutcome::Failed(Failure { class: ErrorClass::Crash, why }), context);
    }

    /// Only where there are counters, and only while it is to work.
    fn look_for_signs_of_work(&mut self, context: &mut Context<Self>) {
        self.setup.faults.point("task.pulse", context);
        let counts =
            self.newest.as_ref().is_some_and(|progress| moves_counters(&self.attempt.kind, progress));
        let works = self.state == TaskState::Running && self.sealing.is_none();
        if !works || !counts || self.pulse.progress != self.newest {
            self.pulse = Pulse { progress: self.newest.clone(), at: Instant::now() };
            return;
        }
        let still = self.pulse.at.elapsed();
        if still >= self.hang_after {
            self.fence(
                format!("the worker showed no sign of work for {} minutes", still.as_secs() / 60),
                context,
            );
        }
    }

    fn progressed(&mut self, progress: Progress, context: &mut Context<Self>) {
        if !self.reached && progress.stage != Stage::Preparing {
            self.reached = true;
            let (manager, reached) = (self.manager.clone(), WorkerReached { worker: self.worker });
            // Told for the sake of tasks that wait for the network: the end of the attempt tells it, too.
            let tell = async move { drop(manager.send(reached).await) };
            context.spawn(tell.into_actor(self));
        }
        // Rates change while counters stand still.
        self.newest = Some(Progress { bytes_per_second: 0, seconds_left: None, ..progress.clone() });
        let (percent, message) = self.percent.of(&progress);
        if self.telling_progress {
            return;
        }
        self.telling_progress = true;
        let told = BackupProgress {
            task: self.worker.task,
            attempt: self.attempt.attempt,
            message,
            percent,
            stage: progress.stage,
            paused: progress.paused,
            progress,
        };
        let (manager, worker) = (self.manager.clone(), self.worker);
        // The newest value only: one that does not arrive is replaced by the next.
        let tell = async move { drop(manager.send(WorkerProgress { worker, told }).await) };
        context.spawn(tell.into_actor(self).map(|(), actor, _| actor.telling_progress = false));
    }

    /// Has the manager note the snapshot; only then the worker may store it. While the journal cannot be
    /// written the worker waits: all that it stored would be in vain.
    fn ask_to_store(&mut self, context: &mut Context<Self>) {
        let Some((snapshot, _)) = &self.sealing else { return };
        let (manager, sealed) =
            (self.manager.clone(), WorkerSealed { worker: self.worker, snapshot: snapshot.clone() });
        let ask = async move { manager.send(sealed).await };
        context.spawn(ask.into_actor(self).map(|noted, actor, context| {
            let noted = noted.unwrap_or_else(|why| Err(Refusal::Invalid(why.to_string())));
            if let Err(refusal @ Refusal::Journal(_)) = &noted {
                tracing::warn!(task = %actor.worker.task, %refusal, "a snapshot is stored later");
                context.run_later(TELL_AGAIN_AFTER, Self::ask_to_store);
            } else if let Some((_, go)) = actor.sealing.take() {
                go(noted);
            }
        }));
    }
}

impl Actor for TaskActor {
    type Context = Context<Self>;
}

impl Drop for TaskActor {
    /// However it ended: nothing may go on unwatched. After an orderly end this changes nothing.
    fn drop(&mut self) {
        self.control.fence();
        self.working.fence();
    }
}

impl Handler<Execute> for TaskActor {
    type Result = Result<(), IllegalTransition>;

    fn handle(&mut self, _: Execute, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("task.execute", context);
        self.step(Step::Run)?;
        let reporter = Reporter::new(self.worker, context.address(), self.working.clone());
        let runner = self.setup.configured().runner.clone();
        runner.start(self.attempt.clone(), self.control.clone(), Arc::new(reporter));
        self.pulse.at = Instant::now();
        context.run_interval(PULSE_EVERY, Self::look_for_signs_of_work);
        Ok(())
    }
}

impl Handler<Pause> for TaskActor {
    type Result = Result<(), IllegalTransition>;

    fn handle(&mut self, _: Pause, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("task.pause", context);
        self.step(Step::Pause)?;
        self.control.pause();
        Ok(())
    }
}

impl Handler<Resume> for TaskActor {
    type Result = Result<(), IllegalTransition>;

    fn handle(&mut self, _: Resume, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("task.resume", context);
        self.step(Step::Run)?;
        self.pulse.at = Instant::now();
        self.control.resume();
        Ok(())
    }
}

impl Handler<Cancel> for TaskActor {
    type Result = Result<(), IllegalTransition>;

    fn handle(&mut self, _: Cancel, context: &mut Context<Self>) -> Self::Result {
        self.setup.faults.point("task.cancel", context);
        next_state(self.state, Step::Cancel)?;
        self.cancelled = true;
        self.control.cancel();
        // A worker that waits for the journal is told.
        drop(self.sealing.take());
        if self.give_up.is_none() {
            let give_up = |actor: &mut Self, context: &mut Context<Self>| {
                let why = format!("the worker did not end within {} s", CANCEL_MAX.as_secs());
                actor.fence(why, context);
            };
            self.give_up = Some(context.run_later(CANCEL_MAX, give_up));
        }
        Ok(())
    }
}

impl Handler<GetState> for TaskActor {
    type Result = WorkerState;

    fn handle(&mut self, _: GetState, context: &mut Context<Self>) -> WorkerState {
        self.setup.faults.point("task.state", context);
        WorkerState { state: self.state, cancelled: self.cancelled, progress: self.newest.clone() }
    }
}

impl Handler<WorkerTold> for TaskActor {
    type Result = ();

    fn handle(&mut self, told: WorkerTold, context: &mut Context<Self>) {
        self.setup.faults.point("task.told", context);
        match told {
            WorkerTold::Progress(progress) => self.progressed(progress, context),
            WorkerTold::Sealed { snapshot, go } => {
                self.sealing = Some((snapshot, go));
                self.ask_to_store(context);
            }
            WorkerTold::Ended(outcome) => self.end(outcome, context),
        }
    }
}
