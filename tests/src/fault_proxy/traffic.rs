//! What went through a proxy, and when.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fault::{Fault, Side};

/// Bytes that pass within this time are kept as one number.
const GRAIN: Duration = Duration::from_millis(5);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// When its head was read.
    pub at: Instant,
    /// `GET`, …
    pub method: String,
    /// As it was sent, query included.
    pub path: String,
    /// What became of it, if it met a fault.
    pub fault: Option<Fault>,
}

/// Bytes that passed at about one time.
#[derive(Clone, Copy, Debug)]
struct Passed {
    at: Instant,
    side: Side,
    bytes: u64,
}

/// All that went through since the proxy was started.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: Mutex<Vec<SeenRequest>>,
    connections: Mutex<Vec<Instant>>,
    passed: Mutex<Vec<Passed>>,
}

impl Traffic {
    /// Every request so far, in the order of their heads.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.requests.lock().clone()
    }

    /// How many requests came so far.
    pub fn request_count(&self) -> u64 {
        self.requests.lock().len() as u64
    }

    /// How many connections were accepted so far.
    pub fn connection_count(&self) -> u64 {
        self.connections.lock().len() as u64
    }

    /// Bytes on one side from one time until before another; heads count, too.
    pub fn bytes_between(&self, side: Side, from: Instant, until: Instant) -> u64 {
        let passed = self.passed.lock();
        let within = passed.iter().filter(|passed| passed.side == side && (from..until).contains(&passed.at));
        within.map(|passed| passed.bytes).sum()
    }

    /// All bytes on one side so far.
    pub fn bytes(&self, side: Side) -> u64 {
        self.passed.lock().iter().filter(|passed| passed.side == side).map(|passed| passed.bytes).sum()
    }

    /// When the last byte passed on one side.
    pub fn last_byte_at(&self, side: Side) -> Option<Instant> {
        self.passed.lock().iter().rfind(|passed| passed.side == side).map(|passed| passed.at)
    }

    pub(super) fn connected(&self) {
        self.connections.lock().push(Instant::now());
    }

    /// Notes a request under the number that it gets; `fault` is asked in the same order.
    pub(super) fn requested(
        &self,
        method: &str,
        path: &str,
        fault: impl FnOnce(u64) -> Option<Fault>,
    ) -> Option<Fault> {
        let mut requests = self.requests.lock();
        let fault = fault(requests.len() as u64);
        requests.push(SeenRequest { at: Instant::now(), method: method.into(), path: path.into(), fault });
        fault
    }

    pub(super) fn passed(&self, side: Side, bytes: u64) {
        let now = Instant::now();
        let mut passed = self.passed.lock();
        // The last two are of either side, if both are busy.
        let recent = passed.iter_mut().rev().take(2).find(|last| last.side == side);
        match recent {
            Some(last) if now.duration_since(last.at) < GRAIN => last.bytes += bytes,
            _ => passed.push(Passed { at: now, side, bytes }),
        }
    }
}
