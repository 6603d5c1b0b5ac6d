//! A runner of attempts that ends its process around a sealed snapshot, as `kill -9` would, and says so on
//! its last line: `dies DEATH SNAPSHOT`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keepwell_actors::runner::{Attempt, Runner};
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::id::Id;
use keepwell_engine::job::{JobOutcome, JobSink};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_messages::{Item, Progress, TaskKind};

use crate::random_data::Random;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// From outside.
    Random,
    /// While the journal notes that a snapshot is sealed.
    Noting,
    /// When it has, and the snapshot is not stored.
    Noted,
    /// When the snapshot is stored, and nobody knows.
    Stored,
    /// While the journal notes the end.
    Ending,
    /// By itself, when there is nothing left to do.
    Never,
}

impl Death {
    /// Those between sealing a snapshot and the end of its entry in the journal.
    pub const AROUND_SEALED: [Self; 4] = [Self::Noting, Self::Noted, Self::Stored, Self::Ending];
    const ALL: [Self; 6] = [Self::Random, Self::Noting, Self::Noted, Self::Stored, Self::Ending, Self::Never];

    /// By its name, as `Debug` writes it.
    pub fn of(name: &str) -> Self {
        *Self::ALL.iter().find(|death| format!("{death:?}") == name).expect("a death")
    }
}

/// Runs attempts, and ends the process at one of them.
pub struct Dying<R> {
    inner: R,
    fate: Arc<Fate>,
}

struct Fate {
    death: Death,
    /// Snapshots that are sealed before the one.
    spared: AtomicI64,
    delay: Duration,
}

impl<R: Runner> Dying<R> {
    /// Which snapshot it is, of the first few, and how long a moment is, come from `random`.
    pub fn new(inner: R, death: Death, mut random: Random) -> Self {
        let spared = AtomicI64::new(random.below(4) as i64);
        let delay = Duration::from_micros(random.below(4000));
        Self { inner, fate: Arc::new(Fate { death, spared, delay }) }
    }
}

impl<R: Runner> Runner for Dying<R> {
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String> {
        self.inner.accepts(kind, item)
    }

    fn start(&self, attempt: Attempt, control: Control, sink: Arc<dyn JobSink>) {
        self.inner.start(attempt, control, Arc::new(DyingSink { inner: sink, fate: self.fate.clone() }));
    }
}

impl Fate {
    /// Ends the process if this is its time, at once or in a moment.
    fn comes_by(&self, death: Death, snapshot: Id) {
        if self.death != death || self.spared.fetch_sub(1, Ordering::SeqCst) != 0 {
            return;
        }
        match death {
            Death::Noting | Death::Ending => {
                let delay = self.delay;
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    die(death, snapshot);
                });
            }
            _ => die(death, snapshot),
        }
    }
}

fn die(death: Death, snapshot: Id) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone.
    let _ = writeln!(out, "\ndies {death:?} {snapshot}").and_then(|()| out.flush());
    let kill = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    panic!("a process may kill itself: {kill:?}");
}

struct DyingSink {
    inner: Arc<dyn JobSink>,
    fate: Arc<Fate>,
}

impl ReportSink for DyingSink {
    fn progress(&self, progress: &Progress) {
        self.inner.progress(progress);
    }

    fn problem(&self, problem: &Problem) {
        self.inner.problem(problem);
    }

    fn snapshot_sealed(&self, id: Id) -> Result<()> {
        self.fate.comes_by(Death::Noting, id);
        self.inner.snapshot_sealed(id)?;
        self.fate.comes_by(Death::Noted, id);
        Ok(())
    }

    fn wants_totals(&self) -> bool {
        self.inner.wants_totals()
    }
}

impl JobSink for DyingSink {
    fn ended(&self, outcome: JobOutcome) {
        if let JobOutcome::BackedUp(stored) = &outcome {
            self.fate.comes_by(Death::Stored, stored.id);
            self.fate.comes_by(Death::Ending, stored.id);
        }
        self.inner.ended(outcome);
    }
}
