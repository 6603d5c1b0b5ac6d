//! Compute slots: as many as there are cores, shared by all jobs of the process.
//!
//! Threads are cheap and may wait for disks; what they may not do is compute
//! beyond the machine's cores, or beyond what is left while a restore goes first.

use parking_lot::{Condvar, Mutex};

/// So many threads compute at once.
pub struct ComputeSlots {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    total: usize,
    allowed: usize,
    taken: usize,
}

/// The right to compute, until it is dropped.
pub struct ComputeSlot<'a> {
    slots: &'a ComputeSlots,
}

impl ComputeSlots {
    /// `total` slots, at least one.
    pub fn new(total: usize) -> Self {
        Self {
            state: Mutex::new(State { total: total.max(1), allowed: total.max(1), taken: 0 }),
            freed: Condvar::new(),
        }
    }

    /// One slot for each core.
    pub fn of_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(2, usize::from))
    }

    /// How many slots there are when nobody goes first.
    pub fn total(&self) -> usize {
        self.state.lock().total
    }

    /// Lets only so many compute for now, at least one and at most all. Slots that are taken beyond
    /// that are not given out again.
    pub fn allow(&self, slots: usize) {
        let mut state = self.state.lock();
        state.allowed = slots.clamp(1, state.total);
        drop(state);
        self.freed.notify_all();
    }

    /// Waits for a slot. Hold it for one unit of work, not while waiting for anything else.
    pub fn take(&self) -> ComputeSlot<'_> {
        let mut state = self.state.lock();
        while state.taken >= state.allowed {
            self.freed.wait(&mut state);
        }
        state.taken += 1;
        ComputeSlot { slots: self }
    }
}

impl Drop for ComputeSlot<'_> {
    fn drop(&mut self) {
        self.slots.state.lock().taken -= 1;
        self.slots.freed.notify_one();
    }
}
