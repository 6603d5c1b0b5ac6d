//! Batches on their way to the writer: a bounded queue that is emptied at one go,
//! which is what makes group commits.

use parking_lot::{Condvar, Mutex};

use super::{Batch, Committed, Done, JournalError};

/// Batches that wait before whoever brings the next one waits, too. A hundred times what a busy system has
/// in flight, and still written within a second on a slow disk.
pub(super) const BATCHES_WAITING_MAX: usize = 10_000;

/// A batch and who wants to know of it. Told in any case: if it is dropped, that the journal is closed.
pub(super) struct Job {
    pub(super) batch: Batch,
    done: Option<Done>,
}

impl Job {
    pub(super) fn new(batch: Batch, done: Done) -> Self {
        Self { batch, done: Some(done) }
    }

    /// Tells its fate.
    pub(super) fn tell(mut self, fate: Result<Committed, JournalError>) {
        if let Some(done) = self.done.take() {
            done(fate);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(JournalError::Closed));
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    closed: bool,
}

impl Queue {
    /// Waits while the queue is full. Once it is closed, the job is told so.
    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.len() >= BATCHES_WAITING_MAX && !waiting.closed {
            self.emptied.wait(&mut waiting);
        }
        if waiting.closed {
            // Whoever is told may ask the queue something: not while it is locked.
            drop(waiting);
            drop(job);
            return;
        }
        waiting.jobs.push(job);
        self.filled.notify_one();
    }

    /// All that wait, at least one, in their order; `None` once the queue is closed and empty.
    pub(super) fn take_all(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            self.filled.wait(&mut waiting);
        }
        self.emptied.notify_all();
        Some(std::mem::take(&mut waiting.jobs))
    }

    /// Takes nothing more in; what waits can still be taken out.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// As [`Queue::close`], for when nobody will take anything out again.
    pub(super) fn abandon(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.waiting.lock().jobs);
        drop(jobs);
    }
}
