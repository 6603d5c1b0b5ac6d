//! The repository that is used when none is given.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::{User, ended, messages, same};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_backup_makes_it_and_the_printed_line_restores() {
    let user = User::new();
    let file = user.write("my data/it's.txt", "precious");
    let ran = user.run(["backup", "my data"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let folder = user.path(".local/share/keepwell");
    let (repository, password) = (folder.join("repository"), folder.join("password"));
    assert!(ran.out.contains(repository.to_str().unwrap()) && ran.out.contains(password.to_str().unwrap()));
    assert_eq!([mode(&folder), mode(&password), mode(&repository)], [0o700, 0o600, 0o700]);

    let line = ran.out.lines().find_map(|line| line.strip_prefix("Restore with: ")).unwrap();
    // Elsewhere, with nothing in the environment.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env_clear().current_dir("/");
    let restored = ended(shell);
    assert_eq!(restored.code, Some(0), "{line}: {}", restored.err);
    let target = user.path("keepwell-restored");
    assert!(same(&file, &target.join(file.strip_prefix("/").unwrap())));

    let again = user.run(["backup", "my data"]);
    assert!(again.out.contains("0 new") && again.out.contains("1 unmodified"), "{}", again.out);
    let mut listed = user.command(["snapshots"]);
    listed.env("KEEPWELL_PASSWORD", "meant for another repository");
    let listed = ended(listed);
    assert!(listed.out.contains("2 snapshots"), "other verbs use it too: {}", listed.err);
}

#[test]
fn it_lies_where_the_user_s_data_lie_and_quoting_is_for_a_shell() {
    let user = User::new();
    user.write("data/f", "x");
    let data = user.path("a b'c$(d)");
    let mut command = user.command(["backup", "data", "--json"]);
    command.env("XDG_DATA_HOME", &data);
    let ran = ended(command);
    assert!(data.join("keepwell/repository/config").exists(), "{}", ran.err);
    let told = messages(&ran.out).into_iter().find(|m| m["message_type"] == "default_repository").unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", told["restore_command"].as_str().unwrap()]).env_clear();
    assert_eq!(ended(shell).code, Some(0), "{told}");
}

#[test]
fn it_does_not_back_up_itself() {
    let user = User::new();
    user.write("data/f", "x");
    for _ in 0..2 {
        let ran = user.run(["backup", "."]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("left out: the repository itself"), "{}", ran.err);
    }
    let listed = user.run(["ls", "latest"]).out;
    assert!(listed.contains("data/f") && !listed.contains("keepwell/repository"), "{listed}");
}

#[test]
fn it_is_not_made_with_another_password() {
    let user = User::new();
    let password = user.write("password", "mine");
    let ran = user.run(["backup", "password", "-p", password.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("keepwell --repo PLACE init"), "{}", ran.err);
    assert!(!user.path(".local").exists());
}

#[test]
fn a_password_that_is_gone_is_told_and_nothing_is_made_anew() {
    let user = User::new();
    user.write("data/f", "x");
    assert_eq!(user.run(["backup", "data"]).code, Some(0));
    let password = user.path(".local/share/keepwell/password");
    std::fs::remove_file(&password).unwrap();
    let ran = user.run(["backup", "data"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(password.to_str().unwrap()), "{}", ran.err);
    assert!(!password.exists());
}
