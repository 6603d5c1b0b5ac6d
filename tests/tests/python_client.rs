//! The client that docs/messages.md shows, as a reader would save and run it.

use std::path::Path;
use std::process::Command;

use keepwell_tests::broker_scene::{BrokerScene, GATED, PHOTOS};
use keepwell_tests::programs::{say, transcript};
use keepwell_tests::running::{Running, wait_for};

/// The longest that the document promises.
const LINES_MAX: usize = 40;

/// The only program in Python that the document shows.
fn client() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/messages.md");
    let text = std::fs::read_to_string(path).expect("docs/messages.md");
    let (_, rest) = text.split_once("```python\n").expect("it shows a program");
    let (program, rest) = rest.split_once("```").expect("the program ends");
    assert!(!rest.contains("```python"), "another one would not be run");
    assert!(program.lines().count() <= LINES_MAX, "{} lines", program.lines().count());
    program.to_owned()
}

#[test]
fn the_client_in_the_document_runs_a_backup_and_follows_it_to_its_end() {
    if Command::new("python3").arg("--version").output().is_err() {
        return say("skipped: python3 is not there");
    }
    let mut scene = BrokerScene::without_broker();
    std::fs::write(scene.path("keepwell-backup"), client()).expect("a file");
    scene.start();
    let call = |item: &str| {
        let mut command = Command::new("python3");
        command.arg(scene.path("keepwell-backup")).arg(&scene.daemon().url);
        command.arg(scene.path("data/token")).arg(item);
        command
    };
    // One that goes on while its progress is told.
    let running = Running::start(call(GATED));
    wait_for("progress", || running.stdout().contains("backup-progress").then_some(()));
    scene.open_gate();
    let told = running.succeed();
    for words in ["task-created", "task-status-update", "task-completed", "\"backed-up\"", "\"snapshot\""] {
        assert!(told.contains(words), "{told}");
    }
    let told = Running::start(call(PHOTOS)).succeed();
    assert!(told.contains("task-completed"), "{told}");
    // What is refused is no success.
    let ended = Running::start(call("nothing of this name")).end();
    assert!(!ended.output.status.success(), "{}", transcript(&ended.output));
}
