//! Firebird, the real one: databases that are written to, servers that die, and databases made again of dumps.
//!
//! Dumps are held in their middle by a source that does something once so many bytes were read of it, or by a
//! `gbak` that waits for a file: nothing depends on how fast this machine is.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use keepwell_actors::runner::FirebirdDatabase;
use keepwell_actors::{Keepwell, Settings};
use keepwell_engine::archive::BackupOptions;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::firebird::{FirebirdAccess, FirebirdDumpOptions};
use keepwell_engine::job::{
    AttemptId, BackupJob, FirebirdRestoreJob, Job, JobEngine, JobOutcome, JobSink, MakeSource,
};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_engine::repository::SnapshotChoice;
use keepwell_engine::restore::FirebirdTarget;
use keepwell_engine::source::firebird::FirebirdSource;
use keepwell_engine::source::stream::StreamSource;
use keepwell_engine::source::{Entry, EntryContent, FileContent, Folder, Problems, Source, Totals};
use keepwell_messages::{
    ErrorClass, Event, FirebirdTarget as WantedTarget, Item, ItemSource, PerformFirebirdBackup,
    PerformRestore, Progress, RestoreRequest, RestoreTarget, SetItem, TaskEnd, TaskId, TaskKind, Trigger,
};
use keepwell_tests::embedding::{
    REPOSITORY, Scene, ShiftedClock, Witness, embed, every_minute, folder_item, item, patiently,
};
use keepwell_tests::firebird_server::{
    FirebirdServer, Ledger, assert_gone_within, assert_valid, cpu_ticks, embedded_sql, gbaks_of, make_ledger,
    tools_are_there, transfer,
};
use keepwell_tests::programs::{Program, keepwell, say, snapshot_ids, transcript};
use keepwell_tests::running::{Running, wait_for};

/// 300,000 rows: a dump of some 19 MB.
const PAIRS: u64 = 150_000;
/// Enough that a dump cannot wait in pipes and queues: some 5 MB.
const FEW_PAIRS: u64 = 40_000;
/// Where dumps are held: beyond the first chunk, far from the end.
const MIDDLE: u64 = 1 << 20;

// ---- Jobs of the engine

struct Sink(std::sync::Mutex<std::sync::mpsc::Sender<JobOutcome>>);

impl ReportSink for Sink {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, problem: &Problem) {
        say(&format!("{problem:?}"));
    }
}

impl JobSink for Sink {
    fn ended(&self, outcome: JobOutcome) {
        self.0.lock().expect("one at a time").send(outcome).expect("somebody waits");
    }
}

fn start(scene: &Scene, job: Job, control: &Control) -> Receiver<JobOutcome> {
    let (sender, outcome) = channel();
    let attempt = AttemptId { task: 1, attempt: 1 };
    scene.engine().start(attempt, job, control.clone(), Arc::new(Sink(sender.into())));
    outcome
}

fn backup_job(scene: &Scene, source: MakeSource) -> Job {
    let options = BackupOptions::default();
    Job::Backup(BackupJob { repository: scene.address(), source, options, sealed_before: None })
}

fn dump_of(access: &FirebirdAccess) -> FirebirdSource {
    let options = FirebirdDumpOptions::default();
    FirebirdSource::new("ledger", access.clone(), options, Arc::new(SystemClock)).expect("a name")
}

/// Backs a database up; the bytes of its dump, and those that the repository did not hold yet.
fn back_up(scene: &Scene, access: &FirebirdAccess) -> Result<(u64, u64), Error> {
    let access = access.clone();
    let job = backup_job(scene, Box::new(move || Ok(Box::new(dump_of(&access)) as Box<dyn Source>)));
    match start(scene, job, &Control::new()).recv().expect("it ends") {
        JobOutcome::BackedUp(outcome) => {
            let summary = outcome.snapshot.summary.expect("a summary");
            Ok((summary.total_bytes_processed, summary.data_added))
        }
        JobOutcome::Failed(error) => Err(error),
        JobOutcome::Restored(_) => panic!("it was no restore"),
    }
}

