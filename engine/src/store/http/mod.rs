//! The way to remote stores: requests, what may go wrong with them, and when they are made again.
//!
//! [`Connector`] is what the store's crate makes its requests through. Each request is tried in bounded time, and
//! a bounded number of times; what a try may take grows with what it moves. A body that is shorter than announced
//! is a fault, never data. What went wrong is known by its type: a [`Fault`] if there was no answer, else an
//! [`Answer`], which comes beside the error in the [`Call`].

mod answer;
mod attempt;
mod body;
mod call;
mod client;
mod connector;
mod fault;
mod resolver;
mod retry;
mod stopwatch;

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod server;
#[cfg(test)]
mod traffic_tests;

use std::time::Duration;

pub(super) use answer::Answer;
#[cfg(test)]
pub(super) use answer::answer;
use attempt::AttemptLimits;
pub(super) use call::{ANSWER_BYTES_MAX, Call};
pub(super) use connector::{Connector, SIGNATURE_LIFE, system_randomness};
pub(super) use fault::{Fault, chain, find};
pub(super) use retry::RetryLimits;
pub(super) use stopwatch::Stopwatch;

/// The time a transfer may take: a base, and more for every byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransferLimit {
    pub(super) base: Duration,
    pub(super) bytes_per_second_min: u64,
}

impl TransferLimit {
    pub(super) fn for_bytes(self, bytes: u64) -> Duration {
        self.base.saturating_add(Duration::from_secs(bytes / self.bytes_per_second_min.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_bytes() {
        let limit = TransferLimit { base: Duration::from_secs(60), bytes_per_second_min: 16 << 10 };
        assert_eq!(limit.for_bytes(0), Duration::from_secs(60));
        assert_eq!(limit.for_bytes(16 << 20), Duration::from_secs(60 + 1024));
        let any = TransferLimit { base: Duration::MAX, bytes_per_second_min: 0 };
        assert_eq!(any.for_bytes(u64::MAX), Duration::MAX, "no overflow, no division by zero");
    }
}
