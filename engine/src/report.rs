//! What a job tells while it runs: counters, problems, and the sealed snapshot's id.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keepwell_messages::{Progress, Stage};
use parking_lot::Mutex;

use crate::control::Control;
use crate::error::Result;
use crate::id::Id;

/// Takes a job's reports. Called from several threads; calls must not block for long.
pub trait ReportSink: Send + Sync {
    /// The newest counters, at most four times a second, and once at the end.
    fn progress(&self, progress: &Progress);

    /// An entry that could not be read, written, or is not stored.
    fn problem(&self, problem: &Problem);

    /// The snapshot's id is known, the snapshot is not stored yet. It is put when
    /// this returns; an error keeps it from being put.
    fn snapshot_sealed(&self, _id: Id) -> Result<()> {
        Ok(())
    }

    /// Whether totals are worth a second walk over the source.
    fn wants_totals(&self) -> bool {
        false
    }
}

/// One entry that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: String,
    /// Why.
    pub why: String,
    /// Whether it counts as an error of the job; a socket that is passed over does not.
    pub is_error: bool,
}

/// Takes no notice.
pub struct Silent;

impl ReportSink for Silent {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, _: &Problem) {}
}

/// A job's counters; cheap to add to from many threads.
#[derive(Default)]
pub struct Counters {
    stage: AtomicU8,
    totals_final: AtomicU8,
    /// Files finished.
    pub files_done: AtomicU64,
    /// Files known.
    pub files_total: AtomicU64,
    /// Bytes finished.
    pub bytes_done: AtomicU64,
    /// Bytes known.
    pub bytes_total: AtomicU64,
    /// Bytes that were new.
    pub bytes_new: AtomicU64,
    /// Bytes stored for them.
    pub bytes_stored: AtomicU64,
    /// Entries with errors.
    pub errors: AtomicU64,
}

const STAGES: [Stage; 5] =
    [Stage::Preparing, Stage::Compressing, Stage::Uploading, Stage::Restoring, Stage::Verifying];

impl Counters {
    /// Adds to one of the counters.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        let number = STAGES.iter().position(|known| *known == stage).unwrap_or(0);
        self.stage.store(number as u8, Ordering::Relaxed);
    }

    /// Totals will not grow any more.
    pub fn finish_totals(&self) {
        self.totals_final.store(1, Ordering::Relaxed);
    }

    fn snapshot(&self, control: &Control, bytes_per_second: u64) -> Progress {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes_done, files_done) = (get(&self.bytes_done), get(&self.files_done));
        // Totals come from another walk and may lag behind, or miss what grew since.
        let bytes_total = get(&self.bytes_total).max(bytes_done);
        let totals_final = get_flag(&self.totals_final);
        let left = bytes_total - bytes_done;
        Progress {
            stage: STAGES[usize::from(self.stage.load(Ordering::Relaxed)) % STAGES.len()],
            paused: control.is_paused(),
            files_done,
            files_total: get(&self.files_total).max(files_done),
            bytes_done,
            bytes_total,
            totals_final,
            bytes_new: get(&self.bytes_new),
            bytes_stored: get(&self.bytes_stored),
            errors: get(&self.errors),
            bytes_per_second,
            seconds_left: (totals_final && bytes_per_second > 0).then(|| left.div_ceil(bytes_per_second)),
        }
    }
}

fn get_flag(flag: &AtomicU8) -> bool {
    flag.load(Ordering::Relaxed) != 0
}

/// How often counters are reported.
pub const REPORT_EVERY: Duration = Duration::from_millis(250);
/// How much the newest quarter second weighs in the rate: some four seconds are remembered.
const RATE_WEIGHT: f64 = 0.06;

/// Turns counters into reports with a smoothed rate.
pub struct Meter<'a> {
    counters: &'a Counters,
    control: &'a Control,
    sink: &'a dyn ReportSink,
    rate: Mutex<Rate>,
}

struct Rate {
    at: Instant,
    bytes_done: u64,
    bytes_per_second: f64,
    measured: bool,
}

impl<'a> Meter<'a> {
    /// A meter that starts now.
    pub fn new(counters: &'a Counters, control: &'a Control, sink: &'a dyn ReportSink) -> Self {
        let rate = Rate { at: Instant::now(), bytes_done: 0, bytes_per_second: 0.0, measured: false };
        Self { counters, control, sink, rate: Mutex::new(rate) }
    }

    /// Reports the counters as they are now.
    pub fn report(&self) {
        let mut rate = self.rate.lock();
        let elapsed = rate.at.elapsed().as_secs_f64();
        let bytes_done = self.counters.bytes_done.load(Ordering::Relaxed);
        if elapsed > 0.05 && !self.control.is_paused() {
            let newest = bytes_done.saturating_sub(rate.bytes_done) as f64 / elapsed;
            let weight = if rate.measured { RATE_WEIGHT } else { 1.0 };
            rate.bytes_per_second += weight * (newest - rate.bytes_per_second);
            rate.measured = true;
        }
        rate.at = Instant::now();
        rate.bytes_done = bytes_done;
        let progress = self.counters.snapshot(self.control, rate.bytes_per_second as u64);
        drop(rate);
        self.sink.progress(&progress);
    }
}

/// Runs `work` with a thread beside it that calls `tick` every quarter second.
pub fn with_ticks<T>(tick: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let stop = (Mutex::new(false), parking_lot::Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stopped = stop.0.lock();
            while !*stopped {
                if stop.1.wait_for(&mut stopped, REPORT_EVERY).timed_out() {
                    parking_lot::MutexGuard::unlocked(&mut stopped, &tick);
                }
            }
        });
        // Stops the ticks even if `work` panics: the scope would wait for them for ever.
        struct Stop<'a>(&'a (Mutex<bool>, parking_lot::Condvar));
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                *self.0.0.lock() = true;
                self.0.1.notify_all();
            }
        }
        let _stop = Stop(&stop);
        work()
    })
}