fn restore_job(scene: &Scene, access: &FirebirdAccess, replace: bool) -> Job {
    Job::RestoreFirebird(FirebirdRestoreJob {
        repository: scene.address(),
        snapshot: "latest".into(),
        choice: SnapshotChoice::default(),
        path: Vec::new(),
        target: FirebirdTarget { access: access.clone(), replace, beneath: None },
    })
}

fn restore(scene: &Scene, access: &FirebirdAccess, replace: bool) -> Result<(), Error> {
    match start(scene, restore_job(scene, access, replace), &Control::new()).recv().expect("it ends") {
        JobOutcome::Restored(outcome) => {
            assert_eq!((outcome.files_restored, outcome.files_verified, outcome.errors), (1, 1, 0));
            Ok(())
        }
        JobOutcome::Failed(error) => Err(error),
        JobOutcome::BackedUp(_) => panic!("it was no backup"),
    }
}

fn refused(result: Result<impl Sized, Error>, class: ErrorClass, said: &str) {
    let error = match result {
        Ok(_) => panic!("it went well, and should not: {said}"),
        Err(error) => error,
    };
    let text = error.to_string();
    assert!(error.class() == class && text.contains(said), "{:?}: {text}", error.class());
    assert!(!text.contains("secret") && !text.contains('\n'), "{text}");
}

fn embedded(path: &Path) -> FirebirdAccess {
    FirebirdAccess::new(path.to_str().expect("UTF-8").parse().expect("a path"))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

// ---- A dump in whose middle something happens

type Act = Arc<dyn Fn() + Send + Sync>;

/// A dump that does something once [`MIDDLE`] bytes of it were read.
struct Tapped {
    inner: FirebirdSource,
    act: Act,
}

fn tapped(scene: &Scene, access: &FirebirdAccess, act: impl Fn() + Send + Sync + 'static) -> Job {
    let (inner, act) = (dump_of(access), Arc::new(act));
    backup_job(scene, Box::new(move || Ok(Box::new(Tapped { inner, act }) as Box<dyn Source>)))
}

impl Source for Tapped {
    fn paths(&self) -> Vec<String> {
        self.inner.paths()
    }
    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        self.inner.prepare(control, problems)
    }
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(TappedFolder { inner: self.inner.root()?, act: self.act.clone() }))
    }
    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        self.inner.count(control, found)
    }
    fn finish(&self) -> Result<()> {
        self.inner.finish()
    }
    fn cancel(&self) {
        self.inner.cancel();
    }
}

struct TappedFolder {
    inner: Box<dyn Folder>,
    act: Act,
}

impl Folder for TappedFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        self.inner.list(problems, &mut |entry| {
            let EntryContent::File(file) = entry.content else { panic!("a dump is a file") };
            let file = Box::new(TappedFile { inner: file, act: self.act.clone() });
            each(Entry { node: entry.node, content: EntryContent::File(file) })
        })
    }
    fn display_path(&self) -> String {
        self.inner.display_path()
    }
}

struct TappedFile {
    inner: Box<dyn FileContent>,
    act: Act,
}

impl FileContent for TappedFile {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(TappedReader { inner: self.inner.open()?, left: Some(MIDDLE), act: self.act.clone() }))
    }
    fn is_stream(&self) -> bool {
        true
    }
}

struct TappedReader {
    inner: Box<dyn Read + Send>,
    left: Option<u64>,
    act: Act,
}

impl Read for TappedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = match self.left {
            Some(left) if left <= length as u64 => {
                (self.act)();
                None
            }
            left => left.map(|left| left - length as u64),
        };
        Ok(length)
    }
}

// ---- What a dump holds

/// Adds transfers to a database until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(server: &FirebirdServer, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut isql, stopped) = (server.isql(name), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                assert!(isql.give(transfer().repeat(10).as_bytes()), "it takes no more");
            }
            isql.give_no_more();
            isql.succeed();
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every transfer went well");
    }
}

