//! Firebird, the real one, as a target: which databases are replaced and which stay, and what a restore leaves that
//! fails, is paused, is cancelled or was killed.
//!
//! The restores are jobs of the engine. That a whole dump becomes the database it was made of is shown in
//! `firebird.rs`, restores as tasks and by the command line in `firebird_tasks.rs`.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::job::{JobOutcome, MakeSource};
use keepwell_engine::source::Source;
use keepwell_engine::source::stream::StreamSource;
use keepwell_messages::ErrorClass;
use keepwell_tests::embedding::Scene;
use keepwell_tests::firebird_jobs::{
    FEW_PAIRS, back_up, backup_job, embedded, refused, restore, restore_job, start,
};
use keepwell_tests::firebird_server::{
    FirebirdServer, assert_gone_within, gbaks_of, names_in, wait_for_standstill,
};
use keepwell_tests::programs::say;
use keepwell_tests::running::wait_for;

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
