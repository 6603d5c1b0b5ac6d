//! A post that children hold one after the other, and how it stands with it.

use std::time::Duration;

use actix::{Actor, Addr};
use actix_rt::ArbiterHandle;
use tokio::sync::watch;

use super::death::Death;
use super::intensity::Intensity;
use super::stable::{Stable, Unreachable};

/// Requests through all handles of one post that are unanswered at once, unless the settings say otherwise;
/// also the capacity of the child's mailbox. At 50,000 messages a second it is 20 ms of work.
pub const REQUESTS_MAX: usize = 1024;

/// How often one request is given to a child, unless the settings say otherwise: after so many deaths before
/// its answer it is refused as their likely cause. Fewer than [`super::RESTARTS_MAX`], or one bad message
/// would end the supervision.
pub const DELIVERIES_MAX: u32 = 3;

/// How long a child may take to retire, unless the settings say otherwise: cancelling takes a second, writing
/// down the rest takes a few on a slow disk.
pub const RETIRE_MAX: Duration = Duration::from_secs(10);

/// The bounds of one post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildSettings {
    /// How often it is filled again.
    pub intensity: Intensity,
    /// Requests unanswered at once; further ones wait. 0 is taken for 1.
    pub requests_max: usize,
    /// Deliveries of one request. 0 is taken for 1.
    pub deliveries_max: u32,
    /// From the request to retire until the child is killed.
    pub retire_max: Duration,
}

impl Default for ChildSettings {
    fn default() -> Self {
        Self {
            intensity: Intensity::default(),
            requests_max: REQUESTS_MAX,
            deliveries_max: DELIVERIES_MAX,
            retire_max: RETIRE_MAX,
        }
    }
}

/// A post not yet supervised: its handle can be given to others before there is a first child, as two actors
/// that know each other need it. Dropped unused, its handles fail with [`Unreachable::Lost`].
pub struct Post<A: Actor> {
    pub(super) settings: ChildSettings,
    pub(super) standing: watch::Sender<Standing<A>>,
    pub(super) stable: Stable<A>,
}

impl<A: Actor> Post<A> {
    /// A post called `name` in errors and notices.
    pub fn new(name: &'static str, settings: ChildSettings) -> Self {
        let (standing, seen) = watch::channel(Standing { holder: Holder::Vacant, last_death: None });
        Self { settings, standing, stable: Stable::new(name, &settings, seen) }
    }

    /// A handle that reaches whoever holds this post.
    pub fn stable(&self) -> Stable<A> {
        self.stable.clone()
    }

    pub(super) fn appoint(&self, occupant: Occupant<A>) {
        self.standing.send_modify(|standing| standing.holder = Holder::Here(occupant));
    }

    pub(super) fn vacate(&self, death: &Death) {
        self.standing.send_modify(|standing| {
            standing.holder = Holder::Vacant;
            standing.last_death = Some(death.clone());
        });
    }

    pub(super) fn close(&self, why: Unreachable) {
        self.standing.send_modify(|standing| standing.holder = Holder::Closed(why));
    }
}

/// How it stands with a post.
pub(super) struct Standing<A: Actor> {
    pub(super) holder: Holder<A>,
    pub(super) last_death: Option<Death>,
}

pub(super) enum Holder<A: Actor> {
    /// A child is being started.
    Vacant,
    Here(Occupant<A>),
    /// For good.
    Closed(Unreachable),
}

/// One child in its post.
pub(super) struct Occupant<A: Actor> {
    /// Rises with every child of the post.
    pub(super) number: u64,
    pub(super) addr: Addr<A>,
    pub(super) arbiter: ArbiterHandle,
}

// Not derived: that would ask `A` to be cloneable.
impl<A: Actor> Clone for Occupant<A> {
    fn clone(&self) -> Self {
        Self { number: self.number, addr: self.addr.clone(), arbiter: self.arbiter.clone() }
    }
}
