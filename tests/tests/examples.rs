//! The two examples of the embedding API, run as a reader would run them; restic reads what they store.

use std::path::PathBuf;
use std::process::Command;

use keepwell_tests::programs;
use keepwell_tests::running::{Running, wait_for};
use rustix::process::Signal;

fn example(name: &str, temporary: &std::path::Path) -> Command {
    let binary = std::env::var_os("KEEPWELL_TEST_BINARY").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("keepwell")
    });
    let path = binary.with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: run tests/run", path.display());
    let mut command = Command::new(path);
    command.env_clear().env("TMPDIR", temporary).env("HOME", temporary);
    command
}

/// Whether restic finds the file in the newest snapshot of the only repository below `temporary`.
fn restic_finds(temporary: &std::path::Path, file: &str, content: &str) {
    let Some(restic) = programs::restic() else { return };
    let homes = std::fs::read_dir(temporary).expect("a folder").map(|entry| entry.expect("an entry").path());
    let repository =
        homes.map(|home| home.join("repository")).find(|path| path.exists()).expect("a repository");
    let mut check = restic.command(&repository);
    check.env("RESTIC_PASSWORD", "a password that everybody knows").args(["check", "--read-data"]);
    let checked = check.output().expect("restic runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let mut dump = restic.command(&repository);
    dump.env("RESTIC_PASSWORD", "a password that everybody knows").args(["dump", "latest", file]);
    let dumped = dump.output().expect("restic runs");
    assert_eq!(String::from_utf8_lossy(&dumped.stdout), content);
}

#[test]
fn the_embedded_example_backs_a_folder_up_every_minute_and_prints_events() {
    let temporary = tempfile::tempdir().expect("a folder");
    let source = tempfile::tempdir().expect("a folder");
    std::fs::write(source.path().join("letter"), "dear reader").expect("a file");
    let mut command = example("embedded", temporary.path());
    command.arg(source.path());
    let running = Running::start(command);
    wait_for("a whole backup", || running.stdout().contains("TaskCompleted").then_some(()));
    running.signal(Signal::INT);
    let ended = running.end();
    assert!(ended.output.status.success(), "{ended:?}", ended = ended.output);
    let shown = String::from_utf8_lossy(&ended.output.stdout).into_owned();
    let steps = ["ItemChanged", "TaskCreated", "TaskQueued", "to: Running", "to: Completed", "TaskCompleted"];
    let places: Vec<_> = steps.iter().map(|step| shown.find(step)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{shown}");
    let letter = source.path().canonicalize().expect("a path").join("letter");
    restic_finds(temporary.path(), &letter.display().to_string(), "dear reader");
}

#[test]
fn the_custom_source_example_stores_what_is_in_no_file() {
    let temporary = tempfile::tempdir().expect("a folder");
    let output = example("custom_source", temporary.path()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("TaskCompleted"), "{output:?}");
    restic_finds(temporary.path(), "/rent", "due on Friday");
}
