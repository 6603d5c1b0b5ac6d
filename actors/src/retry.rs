//! Whether a failed attempt is followed by another, and after what delay.
//!
//! Decides from the class of the failure and the number of attempts made, and
//! from nothing else: who counts attempts, and who waits, is the caller's
//! business. The delay before retry `n` is `min(base · 2^(n-1), cap)`, longer
//! for network errors. What cannot get better by itself is never retried.

use std::collections::BTreeMap;
use std::time::Duration;

use keepwell_messages::{ErrorClass, ItemId, TaskKind};

/// Retries after the first attempt, unless the settings say otherwise.
const RETRIES_MAX: u32 = 3;

/// Delays that double from `base` up to `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay before the first retry.
    pub base: Duration,
    /// No delay is longer than this.
    pub cap: Duration,
}

impl Backoff {
    /// The delay before retry `retry`, counted from 1; 0 is taken for 1. Any number is fine: the delay stays
    /// at `cap` however far it doubles.
    pub fn delay(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// How often, and how long after a failure, a task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries_max: u32,
    /// The delays after every failure but those of the network.
    pub ordinary: Backoff,
    /// The delays after the store could not be reached: outages last longer than hiccups.
    pub network: Backoff,
}

impl Default for RetryPolicy {
    /// 3 retries, after 30, 60 and 120 s; after network errors 60, 120 and 240 s, and never more than 300 s.
    fn default() -> Self {
        let seconds = |base, cap| Backoff { base: Duration::from_secs(base), cap: Duration::from_secs(cap) };
        Self { retries_max: RETRIES_MAX, ordinary: seconds(30, 120), network: seconds(60, 300) }
    }
}

/// The policy of all tasks, and those of items that have one of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// What counts unless something else is said.
    pub general: RetryPolicy,
    /// Those of items, by name.
    pub of_items: BTreeMap<ItemId, RetryPolicy>,
}

impl Retries {
    /// The policy of a task of this kind.
    pub fn of(&self, kind: &TaskKind) -> RetryPolicy {
        match kind {
            TaskKind::Backup(item) => self.of_items.get(item).copied().unwrap_or(self.general),
            TaskKind::Restore(_) => self.general,
        }
    }
}

impl From<RetryPolicy> for Retries {
    fn from(general: RetryPolicy) -> Self {
        Self { general, of_items: BTreeMap::new() }
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Another attempt.
    Retry {
        /// The wait before it, from the end of the failed one.
        delay: Duration,
        /// Its number; the task's very first attempt is 1.
        attempt: u32,
    },
    /// None: the task has ended.
    GiveUp(GiveUpReason),
}

/// Why a failed attempt is not followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GiveUpReason {
    /// Trying again would fail in the same way until a person changes something.
    #[error("it cannot get better by itself")]
    CannotGetBetter,
    /// The end was asked for.
    #[error("it was cancelled")]
    Cancelled,
    /// The policy allows no more.
    #[error("all {attempts} attempts failed")]
    AttemptsSpent {
        /// How many were made.
        attempts: u32,
    },
}

impl RetryPolicy {
    /// No retry waits longer.
    pub fn delay_max(&self) -> Duration {
        self.ordinary.cap.max(self.network.cap)
    }

