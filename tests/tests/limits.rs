//! Limits of a store's traffic, as the wire sees them: a proxy counts what goes by while the real engine backs up.
//!
//! Here the requirements are rates and times. What is measured are twenty seconds amid the work, not its
//! beginning, where a small burst is allowed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keepwell_engine::archive::{BackupOptions, back_up};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::report::{Problem, ReportSink, Silent};
use keepwell_engine::repository::{InitOptions, PACK_BYTES_MIN, Repository, RepositoryOptions};
use keepwell_engine::source::files::{FilesOptions, FilesSource};
use keepwell_engine::store::StoreSettings;
use keepwell_messages::Progress;
use keepwell_tests::fault_proxy::FaultProxy;
use keepwell_tests::fault_proxy::fault::Side;
use keepwell_tests::fault_proxy::script::Script;
use keepwell_tests::programs::{PASSWORD, say};
use keepwell_tests::random_data::write_file;
use keepwell_tests::running::wait_for;
use keepwell_tests::servers::google::Google;
use keepwell_tests::servers::{Server, open, parse};
use parking_lot::Mutex;

const MIB: u64 = 1 << 20;
const LIMIT_BYTES_PER_SECOND: u64 = 2 * MIB;
const WATCHED: Duration = Duration::from_secs(20);
/// More than the limit lets through while it is watched, with what goes before.
const SOURCE_BYTES: u64 = 64 * MIB;
/// By then no burst is left.
const STEADY_AFTER_BYTES: u64 = 4 * MIB;

/// A server, the proxy before it, folders to back up.
struct Scene {
    folder: tempfile::TempDir,
    proxy: FaultProxy,
    server: Google,
}

impl Scene {
    fn new() -> Self {
        let server = Google::start();
        let proxy = FaultProxy::start(server.port(), Script::clean());
        Self { folder: tempfile::tempdir().unwrap(), proxy, server }
    }

    /// A folder whose content no other has.
    fn source(&self, number: u64, bytes: u64) -> PathBuf {
        let folder = self.folder.path().join(format!("source {number}"));
        std::fs::create_dir(&folder).unwrap();
        write_file(&folder.join("file"), bytes, number).unwrap();
        folder
    }

    /// A new repository behind the proxy, with a limit.
    fn init(&self) -> Arc<Repository> {
        let port = self.proxy.port();
        let location = parse(&self.server.location(port, "limits"));
        let limit = Some(LIMIT_BYTES_PER_SECOND);
        let settings = StoreSettings { upload_bytes_per_second: limit, ..self.server.settings(port) };
        let options = RepositoryOptions { pack_bytes: PACK_BYTES_MIN, ..RepositoryOptions::default() };
        Repository::init(&location, &settings, &PASSWORD.into(), &InitOptions::default(), options).unwrap()
    }

    fn sent(&self) -> u64 {
        self.proxy.traffic().bytes(Side::Request)
    }

    /// Bytes a second that are sent from now on.
    fn watch(&self, time: Duration) -> f64 {
        let from = Instant::now();
        std::thread::sleep(time);
        self.proxy.traffic().bytes_between(Side::Request, from, from + time) as f64 / time.as_secs_f64()
    }

    fn wait_until_steady(&self) {
        let before = self.sent();
        wait_for("the traffic to flow", || (self.sent() > before + STEADY_AFTER_BYTES).then_some(()));
    }
}

/// Keeps the newest counters of a job.
#[derive(Default)]
struct Newest(Mutex<Option<Progress>>);

impl ReportSink for Newest {
    fn progress(&self, progress: &Progress) {
        *self.0.lock() = Some(progress.clone());
    }

    fn problem(&self, _: &Problem) {}
}

impl Newest {
    fn bytes_stored(&self) -> u64 {
        self.0.lock().as_ref().map_or(0, |progress| progress.bytes_stored)
    }
}

fn run(repository: &Arc<Repository>, folder: &Path, control: &Control, sink: &dyn ReportSink) -> Result<()> {
    let session = repository.begin(false, control)?;
    let source = FilesSource::new(vec![folder.into()], FilesOptions::default(), Arc::new(SystemClock))?;
    let compute = ComputeSlots::of_this_machine();
    back_up(&session, &source, &BackupOptions::default(), control, &compute, sink).map(drop)
}

/// Ends the jobs even if what was to be shown is not.
struct CancelWhenDropped<'a>(&'a [Control]);

impl Drop for CancelWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Control::cancel);
    }
}

