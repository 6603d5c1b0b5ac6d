//! What an actor writes to the journal, in order, and what it does once that is written.
//!
//! An actor changes its own state, writes the change, and tells nobody and does nothing about it before it is
//! committed. If a write fails, so does everything written after it that builds on it; the actor then has to
//! read its state again, for what it has is ahead of the journal.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use keepwell_messages::{Failure, Refusal};

use crate::hub::Hub;
use crate::journal::{Batch, Committed, Course, Journal, JournalError};

/// What is done with the fate of a write.
pub(crate) type Then<A> = Box<dyn FnOnce(&mut A, &mut Context<A>, Result<(), Refusal>)>;

type Fate = Result<Committed, JournalError>;

/// How long after a failure to write it is tried again: a disk that is full stays so for a while.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// An actor that has a ledger.
pub(crate) trait Keeper: Actor<Context = Context<Self>> {
    /// Its ledger.
    fn ledger(&mut self) -> &mut Ledger<Self>;

    /// Whether it is to end.
    fn is_retiring(&self) -> bool;

    /// Reads its state again, in place: what a restart would do, without the death.
    fn read_again(&mut self, context: &mut Context<Self>);
}

/// See the module.
pub(crate) struct Ledger<A: Actor<Context = Context<A>>> {
    journal: Journal,
    hub: Hub,
    course: Course,
    /// What follows each batch that is being written, in the order of the batches.
    waiting: VecDeque<Vec<Then<A>>>,
    fates: Sender<Fate>,
    /// Away while a thread waits for the next fate.
    told: Option<Receiver<Fate>>,
    failed: Option<Failure>,
}

impl<A: Keeper> Ledger<A> {
    pub(crate) fn new(journal: Journal, hub: Hub) -> Self {
        let (fates, told) = channel();
        let (course, waiting) = (Course::new(), VecDeque::new());
        Self { journal, hub, course, waiting, fates, told: Some(told), failed: None }
    }

    /// Why nothing can be written now, if it cannot.
    pub(crate) fn failed(&self) -> Option<Refusal> {
        self.failed.clone().map(Refusal::Journal)
    }

    /// Whether nothing is being written.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes `batch`, announces its events, then does `then`.
    pub(crate) fn write(actor: &mut A, context: &mut Context<A>, mut batch: Batch, then: Then<A>) {
        let ledger = actor.ledger();
        batch.course = Some(ledger.course.clone());
        let (hub, fates) = (ledger.hub.clone(), ledger.fates.clone());
        ledger.waiting.push_back(vec![then]);
        let done = move |fate: Fate| {
            if let Ok(committed) = &fate {
                hub.tell(&committed.events);
            }
            // Nobody waits any more if the actor died.
            let _ = fates.send(fate);
        };
        ledger.journal.commit(batch, Box::new(done));
        Self::await_fates(actor, context);
    }

    /// Does `then` once everything that is being written is written, or has failed; at once if nothing is.
    pub(crate) fn after(actor: &mut A, context: &mut Context<A>, then: Then<A>) {
        match actor.ledger().waiting.back_mut() {
            Some(last) => last.push(then),
            None => {
                let failed = actor.ledger().failed();
                then(actor, context, failed.map_or(Ok(()), Err));
            }
        }
    }

    /// Waits on a thread that may block: on virtual time, too, no time goes by until the disk has answered.
    fn await_fates(actor: &mut A, context: &mut Context<A>) {
        let ledger = actor.ledger();
        if ledger.waiting.is_empty() {
            return;
        }
        let Some(told) = ledger.told.take() else { return };
        let wait = tokio::task::spawn_blocking(move || {
            let mut fates: Vec<Fate> = told.recv().into_iter().collect();
            fates.extend(told.try_iter());
            (told, fates)
        });
        context.spawn(wait.into_actor(actor).map(|waited, actor, context| {
            let Ok((told, fates)) = waited else { return };
            actor.ledger().told = Some(told);
            for fate in fates {
                Self::settle(actor, context, fate);
            }
            Self::await_fates(actor, context);
        }));
    }

    fn settle(actor: &mut A, context: &mut Context<A>, fate: Fate) {
        let ledger = actor.ledger();
        let Some(then) = ledger.waiting.pop_front() else { return };
        let fate = match fate {
            Ok(_) => Ok(()),
            // The first failure is the reason of those that follow.
            Err(error) => Err(ledger.failed.get_or_insert_with(|| error.failure()).clone()),
        };
        let failed = fate.clone().err();
        for then in then {
            then(actor, context, fate.clone().map_err(Refusal::Journal));
        }
        if let Some(why) = failed.filter(|_| actor.ledger().is_idle()) {
            Self::fall_behind(actor, context, &why);
        }
    }

    /// A write failed and everything after it was told so: the actor's state is ahead of the journal's. Until
    /// it is read again every command is refused with the reason, and what workers tell is told again.
    fn fall_behind(actor: &mut A, context: &mut Context<A>, why: &Failure) {
        tracing::error!(why = why.why, "the journal could not be written; what was decided is undone");
        if actor.is_retiring() {
            // The next start takes what is unfinished for a crash, and catches up.
            context.stop();
        } else {
            context.run_later(AGAIN_AFTER, A::read_again);
        }
    }
}
