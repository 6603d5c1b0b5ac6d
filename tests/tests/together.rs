//! Several programs in one repository at the same time, and what becomes of a
//! process that holds a lock and is stopped until nobody believes in it any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::programs::{Program, keepwell, restic, restic_018, restics, transcript};
use keepwell_tests::random_data::{Random, write_file};
use keepwell_tests::repository_folder::{Files, stored, stored_in, unfinished};
use keepwell_tests::running::{Running, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

const ROUNDS: u64 = 3;
const ROUNDS_LONG: u64 = 12;
/// Of each folder's own file, and of the one that all share.
const FILE_BYTES: u64 = 8 << 20;
/// Enough for several packs of 16 MiB, two of which stay open.
const STREAM_BYTES: usize = 64 << 20;
/// In the tests with a stopped process a lock is stale after this time, and a holder gives up after three quarters of it.
const STALE_AFTER: Duration = Duration::from_secs(8);

/// A program and the folders it backs up.
struct Participant {
    program: Program,
    folders: Vec<PathBuf>,
}

impl Participant {
    fn start(&self, repository: &Path) -> Running {
        let mut command = self.program.command(repository);
        command.args(["--json", "backup"]).args(&self.folders);
        Running::start(command)
    }
}

/// The snapshot that a `backup --json` made, of any program.
fn snapshot_id(told: &str) -> String {
    let summary = told.lines().find(|line| line.contains(r#""message_type":"summary""#)).expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(summary).expect("JSON");
    summary["snapshot_id"].as_str().expect("an id").to_owned()
}

/// Folders that overlap: each participant has one of its own, and one is everybody's.
struct Folders {
    top: TempDir,
}

impl Folders {
    const NAMES: [&str; 5] = ["first", "second", "third", "fourth", "shared"];

    fn new() -> Self {
        let top = tempfile::tempdir().expect("a folder");
        for name in Self::NAMES {
            fs::create_dir(top.path().join(name)).expect("a folder");
        }
        Self { top }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Changes and adds files, other ones each round.
    fn change(&self, round: u64) {
        for (number, name) in Self::NAMES.into_iter().enumerate() {
            let folder = self.path(name);
            let seed = round * 100 + number as u64;
            write_file(&folder.join("changing"), FILE_BYTES / 2, seed).expect("a file");
            write_file(&folder.join(format!("new in round {round}")), FILE_BYTES / 2, seed + 50)
                .expect("a file");
            let small = folder.join(format!("small {round}"));
            fs::create_dir(&small).expect("a folder");
            for file in 0..200 {
                // The same contents in all folders: every program comes upon the others' blobs.
                fs::write(small.join(file.to_string()), Random(round * 1000 + file).bytes(3000))
                    .expect("a file");
            }
        }
    }

    fn participants(&self) -> Vec<Participant> {
        let programs = [keepwell(), keepwell()].into_iter().chain(restic_018()).chain(restic());
        let own = Self::NAMES.into_iter().map(|name| self.path(name));
        let participant = |(program, own): (Program, PathBuf)| Participant {
            program,
            folders: vec![own, self.path("shared")],
        };
        programs.zip(own).map(participant).collect()
    }

    fn assert_restores(&self, program: &Program, repository: &Path, id: &str, folders: &[PathBuf]) {
        let target = self.path(&format!("restored by {}", program.name));
        program.run(repository, ["restore".as_ref(), id.as_ref(), "--target".as_ref(), target.as_os_str()]);
        for folder in folders {
            let restored = target.join(folder.strip_prefix("/").expect("an absolute path"));
            assert_same(folder, &restored, EXACT);
        }
        fs::remove_dir_all(&target).expect("no longer needed");
    }
}

/// A `keepwell backup --stdin`, which goes on for as long as the test wants.
fn start_stream(repository: &Path, options: &[&str]) -> Running {
    let mut command = keepwell().command(repository);
    command.args(options).args(["--no-cache", "--json", "backup", "--stdin"]);
    Running::start(command)
}

fn assert_sound(repository: &Path) {
    assert_eq!(unfinished(repository), Files::new(), "no staging file is left");
    assert_eq!(stored_in(repository, "locks"), Files::new(), "no lock is left");
    for program in restics().into_iter().chain([keepwell()]) {
        program.check_data(repository);
    }
}

#[test]
fn keepwell_and_restic_back_up_overlapping_folders_into_one_repository_at_the_same_time() {
    let rounds = if std::env::var_os("KEEPWELL_TEST_LONG").is_some() { ROUNDS_LONG } else { ROUNDS };
    let folders = Folders::new();
    let repository = folders.path("repository");
    keepwell().init(&repository);
    for round in 1..=rounds {
        folders.change(round);
        // One more backup, of what the others have too, is under way from before they begin until all have ended.
        let stream = fs::read(folders.path("shared/changing")).expect("a file");
        let (first_half, second_half) = stream.split_at(stream.len() / 2);
        let mut streaming = start_stream(&repository, &[]);
        assert!(streaming.give(first_half));
        wait_for("its lock", || (!stored_in(&repository, "locks").is_empty()).then_some(()));

        let participants = folders.participants();
        let running: Vec<Running> = participants.iter().map(|one| one.start(&repository)).collect();
        let snapshots: Vec<String> = running.into_iter().map(|one| snapshot_id(&one.succeed())).collect();

        assert!(streaming.give(second_half));
        streaming.give_no_more();
        let streamed = snapshot_id(&streaming.succeed());
        assert!(
            keepwell().try_run(&repository, ["dump", &streamed, "stdin"]).stdout == stream,
            "the stream comes back as it was given"
        );
        for (participant, id) in participants.iter().zip(&snapshots) {
            for program in restic_018().into_iter().chain([keepwell()]) {
                folders.assert_restores(&program, &repository, id, &participant.folders);
            }
        }
    }
    assert_sound(&repository);
}

#[test]
fn whoever_wants_the_repository_alone_is_refused_or_waits_for_those_who_work() {
    let folders = Folders::new();
    let repository = folders.path("repository");
    keepwell().init(&repository);
    let mut streaming = start_stream(&repository, &[]);
    assert!(streaming.give(b"some"));
    wait_for("its lock", || (!stored_in(&repository, "locks").is_empty()).then_some(()));

    let refused = keepwell().try_run(&repository, ["check"]);
    assert_eq!(refused.status.code(), Some(11), "{}", transcript(&refused));
    let mut check = keepwell().command(&repository);
    check.args(["check", "--read-data", "--retry-lock", "5m"]);
    let waiting = Running::start(check);

    assert!(streaming.give(b"thing"));
    streaming.give_no_more();
    streaming.succeed();
    waiting.succeed();
    assert_sound(&repository);
}

/// A backup that is stopped in its middle, in a repository whose locks go stale quickly.
struct Stopped {
    folders: Folders,
    repository: PathBuf,
    holder: Running,
    lock: PathBuf,
    /// Packs, index files and snapshots at the moment of the stop.
    stored: Files,
}

impl Stopped {
    const OPTIONS: [&str; 2] = ["--lock-stale-after", "8"];

    fn new() -> Self {
        assert_eq!(Self::OPTIONS[1], STALE_AFTER.as_secs().to_string());
        let folders = Folders::new();
        folders.change(1);
        let repository = folders.path("repository");
        keepwell().init(&repository);
        let mut holder = start_stream(&repository, &Self::OPTIONS);
        assert!(holder.give(&Random(1).bytes(STREAM_BYTES)));
        wait_for("packs", || (stored_in(&repository, "data").len() >= 2).then_some(()));
        stop_between_writes(&holder, &repository);
        let locks = stored_in(&repository, "locks");
        assert_eq!(locks.len(), 1, "the holder's lock, and no other");
        let lock = locks.into_keys().next().expect("one");
        let stored = stored(&repository);
        Self { lock: repository.join("locks").join(lock), folders, repository, holder, stored }
    }

    fn keepwell(&self, arguments: &[&str]) -> String {
        keepwell().run(&self.repository, Self::OPTIONS.iter().chain(arguments))
    }

    /// Lets the holder go on, gives it what is left of its stream, and expects that it fails without
    /// having written anything.
    fn assert_writes_nothing_more(mut self, rest: &[u8]) -> Folders {
        let before = stored(&self.repository);
        self.holder.signal(Signal::CONT);
        // It may end before it has read everything.
        self.holder.give(rest);
        self.holder.give_no_more();
        let ended = self.holder.end();
        let told = transcript(&ended.output);
        assert_eq!(ended.output.status.code(), Some(1), "{told}");
        assert!(told.contains("the lock on the repository was lost"), "{told}");
        assert_eq!(
            stored(&self.repository),
            before,
            "nothing was written after the process went on:\n{told}"
        );
        // What it had stored is no loss: a backup of the same goes on from it.
        let mut again = start_stream(&self.repository, &Self::OPTIONS);
        assert!(again.give(&Random(1).bytes(STREAM_BYTES)));
        again.give_no_more();
        let id = snapshot_id(&again.succeed());
        let restored = keepwell().try_run(&self.repository, ["dump", &id, "stdin"]).stdout;
        assert!(restored == Random(1).bytes(STREAM_BYTES), "the stream comes back as it was given");
        assert_sound(&self.repository);
        self.folders
    }
}

/// Stops it while it waits for its standard input. A write that has begun would be finished
/// later, which is no more than a write that takes long.
fn stop_between_writes(running: &Running, repository: &Path) {
    wait_for("a moment in which nothing is being written", || {
        if !running.is_idle() {
            return None;
        }
        running.signal(Signal::STOP);
        wait_for("the stop", || running.is_stopped().then_some(()));
        if unfinished(repository).is_empty() {
            return Some(());
        }
        running.signal(Signal::CONT);
        None
    });
}

#[test]
fn a_stopped_process_whose_lock_was_removed_writes_nothing_more() {
    let stopped = Stopped::new();
    wait_for("the lock to go stale", || {
        stopped.keepwell(&["unlock"]).contains("removed 1 lock").then_some(())
    });
    let folder = stopped.folders.path("first");
    let told = stopped.keepwell(&["--json", "backup", folder.to_str().expect("UTF-8")]);
    let repository = stopped.repository.clone();
    let folders = stopped.assert_writes_nothing_more(&Random(2).bytes(STREAM_BYTES));
    folders.assert_restores(&keepwell(), &repository, &snapshot_id(&told), &[folder]);
}

#[test]
fn a_stopped_process_whose_lock_another_backup_took_for_stale_writes_nothing_more() {
    let stopped = Stopped::new();
    wait_until_stale(&stopped.lock);
    let folder = stopped.folders.path("first");
    stopped.keepwell(&["backup", folder.to_str().expect("UTF-8")]);
    assert!(!stopped.lock.exists(), "whoever takes a lock removes stale ones");
    stopped.assert_writes_nothing_more(b"");
}

#[test]
fn a_process_that_was_stopped_for_too_long_writes_nothing_more_though_nobody_took_its_lock() {
    let stopped = Stopped::new();
    wait_until_stale(&stopped.lock);
    assert_eq!(stored(&stopped.repository), stopped.stored);
    stopped.assert_writes_nothing_more(&Random(2).bytes(STREAM_BYTES));
}

fn wait_until_stale(lock: &Path) {
    let written = fs::metadata(lock).and_then(|lock| lock.modified()).expect("the holder's lock");
    wait_for("the lock to go stale", || {
        (SystemTime::now().duration_since(written).unwrap_or_default() > STALE_AFTER).then_some(())
    });
}
