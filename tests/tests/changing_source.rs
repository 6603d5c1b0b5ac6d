//! Files and folders that change while they are backed up.
//!
//! A source that wraps the real one changes the disk at exact moments: after a file's first bytes were
//! read, or when a folder's entries are listed and none was opened yet. What is stored must be whole in
//! itself, the rest untouched, and what could not be stored must be named.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keepwell_engine::archive::{BackupOptions, BackupOutcome, ChangeDetection, back_up};
use keepwell_engine::check::{CheckOptions, ReadData, check};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::format::Node;
use keepwell_engine::query::lookup::{Place, find_place};
use keepwell_engine::report::{Problem, ReportSink, Silent};
use keepwell_engine::repository::{InitOptions, Repository, RepositoryOptions};
use keepwell_engine::restore::{RestoreOptions, restore};
use keepwell_engine::source::files::{FilesOptions, FilesSource};
use keepwell_engine::source::{Entry, EntryContent, FileContent, Folder, Problems, Source, Totals};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::Progress;
use keepwell_tests::programs::PASSWORD;
use keepwell_tests::random_data::Random;
use tempfile::TempDir;

/// When something happens, and what.
#[derive(Clone)]
enum Event {
    /// Once the first bytes of the file of this name were read.
    Read(&'static str, Arc<dyn Fn() + Send + Sync>),
    /// Once the entry of this name was listed with those before it, and nothing of it was opened.
    Listed(&'static str, Arc<dyn Fn() + Send + Sync>),
    /// When the attributes of the file of this name are asked for.
    Completed(&'static str, Arc<dyn Fn() + Send + Sync>),
    /// Reading the file of this name fails after its first bytes.
    Fails(&'static str),
}

/// The files of a folder, and what happens meanwhile.
struct ChangingSource {
    files: FilesSource,
    event: Event,
}

impl Source for ChangingSource {
    fn paths(&self) -> Vec<String> {
        self.files.paths()
    }
    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        self.files.prepare(control, problems)
    }
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(ChangingFolder { folder: self.files.root()?, event: self.event.clone() }))
    }
    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        self.files.count(control, found)
    }
    fn finish(&self) -> Result<()> {
        self.files.finish()
    }
    fn cancel(&self) {
        self.files.cancel();
    }
}

struct ChangingFolder {
    folder: Box<dyn Folder>,
    event: Event,
}

impl Folder for ChangingFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        self.folder.list(problems, &mut |Entry { node, content }| {
            if let Event::Listed(name, act) = &self.event
                && node.name == name.as_bytes()
            {
                act();
            }
            let event = self.event.clone();
            let content = match content {
                EntryContent::Folder(folder) => {
                    EntryContent::Folder(Box::new(ChangingFolder { folder, event }))
                }
                EntryContent::File(file) => {
                    let name = node.name.clone();
                    EntryContent::File(Box::new(ChangingFile { file, name, event }))
                }
                EntryContent::Nothing => EntryContent::Nothing,
            };
            each(Entry { node, content })
        })
    }
    fn display_path(&self) -> String {
        self.folder.display_path()
    }
}

struct ChangingFile {
    file: Box<dyn FileContent>,
    name: Vec<u8>,
    event: Event,
}

impl FileContent for ChangingFile {
    fn complete(&self, node: &mut Node, problems: &dyn Problems) {
        if let Event::Completed(name, act) = &self.event
            && self.name == name.as_bytes()
        {
            act();
        }
        self.file.complete(node, problems);
    }
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        let reader = self.file.open()?;
        Ok(match &self.event {
            Event::Read(name, act) if self.name == name.as_bytes() => {
                Box::new(Changing { reader, then: Some(act.clone()), fails: false })
            }
            Event::Fails(name) if self.name == name.as_bytes() => {
                Box::new(Changing { reader, then: Some(Arc::new(|| ())), fails: true })
            }
            _ => reader,
        })
    }
}

/// A reader that lets something happen after its first bytes.
struct Changing {
    reader: Box<dyn Read + Send>,
    then: Option<Arc<dyn Fn() + Send + Sync>>,
    fails: bool,
}

/// The first bytes of a file.
const FIRST_BYTES: usize = 1000;

impl Read for Changing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.then.take() {
            Some(act) => {
                let first = out.len().min(FIRST_BYTES);
                let read = self.reader.read(&mut out[..first])?;
                act();
                Ok(read)
            }
            None if self.fails => Err(io::Error::other("the disk is broken")),
            None => self.reader.read(out),
        }
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl ReportSink for Told {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, problem: &Problem) {
        self.0.lock().unwrap().push(format!("{}: {}", problem.path, problem.why));
    }
}

