//! Handles that stay good while the children behind them come and go.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot, watch};
use tokio::time::timeout;

use super::death::Death;
use super::post::{ChildSettings, Holder, Occupant, Standing};

/// How long a request that is sent again keeps others from being sent again. They go one by one, so that a
/// request that kills its child is found out alone; but a slow answer must not hold up the rest, on which it
/// may even wait. A handler that panics does so at once.
pub const AGAIN_TURN_MAX: Duration = Duration::from_secs(1);

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreachable {
    /// The restart intensity was reached: there will be no further child.
    #[error("{child} was given up after {restarts} restarts in a short time; the last time {last}")]
    GaveUp {
        /// Which.
        child: &'static str,
        /// The restarts within the window.
        restarts: u32,
        /// How the last child died.
        last: Death,
    },
    /// It was retired, or asked to retire while no child held the post.
    #[error("{child} was shut down")]
    ShutDown {
        /// Which.
        child: &'static str,
    },
    /// Its arbiter, or the whole actix system, has stopped.
    #[error("the thread of {child} has ended")]
    Lost {
        /// Which.
        child: &'static str,
    },
    /// The handle's patience ended first. The request may still have been served.
    #[error("{child} gave no answer within {patience:?}")]
    DeadlinePassed {
        /// Which.
        child: &'static str,
        /// The handle's.
        patience: Duration,
    },
    /// So many children died before they answered this request that it is taken for the cause.
    #[error("{child} died {deaths} times over this request; the last time {last}")]
    Suspect {
        /// Which.
        child: &'static str,
        /// How many.
        deaths: u32,
        /// How the last one died.
        last: Death,
    },
    /// The child lives but dropped the request unanswered: a defect of its handler.
    #[error("{child} dropped the request without an answer")]
    Unanswered {
        /// Which.
        child: &'static str,
    },
}

/// Reaches whoever holds a post now. Cheap to clone, usable from any thread and any tokio runtime.
pub struct Stable<A: Actor> {
    child: &'static str,
    standing: watch::Receiver<Standing<A>>,
    room: Arc<Room>,
    deliveries_max: u32,
    patience: Option<Duration>,
}

/// What all handles of one post share.
struct Room {
    /// One permit for each request that may be unanswered.
    requests: Semaphore,
    /// The turn of those that are sent again.
    again: Semaphore,
}

// Not derived: that would ask `A` to be cloneable.
impl<A: Actor> Clone for Stable<A> {
    fn clone(&self) -> Self {
        Self { standing: self.standing.clone(), room: self.room.clone(), ..*self }
    }
}

impl<A: Actor> Stable<A> {
    pub(super) fn new(
        child: &'static str,
        settings: &ChildSettings,
        standing: watch::Receiver<Standing<A>>,
    ) -> Self {
        let requests = Semaphore::new(settings.requests_max.clamp(1, Semaphore::MAX_PERMITS));
        let room = Arc::new(Room { requests, again: Semaphore::new(1) });
        Self { child, standing, room, deliveries_max: settings.deliveries_max.max(1), patience: None }
    }

    /// The same handle, each of whose requests is answered or fails within `patience`, on the clock of the
    /// runtime on which it is sent. Without this there is no such bound.
    pub fn within(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// The name of the post.
    pub fn child(&self) -> &'static str {
        self.child
    }

    /// Sends `message` and gives the answer.
    ///
    /// Waits while the post is vacant and while too many requests are unanswered. If the child dies before it
    /// answers, the message is sent again to the next one, and so on: the receiver must be able to take in one
    /// message twice, for the first child may have done what was asked and died before it said so. Commands
    /// therefore carry an id. Messages of one sender that awaits each answer arrive in order; no other order is kept.
    ///
    /// # Errors
    /// See [`Unreachable`]. A message is never lost without one. Dropping the future takes the message back if
    /// it was not yet served.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, Unreachable>
    where
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let Some(patience) = self.patience else { return self.deliver(message).await };
        let passed = Unreachable::DeadlinePassed { child: self.child, patience };
        timeout(patience, self.deliver(message)).await.unwrap_or(Err(passed))
    }

    /// Waits until the post is closed for good, and says why.
    pub async fn closed(&self) -> Unreachable {
        let mut standing = self.standing.clone();
        loop {
            if let Holder::Closed(why) = &standing.borrow_and_update().holder {
                return why.clone();
            }
            if standing.changed().await.is_err() {
                return Unreachable::Lost { child: self.child };
            }
        }
    }

    async fn deliver<M>(&self, message: M) -> Result<M::Result, Unreachable>
    where
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let _room = self.room.requests.acquire().await.expect("the semaphore is never closed");
        let mut standing = self.standing.clone();
        let mut deaths = 0;
        loop {
            let turn = match deaths {
                0 => None,
                _ => Some(self.room.again.acquire().await.expect("the semaphore is never closed")),
            };
            let occupant = self.occupant(&mut standing).await?;
            if let Some(reply) = ask(&occupant, message.clone(), turn).await {
                return Ok(reply);
            }
            let last = self.death_of(&occupant, &standing).await?;
            deaths += 1;
            if deaths == self.deliveries_max {
                return Err(Unreachable::Suspect { child: self.child, deaths, last });
            }
        }
    }

    /// Waits for a child. No borrow of the standing is held while it waits.
    async fn occupant(
        &self,
        standing: &mut watch::Receiver<Standing<A>>,
    ) -> Result<Occupant<A>, Unreachable> {
        loop {
            match &standing.borrow_and_update().holder {
                Holder::Here(occupant) => return Ok(occupant.clone()),
                Holder::Closed(why) => return Err(why.clone()),
                Holder::Vacant => {}
            }
            if standing.changed().await.is_err() {
                return Err(Unreachable::Lost { child: self.child });
            }
        }
    }

    /// How `occupant` died, which gave no answer; an error if it lives.
    async fn death_of(
        &self,
        occupant: &Occupant<A>,
        standing: &watch::Receiver<Standing<A>>,
    ) -> Result<Death, Unreachable> {
        // A panic drops the request while it unwinds, and another thread may see that before the guardian has
        // caught the panic. What runs on the child's thread after this is after that.
        let (passed, passes) = oneshot::channel();
        occupant.arbiter.spawn_fn(move || {
            // Nobody waits any more if the request was given up.
            let _ = passed.send(());
        });
        if passes.await.is_err() {
            return Err(Unreachable::Lost { child: self.child });
        }
        let standing = standing.borrow();
        match &standing.holder {
            Holder::Here(now) if now.number == occupant.number => {
                Err(Unreachable::Unanswered { child: self.child })
            }
            Holder::Closed(why) => Err(why.clone()),
            _ => Ok(standing.last_death.clone().unwrap_or(Death::Stopped)),
        }
    }
}

/// Sends one message to one child; `None` if it is not answered. `turn` ends with the answer, or a while later.
async fn ask<A, M>(occupant: &Occupant<A>, message: M, turn: Option<SemaphorePermit<'_>>) -> Option<M::Result>
where
    M: Message + Send + 'static,
    M::Result: Send,
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
{
    let mut request = pin!(occupant.addr.send(message));
    if let Some(turn) = turn {
        if let Ok(reply) = timeout(AGAIN_TURN_MAX, request.as_mut()).await {
            return reply.ok();
        }
        drop(turn);
    }
    request.await.ok()
}
