//! Disks without room and disks that cannot be written to: what fails says so, what was there stays, and
//! all that only reads goes on.
//!
//! Each test runs once more inside a mount namespace of its own, in which it may mount small file systems;
//! where the system allows no such thing it says so and skips.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::mounting::{is_inside_namespace, mount};
use keepwell_tests::programs::{PASSWORD, keepwell, transcript};
use keepwell_tests::random_data::write_file;
use keepwell_tests::repository_folder::files;
use rusqlite::Connection;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A small file system, a repository, something to back up.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(disk_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        fs::create_dir(scene.disk()).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={disk_bytes}"), "tmpfs"], &scene.disk());
        fs::create_dir(scene.source()).unwrap();
        write_file(&scene.source().join("first"), 6 * MIB, 1).unwrap();
        scene
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn on_disk(&self, name: &str) -> PathBuf {
        self.disk().join(name)
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn back_up(&self, repository: &Path) -> Output {
        run(repository, [OsStr::new("backup"), self.source().as_os_str()])
    }

    fn resize_disk(&self, bytes: u64) {
        mount(&["-o", &format!("remount,size={bytes}")], &self.disk());
    }

    /// Restores the latest snapshot and compares it with the source.
    fn assert_restores(&self, repository: &Path, target: &Path) {
        let arguments = ["restore", "latest", "--target", target.to_str().unwrap()];
        let output = run(repository, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        assert_same(&self.source(), &target.join(self.source().strip_prefix("/").unwrap()), EXACT);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The namespace ends with the process; until then nothing may hinder the folder's removal.
        let _ = Command::new("umount").arg(self.disk()).output();
    }
}

/// keepwell with its home beside the disk, so that a full or read-only disk is the repository's matter alone.
fn run<A: AsRef<OsStr>>(repository: &Path, arguments: impl IntoIterator<Item = A>) -> Output {
    let home = repository.ancestors().nth(2).unwrap().join("home for keepwell");
    let mut command = keepwell().command(&home);
    command.env("KEEPWELL_REPOSITORY", repository).args(arguments);
    command.output().unwrap()
}

/// It failed with this code, and its last words hold all of these.
fn assert_says(output: &Output, code: i32, said: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}", transcript(output));
    let last: Vec<&str> = err.lines().filter(|line| !line.starts_with("hint: ")).collect();
    let last = last.last().copied().unwrap_or_default();
    assert!(last.starts_with("error: ") && !last.contains("os error"), "{err}");
    for words in said {
        assert!(err.contains(words), "{words:?} is not said: {err}");
    }
}

const ROOM: [&str; 2] = ["No space left on device", "hint: make room, then run the same command again"];

#[test]
fn a_full_repository_loses_nothing_and_goes_on_once_there_is_room() {
    if !is_inside_namespace("a_full_repository_loses_nothing_and_goes_on_once_there_is_room") {
        return;
    }
    let scene = Scene::new(40 * MIB);
    let repository = scene.on_disk("repository");
    assert!(run(&repository, ["init"]).status.success());
    assert!(scene.back_up(&repository).status.success());
    let kept = scene.beside("kept");
    fs::rename(scene.source(), &kept).unwrap();

    fs::create_dir(scene.source()).unwrap();
    write_file(&scene.source().join("too large"), 80 * MIB, 2).unwrap();
    assert_says(&scene.back_up(&repository), 1, &ROOM);
    let told = run(&repository, [OsStr::new("--json"), OsStr::new("backup"), scene.source().as_os_str()]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.lines().last().unwrap().contains("\"message_type\":\"exit_error\",\"code\":1"), "{told}");

    // Not a byte is left, so no lock can be written either: what only reads goes on all the same.
    fill(&scene.on_disk("filler"));
    fs::rename(scene.source(), scene.beside("too large")).unwrap();
    fs::rename(&kept, scene.source()).unwrap();
    assert_says(&scene.back_up(&repository), 1, &ROOM);
    scene.assert_restores(&repository, &scene.beside("restored from a full disk"));
    for arguments in [&["snapshots"][..], &["check", "--read-data"]] {
        let output = run(&repository, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("reading without a lock"));
    }

    scene.resize_disk(200 * MIB);
    fs::remove_file(scene.on_disk("filler")).unwrap();
    fs::rename(scene.beside("too large/too large"), scene.source().join("second")).unwrap();
    let output = scene.back_up(&repository);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let checked = run(&repository, ["check", "--read-data"]);
    assert_eq!(checked.status.code(), Some(0), "{}", transcript(&checked));
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "", "no lock and no staging file was left behind");
    scene.assert_restores(&repository, &scene.beside("restored"));
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let error = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_repository_that_has_no_room_to_be_made_can_be_made_later() {
    if !is_inside_namespace("a_repository_that_has_no_room_to_be_made_can_be_made_later") {
        return;
    }
    let scene = Scene::new(4 * MIB);
    fill(&scene.on_disk("filler"));
    let repository = scene.on_disk("repository");
    assert_says(&run(&repository, ["init"]), 1, &ROOM);
    fs::remove_file(scene.on_disk("filler")).unwrap();
    scene.resize_disk(40 * MIB);
    let output = run(&repository, ["init"]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    assert!(scene.back_up(&repository).status.success());
    scene.assert_restores(&repository, &scene.beside("restored"));
}

#[test]
fn a_full_target_ends_the_restore_which_goes_on_once_there_is_room() {
    if !is_inside_namespace("a_full_target_ends_the_restore_which_goes_on_once_there_is_room") {
        return;
    }
    let scene = Scene::new(4 * MIB);
    let repository = scene.beside("other/repository");
    fs::create_dir(repository.parent().unwrap()).unwrap();
    assert!(run(&repository, ["init"]).status.success());
    write_file(&scene.source().join("second"), 20 * MIB, 2).unwrap();
    assert!(scene.back_up(&repository).status.success());
    let target = scene.on_disk("target");
    let restore = ["restore", "latest", "--target", target.to_str().unwrap()];
    assert_says(&run(&repository, restore), 1, &ROOM);
    assert_says(&run(&repository, restore), 1, &ROOM);
    scene.resize_disk(60 * MIB);
    scene.assert_restores(&repository, &target);
}

#[test]
fn a_read_only_repository_is_read_by_every_verb_that_reads() {
    if !is_inside_namespace("a_read_only_repository_is_read_by_every_verb_that_reads") {
        return;
    }
    let scene = Scene::new(40 * MIB);
    let repository = scene.on_disk("repository");
    assert!(run(&repository, ["init"]).status.success());
    assert!(scene.back_up(&repository).status.success());
    assert!(scene.back_up(&repository).status.success());
    mount(&["-o", "remount,ro"], &scene.disk());

    let first = scene.source().join("first");
    let listed = run(&repository, ["snapshots", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let oldest = listed.split_once("\"id\":\"").unwrap().1[..8].to_owned();
    for arguments in [
        &["snapshots"][..],
        &["ls", "latest"],
        &["find", "first"],
        &["dump", "latest", first.to_str().unwrap()],
        &["diff", &oldest, "latest"],
        &["stats", "latest"],
        &["cat", "config"],
        &["check", "--read-data"],
        &["key", "list"],
        &["restore", "latest", "--dry-run", "--target", "/nowhere"],
    ] {
        let output = run(&repository, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", transcript(&output));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            err.is_empty() || err.contains("reading without a lock") && err.lines().count() == 1,
            "{err}"
        );
        let silent = run(&repository, ["--no-lock"].iter().chain(arguments));
        assert_eq!(silent.status.code(), Some(0), "{}", transcript(&silent));
        assert_eq!(String::from_utf8_lossy(&silent.stderr), "", "{arguments:?}");
    }
    scene.assert_restores(&repository, &scene.beside("restored"));

    let (source, password) = (scene.source(), scene.beside("another password"));
    fs::write(&password, "another").unwrap();
    for arguments in [
        &["backup", source.to_str().unwrap()][..],
        &["tag", "--add", "x", "latest"],
        &["key", "add", "--new-password-file", password.to_str().unwrap()],
    ] {
        let output = run(&repository, arguments);
        assert_says(&output, 1, &["Read-only file system", "hint: the store cannot be written to"]);
    }
    let elsewhere = scene.on_disk("elsewhere");
    assert_says(&run(&elsewhere, ["init"]), 1, &["Read-only file system", "hint: the store cannot"]);
    let target = scene.on_disk("target");
    let restore = ["restore", "latest", "--target", target.to_str().unwrap()];
    assert_says(&run(&repository, restore), 1, &["Read-only file system", target.to_str().unwrap()]);
}

#[test]
fn a_cache_that_cannot_be_written_hinders_nobody() {
    if !is_inside_namespace("a_cache_that_cannot_be_written_hinders_nobody") {
        return;
    }
    let scene = Scene::new(4 * MIB);
    let repository = scene.beside("other/repository");
    fs::create_dir(repository.parent().unwrap()).unwrap();
    assert!(run(&repository, ["init"]).status.success());
    let cache = scene.on_disk("cache");
    let options = ["--cache-dir", cache.to_str().unwrap()];
    let back_up =
        || run(&repository, options.into_iter().chain(["backup", scene.source().to_str().unwrap()]));
    fill(&scene.on_disk("filler"));
    for state in ["full", "read-only"] {
        let output = back_up();
        assert_eq!(output.status.code(), Some(0), "{state}: {}", transcript(&output));
        mount(&["-o", "remount,ro"], &scene.disk());
    }
    let is_used = || files(&cache).values().any(|bytes| *bytes > 0);
    assert!(!is_used(), "there was no room for any of it");
    mount(&["-o", "remount,rw"], &scene.disk());
    fs::remove_file(scene.on_disk("filler")).unwrap();
    let output = back_up();
    assert_eq!(output.status.code(), Some(0), "with room again: {}", transcript(&output));
    assert!(is_used(), "with room again it is used");
    let checked = run(&repository, options.into_iter().chain(["check", "--read-data"]));
    assert_eq!(checked.status.code(), Some(0), "{}", transcript(&checked));
    scene.assert_restores(&repository, &scene.beside("restored"));
}

#[test]
fn a_database_that_does_not_fit_into_the_scratch_folder_is_backed_up_once_there_is_room() {
    if !is_inside_namespace(
        "a_database_that_does_not_fit_into_the_scratch_folder_is_backed_up_once_there_is_room",
    ) {
        return;
    }
    let scene = Scene::new(8 * MIB);
    let repository = scene.beside("repository");
    assert!(run(&repository, ["init"]).status.success());
    let database = scene.source().join("ledger.db");
    let writer = Connection::open(&database).unwrap();
    writer.execute_batch("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (randomblob(12000000))").unwrap();
    drop(writer);
    let configuration = scene.beside("keepwell.toml");
    let text = format!(
        "data_folder = {:?}\n[repositories.r]\nlocation = {repository:?}\npassword_command = \"echo {PASSWORD}\"\n\
         [retry]\nmax_retries = 0\n[sources.s]\nsqlite = {database:?}\n[items.i]\nsource = \"s\"\n",
        scene.disk()
    );
    fs::write(&configuration, text).unwrap();
    let back_up = || {
        let mut command = keepwell().command(&scene.beside("home for keepwell"));
        command.args(["run", "i", "--config"]).arg(&configuration).output().unwrap()
    };
    assert_says(&back_up(), 1, &["copy the database into", "disk/scratch", "No space left on device"]);
    assert_eq!(fs::read_dir(scene.on_disk("scratch")).unwrap().count(), 0, "the room is given back");
    scene.resize_disk(40 * MIB);
    let output = back_up();
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let target = scene.beside("back");
    let output = run(&repository, ["restore", "latest", "--target", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let copy = Connection::open(target.join(database.strip_prefix("/").unwrap())).unwrap();
    let one = |of: &Connection| -> Vec<u8> { of.query_row("SELECT b FROM t", [], |row| row.get(0)).unwrap() };
    assert!(one(&copy) == one(&Connection::open(&database).unwrap()), "it holds what was there");
}
