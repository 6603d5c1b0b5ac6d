//! A wall clock that goes with tokio's clock, and can be made to jump.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_engine::clock::Clock;
use parking_lot::Mutex;
use tokio::time::Instant;

/// See the module. It stands still between two lives.
pub struct SimulatedClock {
    state: Mutex<State>,
}

struct State {
    shown: DateTime<Utc>,
    /// When it showed that; `None` while it stands still.
    since: Option<Instant>,
}

impl State {
    fn now(&self) -> DateTime<Utc> {
        let passed = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        TimeDelta::from_std(passed)
            .ok()
            .and_then(|passed| self.shown.checked_add_signed(passed))
            .unwrap_or(self.shown)
    }
}

impl SimulatedClock {
    /// A clock that stands still at `shown`.
    pub fn new(shown: DateTime<Utc>) -> Self {
        Self { state: Mutex::new(State { shown, since: None }) }
    }

    /// It goes from now on, with the clock of the runtime on which this is called.
    pub fn go(&self) {
        let mut state = self.state.lock();
        *state = State { shown: state.now(), since: Some(Instant::now()) };
    }

    /// It stands still, for a runtime that is about to end.
    pub fn stand_still(&self) {
        let mut state = self.state.lock();
        *state = State { shown: state.now(), since: None };
    }

    /// It shows another time, and goes on from there: a machine that slept, or a clock that was set.
    pub fn jump(&self, by: TimeDelta) {
        let mut state = self.state.lock();
        state.shown = state.shown.checked_add_signed(by).unwrap_or(state.shown);
    }

    /// What it shows.
    pub fn shown(&self) -> DateTime<Utc> {
        self.state.lock().now()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> SystemTime {
        self.shown().into()
    }

    fn local_offset_seconds(&self, _: i64) -> i32 {
        0
    }

    fn sleep(&self, _: Duration) {}
}