/// A folder to back up, and a repository.
struct Scene {
    folder: TempDir,
    repository: Arc<Repository>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (location, settings) =
            (Location::folder(folder.path().join("repository")), StoreSettings::default());
        let (init, options) = (InitOptions::default(), RepositoryOptions::default());
        let password = PASSWORD.to_owned().into();
        let repository = Repository::init(&location, &settings, &password, &init, options).unwrap();
        let scene = Self { folder, repository };
        for (name, content) in [("a", "first"), ("sub/inside", "inside"), ("z", "last")] {
            fs::create_dir_all(scene.path(name).parent().unwrap()).unwrap();
            fs::write(scene.path(name), content).unwrap();
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    fn files(&self) -> FilesSource {
        let clock = Arc::new(SystemClock);
        FilesSource::new(vec![self.path("")], FilesOptions::default(), clock).unwrap()
    }

    fn back_up(&self, source: &dyn Source) -> (BackupOutcome, Vec<String>) {
        self.back_up_with(source, &BackupOptions::default())
    }

    fn back_up_with(&self, source: &dyn Source, options: &BackupOptions) -> (BackupOutcome, Vec<String>) {
        let control = Control::new();
        let session = self.repository.begin(false, &control).unwrap();
        let told = Told::default();
        let compute = ComputeSlots::of_this_machine();
        let outcome = back_up(&session, source, options, &control, &compute, &told).unwrap();
        (outcome, told.0.into_inner().unwrap())
    }

    fn node(&self, outcome: &BackupOutcome, name: &str) -> Option<Node> {
        let path = self.path(name);
        let path = path.as_os_str().as_encoded_bytes();
        match find_place(&self.repository, outcome.snapshot.tree, path, &Control::new()) {
            Ok(Place::Entry(node)) => Some(*node),
            Ok(Place::Root(_)) => None,
            Err(error) => {
                assert!(error.is_not_found(), "{error}");
                None
            }
        }
    }

    /// Restores the snapshot and returns a file's content.
    fn restored(&self, outcome: &BackupOutcome, name: &str) -> Vec<u8> {
        let target = tempfile::tempdir().unwrap();
        let (session, control) = (self.repository.begin_unlocked(), Control::new());
        let (options, compute) = (RestoreOptions::default(), ComputeSlots::of_this_machine());
        let tree = outcome.snapshot.tree;
        let done = restore(&session, tree, target.path(), &options, &control, &compute, &Silent).unwrap();
        assert_eq!(done.errors, 0);
        fs::read(target.path().join(self.path(name).strip_prefix("/").unwrap())).unwrap()
    }

    fn assert_sound(&self) {
        let options = CheckOptions { read_data: ReadData::All, ..CheckOptions::default() };
        let (session, control) = (self.repository.begin_unlocked(), Control::new());
        let compute = ComputeSlots::of_this_machine();
        let found = |finding| panic!("{finding}");
        assert!(check(&session, &options, &control, &compute, &Silent, &found).unwrap().is_sound());
    }
}

fn happening(act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(act)
}

/// What happens to a file: its name, the change, and what of it must be stored, made of its old content.
type Change = (&'static str, fn(&Path), fn(&[u8]) -> Vec<u8>);

#[test]
fn a_file_that_changes_while_it_is_read_is_stored_as_it_was_read() {
    let changes: [Change; 5] = [
        ("grows", |path| append(path, &[7; 5000]), |old| [old, &[7; 5000]].concat()),
        ("shrinks", |path| set_length(path, 1500), |old| old[..1500].to_vec()),
        ("is emptied", |path| set_length(path, 0), |old| old[..FIRST_BYTES].to_vec()),
        ("is replaced", |path| replace(path, b"another file"), <[u8]>::to_vec),
        ("is deleted", |path| fs::remove_file(path).unwrap(), <[u8]>::to_vec),
    ];
    // One worker reads a small file whole, several share a large one.
    for length in [3_000, 20 << 20] {
        for (what, change, expected) in changes {
            let scene = Scene::new();
            let old = Random(length as u64).bytes(length);
            let path = scene.path("changing");
            fs::write(&path, &old).unwrap();
            let event = Event::Read(
                "changing",
                happening({
                    let path = path.clone();
                    move || change(&path)
                }),
            );
            let (outcome, told) = scene.back_up(&ChangingSource { files: scene.files(), event });
            assert_eq!((outcome.errors, told), (0, vec![]), "a file of {length} that {what}");
            let expected = expected(&old);
            let node = scene.node(&outcome, "changing").expect("it is in the snapshot");
            assert_eq!(node.size, expected.len() as u64, "a file of {length} that {what}");
            assert!(scene.restored(&outcome, "changing") == expected, "a file of {length} that {what}");
            assert_eq!(scene.restored(&outcome, "z"), b"last");
            scene.assert_sound();

            // The next backup has what is there now: the change is noticed.
            let (next, _) = scene.back_up(&scene.files());
            let now = fs::read(&path).ok();
            assert_eq!(scene.node(&next, "changing").is_some(), now.is_some(), "{what}");
            if let Some(now) = now {
                assert!(scene.restored(&next, "changing") == now, "a file of {length} that {what}, later");
            }
        }
    }
}

fn append(path: &Path, bytes: &[u8]) {
    io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(path).unwrap(), bytes).unwrap();
}

fn set_length(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_is_named_and_left_out() {
    for length in [3_000, 20 << 20] {
        let scene = Scene::new();
        fs::write(scene.path("broken"), Random(1).bytes(length)).unwrap();
        let (outcome, told) =
            scene.back_up(&ChangingSource { files: scene.files(), event: Event::Fails("broken") });
        assert_eq!(outcome.errors, 1);
        assert_eq!(told, [format!("{}: the disk is broken", scene.path("broken").display())]);
        assert!(scene.node(&outcome, "broken").is_none(), "half a file is none");
        assert_eq!(scene.restored(&outcome, "a"), b"first");
        assert_eq!(scene.restored(&outcome, "sub/inside"), b"inside");
        scene.assert_sound();
    }
}

#[test]
fn what_vanishes_between_listing_and_reading_is_named_and_the_rest_is_backed_up() {
    type Vanish = fn(&Path);
    for (name, vanish, why) in [
        ("sub", (|path| fs::remove_dir_all(path).unwrap()) as Vanish, "No such file or directory"),
        (
            "sub",
            |path| {
                fs::remove_dir_all(path).unwrap();
                fs::write(path, "a file now").unwrap()
            },
            "Not a directory",
        ),
        ("a", |path| fs::remove_file(path).unwrap(), "No such file or directory"),
        (
            "a",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap()
            },
            "no longer a regular file",
        ),
    ] {
        let scene = Scene::new();
        let path = scene.path(name);
        let event = Event::Listed(
            name,
            happening({
                let path = path.clone();
                move || vanish(&path)
            }),
        );
        let (outcome, told) = scene.back_up(&ChangingSource { files: scene.files(), event });
        assert_eq!(outcome.errors, 1, "{name}: {told:?}");
        assert!(told[0].starts_with(&format!("{}: ", path.display())) && told[0].contains(why), "{told:?}");
        assert!(scene.node(&outcome, name).is_none(), "{name}");
        assert_eq!(scene.restored(&outcome, "z"), b"last");
        scene.assert_sound();
    }
}

#[test]
fn what_appears_or_vanishes_before_it_is_looked_at_is_no_problem() {
    let scene = Scene::new();
    let (gone, new) = (scene.path("z"), scene.path("y appears"));
    // Names are read before the first entry comes.
    let event = Event::Listed(
        "a",
        happening(move || {
            fs::remove_file(&gone).unwrap();
            fs::write(&new, "too late").unwrap();
        }),
    );
    let (outcome, told) = scene.back_up(&ChangingSource { files: scene.files(), event });
    assert_eq!(outcome.errors, 0);
    assert_eq!(told, [format!("{}: it vanished during the backup", scene.path("z").display())]);
    assert!(scene.node(&outcome, "z").is_none() && scene.node(&outcome, "y appears").is_none());
    assert_eq!(scene.restored(&outcome, "a"), b"first");
    scene.assert_sound();
}

#[test]
fn attributes_of_unchanged_files_are_asked_for_only_where_the_parent_may_lack_some() {
    let mut scene = Scene::new();
    let asked = |scene: &Scene, options: &BackupOptions| {
        let count = Arc::new(AtomicUsize::new(0));
        let counting = count.clone();
        let act = happening(move || {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        let event = Event::Completed("a", act);
        scene.back_up_with(&ChangingSource { files: scene.files(), event }, options);
        count.load(Ordering::Relaxed)
    };
    let plain = BackupOptions::default();
    let other_version = BackupOptions { program_version: "another".into(), ..plain.clone() };
    let change_detection = ChangeDetection { ignore_ctime: true, ..ChangeDetection::default() };
    let ignoring_ctime = BackupOptions { change_detection, ..plain.clone() };
    assert_eq!(asked(&scene, &plain), 1, "a new file");
    assert_eq!(asked(&scene, &plain), 0, "nothing has changed");
    assert_eq!(asked(&scene, &other_version), 1, "another version may have recorded less");
    assert_eq!(asked(&scene, &other_version), 0);
    assert_eq!(asked(&scene, &plain), 1, "the same, the other way");
    assert_eq!(asked(&scene, &ignoring_ctime), 1, "who sets an attribute changes the ctime");
    let mut options = RepositoryOptions::default();
    options.identity.uid += 1;
    let (location, settings) = (scene.repository.location().clone(), StoreSettings::default());
    scene.repository = Repository::open(&location, &settings, &PASSWORD.to_owned().into(), options).unwrap();
    assert_eq!(asked(&scene, &plain), 1, "another user may have been shown fewer");
    assert_eq!(asked(&scene, &plain), 0);
}

#[test]
fn a_path_that_is_missing_each_time_takes_no_backup_its_parent() {
    let scene = Scene::new();
    let paths = vec![scene.path(""), scene.path("never there")];
    let source = || FilesSource::new(paths.clone(), FilesOptions::default(), Arc::new(SystemClock)).unwrap();
    let (first, told) = scene.back_up(&source());
    assert_eq!(told.len(), 1, "{told:?}");
    let (second, _) = scene.back_up(&source());
    assert_eq!(second.snapshot.parent, Some(first.id));
    let (third, _) = scene.back_up(&scene.files());
    assert_eq!(third.snapshot.parent, Some(second.id), "the same paths were stored");
}
