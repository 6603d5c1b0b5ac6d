//! Packs on their way to the store: so many at once, in tickets that can be waited for. Who waits for a ticket
//! is served in the order of coming, so that no task starves beside one with more threads.
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
    next_place: u64,
    /// Places of those who wait for a ticket.
    queue: VecDeque<u64>,
    under_way: BTreeSet<u64>,
    failures: u64,
    last_failure: Option<Arc<Error>>,
}

impl Uploads {
    /// At most `at_once_max` uploads run at a time.
    pub fn new(at_once_max: usize) -> Self {
        Self { at_once_max: at_once_max.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for room and takes a ticket: the back-pressure on whoever fills packs.
    pub fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        let place = state.next_place;
        state.next_place += 1;
        state.queue.push_back(place);
        while state.queue.front() != Some(&place) || state.under_way.len() >= self.at_once_max {
            self.changed.wait(&mut state);
        }
        state.queue.pop_front();
        // There may be room for the next one as well.
        self.changed.notify_all();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.under_way.insert(ticket);
        ticket
    }

    /// Ends a ticket.
    pub fn end(&self, ticket: u64, outcome: Result<()>) {
        let mut state = self.state.lock();
        state.under_way.remove(&ticket);
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

    /// Waits until every upload that began before this call has ended, then fails if any did since `mark`.
    pub fn wait_for_all(&self, mark: u64) -> Result<()> {
        let mut state = self.state.lock();
        let next = state.next_ticket;
        while state.under_way.first().is_some_and(|&oldest| oldest < next) {
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

    #[test]
    fn tickets_are_given_in_the_order_of_coming() {
        let uploads = Arc::new(Uploads::new(2));
        let served = Arc::new(Mutex::new(Vec::new()));
        let held = [uploads.begin(), uploads.begin()];
        let mut threads = Vec::new();
        for number in 0..20 {
            let (waiting, told) = (uploads.clone(), served.clone());
            threads.push(std::thread::spawn(move || {
                let ticket = waiting.begin();
                told.lock().push(number);
                waiting.end(ticket, Ok(()));
            }));
            while uploads.state.lock().queue.len() <= number {
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
}
