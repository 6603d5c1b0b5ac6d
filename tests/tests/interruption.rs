//! A backup that is interrupted again and again and then let through: nothing is
//! damaged, nothing is left lying about, and hardly anything is written twice.
//!
//! What is written is counted by the kernel: all that keepwell gives to write(2),
//! from its start to its end or its death (`wchar` in /proc/PID/io). The caches
//! are off, so that is the repository, staging files that came to nothing
//! included. The size of the repository would not show those.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::programs::{keepwell, restics, say, transcript};
use keepwell_tests::random_data::{Random, seed, write_file};
use keepwell_tests::repository_folder::{self, bytes, stored, stored_in, unfinished};
use keepwell_tests::running::{Ended, Running, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

/// How much is backed up, and how often that is interrupted.
struct Extent {
    large_file_bytes: u64,
    medium_files: u64,
    text_bytes: u64,
    small_files: u64,
    /// In MiB. What a kill costs at most is one pack, so it goes with the rest.
    pack_size: u32,
    interruptions: usize,
}

/// About 192 MiB.
const SHORT: Extent = Extent {
    large_file_bytes: 112 << 20,
    medium_files: 6,
    text_bytes: 24 << 20,
    small_files: 2_000,
    pack_size: 4,
    interruptions: 5,
};
/// More than 1 GiB.
const LONG: Extent = Extent {
    large_file_bytes: 704 << 20,
    medium_files: 32,
    text_bytes: 96 << 20,
    small_files: 10_000,
    pack_size: 16,
    interruptions: 10,
};
const MEDIUM_FILE_BYTES: u64 = 7 << 20;
const SMALL_FILE_BYTES_MAX: u64 = 12 << 10;
/// Of what an undisturbed run writes, in percent.
const WRITTEN_PERCENT_MAX: u64 = 110;

fn extent() -> Extent {
    if std::env::var_os("KEEPWELL_TEST_LONG").is_some() { LONG } else { SHORT }
}

/// When a run is interrupted.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it has taken its lock.
    LockTaken { later: Duration },
    /// When the repository has packs of so many bytes, and a while later.
    Stored { bytes: u64, later: Duration },
    /// As soon as it has written an index: first one of what the run before left, at the end its own.
    IndexWritten,
}

/// What one backup from beginning to end comes to.
#[derive(Default)]
struct Undisturbed {
    written_bytes: Option<u64>,
    repository_bytes: u64,
    elapsed: Duration,
}

struct Scene {
    folder: TempDir,
    source: PathBuf,
    repository: PathBuf,
    extent: Extent,
    undisturbed: Undisturbed,
}

impl Scene {
    fn new() -> Self {
        let extent = extent();
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        make_source(&source, &extent);
        let repository = folder.path().join("repository");
        keepwell().init(&repository);
        let mut scene = Self { folder, source, repository, extent, undisturbed: Undisturbed::default() };
        scene.undisturbed = scene.back_up_undisturbed();
        scene
    }

    /// Backs up once, into a repository of its own.
    fn back_up_undisturbed(&self) -> Undisturbed {
        let repository = self.folder.path().join("undisturbed");
        keepwell().init(&repository);
        let started = Instant::now();
        let ended = self.start_backup(&repository).end();
        assert!(ended.output.status.success(), "{}", transcript(&ended.output));
        let undisturbed = Undisturbed {
            written_bytes: ended.written_bytes,
            repository_bytes: bytes(&repository_folder::files(&repository)),
            elapsed: started.elapsed(),
        };
        fs::remove_dir_all(&repository).expect("no longer needed");
        undisturbed
    }

    fn start_backup(&self, repository: &Path) -> Running {
        let mut command = keepwell().command(repository);
        command.arg("--no-cache").arg(format!("--pack-size={}", self.extent.pack_size));
        // Should a run be through before it is interrupted, the next reads everything all the same.
        command.args(["backup", "--force"]).arg(&self.source);
        Running::start(command)
    }

