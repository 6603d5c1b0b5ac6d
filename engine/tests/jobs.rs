//! The real engine behind the seam: jobs side by side on one repository, and every way in which one ends.

#![allow(clippy::panic, reason = "tests fail by panicking, and a job must outlive one")]

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use keepwell_engine::archive::BackupOptions;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::id::Id;
use keepwell_engine::job::{AttemptId, BackupJob, Engine, Job, JobEngine, JobOutcome, JobSink, RestoreJob};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_engine::repository::{
    InitOptions, Repository, RepositoryAddress, RepositoryOptions, SnapshotChoice,
};
use keepwell_engine::restore::RestoreOptions;
use keepwell_engine::source::stream::StreamSource;
use keepwell_engine::source::{Folder, Problems, Source, Totals};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::{ErrorClass, Progress};
use secrecy::SecretString;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";
/// Far beyond what any of this takes: only a test that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// An engine, and a repository for its jobs.
struct Scene {
    folder: TempDir,
    engine: Engine,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let scene = Self { folder, engine: Engine::new(RepositoryOptions::default()) };
        let (address, settings) = (scene.address(PASSWORD), StoreSettings::default());
        let password = SecretString::from(PASSWORD);
        let options = RepositoryOptions::default();
        Repository::init(&address.location, &settings, &password, &InitOptions::default(), options)
            .expect("a repository");
        scene
    }

    fn address(&self, password: &'static str) -> RepositoryAddress {
        RepositoryAddress {
            location: Location::folder(self.folder.path().join("repository")),
            settings: StoreSettings::default(),
            password: Arc::new(move || Ok(SecretString::from(password))),
        }
    }

    fn backup_of(&self, name: &str, reader: Box<dyn Read + Send>) -> Job {
        let source = StreamSource::from_reader(name, reader, Arc::new(SystemClock)).expect("a source");
        self.backup(Box::new(source))
    }

    fn backup(&self, source: Box<dyn Source>) -> Job {
        Job::Backup(BackupJob {
            repository: self.address(PASSWORD),
            source: Box::new(move || Ok(source)),
            options: BackupOptions::default(),
            sealed_before: None,
        })
    }

    fn start(&self, job: Job) -> Attempt {
        self.start_with(job, Ok(()))
    }

    fn start_with(&self, job: Job, at_sealing: Result<(), &'static str>) -> Attempt {
        let (told, tells) = channel();
        let control = Control::new();
        let sink = Arc::new(Teller { told, at_sealing });
        self.engine.start(AttemptId { task: 7, attempt: 1 }, job, control.clone(), sink);
        Attempt { control, tells }
    }

    fn files(&self, kind: &str) -> Vec<String> {
        let mut names = Vec::new();
        collect_names(&self.folder.path().join("repository").join(kind), &mut names);
        names.sort();
        names
    }
}

fn collect_names(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_names(&path, names);
        } else {
            names.push(path.display().to_string());
        }
    }
}

enum Told {
    Sealed(Id),
    Ended(JobOutcome),
}

struct Teller {
    told: Sender<Told>,
    at_sealing: Result<(), &'static str>,
}

impl ReportSink for Teller {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, _: &Problem) {}
    fn snapshot_sealed(&self, id: Id) -> Result<()> {
        let _ = self.told.send(Told::Sealed(id));
        self.at_sealing.map_err(|why| Error::Invalid(why.into()))
    }
}

impl JobSink for Teller {
    fn ended(&self, outcome: JobOutcome) {
        let _ = self.told.send(Told::Ended(outcome));
    }
}

/// A job that was started.
struct Attempt {
    control: Control,
    tells: Receiver<Told>,
}

impl Attempt {
    /// How it ended, and the snapshot it sealed; fails unless it ended exactly once.
    fn end(self) -> (JobOutcome, Option<Id>) {
        let mut sealed = None;
        loop {
            match self.tells.recv_timeout(PATIENCE).expect("an end") {
                Told::Sealed(id) => sealed = Some(id),
                Told::Ended(outcome) => {
                    // The sink is gone with the job, so nothing more can come.
                    assert!(self.tells.recv_timeout(PATIENCE).is_err(), "something was told after the end");
                    return (outcome, sealed);
                }
            }
        }
    }

    fn failure(self) -> Error {
        match self.end().0 {
            JobOutcome::Failed(error) => error,
            other => panic!("it should have failed, not {other:?}"),
        }
    }
}

/// A reader that gives what a test sends, and ends when the sender is dropped.
struct Fed {
    pieces: Receiver<Vec<u8>>,
    left: Vec<u8>,
}

