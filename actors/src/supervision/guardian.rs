//! The guardian of a set of posts: starts their supervision, and ends it in order.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::child::{End, Notice, Retire, Start, Supervision, Tell};
use super::death::Death;
use super::post::Post;
use super::stable::Stable;

/// How much longer than it may take to retire a child is waited for. A child that is due is killed by its own
/// thread; if that does not happen the thread is blocked, and nothing but the process's end helps.
pub const UNHEARD_MAX: Duration = Duration::from_secs(5);

/// Supervises posts, each by itself: when one is given up its owner is told, and decides what that means for the
/// others, which go on. Dropped without [`Guardian::shutdown`] it asks all its children to retire at once.
pub struct Guardian {
    tell: Tell,
    wards: Vec<Ward>,
}

struct Ward {
    child: &'static str,
    retire: watch::Sender<bool>,
    retire_max: Duration,
    end: oneshot::Receiver<End>,
}

/// A child that did not end as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{child} did not retire: {how}")]
pub struct Straggler {
    /// Which.
    pub child: &'static str,
    /// How it ended, if it did.
    pub how: StragglerEnd,
}

/// How a child ended that did not end as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StragglerEnd {
    /// It died over it.
    #[error("{0}")]
    Died(Death),
    /// It was still there after this time, and was dropped.
    #[error("it was killed after {after:?}")]
    Killed {
        /// The post's `retire_max`.
        after: Duration,
    },
    /// Nothing was heard from its thread, which is blocked.
    #[error("its thread was blocked for {after:?}")]
    Unheard {
        /// `retire_max` and [`UNHEARD_MAX`].
        after: Duration,
    },
    /// Its arbiter, or the whole actix system, stopped first.
    #[error("its thread ended first")]
    Lost,
}

impl Guardian {
    /// A guardian that tells `tell` what happens to its children. `tell` is called on the children's thread and
    /// must not block; a panic in it is logged and otherwise ignored. At most two notices come with each
    /// restart, so the restart intensity bounds how many come in a minute.
    pub fn new(tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), wards: Vec::new() }
    }

    /// Starts a child in `post` on the current arbiter, and starts another one whenever it dies unasked, within
    /// the post's intensity. A stop that was not asked for is a death.
    ///
    /// `factory` makes each child with what it is to know, read from wherever that is kept. An error or a panic
    /// counts as a death. It is the factory's business not to wait for ever; it is dropped when the post retires.
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub fn supervise<A, F, Fut, E>(&mut self, post: Post<A>, factory: F) -> Stable<A>
    where
        A: Actor<Context = Context<A>> + Handler<Retire>,
        F: Fn(Start<A>) -> Fut + 'static,
        Fut: Future<Output = Result<A, E>> + 'static,
        E: Display + 'static,
    {
        let stable = post.stable();
        let (retire, retired) = watch::channel(false);
        let (ended, end) = oneshot::channel();
        self.wards.push(Ward { child: stable.child(), retire, retire_max: post.settings.retire_max, end });
        let supervision = Supervision { post, factory, retire: retired, tell: self.tell.clone() };
        // Nobody may wait for the end any more.
        actix_rt::spawn(async move { drop(ended.send(supervision.run().await)) });
        stable
    }

    /// Retires the children one after the other, the one supervised last first: who was started on top of
    /// others ends before them. Each has its `retire_max`; then it is killed.
    ///
    /// Gives those that did not end as asked. A child that was given up before has ended, and is not among them.
    pub async fn shutdown(mut self) -> Vec<Straggler> {
        let mut stragglers = Vec::new();
        while let Some(ward) = self.wards.pop() {
            let child = ward.child;
            if let Err(how) = ward.retire().await {
                tracing::error!(child, %how, "did not retire");
                stragglers.push(Straggler { child, how });
            }
        }
        stragglers
    }
}

impl Ward {
    async fn retire(self) -> End {
        self.retire.send_replace(true);
        let after = self.retire_max.saturating_add(UNHEARD_MAX);
        match timeout(after, self.end).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) => Err(StragglerEnd::Lost),
            Err(_) => Err(StragglerEnd::Unheard { after }),
        }
    }
}