    /// Starts a backup and sends `signal` at `moment`. Returns how it ended, and whether that was before.
    fn interrupt(&self, moment: Moment, signal: Signal) -> (Ended, bool) {
        let index_files = stored_in(&self.repository, "index").len();
        let locks = stored_in(&self.repository, "locks");
        let running = self.start_backup(&self.repository);
        let mut waiting_since = None;
        let mut is_over = |later| waiting_since.get_or_insert_with(Instant::now).elapsed() >= later;
        wait_for(&format!("{moment:?}"), || {
            // Before it holds a lock it has done nothing yet, and may not know what to do with a signal.
            let has_begun = stored_in(&self.repository, "locks").keys().any(|lock| !locks.contains_key(lock));
            let is_now = match moment {
                _ if !has_begun => false,
                Moment::LockTaken { later } => is_over(later),
                Moment::IndexWritten => stored_in(&self.repository, "index").len() > index_files,
                Moment::Stored { bytes: enough, later } => {
                    bytes(&stored_in(&self.repository, "data")) >= enough && is_over(later)
                }
            };
            (is_now || running.has_ended()).then_some(())
        });
        let was_through = running.has_ended();
        if !was_through {
            running.signal(signal);
        }
        (running.end(), was_through)
    }

    /// Moments in all phases of a backup, in an order in which each can come.
    fn moments(&self, random: &mut Random) -> Vec<Moment> {
        let Undisturbed { repository_bytes, elapsed, .. } = self.undisturbed;
        // In each of as many equal parts of a backup once; the last part is left to the index.
        let parts = self.extent.interruptions as u64 - 3;
        let part_bytes = repository_bytes / 10 * 9 / parts;
        let stored = (0..parts).map(|part| Moment::Stored {
            bytes: part * part_bytes + random.below(part_bytes),
            later: Duration::from_micros(random.below(elapsed.as_micros() as u64 / 20)),
        });
        let mut moments = vec![Moment::LockTaken { later: Duration::ZERO }];
        moments.extend(stored);
        moments.extend([Moment::IndexWritten; 2]);
        moments
    }

    /// Interrupts backups until it has happened often enough, then lets one through. `assert_interrupted`
    /// looks at each run that was interrupted. Returns what all wrote together, where the kernel counts.
    fn interrupt_again_and_again(
        &self,
        signal: Signal,
        assert_interrupted: impl Fn(&Self, &Ended),
    ) -> Option<u64> {
        let interruptions = self.extent.interruptions;
        let mut random = Random(seed());
        let mut moments = self.moments(&mut random).into_iter();
        let mut written_bytes = Some(0);
        let mut interrupted = 0;
        for _ in 0..3 * interruptions {
            let moment = moments.next().unwrap_or_else(|| {
                // Reading again what is stored already is quicker than storing it.
                let elapsed = self.undisturbed.elapsed.as_micros() as u64;
                Moment::LockTaken { later: Duration::from_micros(random.below(elapsed / 8)) }
            });
            let stored_before = stored(&self.repository);
            let (ended, was_through) = self.interrupt(moment, signal);
            written_bytes = add(written_bytes, ended.written_bytes);
            let stored_now = stored(&self.repository);
            assert!(
                stored_before.keys().all(|path| stored_now.contains_key(path)),
                "nothing that was stored goes away"
            );
            if was_through || ended.output.status.success() {
                say(&format!("{moment:?}: the backup was through before {signal:?}"));
                assert!(ended.output.status.success(), "{}", transcript(&ended.output));
                continue;
            }
            let (written, lost) = (ended.written_bytes.unwrap_or(0), bytes(&unfinished(&self.repository)));
            say(&format!("{moment:?}: {signal:?} after {written} bytes, {lost} of them in staging files"));
            assert_interrupted(self, &ended);
            interrupted += 1;
            if interrupted == interruptions {
                break;
            }
        }
        assert_eq!(interrupted, interruptions, "most backups were through before they could be interrupted");
        let ended = self.start_backup(&self.repository).end();
        assert!(ended.output.status.success(), "{}", transcript(&ended.output));
        add(written_bytes, ended.written_bytes)
    }