#[test]
fn a_database_that_is_written_to_comes_back_as_it_was_between_two_transactions() {
    let Some(server) = FirebirdServer::start() else { return };
    let began = Instant::now();
    server.make_ledger("ledger.fdb", PAIRS);
    let scene = Scene::new();
    for (way, database) in
        [("network", server.network("ledger.fdb")), ("service", server.service("ledger.fdb"))]
    {
        let writer = Writer::start(&server, "ledger.fdb");
        let start = server.ledger("ledger.fdb");
        let before = wait_for("the writer", || {
            let now = server.ledger("ledger.fdb");
            assert!(now.is_between_transactions(), "{now:?}");
            (now.counted > start.counted).then_some(now)
        });
        back_up(&scene, &server.access(&database)).expect("a dump");
        let after = server.ledger("ledger.fdb");
        writer.stop();
        let new = format!("{way}.fdb");
        let target = match way {
            "network" => server.network(&new),
            _ => server.service(&new),
        };
        restore(&scene, &server.access(&target), false).expect("a database");
        assert_valid(&server.network(&new));
        let restored = server.ledger(&new);
        assert!(restored.is_between_transactions() && restored.counted >= PAIRS, "{restored:?}");
        // It is written to all the time: what was committed while it was dumped is not in the dump.
        let between = before.counted..after.counted;
        assert!(between.contains(&restored.counted), "{way}: {restored:?} of {before:?} and {after:?}");
        say(&format!("{way}: {} of {} to {} transactions", restored.counted, before.counted, after.counted));
    }
    say(&format!("{} rows over the network and through the service: {:?}", 2 * PAIRS, began.elapsed()));
}

#[test]
fn an_embedded_database_comes_back_and_needs_no_login() {
    if !tools_are_there() {
        return;
    }
    let (scene, folder) = (Scene::new(), tempfile::tempdir().expect("a folder"));
    let (old, new) = (folder.path().join("old.fdb"), folder.path().join("new.fdb"));
    make_ledger(&old, FEW_PAIRS);
    let (bytes, _) = back_up(&scene, &embedded(&old)).expect("a dump");
    assert!(bytes > 4 * MIDDLE, "{bytes} bytes are too few for the other tests");
    let snapshots = scene.snapshots();
    let paths: Vec<_> = snapshots.values().flat_map(|snapshot| snapshot.paths.clone()).collect();
    assert_eq!(paths, ["/ledger.fbk"]);
    restore(&scene, &embedded(&new), false).expect("a database");
    assert_valid(new.to_str().expect("UTF-8"));
    let restored = Ledger::embedded(&new);
    assert!(restored.is_between_transactions() && restored.counted == FEW_PAIRS, "{restored:?}");
    assert_eq!(names_in(folder.path()), ["new.fdb", "old.fdb"]);
}

