//! With `--json`, every verb prints lines of JSON that say what they are.

mod support;

use std::collections::BTreeSet;

use support::{Ran, User, messages};

/// The types in the output, after checking that each line has one.
fn types(ran: &Ran) -> BTreeSet<String> {
    let messages = messages(&ran.out);
    messages.iter().map(|message| message["message_type"].as_str().expect("a type").to_owned()).collect()
}

#[test]
fn every_verb_prints_typed_lines() {
    let user = User::with_repository();
    let run = |arguments: &[&str]| user.run_in_repository(arguments.iter().chain(&["--json"]));
    let ran = run(&["backup", "data", "--tag", "a,b"]);
    let first = messages(&ran.out).pop().unwrap();
    let first = first["snapshot_id"].as_str().unwrap();
    user.write("data/three.txt", "three");
    let ran = run(&["backup", "data"]);
    assert!(types(&ran).contains("summary"));
    let blob = messages(&run(&["cat", "snapshot", "latest"]).out).pop().unwrap();
    let tree = blob["object"]["tree"].as_str().unwrap();
    let second = user.path("second");
    let second = second.to_str().unwrap();
    let repository = user.repository();
    let repository = repository.to_str().unwrap();
    let password = user.write("password", support::PASSWORD);
    let password = password.to_str().unwrap();
    let copy = ["-r", second, "copy", "--from-repo", repository, "--from-password-file", password];
    let man = user.path("man");
    for (arguments, wanted) in [
        (&["snapshots"][..], &["snapshot"][..]),
        (&["ls", "latest"], &["snapshot", "node"]),
        (&["find", "two.txt"], &["match"]),
        (&["find", "--tree", tree], &["object_match"]),
        (&["diff", first, "latest"], &["change", "statistics"]),
        (&["stats"], &["stats"]),
        (&["stats", "--mode", "raw-data"], &["stats"]),
        (&["cat", "config"], &["object"]),
        (&["cat", "blob", tree], &["object"]),
        (&["check", "--read-data"], &["status", "summary"]),
        (&["restore", "latest", "--target", "restored"], &["status", "summary"]),
        (&["dump", "latest", "/", "--target", "out.tar"], &["summary"]),
        (&["key", "list"], &["key"]),
        (&["unlock"], &["unlocked"]),
        (&["-r", second, "init"], &["initialized"]),
        (&copy, &["copied", "summary"]),
        (&["tag", "--add", "x"], &["changed", "summary"]),
        (&["completions", "bash"], &["completions"]),
        (&["man", man.to_str().unwrap()], &["man"]),
        (&["version"], &["version"]),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        let mut found = types(&ran);
        // A job that is quickly done may have had nothing to say on its way.
        if wanted.contains(&"status") {
            found.insert("status".into());
        } else if wanted.contains(&"copied") {
            found.remove("status");
        }
        let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(found, wanted, "{arguments:?}");
    }
}

#[test]
fn unreadable_paths_are_error_lines() {
    let user = User::with_repository();
    let ran = user.run_in_repository(["backup", "data", "/does/not/exist", "--json"]);
    assert_eq!(ran.code, Some(3));
    let told = messages(&ran.err);
    let error = told.iter().find(|message| message["message_type"] == "error").unwrap();
    assert_eq!((&error["item"], &error["during"]), (&"/does/not/exist".into(), &"archival".into()));
    let end = told.last().unwrap();
    assert_eq!((&end["message_type"], &end["code"]), (&"exit_error".into(), &3.into()));
    assert_eq!(messages(&ran.out).last().unwrap()["error_count"], 1);
}

#[test]
fn damage_is_a_finding_and_the_check_fails() {
    let user = User::with_repository();
    assert_eq!(user.run_in_repository(["backup", "data"]).code, Some(0));
    let folders = std::fs::read_dir(user.repository().join("data")).unwrap();
    let pack = folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    std::fs::remove_file(&pack).unwrap();
    let ran = user.run_in_repository(["check", "--json"]);
    assert_eq!(ran.code, Some(1));
    let told = messages(&ran.out);
    let name = pack.file_name().unwrap().to_str().unwrap();
    let names_pack = |message: &serde_json::Value| {
        message["message_type"] == "finding" && message["object"].as_str().unwrap().contains(name)
    };
    assert!(told.iter().any(names_pack), "{}", ran.out);
    assert!(user.run_in_repository(["check"]).err.contains(name));
}

#[test]
fn the_examples_in_the_documentation_are_lines_of_json() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md")).unwrap();
    let examples: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    for message in messages(&examples.join("\n")) {
        let name = message["message_type"].as_str().unwrap();
        assert!(text.contains(&format!("`{name}`")), "{name} is in a table");
    }
    assert!(examples.len() > 15);
}
