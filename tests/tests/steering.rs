//! A backup that is paused does nothing within a second, one that is cancelled is gone within a second, and
//! neither leaves anything behind: measured by the process's own counters while the real engine works.
//!
//! Counters are of the whole process, so these tests run one by one. The second is the only time that is
//! measured here, and a still process is told from a working one by a wide margin: it may read and write a few
//! kilobytes and compute a twentieth of the time, where a working one does thousands of times as much.
//!
//! Planted and caught: workers of a large file that do not look whether they are paused; files opened twice;
//! blobs stored twice; a worker that takes 1.5 s to end; a lock that stays; a handle, a thread that stay
//! with each task. Found with it: a paused backup that held compute slots brought all others to a stand; the
//! walk that counts, and the index, did not heed a pause.
//!
//! The long form (`KEEPWELL_TEST_LONG=1`) backs up 1 GiB, pauses it for so long that an index would be
//! due, and creates and cancels 10,000 tasks.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use keepwell_actors::runner::EngineRunner;
use keepwell_actors::{Handle, Keepwell, Settings};
use keepwell_messages::{
    CancelTask, GetActiveTasks, GetTask, GetTaskManagerStats, PauseBackup, PerformBackup, ResumeBackup,
    TaskEnd, TaskId, TaskState,
};
use keepwell_tests::embedding::{OBSERVED, Scene, Witness, embed, folder_item, observed_item, patiently};
use keepwell_tests::observed_source::{FileRead, Observer};
use keepwell_tests::process_counters::{Counters, handles, job_threads, resident_bytes, threads};
use keepwell_tests::programs::{restic, say};
use keepwell_tests::random_data::{Random, seed, write_file};
use keepwell_tests::repository_folder::{bytes, stored_in};
use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const MIB: u64 = 1 << 20;
/// What a paused or cancelled backup has to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(1);
/// How much a still process reads, and writes, in each second it is watched: its actors wake each other
/// a few times, and the test looks.
const STILL_BYTES_MAX: u64 = 4 << 10;
/// How much of the time it computes.
const STILL_CPU_PERCENT_MAX: u128 = 5;

fn is_long() -> bool {
    std::env::var_os("KEEPWELL_TEST_LONG").is_some_and(|value| value == "1")
}

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}

/// A source of many kinds of files, watched while it is read.
struct Program {
    scene: Scene,
    observer: Observer,
    source: TempDir,
    source_bytes: u64,
}

impl Program {
    /// A source of files of all sizes.
    fn new() -> Self {
        Self::of(if is_long() { 1024 * MIB } else { 128 * MIB }, write_files_of_all_sizes)
    }

    fn of(source_bytes: u64, write: impl FnOnce(&Path, u64)) -> Self {
        let source = tempfile::tempdir().expect("a folder");
        write(source.path(), source_bytes);
        Self { scene: Scene::new(), observer: Observer::default(), source, source_bytes }
    }

    fn settings(&self) -> Settings {
        let settings = self.scene.settings(self.observer.source_of(self.source.path()));
        Settings { items: vec![observed_item("main")], ..settings }
    }

    async fn wait_until_read(&self, bytes: u64) {
        wait("bytes to be read", || self.observer.bytes() >= bytes).await;
    }

    /// All was read once, and stored once.
    fn assert_read_and_stored_once(&self, end: &TaskEnd) {
        let TaskEnd::BackedUp(stored) = end else { panic!("{end:?}") };
        let files = self.observer.files();
        assert_eq!(files.len() as u64, stored.files);
        for (path, read) in &files {
            let length = std::fs::metadata(path).expect("a file").len();
            assert_eq!(*read, FileRead { opened: 1, bytes: length }, "{path}");
        }
        assert_eq!(stored.errors, 0);
        assert_eq!(stored.bytes, self.source_bytes);
        // The files' contents are all different, and do not compress.
        let trees_max = self.source_bytes / 100 + MIB;
        assert!(stored.bytes_new <= self.source_bytes + trees_max, "{stored:?}");
        let in_packs = bytes(&stored_in(&self.scene.repository(), "data"));
        assert!(
            in_packs <= self.source_bytes + trees_max,
            "{in_packs} bytes in packs of {}",
            self.source_bytes
        );
        if let Some(restic) = restic() {
            restic.check_data(&self.scene.repository());
        }
    }
}

