//! Copies under writes, and what is told of a database that cannot be copied. The copy is looked into with SQLite.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Instant;

use keepwell_messages::ErrorClass;
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::source::{EntryContent, list_all};

struct NoProblems;

impl Problems for NoProblems {
    fn unreadable(&self, path: &str, why: &str) {
        unreachable!("{path}: {why}");
    }
    fn not_stored(&self, path: &str, why: &str) {
        unreachable!("{path}: {why}");
    }
}

struct Scene {
    home: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.home.path().join("data/ledger.db")
    }

    /// A database of some megabytes whose amounts sum to zero after every transaction.
    fn with_ledger(journal_mode: &str) -> Self {
        let scene = Self::new();
        fs::create_dir(scene.home.path().join("data")).unwrap();
        let connection = Connection::open(scene.database()).unwrap();
        connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE amounts (transfer INTEGER, amount INTEGER, note BLOB);
                 CREATE INDEX by_transfer ON amounts (transfer);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
                 INSERT INTO amounts SELECT 0, CASE i % 2 WHEN 0 THEN 1 ELSE -1 END, randomblob(1200) FROM n;",
            )
            .unwrap();
        scene
    }

    fn source(&self) -> SqliteSource {
        let scratch = self.home.path().join("scratch");
        SqliteSource::new(self.database(), scratch, Arc::new(SystemClock)).unwrap()
    }

    /// What the source gives, as a database of its own.
    fn copied(&self, source: &SqliteSource) -> Connection {
        let path = self.home.path().join("copied.db");
        let mut folder = source.root().unwrap();
        for expected in self.database().iter().skip(1) {
            let mut entries = list_all(&*folder, &NoProblems).unwrap();
            let entry = entries.pop().unwrap();
            assert_eq!(entry.node.name, expected.as_encoded_bytes());
            match entry.content {
                EntryContent::Folder(inner) => folder = inner,
                EntryContent::File(content) => {
                    io::copy(&mut content.open().unwrap(), &mut fs::File::create(&path).unwrap()).unwrap();
                }
                EntryContent::Nothing => unreachable!(),
            }
        }
        Connection::open(path).unwrap()
    }
}

/// Transfers, one a transaction, until told to stop; the last one that is committed.
fn transfer(database: &Path, stop: &AtomicBool, committed: &AtomicI64) {
    let connection = Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    for transfer in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let both = format!(
            "BEGIN IMMEDIATE; INSERT INTO amounts VALUES ({transfer}, {transfer}, randomblob(900));
             INSERT INTO amounts VALUES ({transfer}, -{transfer}, randomblob(900)); COMMIT"
        );
        connection.execute_batch(&both).unwrap();
        committed.store(transfer, Ordering::Relaxed);
    }
}

#[test]
fn a_copy_under_writes_is_whole_and_holds_the_state_after_one_transaction() {
    for mode in ["wal", "delete"] {
        let scene = Scene::with_ledger(mode);
        let (stop, committed) = (AtomicBool::new(false), AtomicI64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| transfer(&scene.database(), &stop, &committed));
            while committed.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
            for _ in 0..3 {
                let before = committed.load(Ordering::Relaxed);
                let source = scene.source();
                source.prepare(&Control::new(), &NoProblems).unwrap();
                let after = committed.load(Ordering::Relaxed);
                let copy = scene.copied(&source);
                let one = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
                let sound: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(sound, "ok", "{mode}");
                assert_eq!(one("SELECT sum(amount) FROM amounts"), 0, "{mode}");
                let last = one("SELECT max(transfer) FROM amounts");
                assert!((before..=after + 1).contains(&last), "{mode}: {before} {last} {after}");
                assert_eq!(one("SELECT count(*) FROM amounts"), 6000 + 2 * last, "none of them is missing");
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(scene.home.path().join("scratch")).unwrap().count(), 0, "copies are gone");
    }
}