#[test]
fn what_a_second_dump_adds_depends_on_where_the_rows_changed() {
    if !tools_are_there() {
        return;
    }
    let (scene, folder) = (Scene::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("ledger.fdb");
    make_ledger(&path, PAIRS);
    back_up(&scene, &embedded(&path)).expect("a dump");
    let changes = [
        ("nothing", ""),
        (
            "1 % of the rows, side by side",
            "update detail set amount = amount where id < 3000; update detail set note = 'changed' where id between 3000 and 5999; commit;\n",
        ),
        (
            "1 % of the rows, one in a hundred",
            "update detail set note = 'changed' where mod(id, 100) = 0; commit;\n",
        ),
    ];
    let mut added_by = Vec::new();
    for (what, statements) in changes {
        embedded_sql(&path, statements);
        let (bytes, added) = back_up(&scene, &embedded(&path)).expect("a dump");
        say(&format!(
            "{what}: {added} of {bytes} bytes are new, {:.1} %",
            100.0 * added as f64 / bytes as f64
        ));
        added_by.push(100 * added / bytes);
    }
    // The header holds the time of the dump, so that its first chunk is always new.
    assert!(added_by[0] < 30 && added_by[1] < 50, "{added_by:?} %");
}

// ---- What goes wrong

#[test]
fn each_failure_has_its_class_and_leaves_no_snapshot() {
    let Some(mut server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", 10);
    let scene = Scene::new();
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "the-secret-itself\n").expect("a file");
    let with = |database: &str| server.access(database);
    let fails = |access: FirebirdAccess, class, said: &str| {
        let began = Instant::now();
        refused(back_up(&scene, &access), class, said);
        say(&format!("{said}: {:?}", began.elapsed()));
    };
    let login = "does not know this user with this password";
    for database in [server.network("ledger.fdb"), server.service("ledger.fdb")] {
        let access = FirebirdAccess { password_file: Some(wrong.clone()), ..with(&database) };
        fails(access, ErrorClass::Credentials, login);
    }
    fails(with(&server.network("missing.fdb")), ErrorClass::Source, "there is no such file");
    std::fs::write(server.data("text.fdb"), "no database\n".repeat(1000)).expect("a file");
    fails(embedded(&server.data("text.fdb")), ErrorClass::Settings, "no Firebird database");
    let lost =
        FirebirdAccess { password_file: Some("/nowhere/file".into()), ..with(&server.network("ledger.fdb")) };
    fails(lost, ErrorClass::Credentials, "/nowhere/file cannot be read");
    let gbak = FirebirdAccess { gbak: "/nowhere/gbak".into(), ..with(&server.network("ledger.fdb")) };
    fails(gbak, ErrorClass::Settings, "there is no program /nowhere/gbak");
    // The server has it open as long as somebody is connected.
    let mut reader = server.isql("ledger.fdb");
    reader.give(b"select n from counter;\n");
    wait_for("a connection", || reader.stdout().contains("10").then_some(()));
    fails(embedded(&server.data("ledger.fdb")), ErrorClass::Source, "a server has the database open");
    reader.give_no_more();
    reader.succeed();
    server.kill();
    fails(server.access(&server.network("ledger.fdb")), ErrorClass::Network, "the server cannot be reached");
    assert!(scene.snapshots().is_empty());
}

#[test]
fn a_cancelled_dump_ends_gbak_and_leaves_no_snapshot() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    let scene = Scene::new();
    for database in [server.network("ledger.fdb"), server.service("ledger.fdb")] {
        let (control, (told, middle)) = (Control::new(), channel());
        let cancels = control.clone();
        let access = server.access(&database);
        let outcome = start(
            &scene,
            tapped(&scene, &access, move || {
                told.send(gbaks_of(std::process::id())).expect("somebody waits");
                cancels.cancel();
            }),
            &control,
        );
        let gbaks = middle.recv().expect("a middle");
        let cancelled = Instant::now();
        let [gbak] = gbaks[..] else { panic!("not one gbak: {gbaks:?}") };
        assert_gone_within(gbak, Duration::from_secs(5));
        say(&format!("{database}: gbak was gone after {:?}", cancelled.elapsed()));
        assert!(matches!(outcome.recv().expect("it ends"), JobOutcome::Failed(Error::Cancelled)));
        assert!(scene.snapshots().is_empty());
    }
}

#[test]
fn a_paused_dump_waits_without_working_and_is_whole_after_it() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    let scene = Scene::new();
    let (control, (told, middle)) = (Control::new(), channel());
    let pauses = control.clone();
    let access = server.access(&server.network("ledger.fdb"));
    let job = tapped(&scene, &access, move || {
        pauses.pause();
        told.send(gbaks_of(std::process::id())).expect("somebody waits");
    });
    let outcome = start(&scene, job, &control);
    let gbaks = middle.recv().expect("a middle");
    let [gbak] = gbaks[..] else { panic!("not one gbak: {gbaks:?}") };
    wait_for_standstill(gbak);
    assert!(outcome.try_recv().is_err(), "it is paused");
    control.resume();
    assert!(matches!(outcome.recv().expect("it ends"), JobOutcome::BackedUp(_)));
    restore(&scene, &server.access(&server.network("new.fdb")), false).expect("a database");
    let restored = server.ledger("new.fdb");
    assert!(restored.is_between_transactions() && restored.counted == FEW_PAIRS, "{restored:?}");
}

/// It may fill or empty the pipe first. Then it uses no processor for a whole second.
fn wait_for_standstill(gbak: u32) {
    wait_for("gbak to stand still", || {
        let before = cpu_ticks(gbak);
        std::thread::sleep(Duration::from_secs(1));
        (cpu_ticks(gbak) == before).then_some(())
    });
}