fn assert_within(what: &str, bytes_per_second: f64, percent: f64) {
    let share = bytes_per_second / LIMIT_BYTES_PER_SECOND as f64 * 100.0;
    say(&format!("{what}: {:.0} KiB/s, {share:.2} % of the limit", bytes_per_second / 1024.0));
    assert!((share - 100.0).abs() <= percent, "{what}: {share:.2} % of the limit");
}

#[test]
fn a_backup_sends_as_much_as_its_limit_allows_and_no_more() {
    let scene = Scene::new();
    let source = scene.source(1, SOURCE_BYTES);
    let repository = scene.init();
    let controls = [Control::new()];
    std::thread::scope(|scope| {
        let job = scope.spawn(|| run(&repository, &source, &controls[0], &Silent));
        let cancel = CancelWhenDropped(&controls);
        scene.wait_until_steady();
        assert_within("one backup sends", scene.watch(WATCHED), 5.0);
        assert!(!job.is_finished(), "it had enough to send all the time");
        drop(cancel);
        assert!(matches!(job.join().unwrap(), Err(Error::Cancelled)));
    });
}

#[test]
fn three_backups_share_their_repositorys_limit() {
    let scene = Scene::new();
    let sources = [1, 2, 3].map(|number| scene.source(number, SOURCE_BYTES / 2));
    let repository = scene.init();
    let controls = [Control::new(), Control::new(), Control::new()];
    let newest: [Newest; 3] = Default::default();
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..3)
            .map(|job| {
                let (repository, source, control, sink) =
                    (&repository, &sources[job], &controls[job], &newest[job]);
                scope.spawn(move || run(repository, source, control, sink))
            })
            .collect();
        let cancel = CancelWhenDropped(&controls);
        scene.wait_until_steady();
        let stored = || newest.each_ref().map(Newest::bytes_stored);
        let before = stored();
        let bytes_per_second = scene.watch(WATCHED);
        let shares: Vec<u64> = stored().iter().zip(before).map(|(now, before)| now - before).collect();
        let sum: u64 = shares.iter().sum::<u64>().max(1);
        let percent: Vec<u64> = shares.iter().map(|share| share * 100 / sum).collect();
        say(&format!("of what was stored each of three backups had {percent:?} %"));
        assert_within("three backups together send", bytes_per_second, 10.0);
        assert!(percent.iter().all(|share| *share > 0), "none starves: {percent:?} %");
        assert!(jobs.iter().all(|job| !job.is_finished()), "they had enough to send all the time");
        drop(cancel);
    });
}

#[test]
fn a_pause_stops_the_flow_within_a_second_and_the_end_of_it_lets_it_flow_again() {
    let scene = Scene::new();
    let source = scene.source(1, SOURCE_BYTES);
    let repository = scene.init();
    let controls = [Control::new()];
    std::thread::scope(|scope| {
        let job = scope.spawn(|| run(&repository, &source, &controls[0], &Silent));
        let cancel = CancelWhenDropped(&controls);
        for _ in 0..2 {
            scene.wait_until_steady();
            controls[0].pause();
            std::thread::sleep(Duration::from_secs(1));
            let passed = scene.watch(Duration::from_secs(3));
            assert_eq!(passed, 0.0, "bytes a second are sent in a pause");
            controls[0].resume();
        }
        let before = scene.sent();
        wait_for("the flow to go on", || (scene.sent() > before).then_some(()));
        assert!(!job.is_finished());
        drop(cancel);
    });
}

/// What a server sends lies in the kernel's buffers before it is read, so here the time counts that all of it takes.
#[test]
fn what_is_read_keeps_to_the_limit_of_downloads() {
    const OBJECTS: usize = 30;
    let server = Google::start();
    let direct = server.store("downloads");
    for number in 0..OBJECTS {
        direct.write(&format!("data/{number}"), vec![number as u8; MIB as usize].into()).unwrap();
    }
    let limit = Some(LIMIT_BYTES_PER_SECOND);
    let settings = StoreSettings { download_bytes_per_second: limit, ..server.settings(server.port()) };
    let store = open(&server.location(server.port(), "downloads"), &settings);
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let take = || Some(next.fetch_add(1, Ordering::SeqCst)).filter(|number| *number < OBJECTS);
                while let Some(number) = take() {
                    assert_eq!(store.read(&format!("data/{number}"), MIB).unwrap().len() as u64, MIB);
                }
            });
        }
    });
    let bytes_per_second = (OBJECTS as u64 * MIB) as f64 / begun.elapsed().as_secs_f64();
    assert_within("four readers are given", bytes_per_second, 5.0);
}
