//! Which requests meet which fault. A script is a value: the same one gives the same faults to the same
//! requests, and one number makes a whole script.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keepwell_messages::ErrorClass;

use super::fault::{Fault, Side};
use crate::random_data::Random;

/// About as many requests as a small backup makes, so that few faults come too late.
const NUMBERS: u64 = 20;
/// Some more bytes than a pack in the suite has: what passes of a request before it breaks.
const REQUEST_BYTES: u64 = 5_000_000;
const REPLY_BYTES: u64 = 600;
/// Longer than any client is to wait; one that does so all the same has to be noticed.
const RETRY_AFTER_TOO_LONG_SECONDS: u32 = 1000;

/// Which requests a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with these numbers, counted from 0 over all connections.
    Numbered(Range<u64>),
    /// Of those with this method, and with this in their path, the ones with these numbers among themselves.
    Alike {
        /// `PUT`, …
        method: &'static str,
        /// `/data/`, …
        part: &'static str,
        /// Counted from 0.
        numbers: Range<u64>,
    },
}

/// Requests, and their fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which requests.
    pub which: Which,
    /// What happens to them.
    pub fault: Fault,
}

/// A list of rules, of which the first that fits counts.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<(Rule, AtomicU64)>,
}

impl Script {
    /// Everything passes.
    pub fn clean() -> Self {
        Self::default()
    }

    /// These rules.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, AtomicU64::new(0))).collect() }
    }

    /// Every request from this one on meets this fault.
    pub fn from_request(number: u64, fault: Fault) -> Self {
        Self::new([Rule { which: Which::Numbered(number..u64::MAX), fault }])
    }

    /// What this seed makes: faults here and there, a burst of one, one that stays, or one of a kind of object.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random(seed);
        let first = random.below(NUMBERS);
        let length = 1 + random.below(6);
        match random.below(5) {
            0 => Self::new((0..length).map(|_| {
                let number = random.below(NUMBERS);
                Rule { which: Which::Numbered(number..number + 1), fault: any_fault(&mut random) }
            })),
            1 => {
                let fault = any_fault(&mut random);
                Self::new([Rule { which: Which::Numbered(first..first + length), fault }])
            }
            2 => Self::from_request(first, any_fault(&mut random)),
            _ => {
                let parts = ["/data/", "/index/", "/snapshots/", "/keys/", "/locks/", "/config"];
                let part = parts[random.below(parts.len() as u64) as usize];
                // Only packs are written more than once.
                let start = if part == "/data/" { random.below(4) } else { 0 };
                let numbers = start..start + if random.below(3) == 0 { u64::MAX - start } else { length };
                let fault = any_fault(&mut random);
                Self::new([Rule { which: Which::Alike { method: "PUT", part, numbers }, fault }])
            }
        }
    }

    /// The same, but every request arrives whole: what broke one breaks its reply.
    pub fn with_whole_requests(self) -> Self {
        Self::new(self.rules.into_iter().map(|(rule, _)| Rule { fault: of_reply(rule.fault), ..rule }))
    }

    /// Its rules, for messages.
    pub fn rules(&self) -> Vec<&Rule> {
        self.rules.iter().map(|(rule, _)| rule).collect()
    }

    /// The classes that a failure under this script may have.
    pub fn classes(&self) -> Vec<ErrorClass> {
        self.rules.iter().map(|(rule, _)| rule.fault.class()).collect()
    }

    /// The fault that this request meets. Every request is to be asked for once, in order.
    pub(super) fn fault(&self, number: u64, method: &str, path: &str) -> Option<Fault> {
        let mut found = None;
        for (rule, met) in &self.rules {
            let fits = match &rule.which {
                Which::Numbered(numbers) => numbers.contains(&number),
                Which::Alike { method: wanted, part, numbers } => {
                    // Slashes are encoded in some protocols.
                    let alike = method == *wanted && path.replace("%2F", "/").contains(part);
                    alike && numbers.contains(&met.fetch_add(1, Ordering::SeqCst))
                }
            };
            if fits && found.is_none() {
                found = Some(rule.fault);
            }
        }
        found
    }
}

fn of_reply(fault: Fault) -> Fault {
    let side = Side::Reply;
    match fault {
        Fault::Cut { after_bytes, .. } => Fault::Cut { side, after_bytes: after_bytes % REPLY_BYTES },
        Fault::Reset { after_bytes, .. } => Fault::Reset { side, after_bytes: after_bytes % REPLY_BYTES },
        Fault::Stall { after_bytes, .. } => Fault::Stall { side, after_bytes: after_bytes % REPLY_BYTES },
        other => other,
    }
}

fn any_fault(random: &mut Random) -> Fault {
    let side = if random.below(2) == 0 { Side::Request } else { Side::Reply };
    let bound = if side == Side::Request { REQUEST_BYTES } else { REPLY_BYTES };
    // Often within the head, where most messages end.
    let after_bytes = if random.below(2) == 0 { random.below(300) } else { random.below(bound) };
    let milliseconds = |random: &mut Random, bound| Duration::from_millis(random.below(bound));
    match random.below(11) {
        0 => Fault::Cut { side, after_bytes },
        1 => Fault::Reset { side, after_bytes },
        2 => Fault::Stall { side, after_bytes },
        3 => Fault::Trickle { after_bytes: random.below(REPLY_BYTES) },
        4 => Fault::Delay(milliseconds(random, 100)),
        5 => Fault::Answer { status: 503, retry_after_seconds: None },
        6 => Fault::Answer { status: 500 + 4 * random.below(2) as u16, retry_after_seconds: None },
        7 => {
            let seconds = [1, RETRY_AFTER_TOO_LONG_SECONDS][random.below(2) as usize];
            Fault::Answer { status: 429, retry_after_seconds: Some(seconds) }
        }
        8 => Fault::TruncateReply,
        9 => Fault::LoseReply,
        _ => Fault::Refuse(Duration::from_millis(100) + milliseconds(random, 1500)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_seed_gives_one_script_and_a_hundred_give_every_fault() {
        let mut kinds = BTreeSet::new();
        for seed in 0..100 {
            let (script, again) = (Script::from_seed(seed), Script::from_seed(seed));
            assert_eq!(script.rules(), again.rules());
            assert!(!script.rules().is_empty());
            kinds.extend(script.rules().iter().map(|rule| {
                let text = format!("{:?}", rule.fault);
                text.split([' ', '(']).next().map(str::to_owned)
            }));
        }
        assert_eq!(kinds.len(), 9, "{kinds:?}");
    }

    #[test]
    fn rules_count_the_requests_that_they_are_about() {
        let fault = Fault::LoseReply;
        let second_pack = Which::Alike { method: "PUT", part: "/data/", numbers: 1..2 };
        let script = Script::new([
            Rule { which: second_pack, fault },
            Rule { which: Which::Numbered(5..7), fault: Fault::TruncateReply },
        ]);
        let met: Vec<_> = [
            ("PUT", "/b/config"),
            ("PUT", "/b/data/00/1"),
            ("GET", "/b/data/00/1"),
            ("PUT", "/b%2Fdata%2F00%2F2"),
            ("PUT", "/b/data/00/3"),
            ("GET", "/b/index/"),
        ]
        .into_iter()
        .zip(0..)
        .map(|((method, path), number)| script.fault(number, method, path))
        .collect();
        assert_eq!(met, [None, None, None, Some(fault), None, Some(Fault::TruncateReply)]);
    }
}