#[test]
fn gbak_dies_with_a_killed_keepwell() {
    if !tools_are_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (repository, database) = (folder.path().join("repository"), folder.path().join("ledger.fdb"));
    make_ledger(&database, FEW_PAIRS);
    let keepwell = keepwell();
    keepwell.init(&repository);
    let mut command = keepwell.command(&repository);
    command.args(["backup", "--firebird"]).arg(&database);
    let backup = Running::start(command);
    let gbak = wait_for("gbak", || gbaks_of(backup.id()).first().copied());
    backup.signal(rustix::process::Signal::KILL);
    backup.end();
    assert_gone_within(gbak, Duration::from_secs(5));
    assert!(snapshot_ids(&repository).is_empty());
}

/// A `gbak` that, as long as the file `hold` is there, tells its id in `hold.reached` once it has given the
/// first half of a dump, and then waits until `hold` is gone.
fn gbak_that_waits(folder: &Path, hold: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(hold, "").expect("a file");
    let (bin, hold) = (folder.join("bin"), hold.display());
    std::fs::create_dir(&bin).expect("a folder");
    let script = format!(
        "#!/bin/bash\nset -o pipefail\n[[ $1 = -b && -e {hold} ]] || exec /usr/bin/gbak \"$@\"\n\
         /usr/bin/gbak \"$@\" | {{\n  head -c {}; echo $$ >{hold}.new; mv {hold}.new {hold}.reached\n  \
         while [[ -e {hold} ]]; do sleep 0.05; done; cat\n}}\n",
        2 * MIDDLE
    );
    let gbak = bin.join("gbak");
    std::fs::write(&gbak, script).expect("a script");
    std::fs::set_permissions(&gbak, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    gbak
}

// ---- Restores

#[test]
fn a_database_that_is_there_stays_unless_it_is_replaced_by_a_whole_one() {
    let Some(server) = FirebirdServer::start() else { return };
    let scene = Scene::new();
    server.make_ledger("ledger.fdb", 20);
    server.make_ledger("other.fdb", 5);
    back_up(&scene, &server.access(&server.network("ledger.fdb"))).expect("a dump");
    let other = server.access(&server.network("other.fdb"));
    refused(restore(&scene, &other, false), ErrorClass::Settings, "is there already");
    let mut reader = server.isql("other.fdb");
    reader.give(b"select n from counter;\n");
    wait_for("a connection", || reader.stdout().contains('5').then_some(()));
    refused(restore(&scene, &other, true), ErrorClass::Settings, "is in use");
    reader.give_no_more();
    reader.succeed();
    assert_eq!(server.ledger("other.fdb").counted, 5);
    restore(&scene, &other, true).expect("a database");
    assert_eq!(server.ledger("other.fdb").counted, 20);

    // A folder in which the server may not write, though this process may.
    let closed = server.data("closed");
    std::fs::create_dir(&closed).expect("a folder");
    let in_closed = server.access(&server.network("closed/new.fdb"));
    refused(restore(&scene, &in_closed, false), ErrorClass::Source, "may not be used");
    assert_eq!(names_in(&closed), [""; 0]);
    let nowhere = server.access(&server.network("none/new.fdb"));
    refused(restore(&scene, &nowhere, false), ErrorClass::Source, "cannot find the folder");
    let elsewhere = server.access("192.0.2.1:/data/new.fdb");
    refused(restore(&scene, &elsewhere, false), ErrorClass::Settings, "is another machine");
    // What was made without the server belongs to it all the same, because its folder does.
    restore(&scene, &embedded(&server.data("ours.fdb")), false).expect("a database");
    assert_eq!(server.ledger("ours.fdb").counted, 20);
    assert_eq!(names_in(&server.data("")), ["closed", "ledger.fdb", "other.fdb", "ours.fdb"]);
}

#[test]
fn a_dump_that_is_cut_or_damaged_leaves_nothing() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    server.make_ledger("old.fdb", 3);
    let whole = Command::new("gbak")
        .args(["-b", "-user", "sysdba"])
        .arg(server.data("ledger.fdb"))
        .arg("stdout")
        .output()
        .expect("gbak runs")
        .stdout;
    let mut damaged = whole.clone();
    damaged[3_000_000..3_100_000].fill(0x55);
    let cases: [(&str, Vec<u8>); 4] = [
        ("cut in the rows", whole[..3_000_000].to_vec()),
        ("cut in the tables", whole[..1000].to_vec()),
        ("damaged", damaged),
        ("something else", b"no dump ".repeat(10_000)),
    ];
    for (case, bytes) in cases {
        let scene = Scene::new();
        let source: MakeSource = Box::new(move || {
            let reader = Box::new(std::io::Cursor::new(bytes));
            let stream = StreamSource::from_reader("ledger.fbk", reader, Arc::new(SystemClock))?;
            Ok(Box::new(stream) as Box<dyn Source>)
        });
        let outcome = start(&scene, backup_job(&scene, source), &Control::new()).recv().expect("it ends");
        assert!(matches!(outcome, JobOutcome::BackedUp(_)), "{outcome:?}");
        let old = server.network("old.fdb");
        for (access, replace) in [
            (server.access(&server.network("new.fdb")), false),
            (server.access(&server.service("new.fdb")), false),
            (embedded(&server.data("new.fdb")), false),
            (server.access(&old), true),
        ] {
            let began = Instant::now();
            let error = restore(&scene, &access, replace).expect_err(case);
            assert_eq!(error.class(), ErrorClass::Settings, "{case}: {error}");
            assert_eq!(names_in(&server.data("")), ["ledger.fdb", "old.fdb"], "{case}: {error}");
            say(&format!("{case}: {error} ({:?})", began.elapsed()));
        }
        assert_eq!(server.ledger("old.fdb").counted, 3);
    }
}

