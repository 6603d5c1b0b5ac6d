//! Pause, resume and cancel: one handle that every stage looks at between chunks.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

const RUNNING: u8 = 0;
const PAUSED: u8 = 1;
const CANCELLED: u8 = 2;
const FENCED: u8 = 3;

/// A job's reins. Clones steer the same job. Cancel is final, and fence even more so.
#[derive(Clone, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    lock: Mutex<()>,
    changed: Condvar,
    listener: OnceLock<Listener>,
    watchers: Mutex<Watchers>,
}

#[derive(Default)]
struct Watchers {
    next: u64,
    all: Vec<(u64, Listener)>,
}

type Listener = Box<dyn Fn() + Send + Sync>;

impl Control {
    /// A control whose job runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every stage stops at its next checkpoint until `resume` or `cancel`.
    pub fn pause(&self) {
        self.change(RUNNING, PAUSED);
    }

    /// Undoes `pause`.
    pub fn resume(&self) {
        self.change(PAUSED, RUNNING);
    }

    /// Every stage ends at its next checkpoint with `Error::Cancelled`.
    pub fn cancel(&self) {
        self.end(CANCELLED);
    }

    /// As `cancel`, and from now on the job writes nothing to a repository, not even to keep what it
    /// has read: for one that does not answer and that another attempt is to take over from.
    pub fn fence(&self) {
        self.end(FENCED);
    }

    /// Has `listener` called after every change, on the thread that made it: for a job that has no thread to
    /// block. A control has one listener; a second one is not taken.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        // A job listens once, when it begins.
        let _ = self.shared.listener.set(Box::new(listener));
    }

    /// Has `watcher` called after every change, on the thread that made it, until what is returned is dropped. It
    /// may look at controls, and change or watch none.
    pub(crate) fn watch(&self, watcher: impl Fn() + Send + Sync + 'static) -> Watch {
        let mut watchers = self.shared.watchers.lock();
        watchers.next += 1;
        let number = watchers.next;
        watchers.all.push((number, Box::new(watcher)));
        Watch { control: self.clone(), number }
    }

    /// Whether the job is paused now.
    pub fn is_paused(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == PAUSED
    }

    /// Whether the job was cancelled or fenced.
    pub fn is_cancelled(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) >= CANCELLED
    }

    /// Fails once the job is fenced: looked at before every write to a repository.
    pub(crate) fn ensure_not_fenced(&self) -> Result<()> {
        if self.shared.state.load(Ordering::Acquire) == FENCED { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Fails once the job is cancelled or fenced, and never blocks: for who holds what others wait for.
    pub(crate) fn ensure_not_cancelled(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Returns at once while running, blocks while paused, fails once cancelled.
    /// One atomic load when running, so hot loops may call it for every chunk.
    pub fn checkpoint(&self) -> Result<()> {
        if self.shared.state.load(Ordering::Acquire) == RUNNING {
            return Ok(());
        }
        let mut guard = self.shared.lock.lock();
        loop {
            match self.shared.state.load(Ordering::Acquire) {
                RUNNING => return Ok(()),
                CANCELLED | FENCED => return Err(Error::Cancelled),
                _ => self.shared.changed.wait(&mut guard),
            }
        }
    }

    /// Waits for `duration`, shorter if cancelled meanwhile.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let deadline = std::time::Instant::now() + duration;
        let mut guard = self.shared.lock.lock();
        loop {
            if self.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if self.shared.changed.wait_until(&mut guard, deadline).timed_out() {
                return Ok(());
            }
        }
    }

    fn end(&self, state: u8) {
        let _guard = self.shared.lock.lock();
        self.shared.state.fetch_max(state, Ordering::AcqRel);
        self.tell();
    }

    fn tell(&self) {
        self.shared.changed.notify_all();
        if let Some(listener) = self.shared.listener.get() {
            listener();
        }
        for (_, watcher) in &self.shared.watchers.lock().all {
            watcher();
        }
    }

    fn change(&self, from: u8, to: u8) {
        let _guard = self.shared.lock.lock();
        // A cancelled job stays cancelled, so only the expected state is left.
        let _ = self.shared.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        self.tell();
    }
}

/// Somebody who is told of a control's changes, until it is dropped.
pub(crate) struct Watch {
    control: Control,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.control.shared.watchers.lock().all.retain(|(number, _)| *number != self.number);
    }
}
