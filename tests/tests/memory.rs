//! Memory stays within one bound, whatever is backed up, checked and restored: the most that
//! each verb ever held, key derivation and the program itself included.
//!
//! The kernel keeps a process's highest resident size (`VmHWM`) as long as the process lives. It is
//! read every few milliseconds, so what grows in the last of them alone goes unseen; a peak amid the
//! work does not. The long form (`tests/run --long`) is the size that the bound is promised for; the
//! short one is small enough for every run and has lower bounds where a lower one shows growth.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepwell_engine::control::Control;
use keepwell_engine::format::{BlobKind, IndexFile, IndexedPack, PackedBlob};
use keepwell_engine::id::Id;
use keepwell_engine::repository::{FileKind, Repository, RepositoryOptions};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_tests::programs::{PASSWORD, keepwell, say};
use keepwell_tests::random_data::{Random, write_file};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// What is promised for every verb.
const PEAK_BYTES_MAX: u64 = 250 * MIB;
/// How often a child's highest resident size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What is kept of what a child printed.
const PRINTED_BYTES_MAX: u64 = 64 << 10;

fn is_long() -> bool {
    std::env::var_os("KEEPWELL_TEST_LONG").is_some_and(|value| value == "1")
}

/// The long form's value or the short form's.
fn long_or_short<T>(long: T, short: T) -> T {
    if is_long() { long } else { short }
}

/// A repository, what is backed up into it, and how much each verb may hold.
struct Scene {
    folder: TempDir,
    bound_bytes: u64,
}

impl Scene {
    fn new(bound_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        keepwell().init(&folder.path().join("repository"));
        Self { folder, bound_bytes }
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// Runs a verb to its end, which must be success within the bound; returns what it printed.
    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let arguments: Vec<OsString> = arguments.into_iter().map(|word| word.as_ref().into()).collect();
        let mut command = keepwell().command(&self.repository());
        command.args(&arguments);
        let begun = Instant::now();
        let (peak_bytes, printed) = run_measured(command, self.folder.path());
        let verb = arguments[..2.min(arguments.len())].join(OsStr::new(" "));
        say(&format!(
            "{}: at most {} MiB, {:.1} s",
            verb.display(),
            peak_bytes / MIB,
            begun.elapsed().as_secs_f64()
        ));
        assert!(peak_bytes > MIB, "nothing was measured");
        let bound = self.bound_bytes;
        assert!(
            peak_bytes <= bound,
            "{arguments:?} held {} MiB, more than {} MiB",
            peak_bytes / MIB,
            bound / MIB
        );
        printed
    }

    /// Backs up twice, the second time against the first, checks, restores and reads back.
    fn assert_every_verb_keeps_within_bounds(&self, files: u64) {
        let source = self.source();
        let first = self.run([OsStr::new("backup"), source.as_os_str()]);
        assert!(first.contains(&format!("{files:7} new")), "{first}");
        let again = self.run([OsStr::new("backup"), source.as_os_str()]);
        assert!(again.contains(&format!("{files:7} unmodified")), "{again}");
        // One file more: the tree is another one, read from the old one and written anew.
        fs::write(last_folder(&source).join("zz a further file"), "more").unwrap();
        let changed = self.run([OsStr::new("backup"), source.as_os_str()]);
        assert!(changed.contains(&format!("{files:7} unmodified")), "{changed}");
        self.run(["check", "--read-data"]);
        self.run(["ls", "latest"]);
        self.run(["diff", "--metadata", &self.first_snapshot(), "latest"]);
        let target = self.folder.path().join("restored");
        let restored = self.run(["restore", "latest", "--verify", "--target", target.to_str().unwrap()]);
        let files = files + 1;
        assert!(restored.contains(&format!("{files} files were read back and are right")), "{restored}");
    }

    fn first_snapshot(&self) -> String {
        let listed = keepwell().run(&self.repository(), ["snapshots", "--json"]);
        let (_, after) = listed.split_once("\"id\":\"").expect("a snapshot");
        after[..8].into()
    }
}

/// The last folder in `source` in name order, or itself.
fn last_folder(source: &Path) -> PathBuf {
    let folders =
        fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.max().unwrap_or_else(|| source.to_path_buf())
}