fn fed() -> (SyncSender<Vec<u8>>, Box<Fed>) {
    let (sender, pieces) = sync_channel(0);
    (sender, Box::new(Fed { pieces, left: Vec::new() }))
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left.is_empty() {
            self.left = self.pieces.recv().unwrap_or_default();
        }
        let length = self.left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.left[..length]);
        self.left.drain(..length);
        Ok(length)
    }
}

/// Bytes that do not compress, some MiB of them.
fn bytes(seed: u8, mebibytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..mebibytes << 17).flat_map(|_| next().to_le_bytes()).collect()
}

#[test]
fn jobs_on_one_repository_share_its_lock_and_all_can_be_restored() {
    let scene = Scene::new();
    let (feed, reader) = fed();
    let slow = scene.start(scene.backup_of("slow", reader));
    feed.send(bytes(1, 1)).expect("it reads");
    let quick = scene.start(scene.backup_of("quick", Box::new(&b"done at once"[..])));
    assert!(matches!(quick.end(), (JobOutcome::BackedUp(_), Some(_))));
    assert_eq!(scene.files("locks").len(), 1, "both hold one lock");
    feed.send(bytes(2, 1)).expect("it still reads");
    drop(feed);
    let (JobOutcome::BackedUp(outcome), sealed) = slow.end() else { panic!("a backup") };
    assert_eq!(Some(outcome.id), sealed);
    assert_eq!(scene.files("locks").len(), 0, "the last one took it away");

    let target = scene.folder.path().join("restored");
    let restore = scene.start(Job::Restore(RestoreJob {
        repository: scene.address(PASSWORD),
        snapshot: outcome.id.to_hex(),
        choice: SnapshotChoice::default(),
        path: Vec::new(),
        target: target.clone(),
        options: RestoreOptions::default(),
    }));
    assert!(matches!(restore.end().0, JobOutcome::Restored(outcome) if outcome.files_restored == 1));
    assert_eq!(std::fs::read(target.join("slow")).expect("restored"), [bytes(1, 1), bytes(2, 1)].concat());
}

#[test]
fn a_cancelled_job_ends_though_its_reader_blocks() {
    let scene = Scene::new();
    let (feed, reader) = fed();
    let attempt = scene.start(scene.backup_of("endless", reader));
    feed.send(bytes(3, 1)).expect("it reads");
    attempt.control.cancel();
    // A reader in memory cannot be woken, as a pipe can; it gets its end.
    drop(feed);
    assert!(matches!(attempt.failure(), Error::Cancelled));
    assert_eq!(scene.files("snapshots").len(), 0);
    assert_eq!(scene.files("locks").len(), 0);
}

#[test]
fn a_fenced_job_writes_nothing_more() {
    let scene = Scene::new();
    let (feed, reader) = fed();
    let attempt = scene.start(scene.backup_of("hung", reader));
    feed.send(bytes(4, 1)).expect("it reads");
    attempt.control.fence();
    let before = [scene.files("data"), scene.files("index")];
    let _ = feed.send(bytes(5, 40));
    drop(feed);
    assert_eq!(attempt.failure().class(), ErrorClass::Cancelled);
    assert_eq!(before, [scene.files("data"), scene.files("index")]);
    assert_eq!(scene.files("snapshots").len(), 0);
}

#[test]
fn a_cancelled_job_keeps_what_it_stored() {
    let scene = Scene::new();
    let (feed, reader) = fed();
    let attempt = scene.start(scene.backup_of("broken off", reader));
    feed.send(bytes(6, 20)).expect("it reads");
    feed.send(bytes(7, 1)).expect("all before was read");
    attempt.control.cancel();
    drop(feed);
    assert_eq!(attempt.failure().class(), ErrorClass::Cancelled);
    assert!(!scene.files("data").is_empty());
    assert!(!scene.files("index").is_empty(), "what was stored is named by an index");
}

/// A reader and a source that panic.
struct Faulty;

impl Read for Faulty {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("a fault in a reader")
    }
}

impl Source for Faulty {
    fn paths(&self) -> Vec<String> {
        vec!["/faulty".into()]
    }
    fn prepare(&self, _: &Control, _: &dyn Problems) -> Result<()> {
        Ok(())
    }
    fn root(&self) -> Result<Box<dyn Folder>> {
        panic!("a fault in a source")
    }
    fn count(&self, _: &Control, _: &dyn Fn(Totals)) -> Result<()> {
        Ok(())
    }
    fn finish(&self) -> Result<()> {
        Ok(())
    }
    fn cancel(&self) {}
}

