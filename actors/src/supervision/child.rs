//! A supervised child: started, watched, started again, retired.
//!
//! One task for each post. Whatever a child or its factory does, this task goes
//! on: their panics are caught, and its own code has none. The post's standing
//! is told of a death before the child's mailbox closes.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::Arbiter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::death::{Death, caught};
use super::guardian::StragglerEnd;
use super::intensity::RestartLog;
use super::life::Life;
use super::post::{Occupant, Post};
use super::stable::{Stable, Unreachable};

/// Asks a child to finish and to stop its context. Until it has stopped it is reached as before; when it has,
/// it is not started again, however it ended. Sent once, to a child that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retire;

impl Message for Retire {
    type Result = ();
}

/// What a factory is told.
pub struct Start<A: Actor> {
    /// A handle to the post that the new child is to hold.
    pub stable: Stable<A>,
    /// How often the post was filled, or tried to be, before.
    pub restarts: u64,
}

/// What a guardian tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A child died, or could not be started, unasked.
    Died {
        /// Which.
        child: &'static str,
        /// How.
        death: Death,
    },
    /// A new child holds the post.
    Restarted {
        /// Which.
        child: &'static str,
        /// How often, since the beginning.
        restarts: u64,
    },
    /// The restart intensity was reached; handles fail with the same reason from now on.
    GaveUp {
        /// Which.
        child: &'static str,
        /// Always [`Unreachable::GaveUp`].
        why: Unreachable,
    },
}

pub(super) type Tell = Arc<dyn Fn(Notice) + Send + Sync>;

/// How the supervision of a child ended, if it was asked to end.
pub(super) type End = Result<(), StragglerEnd>;

/// Everything that one child's supervision needs.
pub(super) struct Supervision<A: Actor, F> {
    pub(super) post: Post<A>,
    pub(super) factory: F,
    /// Becomes true, or is closed, when the child is to retire.
    pub(super) retire: watch::Receiver<bool>,
    pub(super) tell: Tell,
}

enum Course {
    /// Unasked.
    Died(Death),
    /// Asked.
    Retired(End),
}

impl<A, F, Fut, E> Supervision<A, F>
where
    A: Actor<Context = Context<A>> + Handler<Retire>,
    F: Fn(Start<A>) -> Fut,
    Fut: Future<Output = Result<A, E>>,
    E: Display,
{
    /// Fills the post until it is retired or given up.
    pub(super) async fn run(mut self) -> End {
        let child = self.post.stable.child();
        let mut log = RestartLog::new(self.post.settings.intensity);
        let mut restarts = 0;
        loop {
            let death = match self.fill(restarts).await {
                Course::Died(death) => death,
                Course::Retired(end) => {
                    self.post.close(Unreachable::ShutDown { child });
                    return end;
                }
            };
            tracing::error!(child, %death, "a supervised actor died");
            self.notify(Notice::Died { child, death: death.clone() });
            let Some(delay) = log.next_restart(Instant::now()) else {
                self.give_up(death);
                return Ok(());
            };
            restarts += 1;
            tokio::select! {
                biased;
                () = retired(&mut self.retire) => {
                    self.post.close(Unreachable::ShutDown { child });
                    return Ok(());
                }
                () = sleep(delay) => {}
            }
        }
    }

    /// One child, from its factory to its end.
    async fn fill(&mut self, restarts: u64) -> Course {
        let start = Start { stable: self.post.stable(), restarts };
        let actor = tokio::select! {
            biased;
            () = retired(&mut self.retire) => return Course::Retired(Ok(())),
            made = make(&self.factory, start) => made,
        };
        let actor = match actor {
            Ok(actor) => actor,
            Err(death) => {
                self.post.vacate(&death);
                return Course::Died(death);
            }
        };
        let mut context = Context::new();
        context.set_mailbox_capacity(self.post.settings.requests_max.max(1));
        let addr = context.address();
        let mut life = Life::new(context, actor);
        let occupant = Occupant { number: restarts, addr: addr.clone(), arbiter: Arbiter::current() };
        self.post.appoint(occupant);
        if restarts > 0 {
            self.notify(Notice::Restarted { child: self.post.stable.child(), restarts });
        }
        // Told while the life is still there: its mailbox closes after that, when it is dropped.
        tokio::select! {
            biased;
            death = &mut life => {
                self.post.vacate(&death);
                Course::Died(death)
            }
            () = retired(&mut self.retire) => {
                let end = self.retire(addr, &mut life).await;
                self.post.close(Unreachable::ShutDown { child: self.post.stable.child() });
                Course::Retired(end)
            }
        }
    }

    async fn retire(&self, addr: Addr<A>, life: &mut Life<A>) -> End {
        // The child lives, and if it dies before it reads this, that is seen below.
        addr.do_send(Retire);
        let retire_max = self.post.settings.retire_max;
        match timeout(retire_max, life).await {
            Ok(Death::Stopped) => Ok(()),
            Ok(death) => Err(StragglerEnd::Died(death)),
            Err(_) => Err(StragglerEnd::Killed { after: retire_max }),
        }
    }

    fn give_up(&self, last: Death) {
        let child = self.post.stable.child();
        let restarts = self.post.settings.intensity.restarts_max;
        let why = Unreachable::GaveUp { child, restarts, last };
        tracing::error!(child, %why, "supervision ends");
        self.post.close(why.clone());
        self.notify(Notice::GaveUp { child, why });
    }

    fn notify(&self, notice: Notice) {
        if let Err(panic) = caught(|| (self.tell)(notice)) {
            tracing::error!(child = self.post.stable.child(), panic, "the owner panicked over a notice");
        }
    }
}

/// Ready when the child is to retire: it was told to, or its guardian is gone.
async fn retired(retire: &mut watch::Receiver<bool>) {
    // An error means that nobody can ever ask: the same as having asked.
    drop(retire.wait_for(|&retire| retire).await);
}

/// Runs the factory, its panics caught.
async fn make<A, F, Fut, E>(factory: &F, start: Start<A>) -> Result<A, Death>
where
    A: Actor,
    F: Fn(Start<A>) -> Fut,
    Fut: Future<Output = Result<A, E>>,
    E: Display,
{
    let panicked = |panic: String| Death::not_started(&format!("its start panicked: {panic}"));
    let mut making = pin!(caught(|| factory(start)).map_err(panicked)?);
    let made = poll_fn(|cx| match caught(|| making.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    });
    made.await.map_err(panicked)?.map_err(|error| Death::not_started(&error.to_string()))
}