/// Runs a command to its successful end; returns the most it held and how its standard output begins.
fn run_measured(mut command: Command, folder: &Path) -> (u64, String) {
    // Into files: a full pipe would hold it up.
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_bytes.max(highest_resident_bytes(&child.id().to_string()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Sampling: there is no event to wait for.
        std::thread::sleep(LOOK_EVERY);
    };
    // What was dumped may be gigabytes: its beginning will do.
    let mut printed = Vec::new();
    fs::File::open(out).unwrap().take(PRINTED_BYTES_MAX).read_to_end(&mut printed).unwrap();
    assert!(status.success(), "{command:?} ended with {status}: {}", fs::read_to_string(err).unwrap());
    (peak_bytes, String::from_utf8_lossy(&printed).into_owned())
}

/// `None` once the process is at its end.
fn highest_resident_bytes(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Files of 20 bytes to some more, no two alike, so many to a folder.
fn make_small_files(top: &Path, count: u64, per_folder: u64, length_max: u64) {
    let mut random = Random(count);
    let mut folder = top.to_path_buf();
    for number in 0..count {
        if number % per_folder == 0 {
            folder = top.join(format!("{:03}", number / per_folder));
            fs::create_dir_all(&folder).unwrap();
        }
        let length = 20 + random.below(length_max) as usize;
        fs::write(folder.join(format!("file {number:06}")), random.bytes(length)).unwrap();
    }
}

#[test]
fn one_large_file_is_never_held_whole() {
    let scene = Scene::new(PEAK_BYTES_MAX);
    fs::create_dir(scene.source()).unwrap();
    write_file(&scene.source().join("large"), long_or_short(4 << 30, 512 << 20), 1).unwrap();
    scene.assert_every_verb_keeps_within_bounds(1);
}

#[test]
fn a_stream_is_never_held_whole() {
    let scene = Scene::new(PEAK_BYTES_MAX);
    let length = long_or_short(4u64 << 30, 512 << 20).to_string();
    // Bytes that do not repeat: counting is quick, and 8 MiB of it are no chunk seen before.
    scene.run([
        "backup",
        "--stdin-from-command",
        "--",
        "sh",
        "-c",
        &format!("seq -w 1000000000 | head -c {length}"),
    ]);
    scene.run(["dump", "latest", "stdin"]);
}

#[test]
fn many_small_files_are_never_held_together() {
    let scene = Scene::new(PEAK_BYTES_MAX);
    let files = long_or_short(300_000, 30_000);
    make_small_files(&scene.source(), files, 1000, 2000);
    scene.assert_every_verb_keeps_within_bounds(files);
}

/// A folder is one tree, some 400 bytes an entry, and many entries are one long text. In the short form
/// the files hold next to nothing, so that only what is held for each entry counts.
#[test]
fn a_huge_folder_is_never_held_whole() {
    let scene = Scene::new(long_or_short(PEAK_BYTES_MAX, 80 * MIB));
    let (files, length_max) = long_or_short((300_000, 2000), (50_000, 20));
    make_small_files(&scene.source(), files, files, length_max);
    scene.assert_every_verb_keeps_within_bounds(files);
}

/// Blobs of an index file: with as many restic begins another.
const BLOBS_PER_INDEX: usize = 50_000;
/// Blobs of a pack: chunks of 160 KiB in packs of 16 MiB; large files have fewer, small ones more.
const BLOBS_PER_PACK: usize = 100;

/// Index files of blobs that are nowhere.
fn write_index(repository: &Repository, blobs: usize) {
    let mut random = Random(2_000_000);
    let mut id = || Id(random.bytes(32).try_into().expect("as many as asked for"));
    for _ in 0..blobs / BLOBS_PER_INDEX {
        let packs = (0..BLOBS_PER_INDEX / BLOBS_PER_PACK).map(|_| IndexedPack {
            id: id(),
            blobs: (0..BLOBS_PER_PACK as u32).map(|number| blob(id(), number)).collect(),
        });
        let file = IndexFile { packs: packs.collect() };
        repository.files().write(FileKind::Index, &file.to_json()).unwrap();
    }
}

fn blob(id: Id, number: u32) -> PackedBlob {
    let kind = if number == 0 { BlobKind::Tree } else { BlobKind::Data };
    let (length_bytes, uncompressed_bytes) = (100_000, 200_000 + number);
    PackedBlob { id, kind, offset_bytes: number * length_bytes, length_bytes, uncompressed_bytes }
}

#[test]
fn an_index_of_two_million_blobs_is_loaded_within_bounds() {
    let scene = Scene::new(PEAK_BYTES_MAX);
    let blobs = long_or_short(2_000_000, 200_000);
    let (location, settings) = (Location::folder(scene.repository()), StoreSettings::default());
    let open = || {
        let options = RepositoryOptions::default();
        Repository::open(&location, &settings, &PASSWORD.to_owned().into(), options).unwrap()
    };
    write_index(&open(), blobs);
    // Nobody's memory but the new one's.
    let repository = open();
    let peak_before = highest_resident_bytes("self").unwrap();
    let begun = Instant::now();
    repository.load_index(&Control::new()).unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let peak_after = highest_resident_bytes("self").unwrap();
    let index = repository.index();
    assert_eq!(index.blob_count(), blobs);
    let bytes_a_blob = index.memory_bytes() as f64 / blobs as f64;
    say(&format!(
        "index of {blobs} blobs: {bytes_a_blob:.1} bytes a blob, loaded in {seconds:.2} s; \
         the process held at most {} MiB before and {} MiB after",
        peak_before / MIB,
        peak_after / MIB
    ));
    assert!(bytes_a_blob <= 64.0, "{bytes_a_blob} bytes a blob");
    drop(index);
    fs::create_dir(scene.source()).unwrap();
    fs::write(scene.source().join("file"), "content").unwrap();
    // Without a cache, filling it, and from it.
    let source = scene.source();
    for option in ["--no-cache", "--verbose", "--verbose"] {
        scene.run([OsStr::new("backup"), source.as_os_str(), option.as_ref()]);
    }
    scene.run(["stats", "--mode", "raw-data"]);
}
