//! Faults that tests put into actors: panics and stalls at named points.
//!
//! An actor has [`Faults`] from its settings and names its points, `actor.handler`
//! by custom. The default does nothing, and costs a comparison.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, AsyncContext, Context};
use parking_lot::Mutex;
use tokio::time::sleep;

/// What is to happen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// A panic, whose text names the point. The process's panic hook is not called.
    Panic,
    /// The actor takes in nothing for so long, on tokio's clock.
    Stall(Duration),
}

/// Decides what happens at points.
pub trait FaultPlan: Send + Sync {
    /// What is to happen at this call of `point`, the `call`th, counted from 1.
    fn fault_at(&self, point: &str, call: u64) -> Fault;
}

/// The points of a system, and what happens at them. Clones count calls together.
#[derive(Clone, Default)]
pub struct Faults {
    planned: Option<Arc<Planned>>,
}

struct Planned {
    plan: Box<dyn FaultPlan>,
    /// As many entries as there are points in the code.
    calls: Mutex<HashMap<&'static str, u64>>,
}

impl Faults {
    /// Faults after a plan.
    pub fn planned(plan: impl FaultPlan + 'static) -> Self {
        let planned = Planned { plan: Box::new(plan), calls: Mutex::default() };
        Self { planned: Some(Arc::new(planned)) }
    }

    /// A point in an actor's own code. A stall begins when the handler or future that called this returns, so
    /// that what a handler returns at once is still answered; the thread is not blocked.
    ///
    /// # Panics
    /// When the plan says so.
    pub fn point<A: Actor<Context = Context<A>>>(&self, point: &'static str, context: &mut Context<A>) {
        if let Some(stall) = self.strike(point) {
            context.wait(wrap_future(sleep(stall)));
        }
    }

    /// A point in async code that is not an actor's, as its factory; stalls there.
    ///
    /// # Panics
    /// When the plan says so.
    pub async fn passage(&self, point: &'static str) {
        if let Some(stall) = self.strike(point) {
            sleep(stall).await;
        }
    }

    /// How often `point` was called.
    pub fn calls(&self, point: &str) -> u64 {
        let planned = self.planned.as_ref();
        planned.and_then(|planned| planned.calls.lock().get(point).copied()).unwrap_or(0)
    }

    pub(super) fn strike(&self, point: &'static str) -> Option<Duration> {
        // A second panic while the stack unwinds would abort the process.
        let planned = self.planned.as_ref().filter(|_| !std::thread::panicking())?;
        let call = {
            let mut calls = planned.calls.lock();
            let calls = calls.entry(point).or_insert(0);
            *calls += 1;
            *calls
        };
        match planned.plan.fault_at(point, call) {
            Fault::None => None,
            Fault::Panic => {
                // A panic without the process's hook: nobody wants to read of, or to pay for the backtraces of,
                // the thousands of a simulation.
                resume_unwind(Box::new(format!("fault at {point}, call {call}")))
            }
            Fault::Stall(stall) => Some(stall),
        }
    }
}

/// One panic, at one call of one point.
#[derive(Clone, Copy, Debug)]
pub struct PanicAtCall {
    /// Where.
    pub point: &'static str,
    /// At which call, counted from 1.
    pub call: u64,
}

impl FaultPlan for PanicAtCall {
    fn fault_at(&self, point: &str, call: u64) -> Fault {
        if point == self.point && call == self.call { Fault::Panic } else { Fault::None }
    }
}

/// Faults at random. What happens at a call of a point depends on the seed, the point and the number of the
/// call alone, not on what other points do.
#[derive(Clone, Copy, Debug)]
pub struct RandomFaults {
    /// The same seed, the same faults.
    pub seed: u64,
    /// Calls of 1,000 that panic.
    pub panics_per_mille: u16,
    /// Calls of 1,000 that stall.
    pub stalls_per_mille: u16,
    /// How long.
    pub stall: Duration,
}

impl FaultPlan for RandomFaults {
    fn fault_at(&self, point: &str, call: u64) -> Fault {
        let mut state = mixed(self.seed ^ mixed(call));
        for &byte in point.as_bytes() {
            state = mixed(state ^ u64::from(byte));
        }
        let draw = state % 1000;
        let panics = u64::from(self.panics_per_mille);
        if draw < panics {
            Fault::Panic
        } else if draw < panics + u64::from(self.stalls_per_mille) {
            Fault::Stall(self.stall)
        } else {
            Fault::None
        }
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood, 2014).
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
