//! What simulated attempts meet: most work for a set time and end well, some fail, as a seed has it.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use keepwell_actors::runner::Attempt;
use keepwell_actors::simulation::{Course, CourseEnd, Courses};
use keepwell_engine::id::Id;
use keepwell_messages::{ErrorClass, ItemId, TaskKind};
use parking_lot::Mutex;

/// What failures are of. Networks fail most, and little ever gets better that is refused.
const CLASSES: [ErrorClass; 8] = [
    ErrorClass::Network,
    ErrorClass::Network,
    ErrorClass::Network,
    ErrorClass::Server,
    ErrorClass::Repository,
    ErrorClass::Source,
    ErrorClass::Space,
    ErrorClass::Credentials,
];

/// How many attempts of a million fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailRate {
    per_million: u64,
}

impl FromStr for FailRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no part of all attempts: write a percentage, as 5% or 0.5%");
        let number: f64 = text.strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
        if !(0.0..=100.0).contains(&number) {
            return Err(wrong());
        }
        Ok(Self { per_million: (number * 10_000.0).round() as u64 })
    }
}

/// See the module. The same seed gives each attempt of each item the same course, whatever else runs.
pub struct Attempts {
    duration: Duration,
    fail_rate: FailRate,
    seed: u64,
    /// Attempts that each item had so far.
    counts: Mutex<HashMap<ItemId, u64>>,
}

impl Attempts {
    /// Attempts that work for `duration`, if they do not fail before.
    pub fn new(duration: Duration, fail_rate: FailRate, seed: u64) -> Self {
        Self { duration, fail_rate, seed, counts: Mutex::default() }
    }

    /// Numbers that the seed has for an item's attempt.
    fn drawn(&self, item: &ItemId, number: u64) -> [u64; 4] {
        let digest = Id::of(format!("{} {number} {item}", self.seed).as_bytes()).0;
        let part = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&digest[at * 8..at * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        [part(0), part(1), part(2), part(3)]
    }
}

impl Courses for Attempts {
    fn course(&self, attempt: &Attempt) -> Course {
        let well = Course { works_for: self.duration, files: 1000, bytes: 1 << 30, end: CourseEnd::Well };
        let TaskKind::Backup(item) = &attempt.kind else { return well };
        let number = {
            let mut counts = self.counts.lock();
            let count = counts.entry(item.clone()).or_default();
            *count += 1;
            *count
        };
        let [fails, class, part, _] = self.drawn(item, number);
        if fails % 1_000_000 >= self.fail_rate.per_million {
            return well;
        }
        let class = CLASSES[(class % CLASSES.len() as u64) as usize];
        // In whole seconds, as everything else is shown.
        let works_for = Duration::from_secs(part % (self.duration.as_secs() + 1));
        Course { works_for, end: CourseEnd::Fails(class), ..well }
    }
}

#[cfg(test)]
mod tests {
    use keepwell_messages::TaskId;

    use super::*;

    fn courses(seed: u64, rate: &str) -> Vec<Course> {
        let attempts = Attempts::new(Duration::from_secs(600), rate.parse().unwrap(), seed);
        let attempt = Attempt {
            task: "01939aaa-0000-7000-8000-000000000000".parse::<TaskId>().unwrap(),
            attempt: 1,
            kind: TaskKind::Backup("docs".into()),
            item: None,
            sealed: None,
        };
        (0..10_000).map(|_| attempts.course(&attempt)).collect()
    }

    #[test]
    fn as_many_fail_as_are_to_and_the_seed_decides_which() {
        let failed =
            |courses: &[Course]| courses.iter().filter(|course| course.end != CourseEnd::Well).count();
        assert_eq!(failed(&courses(1, "0%")), 0);
        assert_eq!(failed(&courses(1, "100%")), 10_000);
        let some = courses(1, "5%");
        assert!((400..600).contains(&failed(&some)), "{}", failed(&some));
        assert_eq!(some, courses(1, "5%"));
        assert_ne!(some, courses(2, "5%"));
        for class in CLASSES {
            assert!(some.iter().any(|course| course.end == CourseEnd::Fails(class)), "{class:?}");
        }
    }

    #[test]
    fn what_is_no_part_of_all_is_refused() {
        for text in ["", "5", "-1%", "101%", "many%", "NaN%"] {
            assert!(text.parse::<FailRate>().is_err(), "{text}");
        }
    }
}
