//! Children that somebody else starts: their deaths are reported, and those
//! that live can be listed, so that an owner that was restarted adopts them.
//!
//! A death leaves the list, and is counted, before the child's mailbox closes.
//! Its report goes to the owner's post until it is answered there: an owner that
//! is down gets it as soon as it is back. Reports go one by one, in the order of
//! the deaths. Living children and reports under way together have one bound.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::death::Death;
use super::life::Life;
use super::stable::Stable;

/// A watched child died. Answered when the owner has taken it in; until then it is sent again, so that it may
/// come twice. The owner may hear of a child that it has not adopted: it died before the owner listed the living.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildDied<Id> {
    /// Which.
    pub id: Id,
    /// Which child of this id: an id may be used again after a death.
    pub incarnation: u64,
    /// How.
    pub death: Death,
}

impl<Id: 'static> Message for ChildDied<Id> {
    type Result = ();
}

/// A watched child that lives.
#[derive(Debug)]
pub struct Living<Id, A: Actor> {
    /// Which.
    pub id: Id,
    /// Which child of this id.
    pub incarnation: u64,
    /// Reaches it. Requests through it fail with its death, which is reported, too.
    pub addr: Addr<A>,
}

/// Why a child was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotWatched {
    /// One of this id lives.
    #[error("a child of this id lives already")]
    Duplicate,
    /// So many live, or died and were not yet reported.
    #[error("{children_max} children live, or are to be reported as dead")]
    Full {
        /// The registry's bound.
        children_max: usize,
    },
}

/// How many children came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchedCounts {
    /// Live now.
    pub living: usize,
    /// Died; the owner has not yet taken it in.
    pub unreported: usize,
    /// Stopped, since the beginning.
    pub stopped: u64,
    /// Panicked, since the beginning.
    pub crashed: u64,
    /// Were killed or lost their arbiter, since the beginning.
    pub killed: u64,
    /// Died without the owner's taking it in, since the beginning: it is closed for good, or it died over the
    /// report too often.
    pub unheard: u64,
}

/// The registry of an owner's children. Cheap to clone; usable from any thread.
///
/// It holds each child's address, so a child does not stop because others have forgotten it.
pub struct Watched<Id, A: Actor> {
    inner: Arc<Inner<Id, A>>,
}

struct Inner<Id, A: Actor> {
    children_max: usize,
    registry: Mutex<Registry<Id, A>>,
    /// Never more in it than `children_max`: what is in it counts as unreported, and as taking up room.
    reports: mpsc::UnboundedSender<ChildDied<Id>>,
}

struct Registry<Id, A: Actor> {
    living: BTreeMap<Id, Entry<A>>,
    /// Those whose death is being reported, in the order of the deaths.
    unreported: VecDeque<Id>,
    /// `living` and `unreported` are filled in when asked.
    counts: WatchedCounts,
    incarnations: u64,
}

struct Entry<A: Actor> {
    incarnation: u64,
    addr: Addr<A>,
    kill: oneshot::Sender<()>,
}