    /// What follows when an attempt failed with `class` and `attempts_made` attempts, that one included, are
    /// over.
    pub fn decide(&self, class: ErrorClass, attempts_made: u32) -> RetryDecision {
        let backoff = match class {
            ErrorClass::Cancelled => return RetryDecision::GiveUp(GiveUpReason::Cancelled),
            ErrorClass::Credentials | ErrorClass::Settings => {
                return RetryDecision::GiveUp(GiveUpReason::CannotGetBetter);
            }
            ErrorClass::Network => self.network,
            // A full store may be pruned, and a full disk emptied, by others in the meantime.
            ErrorClass::Server
            | ErrorClass::Source
            | ErrorClass::Repository
            | ErrorClass::Space
            | ErrorClass::Crash => self.ordinary,
        };
        if attempts_made > self.retries_max {
            return RetryDecision::GiveUp(GiveUpReason::AttemptsSpent { attempts: attempts_made });
        }
        RetryDecision::Retry { delay: backoff.delay(attempts_made), attempt: attempts_made.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [ErrorClass; 9] = [
        ErrorClass::Network,
        ErrorClass::Server,
        ErrorClass::Source,
        ErrorClass::Repository,
        ErrorClass::Credentials,
        ErrorClass::Space,
        ErrorClass::Settings,
        ErrorClass::Crash,
        ErrorClass::Cancelled,
    ];

    /// The seconds before each retry that the default policy grants, and why it then gives up.
    fn course_of(class: ErrorClass) -> (Vec<u64>, GiveUpReason) {
        let mut delays = Vec::new();
        loop {
            let attempts_made = delays.len() as u32 + 1;
            match RetryPolicy::default().decide(class, attempts_made) {
                RetryDecision::GiveUp(reason) => return (delays, reason),
                RetryDecision::Retry { delay, attempt } => {
                    assert_eq!(attempt, attempts_made + 1, "{class:?}");
                    delays.push(delay.as_secs());
                }
            }
        }
    }

    #[test]
    fn an_item_may_have_a_policy_of_its_own() {
        let own = RetryPolicy { retries_max: 9, ..RetryPolicy::default() };
        let retries = Retries { of_items: [("far".into(), own)].into(), ..Retries::default() };
        for (item, retries_max) in [("far", 9), ("near", RETRIES_MAX)] {
            assert_eq!(retries.of(&TaskKind::Backup(item.into())).retries_max, retries_max, "{item}");
        }
    }

    #[test]
    fn every_class_has_its_course() {
        let spent = GiveUpReason::AttemptsSpent { attempts: 4 };
        for class in CLASSES {
            let (delays, reason) = match class {
                ErrorClass::Network => (vec![60, 120, 240], spent),
                ErrorClass::Server => (vec![30, 60, 120], spent),
                ErrorClass::Source => (vec![30, 60, 120], spent),
                ErrorClass::Repository => (vec![30, 60, 120], spent),
                ErrorClass::Space => (vec![30, 60, 120], spent),
                ErrorClass::Crash => (vec![30, 60, 120], spent),
                ErrorClass::Credentials => (vec![], GiveUpReason::CannotGetBetter),
                ErrorClass::Settings => (vec![], GiveUpReason::CannotGetBetter),
                ErrorClass::Cancelled => (vec![], GiveUpReason::Cancelled),
            };
            assert_eq!(course_of(class), (delays, reason), "{class:?}");
        }
    }

    #[test]
    fn delays_double_up_to_the_cap_and_stay_there() {
        let RetryPolicy { ordinary, network, .. } = RetryPolicy::default();
        let seconds = |backoff: Backoff, retry| backoff.delay(retry).as_secs();
        assert_eq!([1, 2, 3, 4, 5].map(|retry| seconds(ordinary, retry)), [30, 60, 120, 120, 120]);
        assert_eq!([1, 2, 3, 4, 5].map(|retry| seconds(network, retry)), [60, 120, 240, 300, 300]);
        for retry in [31, 32, 33, 34, 64, 65, u32::MAX] {
            assert_eq!(seconds(network, retry), 300, "retry {retry}");
        }
        assert_eq!(seconds(ordinary, 0), 30);
    }

    #[test]
    fn no_retries_means_one_attempt() {
        let policy = RetryPolicy { retries_max: 0, ..RetryPolicy::default() };
        assert_eq!(
            policy.decide(ErrorClass::Network, 1),
            RetryDecision::GiveUp(GiveUpReason::AttemptsSpent { attempts: 1 })
        );
    }

    #[test]
    fn counts_at_their_bound_do_not_overflow() {
        let policy = RetryPolicy { retries_max: u32::MAX, ..RetryPolicy::default() };
        let last = policy.decide(ErrorClass::Crash, u32::MAX);
        assert_eq!(last, RetryDecision::Retry { delay: Duration::from_secs(120), attempt: u32::MAX });
    }
}
