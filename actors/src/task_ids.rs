//! New names of tasks: version 7 UUIDs that rise, even if the clock is set back.

use chrono::{DateTime, Utc};
use keepwell_messages::TaskId;
use parking_lot::Mutex;
use uuid::{Builder, Uuid};

/// Where names get their random part from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// The system.
    #[default]
    System,
    /// A seed: the same names in the same order, for simulations.
    Seed(u64),
}

/// Gives names.
pub(crate) struct TaskIds {
    state: Mutex<State>,
}

struct State {
    randomness: Randomness,
    latest: u128,
}

impl TaskIds {
    pub(crate) fn new(randomness: Randomness) -> Self {
        Self { state: Mutex::new(State { randomness, latest: 0 }) }
    }

    /// A name later than all that this gave before.
    pub(crate) fn next(&self, now: DateTime<Utc>) -> TaskId {
        let mut state = self.state.lock();
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let random = state.random();
        let fresh = Builder::from_unix_timestamp_millis(millis, &random).into_uuid().as_u128();
        // One more than the latest keeps version and variant: a carry out of 62 random bits does not happen.
        let id = fresh.max(state.latest + 1);
        state.latest = id;
        TaskId(Uuid::from_u128(id))
    }
}

impl State {
    fn random(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        match &mut self.randomness {
            Randomness::System => bytes.copy_from_slice(&Uuid::now_v7().as_bytes()[6..]),
            Randomness::Seed(seed) => {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes[2..].copy_from_slice(&seed.to_be_bytes());
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rise_even_if_the_clock_is_set_back() {
        for randomness in [Randomness::System, Randomness::Seed(7)] {
            let ids = TaskIds::new(randomness);
            let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
            let given = [2_000_000, 2_000_000, 1_000_000, 3_000_000, 0].map(|seconds| ids.next(at(seconds)));
            assert!(given.windows(2).all(|pair| pair[0] < pair[1]), "{given:?}");
            assert!(given.iter().all(|id| id.0.get_version_num() == 7), "{given:?}");
        }
    }
}