    fn assert_hardly_anything_was_written_twice(&self, written_bytes: Option<u64>) {
        let repository_bytes = bytes(&repository_folder::files(&self.repository));
        let undisturbed = &self.undisturbed;
        let percent = |bytes: u64, of: u64| bytes * 100 / of;
        assert!(
            percent(repository_bytes, undisturbed.repository_bytes) <= WRITTEN_PERCENT_MAX,
            "the repository has {repository_bytes} bytes, undisturbed {}",
            undisturbed.repository_bytes
        );
        let (Some(written), Some(at_best)) = (written_bytes, undisturbed.written_bytes) else {
            say("skipped: what was written in all (this kernel does not count it)");
            return;
        };
        let told = format!("{written} bytes were written in all, undisturbed {at_best}");
        say(&format!("{told}: {} %", percent(written, at_best)));
        assert!(percent(written, at_best) <= WRITTEN_PERCENT_MAX, "{told}");
    }

    fn assert_sound(&self) {
        assert_eq!(unfinished(&self.repository), Default::default(), "no staging file is left");
        assert_eq!(stored_in(&self.repository, "locks"), Default::default(), "no lock is left");
        assert_no_finding(&keepwell().check_data(&self.repository));
        for restic in restics() {
            restic.check_data(&self.repository);
        }
        for program in restics().into_iter().chain([keepwell()]) {
            let target = self.folder.path().join(format!("restored by {}", program.name));
            program.restore_latest(&self.repository, &target);
            let restored = target.join(self.source.strip_prefix("/").expect("an absolute path"));
            assert_same(&self.source, &restored, EXACT);
            fs::remove_dir_all(&target).expect("no longer needed");
        }
    }
}

fn add(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    Some(left? + right?)
}

fn assert_no_finding(told_by_check: &str) {
    assert!(
        told_by_check.contains("no errors were found") && !told_by_check.contains("warnings"),
        "{told_by_check}"
    );
}

/// A large file, some of medium size, text, and a great many small files.
fn make_source(top: &Path, extent: &Extent) {
    fs::create_dir(top).expect("a folder");
    write_file(&top.join("large"), extent.large_file_bytes, 1).expect("a file");
    for number in 0..extent.medium_files {
        write_file(&top.join(format!("medium {number}")), MEDIUM_FILE_BYTES, 100 + number).expect("a file");
    }
    let mut random = Random(2);
    let mut text = String::new();
    while (text.len() as u64) < extent.text_bytes {
        let line = format!("{:08x} somebody did something and it was noted\n", random.below(1 << 20));
        text.push_str(&line);
    }
    fs::write(top.join("text"), text).expect("a file");
    for number in 0..extent.small_files {
        let folder = top.join(format!("small {:03}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&folder).expect("a folder");
        }
        let length = random.below(SMALL_FILE_BYTES_MAX) as usize;
        fs::write(folder.join(format!("{number}")), random.bytes(length)).expect("a file");
    }
}

#[test]
fn a_backup_killed_at_random_moments_ends_sound_and_writes_hardly_anything_twice() {
    let scene = Scene::new();
    let was_killed = |status: ExitStatus| {
        std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::KILL.as_raw())
    };
    let written = scene.interrupt_again_and_again(Signal::KILL, |_, ended| {
        assert!(was_killed(ended.output.status), "{}", transcript(&ended.output));
    });
    scene.assert_hardly_anything_was_written_twice(written);
    scene.assert_sound();
}

#[test]
fn an_interrupted_backup_keeps_what_it_stored_and_says_130() {
    let scene = Scene::new();
    let written = scene.interrupt_again_and_again(Signal::INT, |scene, ended| {
        assert_eq!(ended.output.status.code(), Some(130), "{}", transcript(&ended.output));
        assert_eq!(unfinished(&scene.repository), Default::default(), "no staging file is left");
        assert_eq!(stored_in(&scene.repository, "locks"), Default::default(), "no lock is left");
        // An orphaned pack would be a finding: all that was stored is named by an index.
        assert_no_finding(&keepwell().run(&scene.repository, ["check"]));
    });
    scene.assert_hardly_anything_was_written_twice(written);
    scene.assert_sound();
}
