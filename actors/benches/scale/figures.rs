//! Figures, their bounds, and whether they are met.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// What was measured so far.
#[derive(Default)]
pub struct Figures {
    missed: usize,
}

impl Figures {
    /// A figure without a bound.
    pub fn note(&self, what: &str, value: impl Display) {
        println!("           {what}: {value}");
    }

    /// A time that must not be longer.
    pub fn at_most(&mut self, what: &str, value: Duration, bound: Duration) {
        let (value, bound) = (value.as_secs_f64() * 1000.0, bound.as_secs_f64() * 1000.0);
        self.judge(what, value <= bound, &format!("{value:.1} ms"), &format!("at most {bound} ms"));
    }

    /// Memory that must not be more.
    pub fn at_most_mib(&mut self, what: &str, bytes: u64, bound_mib: u64) {
        let mib = bytes >> 20;
        self.judge(what, mib < bound_mib, &format!("{mib} MiB"), &format!("under {bound_mib} MiB"));
    }

    /// A rate that must not be lower.
    pub fn at_least_a_second(&mut self, what: &str, count: u64, elapsed: Duration, bound: u64) {
        let rate = count as f64 / elapsed.as_secs_f64();
        self.judge(what, rate >= bound as f64, &format!("{rate:.0}/s"), &format!("at least {bound}/s"));
    }

    /// Something that must hold.
    pub fn holds(&mut self, what: &str, value: impl Display, holds: bool, bound: &str) {
        self.judge(what, holds, &value.to_string(), bound);
    }

    fn judge(&mut self, what: &str, met: bool, value: &str, bound: &str) {
        self.missed += usize::from(!met);
        println!("  {:8} {what}: {value} ({bound})", if met { "met" } else { "NOT MET" });
    }

    /// Fails if a figure is not met.
    pub fn exit_code(&self) -> ExitCode {
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The middle, the 99th of a hundred, and the largest.
pub fn spread(mut values: Vec<Duration>) -> [Duration; 3] {
    values.sort_unstable();
    let at =
        |part: f64| values.get(((values.len() as f64 - 1.0) * part) as usize).copied().unwrap_or_default();
    [at(0.5), at(0.99), at(1.0)]
}
