//! A system that runs as an embedding program runs it, and those who speak to it from threads of their own.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::board::Limits;
use keepwell_actors::{Handle, Keepwell, Settings};
use keepwell_engine::clock::{Clock, SystemClock};
use keepwell_messages::{GetTaskManagerStats, PerformBackup};

use crate::journal::template_time;
use crate::runner::TinyRunner;

/// A clock that shows the same time at every start, so that what is due is the same.
#[derive(Clone, Copy)]
pub struct BenchClock {
    began: Instant,
    shows: SystemTime,
}

impl BenchClock {
    /// A clock that shows so much more than the time at which the journal was left.
    pub fn after_template(after: TimeDelta) -> Self {
        Self { began: Instant::now(), shows: (template_time() + after).into() }
    }

    /// The time, as the actors have it.
    pub fn time(&self) -> DateTime<Utc> {
        self.now().into()
    }
}

impl Clock for BenchClock {
    fn now(&self) -> SystemTime {
        self.shows + self.began.elapsed()
    }

    fn local_offset_seconds(&self, unix_seconds: i64) -> i32 {
        SystemClock.local_offset_seconds(unix_seconds)
    }

    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }
}

/// A system, and what there is to know of it.
pub struct Started {
    /// The way in.
    pub handle: Handle,
    /// Its runner.
    pub runner: Arc<TinyRunner>,
    /// Its clock.
    pub clock: BenchClock,
    /// From the call of the start until both actors have answered: the manager has its tasks, the scheduler
    /// has dealt with what is due.
    pub start: Duration,
}

/// Settings for as many tasks at once as there can be.
pub fn settings(folder: &Path, runner: &Arc<TinyRunner>, clock: BenchClock) -> Settings {
    let limits = Limits { max_concurrent_tasks: Limits::MAX_CONCURRENT_TASKS_MAX, ..Limits::default() };
    Settings { limits, clock: Arc::new(clock), ..Settings::new(folder, runner.clone()) }
}

/// Starts a system on this thread, and runs `scenario` meanwhile on a runtime and threads of its own. Gives what
/// that gives, and how long the shutdown took.
pub fn run<F, Fut, T>(
    folder: &Path,
    after: TimeDelta,
    change: impl FnOnce(&mut Settings),
    scenario: F,
) -> (T, Duration)
where
    F: FnOnce(Started) -> Fut + Send + 'static,
    Fut: Future<Output = T>,
    T: Send + 'static,
{
    actix_rt::System::new().block_on(async {
        let clock = BenchClock::after_template(after);
        let runner = Arc::new(TinyRunner::new(clock));
        let mut settings = settings(folder, &runner, clock);
        change(&mut settings);
        let began = Instant::now();
        let handle = Keepwell::start(settings).await.expect("it starts");
        handle.ask(GetTaskManagerStats {}).await.expect("the manager answers");
        // The scheduler knows no such item, and says so once it has begun.
        handle.ask(PerformBackup { item: "no such item".into() }).await.expect_err("it is refused");
        let started = Started { handle: handle.clone(), runner, clock, start: began.elapsed() };
        let (over, is_over) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let _ = over.send(runtime.expect("a runtime").block_on(scenario(started)));
        });
        let measured = is_over.await.expect("the scenario ends well");
        let began = Instant::now();
        let stragglers = handle.shutdown().await;
        assert!(stragglers.is_empty(), "{stragglers:?}");
        (measured, began.elapsed())
    })
}
