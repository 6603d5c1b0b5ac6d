//! A store that takes its time to answer is asked for several things at once, where none needs the other's answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use keepwell_engine::archive::BackupOptions;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::job::{AttemptId, BackupJob, Engine, Job, JobEngine, JobOutcome, JobSink};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_engine::repository::{
    InitOptions, Repository, RepositoryAddress, RepositoryOptions, SnapshotChoice,
};
use keepwell_engine::source::Source;
use keepwell_engine::source::stream::StreamSource;
use keepwell_engine::store::{Location, Store, StoreSettings};
use keepwell_messages::Progress;
use keepwell_tests::fault_proxy::FaultProxy;
use keepwell_tests::fault_proxy::fault::Fault;
use keepwell_tests::fault_proxy::script::{Rule, Script, Which};
use keepwell_tests::fault_proxy::traffic::SeenRequest;
use keepwell_tests::programs::PASSWORD;
use keepwell_tests::running::wait_for;
use keepwell_tests::servers::plain_s3::PlainS3;
use keepwell_tests::servers::{Server, parse};

/// Before each request of some kind goes on: whatever comes meanwhile did not wait for its answer.
const DELAY: Duration = Duration::from_secs(2);
const SNAPSHOTS: usize = 3;

/// A repository behind a proxy.
struct Scene {
    proxy: FaultProxy,
    location: Location,
    settings: StoreSettings,
    _server: PlainS3,
}

impl Scene {
    fn new() -> Self {
        let server = PlainS3::start();
        let proxy = FaultProxy::start(server.port(), Script::clean());
        let location = parse(&server.location(proxy.port(), "far"));
        let settings = server.settings(proxy.port());
        let (init, options) = (InitOptions::default(), RepositoryOptions::default());
        Repository::init(&location, &settings, &PASSWORD.into(), &init, options).unwrap();
        Self { proxy, location, settings, _server: server }
    }

    fn open(&self) -> Arc<Repository> {
        let options = RepositoryOptions::default();
        Repository::open(&self.location, &self.settings, &PASSWORD.into(), options).unwrap()
    }

    /// Backs up a stream that gives nothing before `ready` returns.
    fn back_up(&self, ready: impl Fn() + Send + Sync + 'static) {
        let stream = Late { ready: Box::new(ready), content: b"content" };
        let make = move || {
            let source = StreamSource::from_reader("stream", Box::new(stream), Arc::new(SystemClock))?;
            Ok(Box::new(source) as Box<dyn Source>)
        };
        let address = RepositoryAddress {
            location: self.location.clone(),
            settings: self.settings.clone(),
            password: Arc::new(|| Ok(PASSWORD.into())),
        };
        let job = Job::Backup(BackupJob {
            repository: address,
            source: Box::new(make),
            options: BackupOptions::default(),
            sealed_before: None,
        });
        let (told, ended) = channel();
        let attempt = AttemptId { task: 1, attempt: 1 };
        Engine::new(RepositoryOptions::default()).start(attempt, job, Control::new(), Arc::new(Sink(told)));
        let outcome = ended.recv().unwrap();
        assert!(matches!(outcome, JobOutcome::BackedUp(_)), "{outcome:?}");
    }

    /// Delays each request of this method with this in its path.
    fn delay(&self, method: &'static str, part: &'static str) {
        let which = Which::Alike { method, part, numbers: 0..u64::MAX };
        self.proxy.follow(Script::new([Rule { which, fault: Fault::Delay(DELAY) }]));
    }

    /// The requests from a number on that have this in their path.
    fn requests(&self, from: usize, part: &str) -> Vec<SeenRequest> {
        let all = self.proxy.traffic().requests().into_iter().skip(from);
        all.filter(|request| request.path.contains(part)).collect()
    }
}

struct Late {
    ready: Box<dyn Fn() + Send + Sync>,
    content: &'static [u8],
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (self.ready)();
        self.content.read(buffer)
    }
}

struct Sink(Sender<JobOutcome>);

impl ReportSink for Sink {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, _: &Problem) {}
}

impl JobSink for Sink {
    fn ended(&self, outcome: JobOutcome) {
        let _ = self.0.send(outcome);
    }
}

#[test]
fn no_more_uploads_are_under_way_than_connections_and_small_requests_do_not_wait_for_them() {
    let scene = Scene::new();
    let settings = StoreSettings { connections: Some(1), ..scene.settings.clone() };
    let store = Store::open(&scene.location, &settings).unwrap();
    assert_eq!(store.uploads_at_once(), 2, "one is signed while another one is sent");
    let before = scene.proxy.traffic().requests().len();
    scene.delay("PUT", "/data/");
    std::thread::scope(|scope| {
        for name in ["data/00/first", "data/00/second"] {
            let write = || store.write(name, vec![0; 2 << 20].into()).unwrap();
            scope.spawn(write);
        }
        wait_for("an upload", || scene.requests(before, "/data/").pop());
        store.write("locks/small", "small".into()).unwrap();
        assert_eq!(scene.requests(before, "/data/").len(), 1);
    });
    let sent = scene.requests(before, "/data/");
    assert!(sent[1].at - sent[0].at >= DELAY, "{sent:?}");
}

#[test]
fn snapshots_are_read_several_at_a_time() {
    let scene = Scene::new();
    for _ in 0..SNAPSHOTS {
        scene.back_up(|| {});
    }
    let repository = scene.open();
    let before = scene.proxy.traffic().requests().len();
    scene.delay("GET", "/snapshots/");
    let mut unreadable = |id, error| panic!("{id}: {error}");
    let found = repository.snapshots(&SnapshotChoice::default(), &mut unreadable).unwrap();
    assert_eq!(found.len(), SNAPSHOTS);
    assert!(found.is_sorted_by_key(|(_, snapshot)| (snapshot.time.seconds, snapshot.time.nanoseconds)));
    let read = scene.requests(before, "/snapshots/");
    assert_eq!(read.len(), SNAPSHOTS);
    let between = read[SNAPSHOTS - 1].at - read[0].at;
    assert!(between < DELAY, "{between:?}");
}

#[test]
fn a_backups_lock_is_looked_at_again_before_there_is_anything_to_write() {
    let scene = Arc::new(Scene::new());
    let (before, waiting) = (scene.proxy.traffic().requests().len(), Arc::clone(&scene));
    let looks = move |scene: &Scene| scene.requests(before, "prefix=far%2Flocks").len();
    scene.back_up(move || wait_for("another look", || (looks(&waiting) >= 2).then_some(())));
    assert_eq!(looks(&scene), 2, "once is enough");
}