impl<Id, A: Actor> Clone for Watched<Id, A> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<Id, A> Watched<Id, A>
where
    Id: Clone + Debug + Ord + Send + 'static,
    A: Actor<Context = Context<A>>,
{
    /// A registry whose reports go to `owner`, from a task on the current arbiter. At most `children_max`
    /// children live or await their report.
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub fn new<O>(owner: Stable<O>, children_max: usize) -> Self
    where
        O: Actor<Context = Context<O>> + Handler<ChildDied<Id>>,
    {
        let (reports, mut deaths) = mpsc::unbounded_channel::<ChildDied<Id>>();
        let registry = Registry {
            living: BTreeMap::new(),
            unreported: VecDeque::new(),
            counts: WatchedCounts::default(),
            incarnations: 0,
        };
        let inner = Arc::new(Inner { children_max, registry: Mutex::new(registry), reports });
        let weak = Arc::downgrade(&inner);
        actix_rt::spawn(async move {
            while let Some(died) = deaths.recv().await {
                let told = owner.send(died.clone()).await;
                if let Err(why) = &told {
                    tracing::error!(?died, %why, "nobody heard of this death");
                }
                if let Some(inner) = weak.upgrade() {
                    let mut registry = inner.registry.lock();
                    // Reports go in the order of the deaths.
                    registry.unreported.pop_front();
                    registry.counts.unheard += u64::from(told.is_err());
                }
            }
        });
        Self { inner }
    }

    /// Starts `actor` on the current arbiter under `id`. It lives until it stops, panics or is killed.
    ///
    /// # Errors
    /// `actor` is dropped unstarted.
    ///
    /// # Panics
    /// Off an actix arbiter.
    pub fn start(&self, id: Id, actor: A, mailbox_max: usize) -> Result<Living<Id, A>, NotWatched> {
        let mut context = Context::new();
        context.set_mailbox_capacity(mailbox_max.max(1));
        let addr = context.address();
        let (kill, killed) = oneshot::channel();
        let incarnation = self.enter(&id, addr.clone(), kill)?;
        let grave = Grave {
            inner: self.inner.clone(),
            died: Some(ChildDied { id: id.clone(), incarnation, death: Death::Killed }),
        };
        actix_rt::spawn(live(grave, Life::new(context, actor), killed));
        Ok(Living { id, incarnation, addr })
    }

    /// The children that live, by id.
    pub fn living(&self) -> Vec<Living<Id, A>> {
        let registry = self.inner.registry.lock();
        registry.living.iter().map(|(id, entry)| entry.living(id)).collect()
    }

    /// The children that died and whose owner has not taken it in yet, in the order of their deaths: it will be
    /// told of them.
    pub fn unreported(&self) -> Vec<Id> {
        self.inner.registry.lock().unreported.iter().cloned().collect()
    }

    /// The child of this id, if it lives.
    pub fn get(&self, id: &Id) -> Option<Living<Id, A>> {
        self.inner.registry.lock().living.get(id).map(|entry| entry.living(id))
    }

    /// Kills a child: its code does not run again, only its `Drop`s do. Its death is reported as any other, once
    /// its thread has done so. False if it does not live.
    pub fn kill(&self, id: &Id) -> bool {
        let killed = self.inner.registry.lock().living.get_mut(id).map(|entry| {
            let (spent, _) = oneshot::channel();
            std::mem::replace(&mut entry.kill, spent)
        });
        // An error means that it has just died, or was killed before.
        killed.is_some_and(|kill| kill.send(()).is_ok())
    }

    /// How many children came to what.
    pub fn counts(&self) -> WatchedCounts {
        let registry = self.inner.registry.lock();
        let (living, unreported) = (registry.living.len(), registry.unreported.len());
        WatchedCounts { living, unreported, ..registry.counts }
    }

    fn enter(&self, id: &Id, addr: Addr<A>, kill: oneshot::Sender<()>) -> Result<u64, NotWatched> {
        let mut registry = self.inner.registry.lock();
        if registry.living.contains_key(id) {
            return Err(NotWatched::Duplicate);
        }
        let children_max = self.inner.children_max;
        if registry.living.len() + registry.unreported.len() >= children_max {
            return Err(NotWatched::Full { children_max });
        }
        registry.incarnations += 1;
        let incarnation = registry.incarnations;
        registry.living.insert(id.clone(), Entry { incarnation, addr, kill });
        Ok(incarnation)
    }
}

impl<A: Actor> Entry<A> {
    fn living<Id: Clone>(&self, id: &Id) -> Living<Id, A> {
        Living { id: id.clone(), incarnation: self.incarnation, addr: self.addr.clone() }
    }
}

async fn live<Id, A>(mut grave: Grave<Id, A>, mut life: Life<A>, killed: oneshot::Receiver<()>)
where
    Id: Clone + Ord,
    A: Actor<Context = Context<A>>,
{
    let death = tokio::select! {
        biased;
        death = &mut life => death,
        Ok(()) = killed => Death::Killed,
    };
    grave.close(death);
    // Its mailbox closes now.
    drop(life);
}

/// Files a child's death, once; the death of one whose task is dropped, too.
struct Grave<Id: Clone + Ord, A: Actor> {
    inner: Arc<Inner<Id, A>>,
    died: Option<ChildDied<Id>>,
}

impl<Id: Clone + Ord, A: Actor> Grave<Id, A> {
    fn close(&mut self, death: Death) {
        let Some(mut died) = self.died.take() else { return };
        died.death = death;
        let mut registry = self.inner.registry.lock();
        let entry = registry.living.remove(&died.id);
        match died.death {
            Death::Stopped => registry.counts.stopped += 1,
            Death::Crashed(_) => registry.counts.crashed += 1,
            Death::NotStarted(_) | Death::Killed => registry.counts.killed += 1,
        }
        let id = died.id.clone();
        if self.inner.reports.send(died).is_ok() {
            registry.unreported.push_back(id);
        } else {
            // The reporting task ended with its arbiter.
            registry.counts.unheard += 1;
        }
        drop(registry);
        drop(entry);
    }
}

impl<Id: Clone + Ord, A: Actor> Drop for Grave<Id, A> {
    fn drop(&mut self) {
        self.close(Death::Killed);
    }
}