/// Half of it is one file, the rest is small and medium ones.
fn write_files_of_all_sizes(source: &Path, bytes: u64) {
    write_file(&source.join("large"), bytes / 2, 1).expect("a file");
    let mut left = bytes / 2;
    let mut random = Random(2);
    for number in 0.. {
        let folder = source.join(format!("folder {:03}", number / 50));
        std::fs::create_dir_all(&folder).expect("a folder");
        let most = [16 << 10, 512 << 10, 7 * MIB][number % 3];
        let length = random.below(most).min(left);
        write_file(&folder.join(format!("{number}")), length, 100 + number as u64).expect("a file");
        left -= length;
        if left == 0 {
            return;
        }
    }
}

async fn wait(what: &str, is_so: impl Fn() -> bool) {
    patiently(what, async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn perform(handle: &Handle) -> TaskId {
    handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task
}

async fn pause(handle: &Handle, task: TaskId) {
    let now = handle.ask(PauseBackup { task: Some(task) }).await.expect("it is paused");
    assert_eq!(now.state, TaskState::Paused);
}

async fn resume(handle: &Handle, task: TaskId) {
    let now = handle.ask(ResumeBackup { task: Some(task) }).await.expect("it goes on");
    assert_eq!(now.state, TaskState::Running);
}

/// What is not gone by then stays.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Tries of what waits for a disk, on a machine that may be busy otherwise: to end a worker within a second, to
/// write within a second what was on its way. Reading and computing has one try.
const TRIES: u32 = 3;

/// Pauses the task, and lets it go on when it was seen to do nothing.
async fn pause_for(program: &Program, handle: &Handle, task: TaskId, watched_for: Duration) {
    let indexes = || stored_in(&program.scene.repository(), "index");
    for _ in 0..TRIES {
        pause(handle, task).await;
        let before = indexes();
        let writes = writes_after_its_second(watched_for).await;
        assert_eq!(indexes(), before, "it writes an index");
        resume(handle, task).await;
        if !writes {
            return;
        }
    }
    panic!("it was paused {TRIES} times, and went on writing each time");
}

/// Gives it its second, and then watches it: it neither reads nor computes. Whether it writes.
async fn writes_after_its_second(watched_for: Duration) -> bool {
    let told = Instant::now();
    let mut still_since = told;
    let mut before = Counters::now();
    while told.elapsed() < REST_WITHIN {
        sleep(Duration::from_millis(20)).await;
        let now = Counters::now();
        if now.since(&before).read_bytes.max(now.since(&before).written_bytes) > STILL_BYTES_MAX {
            still_since = Instant::now();
        }
        before = now;
    }
    let before = Counters::now();
    sleep(watched_for).await;
    let done = Counters::now().since(&before);
    let seconds = watched_for.as_secs().max(1);
    let rest = still_since - told;
    say(&format!("at rest after {} ms, then in {seconds} s {done:?}", rest.as_millis()));
    assert!(done.read_bytes <= seconds * STILL_BYTES_MAX, "it reads: {done:?}");
    let cpu_max = watched_for.as_millis() * STILL_CPU_PERCENT_MAX / 100;
    assert!(done.cpu.as_millis() <= cpu_max, "it computes: {done:?}");
    done.written_bytes > seconds * STILL_BYTES_MAX
}

#[test]
fn a_paused_backup_does_nothing_and_reads_and_stores_nothing_twice_when_it_goes_on() {
    let _alone = alone();
    let program = Program::new();
    if !is_long() {
        // Whatever went on reading its file would not be through with it within a second.
        program.observer.slow_down_to(24 * MIB);
    }
    let mut random = Random(seed());
    embed(async {
        let handle = Keepwell::start(program.settings()).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task = perform(&handle).await;
        let pauses = if is_long() { 10 } else { 4 };
        let part = program.source_bytes / (pauses + 1);
        for number in 0..pauses {
            program.wait_until_read(number * part + random.below(part)).await;
            // An index is written at least every 30 s while packs land.
            let seconds = if is_long() && number == pauses / 2 { 40 } else { 2 };
            pause_for(&program, &handle, task, Duration::from_secs(seconds)).await;
        }
        let end = witness.end_of(task).await;
        assert_eq!(handle.ask(GetTask { task }).await.expect("it is kept").attempt, 1);
        assert_eq!(handle.shutdown().await, []);
        program.assert_read_and_stored_once(&end);
    });
}

/// What is still to be read is counted beside the backup, by a walk of its own.
#[test]
fn whoever_counts_for_a_paused_backup_stands_still_too() {
    let _alone = alone();
    let program = Program::new();
    program.observer.count_for_ever();
    embed(async {
        let handle = Keepwell::start(program.settings()).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task = perform(&handle).await;
        program.wait_until_read(1).await;
        pause_for(&program, &handle, task, Duration::from_secs(2)).await;
        assert!(matches!(witness.end_of(task).await, TaskEnd::BackedUp(_)));
        assert_eq!(handle.shutdown().await, []);
    });
}

#[test]
fn a_paused_backup_holds_nobody_up() {
    let _alone = alone();
    let rounds = if is_long() { 20 } else { 5 };
    // Files that one worker reads alone, in several reads.
    let program = Program::of(rounds * 24 * MIB, |source, bytes| {
        for number in 0..bytes / (6 * MIB) {
            write_file(&source.join(format!("{number}")), 6 * MIB, number).expect("a file");
        }
    });
    let other = tempfile::tempdir().expect("a folder");
    embed(async {
        let mut settings = program.settings();
        settings.items.push(folder_item("other", other.path()));
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task = perform(&handle).await;
        for round in 0..rounds {
            program.wait_until_read((round * 24 + 1) * MIB).await;
            pause(&handle, task).await;
            for file in 0..4 {
                write_file(&other.path().join(format!("{file}")), 3 * MIB, 1000 + round * 4 + file)
                    .expect("a file");
            }
            let other =
                handle.ask(PerformBackup { item: "other".into() }).await.expect("it is taken in").task;
            assert!(matches!(witness.end_of(other).await, TaskEnd::BackedUp(_)), "round {round}");
            assert_eq!(handle.ask(GetTask { task }).await.expect("it is there").state, TaskState::Paused);
            resume(&handle, task).await;
        }
        assert!(matches!(witness.end_of(task).await, TaskEnd::BackedUp(_)));
        assert_eq!(handle.shutdown().await, []);
    });
}

/// Memory that is held when nothing runs, beyond that of a new process: thread pools, the journal's pages.
const KEPT_BYTES_MAX: u64 = 32 * MIB;

/// glibc's own name for it. Left alone, glibc takes freed buffers of packs for a sign that more such are to come,
/// and keeps up to some 200 MiB of what was given back to it for the next backup.
const LARGE_ALLOCATIONS_GO_BACK: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// Runs `test` in a copy of this program whose allocator gives the system back what it is given back. Whether
/// it did: the copy is to do the test itself.
fn ran_in_a_copy(test: &str) -> bool {
    let (name, value) = LARGE_ALLOCATIONS_GO_BACK;
    if std::env::var_os(name).is_some() {
        return false;
    }
    let mut copy = Command::new(std::env::current_exe().expect("a running test has a path"));
    let status = copy.args(["--exact", test, "--nocapture"]).env(name, value).status();
    assert!(status.expect("a copy of this program").success(), "{test} failed in a copy of this program");
    true
}

/// Whether no worker is left: no thread of it, no handle, no source, no lock.
fn is_at_rest(program: &Program) -> bool {
    let of_worker =
        |path: &Path| path.starts_with(program.source.path()) || path.starts_with(program.scene.repository());
    job_threads().is_empty()
        && program.observer.sources() == 0
        && !handles().iter().any(|handle| of_worker(handle))
        && stored_in(&program.scene.repository(), "locks").is_empty()
}

/// Cancels it amid its work, and tells how long it took until nothing was left of it.
async fn cancel_at(program: &Program, handle: &Handle, bytes: u64, is_paused: bool) -> Duration {
    let task = perform(handle).await;
    program.wait_until_read(bytes).await;
    if is_paused {
        pause(handle, task).await;
    }
    let (threads, resident) = (job_threads().len(), resident_bytes() / MIB);
    let now = handle.ask(CancelTask { task }).await.expect("it is cancelled");
    let told = Instant::now();
    assert_eq!(now.state, TaskState::Cancelled);
    while !is_at_rest(program) {
        assert!(told.elapsed() < GONE_WITHIN, "{:?} and {:?} stay", job_threads(), handles());
        sleep(Duration::from_millis(1)).await;
    }
    let rest = told.elapsed();
    let left = resident_bytes() / MIB;
    say(&format!(
        "{threads} threads were gone after {} ms, {left} MiB are left of {resident}",
        rest.as_millis()
    ));
    rest
}

/// One backup into a new repository, where all that it reads is new, cancelled. Whether that took a second
/// at most.
fn is_gone_in_time(program: &Program, random: &mut Random, is_paused: bool) -> bool {
    let gone = embed(async {
        let handle = Keepwell::start(program.settings()).await.expect("it starts");
        let bytes = program.observer.bytes() + random.below(program.source_bytes * 3 / 4);
        let rest = cancel_at(program, &handle, bytes, is_paused).await;
        let stats = handle.ask(GetTaskManagerStats {}).await.expect("an answer");
        assert_eq!((stats.fenced_workers, stats.running), (0, 0));
        assert_eq!(handle.shutdown().await, []);
        rest <= REST_WITHIN
    });
    assert!(program.scene.snapshots().is_empty());
    gone
}

#[test]
fn a_cancelled_backup_is_gone_within_a_second() {
    let _alone = alone();
    if ran_in_a_copy("a_cancelled_backup_is_gone_within_a_second") {
        return;
    }
    let mut program = Program::new();
    let mut random = Random(seed());
    let before = resident_bytes();
    for round in 0..(if is_long() { 10 } else { 4 }) {
        let mut tries = 0;
        while !is_gone_in_time(&program, &mut random, round % 2 == 1) {
            tries += 1;
            assert!(tries < TRIES, "it took longer than a second {TRIES} times");
            program.scene = Scene::new();
        }
        program.scene = Scene::new();
        let resident = resident_bytes();
        assert!(resident <= before + KEPT_BYTES_MAX, "{resident} bytes are held, {before} before");
    }
}

#[test]
fn tasks_that_are_created_and_cancelled_leave_nothing() {
    let _alone = alone();
    let program = Program::new();
    // None is through before it is cancelled.
    program.observer.close_gate_after(MIB);
    let cycles: u64 = if is_long() { 10_000 } else { 1_000 };
    let mut random = Random(seed());
    let engine = program.scene.engine();
    let source = program.observer.source_of(program.source.path());
    let places = program.scene.places().source(OBSERVED, source);
    let runner = Arc::new(EngineRunner::new(engine.clone(), places));
    let items = vec![observed_item("main")];
    let settings = Settings { items, ..program.scene.settings_with(runner) };
    // While it is open here, too, most cycles do without deriving its key.
    let open = || engine.repositories().open(&program.scene.address()).expect("it opens");
    let mut held = Some(open());
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut early = None;
        for cycle in 0..cycles {
            if cycle % 100 == 50 {
                held = None;
            }
            let task = perform(&handle).await;
            match random.below(4) {
                // It may not have a slot yet.
                0 => {}
                1 => sleep(Duration::from_micros(random.below(20_000))).await,
                2 => wait("its source", || program.observer.sources() > 0).await,
                _ => {
                    wait_until_it_runs(&handle, task).await;
                    pause(&handle, task).await;
                }
            }
            let now = handle.ask(CancelTask { task }).await.expect("it is cancelled");
            assert_eq!(now.state, TaskState::Cancelled);
            if held.is_none() {
                let opened = tokio::task::spawn_blocking({
                    let (engine, address) = (engine.clone(), program.scene.address());
                    move || engine.repositories().open(&address)
                });
                held = Some(opened.await.expect("no panic").expect("it opens"));
            }
            if cycle == cycles / 10 {
                come_to_rest(&handle).await;
                early = Some((threads().len(), handles().len(), resident_bytes()));
            }
        }
        come_to_rest(&handle).await;
        let (threads_early, handles_early, resident_early) = early.expect("there were enough");
        let now = (threads().len(), handles().len(), resident_bytes());
        say(&format!("after {} cycles {early:?}, after {cycles} {now:?}", cycles / 10));
        // Pools have some more or fewer at times; what stayed of each task would be a thousand.
        assert_eq!(job_threads(), [""; 0]);
        assert!(now.0 <= threads_early + 32, "{:?}", threads());
        assert!(now.1 <= handles_early + 16, "{:?}", handles());
        assert!(now.2 <= resident_early + 48 * MIB, "{now:?}");
        let stats = handle.ask(GetTaskManagerStats {}).await.expect("an answer");
        assert_eq!((stats.cancelled, stats.completed, stats.failed, stats.fenced_workers), (cycles, 0, 0, 0));
        assert!(handle.ask(GetActiveTasks {}).await.expect("an answer").tasks.is_empty());
        assert_eq!(handle.shutdown().await, []);
    });
    drop(held);
    assert!(stored_in(&program.scene.repository(), "locks").is_empty());
    assert!(program.scene.snapshots().is_empty());
}

async fn wait_until_it_runs(handle: &Handle, task: TaskId) {
    while handle.ask(GetTask { task }).await.expect("it is there").state != TaskState::Running {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the last worker has ended.
async fn come_to_rest(handle: &Handle) {
    let since = Instant::now();
    loop {
        let running = handle.ask(GetTaskManagerStats {}).await.expect("an answer").running;
        if running == 0 && job_threads().is_empty() {
            return;
        }
        assert!(since.elapsed() < GONE_WITHIN, "{running} run, and {:?} stay", job_threads());
        sleep(Duration::from_millis(5)).await;
    }
}
