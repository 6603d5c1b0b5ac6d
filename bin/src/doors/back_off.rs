//! Waits that grow: what failed is tried again, and not without end in a row.

use std::time::Duration;

use keepwell_actors::retry::Backoff;

/// How many waits there were.
#[derive(Debug)]
pub struct BackOff {
    delays: Backoff,
    waits: u32,
}

impl BackOff {
    /// The first wait, and the longest.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { delays: Backoff { base: first, cap: max }, waits: 0 }
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        self.waits = self.waits.saturating_add(1);
        self.delays.delay(self.waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        let mut back_off = BackOff::new(Duration::from_millis(250), Duration::from_secs(15));
        let waits: Vec<u128> = (0..9).map(|_| back_off.next().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    }
}
