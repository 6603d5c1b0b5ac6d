//! Packs on their way to the store, in tickets that can be waited for. A pack has its ticket from the moment it
//! leaves the packer: from then until it has landed whoever relies on its blobs finds it here. Only so many are sent
//! at once, in the order of coming, so that no task starves beside one with more threads.
//!
//! A failed upload is never forgotten: it is counted, and whoever relied on the
//! packs of that time learns of it when waiting.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// Counts what is under way and what failed.
pub struct Uploads {
    at_once_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next_ticket: u64,
    /// Tickets that have not ended: sealed, waiting for room, or sent.
    open: BTreeSet<u64>,
    /// Those among them that wait for room.
    queue: VecDeque<u64>,
    sent: BTreeSet<u64>,
    failures: u64,
    last_failure: Option<Arc<Error>>,
}

impl Uploads {
    /// At most `at_once_max` uploads run at a time.
    pub fn new(at_once_max: usize) -> Self {
        Self { at_once_max: at_once_max.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a ticket, at once.
    pub fn promise(&self) -> u64 {
        let mut state = self.state.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.open.insert(ticket);
        ticket
    }

    /// Waits for room to send: the back-pressure on whoever fills packs.
    pub fn wait_for_room(&self, ticket: u64) {
        let mut state = self.state.lock();
        state.queue.push_back(ticket);
        while state.queue.front() != Some(&ticket) || state.sent.len() >= self.at_once_max {
            self.changed.wait(&mut state);
        }
        state.queue.pop_front();
        state.sent.insert(ticket);
        // There may be room for the next one as well.
        self.changed.notify_all();
    }

    /// How many wait for room.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Ends a ticket.
    pub fn end(&self, ticket: u64, outcome: Result<()>) {
        let mut state = self.state.lock();
        state.open.remove(&ticket);
        state.sent.remove(&ticket);
        if let Err(error) = outcome {
            note_failure(&mut state, error);
        }
        self.changed.notify_all();
    }

    /// Notes that something others may rely on was not stored.
    pub fn fail(&self, error: Error) {
        note_failure(&mut self.state.lock(), error);
        self.changed.notify_all();
    }

    /// How many failures there were so far: the mark that `ensure_none_since` compares with.
    pub fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// Fails if anything failed since `mark`.
    pub fn ensure_none_since(&self, mark: u64) -> Result<()> {
        failure_since(&self.state.lock(), mark)
    }

    /// Waits until every ticket that was taken before this call has ended, then fails if any failed since `mark`.
    pub fn wait_for_all(&self, mark: u64) -> Result<()> {
        let mut state = self.state.lock();
        let next = state.next_ticket;
        while state.open.first().is_some_and(|&oldest| oldest < next) {
            self.changed.wait(&mut state);
        }
        failure_since(&state, mark)
    }
}

fn note_failure(state: &mut State, error: Error) {
    state.failures += 1;
    state.last_failure = Some(Arc::new(error));
}

fn failure_since(state: &State, mark: u64) -> Result<()> {
    match &state.last_failure {
        Some(error) if state.failures > mark => Err(Error::Upload(error.clone())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(uploads: &Uploads) -> u64 {
        let ticket = uploads.promise();
        uploads.wait_for_room(ticket);
        ticket
    }

    #[test]
    fn there_is_room_in_the_order_of_coming() {
        let uploads = Arc::new(Uploads::new(2));
        let served = Arc::new(Mutex::new(Vec::new()));
        let held = [begin(&uploads), begin(&uploads)];
        let mut threads = Vec::new();
        for number in 0..20 {
            let (waiting, told) = (uploads.clone(), served.clone());
            threads.push(std::thread::spawn(move || {
                let ticket = begin(&waiting);
                told.lock().push(number);
                waiting.end(ticket, Ok(()));
            }));
            while uploads.waiting() <= number {
                std::thread::yield_now();
            }
        }
        uploads.end(held[0], Ok(()));
        for thread in threads {
            thread.join().unwrap();
        }
        uploads.end(held[1], Ok(()));
        assert_eq!(*served.lock(), (0..20).collect::<Vec<_>>());
        uploads.wait_for_all(0).unwrap();
    }

    #[test]
    fn who_waits_for_all_waits_for_those_without_room_as_well() {
        let uploads = Arc::new(Uploads::new(1));
        let (sent, promised) = (begin(&uploads), uploads.promise());
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = uploads.clone();
        std::thread::spawn(move || tell.send(waiting.wait_for_all(0).is_ok()));
        uploads.end(sent, Ok(()));
        let a_while = std::time::Duration::from_millis(200);
        assert!(told.recv_timeout(a_while).is_err(), "what was promised has not ended");
        uploads.end(promised, Ok(()));
        assert!(told.recv().unwrap());
    }
}
