//! Waits that grow: what failed is tried again, and not without end in a row.

use std::time::Duration;

/// Waits, each twice the one before, up to a bound.
#[derive(Debug)]
pub struct BackOff {
    next: Duration,
    max: Duration,
}

impl BackOff {
    /// The first wait, and the longest.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait
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