#[test]
fn the_copy_has_the_databases_place_owner_and_mode() {
    let scene = Scene::with_ledger("delete");
    let source = scene.source();
    source.prepare(&Control::new(), &NoProblems).unwrap();
    assert_eq!(source.paths(), [scene.database().to_str().unwrap()]);
    let copy = scene.copied(&source);
    let mode: String = copy.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "programs find it as it was");
    let totals = Mutex::new(Totals::default());
    source.count(&Control::new(), &|found| *totals.lock() = found).unwrap();
    let totals = totals.into_inner();
    assert_eq!((totals.files, totals.bytes > 6_000_000), (1, true));
}

#[test]
fn what_a_program_that_was_killed_left_half_written_is_not_in_the_copy() {
    let scene = Scene::with_ledger("delete");
    let before = fs::read(scene.database()).unwrap();
    // A hot journal: the pages before a change that was not committed, beside the changed database.
    let writer = Connection::open(scene.database()).unwrap();
    writer
        .execute_batch("PRAGMA cache_size = 5; BEGIN; UPDATE amounts SET note = randomblob(1200), amount = 7")
        .unwrap();
    let (database, journal) = (scene.database(), scene.database().with_extension("db-journal"));
    let crashed = Scene::new();
    fs::create_dir(crashed.home.path().join("data")).unwrap();
    fs::copy(&journal, crashed.database().with_extension("db-journal")).unwrap();
    fs::copy(&database, crashed.database()).unwrap();
    drop(writer);
    assert!(fs::read(crashed.database()).unwrap() != before, "half of the change stands in the file");
    let source = crashed.source();
    source.prepare(&Control::new(), &NoProblems).unwrap();
    let copy = crashed.copied(&source);
    let changed: i64 =
        copy.query_row("SELECT count(*) FROM amounts WHERE amount = 7", [], |row| row.get(0)).unwrap();
    assert_eq!(changed, 0);
}

#[test]
fn a_copy_that_is_paused_holds_nobody_up_and_goes_on_after_it() {
    let scene = Scene::with_ledger("delete");
    let control = Control::new();
    control.pause();
    let source = scene.source();
    let (source, control) = (&source, &control);
    thread::scope(|scope| {
        let copying = scope.spawn(move || source.prepare(control, &NoProblems));
        let writer = Connection::open(scene.database()).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch("INSERT INTO amounts VALUES (1, 0, 0)").expect("nobody holds a lock");
        control.resume();
        copying.join().unwrap().unwrap();
        let rows: i64 =
            scene.copied(source).query_row("SELECT count(*) FROM amounts", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 6001);
    });
}

#[test]
fn a_locked_database_is_waited_for_and_a_cancel_ends_that() {
    let scene = Scene::with_ledger("delete");
    let writer = Connection::open(scene.database()).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (cancelled, waiting) = (scene.source(), scene.source());
    let control = Control::new();
    thread::scope(|scope| {
        let copying = scope.spawn(|| cancelled.prepare(&control, &NoProblems));
        thread::sleep(LOCKED_WAIT * 3);
        assert!(!copying.is_finished(), "it waits");
        let since = Instant::now();
        control.cancel();
        assert!(matches!(copying.join().unwrap(), Err(Error::Cancelled)));
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    });
    thread::scope(|scope| {
        let copying = scope.spawn(|| waiting.prepare(&Control::new(), &NoProblems));
        thread::sleep(LOCKED_WAIT * 3);
        writer.execute_batch("COMMIT").unwrap();
        copying.join().unwrap().unwrap();
    });
}

#[test]
fn what_is_no_database_is_told_with_its_path_and_what_to_do() {
    let scene = Scene::new();
    fs::create_dir(scene.home.path().join("data")).unwrap();
    let told = |scene: &Scene| {
        let error = scene.source().prepare(&Control::new(), &NoProblems).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Source);
        let text = error.to_string();
        assert!(text.contains("data/ledger.db"), "{text}");
        text
    };
    assert!(told(&scene).contains("No such file"));
    fs::write(scene.database(), "no database, but long enough to have what could be a header ".repeat(30))
        .unwrap();
    assert!(told(&scene).contains("back it up as a file"));
    for path in ["relative.db", "/", "/a/.."] {
        assert!(SqliteSource::new(path, "/s", Arc::new(SystemClock)).is_err(), "{path}");
    }
}
