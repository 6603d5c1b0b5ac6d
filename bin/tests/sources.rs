//! Sources that are no folders, as a user sets them up: a SQLite database, and the output of a command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use support::{PASSWORD, User, messages};

/// A user with one item, `it`, whose source is written so; nothing is tried twice.
fn user_with_source(source: &str) -> User {
    let user = User::with_repository();
    user.write("password", PASSWORD);
    let configuration = format!(
        "[repositories.cellar]\nlocation = \"~/repository\"\npassword_file = \"~/password\"\n\
         [retry]\nmax_retries = 0\n[items.it]\nsource = \"one\"\n[sources.one]\n{source}\n"
    );
    user.write(".config/keepwell/keepwell.toml", &configuration);
    user
}

fn snapshots(user: &User) -> usize {
    messages(&user.run_in_repository(["snapshots", "--json"]).out).len()
}

/// Restores the latest snapshot and tells where what stood at `path` is now.
fn restored(user: &User, path: &Path) -> PathBuf {
    let target = user.path("back");
    if target.exists() {
        std::fs::remove_dir_all(&target).unwrap();
    }
    let ran = user.run_in_repository(["restore", "latest", "--target", "back", "--verify"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    target.join(path.strip_prefix("/").unwrap())
}

/// A script that the user can run.
fn script(user: &User, text: &str) {
    user.write("script", text);
}

fn is_alive(process: i32) -> bool {
    // A zombie has ended; whoever is to reap it may be gone.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until the file holds a line.
fn line_of(path: &Path) -> String {
    let since = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(since.elapsed() < Duration::from_secs(60), "{} stays empty", path.display()),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn start(user: &User) -> Child {
    let mut command = user.command(["run", "it"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_database_that_is_written_to_is_stored_as_it_was_between_two_transactions() {
    let user = user_with_source("sqlite = \"~/app/ledger.db\"");
    std::fs::create_dir(user.path("app")).unwrap();
    let database = user.path("app/ledger.db");
    let writer = Connection::open(&database).unwrap();
    writer.busy_timeout(Duration::from_secs(60)).unwrap();
    writer.query_row("PRAGMA journal_mode = wal", [], |_| Ok(())).unwrap();
    writer
        .execute_batch(
            "CREATE TABLE amounts (transfer INTEGER, amount INTEGER, note BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO amounts SELECT 0, 0, randomblob(1000) FROM n;",
        )
        .unwrap();
    let (stop, committed) = (AtomicBool::new(false), AtomicI64::new(0));
    let (stop, committed) = (&stop, &committed);
    thread::scope(|scope| {
        scope.spawn(move || {
            for transfer in 1.. {
                let both = format!(
                    "BEGIN; INSERT INTO amounts VALUES ({transfer}, {transfer}, randomblob(500));
                     INSERT INTO amounts VALUES ({transfer}, -{transfer}, randomblob(500)); COMMIT"
                );
                writer.execute_batch(&both).unwrap();
                committed.store(transfer, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..2 {
            let before = committed.load(Ordering::Relaxed);
            let ran = user.run(["run", "it"]);
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            let copy = Connection::open(restored(&user, &database)).unwrap();
            let sound: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok");
            let one = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            let last = one("SELECT max(transfer) FROM amounts");
            assert_eq!(one("SELECT sum(amount) FROM amounts"), 0);
            assert_eq!(one("SELECT count(*) FROM amounts"), 20_000 + 2 * last, "none is missing");
            assert!(last >= before, "it is not older than the backup");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(snapshots(&user), 2);
    let scratch = user.path(".local/share/keepwell/scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "copies are gone");
}

#[test]
fn what_a_command_prints_is_one_file_of_its_sources_name() {
    let user = user_with_source("command = [\"sh\", \"script\"]\nfile_name = \"dumps/wiki.sql\"");
    script(&user, "echo one; echo two");
    let ran = user.run(["run", "it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(restored(&user, Path::new("/dumps/wiki.sql"))).unwrap(), "one\ntwo\n");
}

#[test]
fn a_command_that_fails_after_ten_megabytes_leaves_no_snapshot_and_its_last_words_are_told() {
    let user = user_with_source("command = [\"sh\", \"script\"]");
    script(&user, "head -c 10000000 /dev/urandom; echo the table was dropped >&2; exit 3");
    let ran = user.run(["run", "it"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for said in ["sh failed", "exit status 3", "the table was dropped"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert_eq!(snapshots(&user), 0);
    script(&user, "echo better");
    assert_eq!(user.run(["run", "it"]).code, Some(0));
    assert_eq!(user.run_in_repository(["check", "--read-data"]).code, Some(0));
}

#[test]
fn a_command_that_does_not_end_on_request_is_gone_within_five_seconds_of_a_cancel() {
    let user = user_with_source("command = [\"sh\", \"script\"]");
    // Both do as if they heard nothing.
    script(
        &user,
        "trap '' TERM INT HUP; (trap '' TERM INT HUP; while :; do sleep 1; done) &\n\
         echo $! > child; echo $$ > parent; while :; do echo tick; sleep 0.05; done",
    );
    let mut keepwell = start(&user);
    let processes = ["parent", "child"].map(|name| line_of(&user.path(name)).parse::<i32>().unwrap());
    let since = Instant::now();
    kill_process(Pid::from_child(&keepwell), Signal::INT).unwrap();
    while processes.into_iter().any(is_alive) {
        assert!(since.elapsed() < Duration::from_secs(5), "they live on");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(keepwell.wait().unwrap().code(), Some(130));
    assert_eq!(snapshots(&user), 0);
}

#[test]
fn a_command_dies_with_the_process_that_is_killed() {
    let user = user_with_source("command = [\"sh\", \"script\"]");
    script(&user, "trap '' TERM; echo $$ > parent; while :; do echo tick; sleep 0.05; done");
    let mut keepwell = start(&user);
    let command: i32 = line_of(&user.path("parent")).parse().unwrap();
    keepwell.kill().unwrap();
    keepwell.wait().unwrap();
    let since = Instant::now();
    while is_alive(command) {
        assert!(since.elapsed() < Duration::from_secs(5), "it lives on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_source_that_is_not_there_is_told_with_what_to_do() {
    for (source, said) in [
        ("sqlite = \"~/none.db\"", "none.db: No such file"),
        ("command = [\"keepwell-no-such-program\"]", "keepwell-no-such-program failed: cannot start it"),
    ] {
        let user = user_with_source(source);
        let ran = user.run(["run", "it"]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains(said), "{source}: {}", ran.err);
        assert_eq!(snapshots(&user), 0);
    }
}