#[test]
fn a_restore_can_be_paused_and_what_a_cancelled_or_killed_one_leaves_is_removed() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    let scene = Scene::new();
    back_up(&scene, &server.access(&server.network("ledger.fdb"))).expect("a dump");
    let access = server.access(&server.network("new.fdb"));
    let temporary = server.data("new.fdb.keepwell-restoring");
    // Paused before it begins to give the dump, so that it cannot be through.
    let control = Control::new();
    let outcome = start(&scene, restore_job(&scene, &access, false), &control);
    let gbak = wait_for("gbak", || gbaks_of(std::process::id()).first().copied());
    control.pause();
    control.cancel();
    let cancelled = Instant::now();
    assert_gone_within(gbak, Duration::from_secs(5));
    say(&format!("gbak was gone after {:?}", cancelled.elapsed()));
    assert!(matches!(outcome.recv().expect("it ends"), JobOutcome::Failed(Error::Cancelled)));
    assert_eq!(names_in(&server.data("")), ["ledger.fdb"]);
    std::fs::write(&temporary, "left by a restore that was killed").expect("a file");
    // Paused on its way: gbak is given nothing, or is stopped where it works by itself.
    let control = Control::new();
    let outcome = start(&scene, restore_job(&scene, &access, false), &control);
    let gbak = wait_for("gbak", || gbaks_of(std::process::id()).first().copied());
    control.pause();
    wait_for_standstill(gbak);
    assert!(outcome.try_recv().is_err() && !server.data("new.fdb").exists(), "it is paused");
    control.resume();
    assert!(matches!(outcome.recv().expect("it ends"), JobOutcome::Restored(_)));
    assert_eq!(names_in(&server.data("")), ["ledger.fdb", "new.fdb"]);
    assert_eq!(server.ledger("new.fdb").counted, FEW_PAIRS);
}

// ---- The scheduler

fn firebird_item(id: &str) -> Item {
    item(id, ItemSource::Firebird("books".into()))
}

fn settings(scene: &Scene, access: FirebirdAccess, root: &Path, items: Vec<Item>) -> Settings {
    let database = FirebirdDatabase { access, options: FirebirdDumpOptions::default() };
    let places = scene.places().firebird("books", database).restore_root(root);
    Settings { items, ..scene.settings_with(Arc::new(scene.runner(places))) }
}