#[test]
fn a_panic_is_an_outcome_and_the_next_job_works() {
    let scene = Scene::new();
    let crashed = scene.start(scene.backup(Box::new(Faulty))).failure();
    assert!(crashed.to_string().contains("a fault in a source"), "{crashed}");
    assert_eq!(crashed.class(), ErrorClass::Crash);
    let crashed = scene.start(scene.backup_of("faulty", Box::new(Faulty))).failure();
    assert!(crashed.to_string().contains("panicked"), "{crashed}");
    assert_eq!(scene.files("locks").len(), 0);
    let next = scene.start(scene.backup_of("sound", Box::new(&b"content"[..])));
    assert!(matches!(next.end().0, JobOutcome::BackedUp(_)));
}

#[test]
fn a_wrong_password_opens_nothing_even_if_the_repository_is_open() {
    let scene = Scene::new();
    let kept_open = scene.engine.repositories().open(&scene.address(PASSWORD)).expect("opens");
    let mut job = scene.backup_of("any", Box::new(&b"content"[..]));
    if let Job::Backup(backup) = &mut job {
        backup.repository = scene.address("a guess");
    }
    assert!(matches!(scene.start(job).failure(), Error::WrongPassword { keys: 1 }));
    let again = scene.engine.repositories().open(&scene.address(PASSWORD)).expect("opens");
    assert!(Arc::ptr_eq(&kept_open, &again));
}

#[test]
fn a_snapshot_that_its_owner_could_not_note_is_not_put() {
    let scene = Scene::new();
    let job = || scene.backup_of("noted", Box::new(&b"content"[..]));
    let refused = scene.start_with(job(), Err("the journal's disk is full"));
    let (outcome, sealed) = refused.end();
    assert!(matches!(outcome, JobOutcome::Failed(Error::Invalid(_))), "{outcome:?}");
    let id = sealed.expect("it was sealed before");
    assert_eq!(scene.files("snapshots").len(), 0);

    // The next attempt looks, finds nothing, and works.
    let again = scene.start(looking_for(id, job()));
    let (JobOutcome::BackedUp(first), Some(sealed)) = again.end() else { panic!("a backup") };
    assert_eq!((first.id, scene.files("snapshots").len()), (sealed, 1));
}

#[test]
fn an_attempt_that_finds_its_snapshot_stored_reads_nothing() {
    let scene = Scene::new();
    let first = scene.start(scene.backup_of("stored", Box::new(&b"content"[..])));
    let (JobOutcome::BackedUp(first), _) = first.end() else { panic!("a backup") };

    let mut job = looking_for(first.id, scene.backup(Box::new(Faulty)));
    if let Job::Backup(backup) = &mut job {
        backup.source = Box::new(|| panic!("no source is wanted"));
    }
    let (JobOutcome::BackedUp(found), sealed) = scene.start(job).end() else { panic!("it is found") };
    assert_eq!((found.id, sealed), (first.id, None));
    assert_eq!(found.snapshot.summary, first.snapshot.summary);
    assert_eq!(scene.files("snapshots").len(), 1);
}

fn looking_for(id: Id, mut job: Job) -> Job {
    if let Job::Backup(backup) = &mut job {
        backup.sealed_before = Some(id);
    }
    job
}

#[test]
fn a_restore_that_must_stay_beneath_a_folder_follows_no_link_on_its_way() {
    let scene = Scene::new();
    let first = scene.start(scene.backup_of("file", Box::new(&b"content"[..])));
    let (JobOutcome::BackedUp(first), _) = first.end() else { panic!("a backup") };
    let (root, outside) = (scene.folder.path().join("root"), scene.folder.path().join("outside"));
    std::fs::create_dir_all(root.join("earlier")).expect("a folder");
    std::fs::create_dir(&outside).expect("a folder");
    std::os::unix::fs::symlink(&outside, root.join("earlier/link")).expect("a link");
    std::fs::write(root.join("earlier/file"), "in the way").expect("a file");
    let restore_to = |target: &str| {
        let options = RestoreOptions { beneath: Some(root.clone()), ..RestoreOptions::default() };
        scene.start(Job::Restore(RestoreJob {
            repository: scene.address(PASSWORD),
            snapshot: first.id.to_hex(),
            choice: SnapshotChoice::default(),
            path: Vec::new(),
            target: root.join(target),
            options,
        }))
    };
    for target in ["earlier/link", "earlier/link/deeper", "earlier/file", "earlier/../../outside"] {
        let failure = restore_to(target).failure();
        assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0, "{target}");
        assert!(!failure.to_string().is_empty(), "{target}");
    }
    assert!(matches!(restore_to("new/folder").end().0, JobOutcome::Restored(_)));
    assert_eq!(std::fs::read(root.join("new/folder/file")).expect("restored"), b"content");
    assert!(matches!(restore_to("").end().0, JobOutcome::Restored(_)));
}
