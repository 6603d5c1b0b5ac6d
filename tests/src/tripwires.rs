//! Panics at named points of the actors, each at the next call after it was armed.

use std::sync::Arc;

use keepwell_actors::supervision::{Fault, FaultPlan};
use parking_lot::Mutex;

/// Points that panic once. Clones are the same wires.
#[derive(Clone, Debug, Default)]
pub struct Tripwires {
    armed: Arc<Mutex<Vec<&'static str>>>,
}

impl Tripwires {
    /// The next call of `point` panics.
    pub fn arm(&self, point: &'static str) {
        self.armed.lock().push(point);
    }

    /// The points that have not panicked yet.
    pub fn armed(&self) -> Vec<&'static str> {
        self.armed.lock().clone()
    }
}

impl FaultPlan for Tripwires {
    fn fault_at(&self, point: &str, _: u64) -> Fault {
        let mut armed = self.armed.lock();
        match armed.iter().position(|wire| *wire == point) {
            Some(place) => {
                armed.remove(place);
                Fault::Panic
            }
            None => Fault::None,
        }
    }
}