#[test]
fn a_server_that_dies_in_a_dump_is_a_matter_of_the_network_and_the_next_attempt_is_whole() {
    let Some(mut server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    let (scene, folder) = (Scene::new(), tempfile::tempdir().expect("a folder"));
    let hold = folder.path().join("hold");
    let gbak = gbak_that_waits(folder.path(), &hold).into_os_string();
    let access = FirebirdAccess { gbak, ..server.access(&server.network("ledger.fdb")) };
    // gfix is looked for beside gbak.
    std::os::unix::fs::symlink("/usr/bin/gfix", folder.path().join("bin/gfix")).expect("a link");
    let data = server.data("");
    let settings = settings(&scene, access, &data, vec![firebird_item("books")]);
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task =
            handle.ask(PerformFirebirdBackup { item: "books".into() }).await.expect("it is taken").task;
        let reached = hold.with_extension("reached");
        patiently("the middle of the dump", async {
            while !reached.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        server.kill();
        server.restart();
        std::fs::remove_file(&hold).expect("it was held");
        let retry = witness
            .until("a retry", |event| match event {
                Event::TaskRetry(told) if told.task == task => Some(told.retry.clone()),
                _ => None,
            })
            .await;
        assert_eq!((retry.class, retry.attempt), (ErrorClass::Network, 2), "{}", retry.why);
        let TaskEnd::BackedUp(backed_up) = witness.end_of(task).await else { panic!("it failed") };
        assert_eq!(scene.snapshots().keys().collect::<Vec<_>>(), [&backed_up.snapshot]);
        let restored = handle.ask(restore_to("new.fdb", &server, false)).await.expect("it is taken").task;
        let TaskEnd::Restored(end) = witness.end_of(restored).await else { panic!("it failed") };
        assert_eq!((end.files_restored, end.errors), (1, 0));
        handle.shutdown().await;
    });
    assert_eq!(server.ledger("new.fdb").counted, FEW_PAIRS);
}

fn restore_to(name: &str, server: &FirebirdServer, replace: bool) -> PerformRestore {
    let database = server.data(name).to_str().expect("UTF-8").to_owned();
    let target = WantedTarget { source: "books".into(), database, replace };
    let restore = RestoreRequest {
        repository: REPOSITORY.into(),
        snapshot: "latest".into(),
        path: String::new(),
        target: RestoreTarget::Firebird(target),
        verify: false,
    };
    PerformRestore { restore }
}

#[test]
fn what_is_due_is_dumped_and_what_is_no_database_is_refused() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", 50);
    let scene = Scene::new();
    let access = server.access(&server.network("ledger.fdb"));
    let mut lost = firebird_item("lost");
    lost.source = ItemSource::Firebird("boks".into());
    let items = vec![every_minute(firebird_item("books")), folder_item("files", scene.folder())];
    let clock = Arc::new(ShiftedClock::full_minute_in(Duration::from_millis(500)));
    let settings = Settings { clock, ..settings(&scene, access, &server.data(""), items) };
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let due = witness
            .until("a due time", |event| match event {
                Event::TaskCreated(made) if matches!(made.trigger, Trigger::Due(_)) => Some(made.task),
                _ => None,
            })
            .await;
        assert!(matches!(witness.end_of(due).await, TaskEnd::BackedUp(_)));
        let no_database = handle.ask(PerformFirebirdBackup { item: "files".into() }).await;
        let why = no_database.expect_err("files are no database").to_string();
        assert!(why.contains("item files is not a Firebird database"), "{why}");
        let refusal = handle.ask(SetItem { item: lost }).await.expect_err("no such source").to_string();
        assert!(refusal.contains("no Firebird source boks; did you mean books?"), "{refusal}");
        let unknown = handle.ask(PerformFirebirdBackup { item: "boks".into() }).await;
        let refusal = unknown.expect_err("no such item").to_string();
        assert!(refusal.contains("there is no item boks"), "{refusal}");
        let own = handle.ask(restore_to("ledger.fdb", &server, false)).await.expect_err("it is its own");
        assert!(own.to_string().contains("say that it is to be replaced"), "{own}");
        let replaced: TaskId =
            handle.ask(restore_to("ledger.fdb", &server, true)).await.expect("it is taken").task;
        assert!(matches!(witness.end_of(replaced).await, TaskEnd::Restored(_)));
        let kinds = witness.seen().iter().filter(|told| match &told.event {
            Event::TaskCreated(made) => matches!(made.kind, TaskKind::Restore(_)),
            _ => false,
        });
        assert_eq!(kinds.count(), 1);
        handle.shutdown().await;
    });
    assert_eq!(server.ledger("ledger.fdb").counted, 50);
}

