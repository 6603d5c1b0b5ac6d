//! The HTTP door answers to whatever its own description allows, and as it says there: schemathesis makes up requests
//! for every command, with fields right and wrong, on a daemon that is thrown away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::path::PathBuf;
use std::process::Command;

use keepwell_tests::daemon::DaemonHome;
use keepwell_tests::programs::{say, transcript};
use serde_json::json;

#[tokio::test]
async fn every_answer_is_as_the_description_says() {
    let variable = "KEEPWELL_TEST_SCHEMATHESIS";
    let Some(program) = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists()) else {
        return say(&format!("skipped: schemathesis is not there ({variable} is not set; see tests/run)"));
    };
    let examples = if std::env::var_os("KEEPWELL_TEST_LONG").is_some() { "500" } else { "25" };
    let home = DaemonHome::new();
    let daemon = home.start();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .args(["run", &format!("{}/api/v1/openapi.json", daemon.url)])
        .args(["--header", &format!("Authorization: Bearer {}", daemon.token)])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", examples, "--continue-on-failure"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let words = transcript(&output);
    assert!(output.status.success(), "{words}");
    let counts = words.lines().skip_while(|line| *line != "Test cases:").nth(1).unwrap_or_default().trim();
    let tested = format!("Tested: {}", keepwell_messages::Command::NAMES.len());
    assert!(words.contains(&tested), "not all commands were tested: {words}");
    say(&format!(
        "{counts} (seed {})",
        words.lines().find_map(|line| line.strip_prefix("Seed: ")).unwrap_or("?")
    ));
    // It lives, and serves.
    daemon.done("get-items", &json!({})).await;
}
