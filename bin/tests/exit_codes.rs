//! Each exit code with what is said beside it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use keepwell_engine::control::Control;
use keepwell_engine::repository::{Repository, RepositoryOptions};
use keepwell_engine::store::{Location, StoreSettings};
use support::{PASSWORD, User, ended, messages};

#[test]
fn what_cannot_be_done_has_its_code_a_reason_and_a_hint() {
    let user = User::with_repository();
    let repository = user.repository();
    let repository = repository.to_str().unwrap();
    for (arguments, code, said) in [
        (&["-r", "s4://bucket", "snapshots"][..], 1, "s3, gs, az"),
        (&["-r", "sftp:host:/x", "snapshots"], 1, "./sftp:"),
        (&["-r", "/nowhere", "snapshots"], 10, "keepwell init"),
        (&["-r", repository, "--password-command", "echo wrong", "snapshots"], 12, "--password-file"),
        (&["-r", repository, "init"], 1, "already a repository"),
        (&["-r", repository, "restore", "ffffffff", "-t", "x"], 1, "keepwell snapshots"),
        (&["-r", repository, "backup"], 1, "keepwell backup PATH"),
        (&["-r", repository, "backup", "/does/not/exist"], 1, "/does/not/exist"),
        (&["-r", repository, "backup", "--stdin-from-command", "--", "false"], 1, "false failed"),
        (&["-r", repository, "-o", "secret", "snapshots"], 1, "-o secret=VALUE"),
        (&["-r", repository, "--no-lock", "backup", "data"], 1, "--no-lock"),
        (&["snapshots", "--nonsense"], 1, "--nonsense"),
        (&["snapshots"], 10, "keepwell backup PATH"),
    ] {
        let mut command = user.command(arguments);
        command.env("KEEPWELL_PASSWORD", PASSWORD);
        let ran = ended(command);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn failures_are_told_to_programs_in_json() {
    let user = User::new();
    for (arguments, code) in [
        (&["--json", "-r", "/nowhere", "snapshots"][..], 10),
        (&["--json", "snapshots", "--nonsense"], 1),
        (&["--json", "-r", "x://y", "snapshots"], 1),
    ] {
        let ran = user.run(arguments);
        let told = messages(&ran.err).pop().unwrap();
        assert_eq!((ran.code, &told["code"]), (Some(code), &code.into()));
        assert_eq!(told["message_type"], "exit_error");
        assert!(!told["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_path_that_does_not_exist_is_named_and_the_others_are_backed_up() {
    let user = User::with_repository();
    let ran = user.run_in_repository(["backup", "data", "/does/not/exist"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("/does/not/exist: it does not exist"), "{}", ran.err);
    assert!(ran.out.contains("2 new"), "{}", ran.out);
    assert!(user.run_in_repository(["ls", "latest"]).out.contains("data/folder/two.txt"));
}

#[test]
fn a_locked_repository_is_named_with_its_holder() {
    let user = User::with_repository();
    let location = Location::folder(user.repository());
    let (settings, options) = (StoreSettings::default(), RepositoryOptions::default());
    let repository = Repository::open(&location, &settings, &PASSWORD.to_owned().into(), options).unwrap();
    let session = repository.begin(true, &Control::new()).unwrap();
    let ran = user.run_in_repository(["backup", "data"]);
    assert_eq!(ran.code, Some(11), "{}", ran.err);
    assert!(ran.err.contains(&format!("process {}", std::process::id())), "{}", ran.err);
    assert!(ran.err.contains("keepwell unlock"), "{}", ran.err);
    assert_eq!(user.run_in_repository(["--no-lock", "snapshots"]).code, Some(0));
    drop(session);
    assert_eq!(user.run_in_repository(["backup", "data"]).code, Some(0));
}

#[test]
fn an_interrupted_backup_ends_with_130_and_leaves_no_snapshot() {
    let user = User::with_repository();
    let mut command = user.in_repository(["backup", "--stdin", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Its first status line says that the backup is under way; standard input stays open.
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"status\""), "{line}");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130));
    let told = messages(&String::from_utf8(output.stderr).unwrap()).pop().unwrap();
    assert_eq!((&told["message_type"], &told["code"]), (&"exit_error".into(), &130.into()));
    assert!(user.run_in_repository(["snapshots"]).out.contains("0 snapshots"));
    assert_eq!(std::fs::read_dir(user.repository().join("locks")).unwrap().count(), 0);
}

#[test]
fn a_repository_that_cannot_be_written_to_is_read_without_a_lock_and_says_so() {
    let user = User::with_repository();
    assert_eq!(user.run_in_repository(["backup", "data"]).code, Some(0));
    // Root may write anywhere, so somebody else reads then, with a program that he can reach.
    let program = user.path("keepwell");
    std::fs::copy(env!("CARGO_BIN_EXE_keepwell"), &program).unwrap();
    std::fs::set_permissions(user.path("."), PermissionsExt::from_mode(0o755)).unwrap();
    forbid_writing(&user.repository());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.args(arguments).env_clear().current_dir("/").env("KEEPWELL_PASSWORD", PASSWORD);
        command.env("KEEPWELL_REPOSITORY", user.repository());
        if rustix::process::geteuid().is_root() {
            command.uid(65_534);
        }
        ended(command)
    };
    let ran = run(&["snapshots"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("1 snapshot"), "{}", ran.out);
    assert!(ran.err.contains("without a lock"), "{}", ran.err);
    let ran = run(&["backup", "/etc/hostname"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("cannot be written to"), "{}", ran.err);
    allow_writing(&user.repository());
}

fn forbid_writing(path: &Path) {
    set_modes(path, 0o555, 0o444);
}

fn allow_writing(path: &Path) {
    set_modes(path, 0o755, 0o644);
}

fn set_modes(path: &Path, folder: u32, file: u32) {
    let is_folder = path.is_dir();
    if is_folder {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        for entry in std::fs::read_dir(path).unwrap() {
            set_modes(&entry.unwrap().path(), folder, file);
        }
    }
    let mode = if is_folder { folder } else { file };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let user = User::with_repository();
    assert_eq!(user.run_in_repository(["backup", "data"]).code, Some(0));
    for arguments in [&["ls", "latest"][..], &["dump", "latest", "/"], &["snapshots", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = user.in_repository(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn names_in_a_backup_cannot_command_a_terminal() {
    let user = User::with_repository();
    user.write("data/evil\u{1b}[2J\nname", "x");
    assert_eq!(user.run_in_repository(["backup", "data"]).code, Some(0));
    let ran = user.run_in_repository(["ls", "latest"]);
    assert!(ran.out.contains("evil\\u{1b}[2J\\nname"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'));
}