// ---- The command line

fn run(keepwell: &Program, repository: &Path, arguments: &[&str], path: &str) -> (bool, String) {
    let mut command = keepwell.command(repository);
    command.env("PATH", path).args(arguments);
    // What the environment says of a login counts for nothing.
    command.env("ISC_USER", "nobody").env("ISC_PASSWORD", "the-secret-of-nobody");
    let output = command.output().expect("it runs");
    (output.status.success(), transcript(&output))
}

#[test]
fn the_command_line_backs_a_database_up_and_makes_it_again() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", 30);
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("repository");
    let (keepwell, path) = (keepwell(), std::env::var("PATH").expect("a path"));
    keepwell.init(&repository);
    let password_file = server.password_file();
    let password_file = password_file.to_str().expect("UTF-8");
    let login = ["--firebird-user", "sysdba", "--firebird-password-file", password_file];
    let database = server.network("ledger.fdb");
    let with_login = |words: &[&str]| -> Vec<String> {
        words.iter().chain(&login).map(|word| (*word).to_owned()).collect()
    };
    let ran = |words: &[String], path: &str| {
        run(&keepwell, &repository, &words.iter().map(String::as_str).collect::<Vec<_>>(), path)
    };
    let empty = folder.path().to_str().expect("UTF-8");
    let (done, said) = ran(&with_login(&["backup", "--firebird", &database]), empty);
    assert!(!done && said.contains("there is no program gbak; install Firebird's tools"), "{said}");
    let (done, said) = run(&keepwell, &repository, &["backup", "--firebird", &database], &path);
    assert!(!done && said.contains("--firebird-user USER"), "{said}");
    let (done, said) = ran(&with_login(&["backup", "--firebird", &database]), &path);
    assert!(done, "{said}");
    let new = server.network("new.fdb");
    let (done, said) = ran(&with_login(&["restore", "latest", "--firebird-to", &new]), &path);
    assert!(done && said.contains("validated"), "{said}");
    assert_eq!(server.ledger("new.fdb").counted, 30);
    let (done, said) = ran(&with_login(&["restore", "latest", "--firebird-to", &new]), &path);
    assert!(!done && said.contains("is there already"), "{said}");
    let (done, said) =
        ran(&with_login(&["restore", "latest:/ledger.fbk", "--firebird-to", &new, "--replace"]), &path);
    assert!(done, "{said}");
    let (done, said) = run(&keepwell, &repository, &["restore", "latest"], &path);
    assert!(!done && said.contains("--target"), "{said}");

    // The same by name, from the configuration.
    let configuration = format!(
        "[repositories.here]\nlocation = \"{}\"\npassword_file = \"{}\"\n[items.books]\nsource = \"books\"\n\
         [sources.books]\nfirebird = {{ database = \"{database}\", user = \"sysdba\", password_file = \
         \"{password_file}\", no_garbage_collection = true }}\n",
        repository.display(),
        folder.path().join("repository-password").display(),
    );
    let file = folder.path().join("keepwell.toml");
    std::fs::write(&file, configuration).expect("a configuration");
    std::fs::write(folder.path().join("repository-password"), keepwell_tests::programs::PASSWORD)
        .expect("a file");
    let file = file.to_str().expect("UTF-8");
    let (done, said) = run(&keepwell, &repository, &["run", "books", "--config", file], &path);
    assert!(done, "{said}");
    let listed = keepwell.run(&repository, ["ls", "latest"]);
    assert!(listed.contains("/books.fbk"), "{listed}");
    assert_eq!(snapshot_ids(&repository).len(), 2);
}
