//! What the command says of itself: help, completions, man pages.

mod support;

use support::User;

const VERBS: [&str; 33] = [
    "init",
    "backup",
    "run",
    "serve",
    "status",
    "tasks",
    "items",
    "history",
    "why",
    "watch",
    "pause",
    "resume",
    "cancel",
    "pause-all",
    "resume-all",
    "command",
    "simulate",
    "restore",
    "check",
    "snapshots",
    "ls",
    "find",
    "dump",
    "diff",
    "stats",
    "cat",
    "tag",
    "copy",
    "key",
    "unlock",
    "completions",
    "config",
    "version",
];

#[test]
fn every_verb_explains_itself_and_all_share_the_global_options() {
    let user = User::new();
    let help = user.run(["--help"]).out;
    for verb in VERBS {
        assert!(help.contains(&format!("  {verb} ")), "{verb} is listed: {help}");
        let ran = user.run([verb, "--help"]);
        assert_eq!(ran.code, Some(0), "{verb}");
        assert!(ran.out.contains(&format!("Usage: keepwell {verb}")), "{verb}: {}", ran.out);
        assert!(ran.out.contains("--password-file"), "{verb}: {}", ran.out);
    }
    assert!(help.contains("Exit codes"));
    assert!(!help.contains("lock-stale-after"), "what is for tests is hidden");
}

#[test]
fn completions_are_made_for_every_shell() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = user.run(["completions", shell]);
        assert_eq!(ran.code, Some(0), "{shell}");
        assert!(ran.out.contains("keepwell") && ran.out.contains("exclude-caches"), "{shell}");
    }
}

#[test]
fn man_pages_are_written_for_every_verb() {
    let user = User::new();
    let folder = user.path("pages/man1");
    assert_eq!(user.run(["man", folder.to_str().unwrap()]).code, Some(0));
    assert!(folder.join("keepwell.1").exists());
    for verb in VERBS {
        assert!(folder.join(format!("keepwell-{verb}.1")).exists(), "{verb}");
    }
}
