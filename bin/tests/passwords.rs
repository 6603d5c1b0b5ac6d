//! Every way to give a password, and what is said when none of them works.

mod support;

use support::{PASSWORD, User, ended};

#[test]
fn a_password_is_taken_from_each_place() {
    let user = User::with_repository();
    let file = user.write("password file", &format!("\u{feff}  {PASSWORD}\r\n"));
    let file = file.to_str().unwrap();
    let wrong = user.write("wrong", "wrong");
    let wrong = wrong.to_str().unwrap();
    let command = format!("echo '{PASSWORD}'");
    let command = command.as_str();
    for (options, variables, code) in [
        (&["--password-file", file][..], &[][..], 0),
        (&["-p", file], &[("KEEPWELL_PASSWORD", "wrong")], 0),
        (&["--password-command", command], &[], 0),
        (&["--password-command", command], &[("KEEPWELL_PASSWORD_FILE", wrong)], 0),
        (&[], &[("KEEPWELL_PASSWORD", PASSWORD)], 0),
        (&[], &[("KEEPWELL_PASSWORD_FILE", file)], 0),
        (&[], &[("KEEPWELL_PASSWORD_FILE", file), ("KEEPWELL_PASSWORD", "wrong")], 0),
        (&[], &[("KEEPWELL_PASSWORD_COMMAND", command)], 0),
        (&[], &[("KEEPWELL_PASSWORD", "wrong")], 12),
        (&["-p", wrong], &[("KEEPWELL_PASSWORD", PASSWORD)], 12),
    ] {
        let mut run = user.command(["snapshots"].iter().chain(options));
        run.env("KEEPWELL_REPOSITORY", user.repository()).envs(variables.iter().copied());
        let ran = ended(run);
        assert_eq!(ran.code, Some(code), "{options:?} {variables:?}: {}", ran.err);
    }
}

#[test]
fn a_password_that_is_not_there_is_told_without_telling_secrets() {
    let user = User::with_repository();
    let empty = user.write("empty", " \n");
    let repository = user.repository();
    let repository = repository.to_str().unwrap();
    for (options, said) in [
        (&[][..], "KEEPWELL_PASSWORD_COMMAND"),
        (&["-p", "/no/such/file"], "/no/such/file"),
        (&["-p", empty.to_str().unwrap()], "is empty"),
        (&["--password-command", "sh -c 'exit 3' hush"], "password command sh failed"),
        (&["--password-command", "echo 'hush"], "a quote is not closed"),
        (&["--password-command", "/no/such/program hush"], "/no/such/program"),
        (&["--password-command", "true"], "is empty"),
    ] {
        let ran = user.run(["-r", repository, "snapshots"].iter().chain(options));
        assert_eq!(ran.code, Some(1), "{options:?}");
        assert!(ran.err.contains(said), "{options:?}: {}", ran.err);
        assert!(!ran.err.contains("hush"), "{options:?}: {}", ran.err);
    }
}

#[test]
fn keys_are_added_changed_and_removed() {
    let user = User::with_repository();
    let second = user.write("second", "battery staple");
    let second = second.to_str().unwrap();
    let ran = user.run_in_repository(["key", "add", "--new-password-file", second, "--user", "ada"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let listed = user.run_in_repository(["key", "list"]).out;
    assert!(listed.contains("ada") && listed.contains('*'), "{listed}");
    let third = user.write("third", "third");
    let third = third.to_str().unwrap();
    assert_eq!(user.run_in_repository(["key", "passwd", "--new-password-file", third]).code, Some(0));
    assert_eq!(user.run_in_repository(["snapshots"]).code, Some(12), "the first password is gone");
    let third_key: Vec<_> = user
        .run_in_repository(["-p", third, "key", "list", "--json"])
        .out
        .lines()
        .map(|line| {
            let key: serde_json::Value = serde_json::from_str(line).unwrap();
            (key["current"].as_bool().unwrap(), key["id"].as_str().unwrap().to_owned())
        })
        .collect();
    let current = third_key.iter().find(|(current, _)| *current).map(|(_, id)| id.as_str()).unwrap();
    assert_eq!(
        user.run_in_repository(["-p", third, "key", "remove", current]).code,
        Some(1),
        "not the one in use"
    );
    assert_eq!(user.run_in_repository(["-p", second, "key", "remove", &current[..10]]).code, Some(0));
    assert_eq!(user.run_in_repository(["-p", third, "snapshots"]).code, Some(12));
    assert_eq!(user.run_in_repository(["-p", second, "snapshots"]).code, Some(0));
}
