//! Firebird, the real one, as a source: what a dump holds of a database, even of one that is written to, and dumps
//! that fail, are cancelled, paused or killed.
//!
//! Dumps are cancelled and paused in their middle, by a source that does so once so many bytes were read of it:
//! nothing depends on how fast this machine is. Databases are made again here only to see what a dump holds; restores
//! are the matter of `firebird_restore.rs`, tasks and the command line that of `firebird_tasks.rs`.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::firebird::FirebirdAccess;
use keepwell_engine::job::JobOutcome;
use keepwell_messages::ErrorClass;
use keepwell_tests::embedding::Scene;
use keepwell_tests::firebird_jobs::{FEW_PAIRS, back_up, embedded, refused, restore, start};
use keepwell_tests::firebird_server::{
    FirebirdServer, Ledger, assert_gone_within, assert_valid, embedded_sql, gbaks_of, make_ledger, names_in,
    tools_are_there, transfer, wait_for_standstill,
};
use keepwell_tests::programs::{keepwell, say, snapshot_ids};
use keepwell_tests::running::{Running, wait_for};
use keepwell_tests::tapped_source::{MIDDLE, tapped};

/// 300,000 rows: a dump of some 19 MB.
const PAIRS: u64 = 150_000;

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
