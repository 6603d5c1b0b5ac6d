//! What a person gets wrong, and what a repository may have lost: each has its exit code, and is told
//! in words that can be read aloud: what happened, where, and what to do about it.
//!
//! Beside `bin/tests`, which hold the plain cases of exit codes and passwords; disks without room are in
//! `full_disk.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use keepwell_tests::programs::{PASSWORD, keepwell, transcript};
use tempfile::TempDir;

/// A repository with snapshots, beside what they were made of.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(scene.path("data/folder")).unwrap();
        fs::write(scene.path("data/one"), "one").unwrap();
        fs::write(scene.path("data/folder/two"), "two").unwrap();
        assert_eq!(scene.run(&["init"]).status.code(), Some(0));
        assert_eq!(scene.run(&["backup", "data"]).status.code(), Some(0));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    /// Runs keepwell in the scene's folder; nobody is there to be asked.
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = keepwell().command(&self.repository());
        command.args(arguments).envs(variables.iter().copied()).current_dir(self.folder.path());
        command.arg("--no-cache").stdin(std::process::Stdio::null()).output().unwrap()
    }
}

/// It ended with this code and said all of these, in lines that read well.
fn assert_says(what: &str, output: &Output, code: i32, said: &[&str]) {
    let err = String::from_utf8(output.stderr.clone()).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(code), "{what}: {}", transcript(output));
    for words in said {
        assert!(err.contains(words), "{what}: {words:?} is not said: {err}");
    }
    assert!(err.ends_with('\n') && err.lines().all(|line| !line.trim().is_empty()), "{what}: {err}");
    // No debug formatting, no numbers that only a system knows, no secret.
    for unwanted in ["Some(", "Os {", "Error(", "Kind", "os error", "panicked", PASSWORD, "hush"] {
        assert!(!err.contains(unwanted), "{what}: {unwanted:?} is said: {err}");
    }
}

/// A way to be wrong: its name, arguments, exit code, and what must be said.
type Case<'a> = (&'a str, &'a [&'a str], i32, &'a [&'a str]);

#[test]
fn what_cannot_be_meant_is_told_in_plain_words() {
    let scene = Scene::new();
    let in_file = format!("latest:{}/x", scene.path("data/one").display());
    let cases: &[Case<'_>] = &[
        (
            "an unknown scheme",
            &["-r", "ftp://user:hush@host/x", "snapshots"],
            1,
            &["ftp:// is no kind of store"],
        ),
        ("a repository that is a file", &["-r", "data/one", "snapshots"], 1, &["data/one", "a file stands"]),
        ("a repository in a file", &["-r", "data/one/x", "init"], 1, &["data/one/x", "a file stands"]),
        ("an empty repository", &["-r", "", "snapshots"], 1, &["location is empty", "hint: ", "--repo"]),
        (
            "no repository there",
            &["-r", "data", "snapshots"],
            10,
            &["no repository at", "hint: ", "keepwell init"],
        ),
        ("an option's value", &["-o", "connections=hush", "snapshots"], 1, &["connections takes a number"]),
        (
            "no snapshot's id",
            &["restore", "ffffffff", "-t", "x"],
            1,
            &["snapshot ffffffff not found", "hint: "],
        ),
        ("no id at all", &["restore", "nonsense", "-t", "x"], 1, &["snapshot nonsense not found", "hint: "]),
        ("an empty id", &["restore", "", "-t", "x"], 1, &["empty name is no snapshot"]),
        (
            "no such host",
            &["restore", "latest", "-H", "nohost", "-t", "x"],
            1,
            &["among those chosen not found"],
        ),
        ("no such folder in it", &["restore", "latest:/no", "-t", "x"], 1, &["/no not found", "keepwell ls"]),
        ("a file as a folder", &["restore", &in_file, "-t", "x"], 1, &["is no folder in the snapshot"]),
        ("no such file in it", &["dump", "latest", "/no"], 1, &["/no not found", "keepwell ls"]),
        (
            "a target that is a file",
            &["restore", "latest", "-t", "data/one"],
            1,
            &["data/one", "it is no folder"],
        ),
        (
            "a target in a file",
            &["restore", "latest", "-t", "data/one/x"],
            1,
            &["data/one/x", "Not a directory"],
        ),
        (
            "no path exists",
            &["backup", "no", "data/one/no"],
            1,
            &["/no: it does not exist", "one/no: it does not exist"],
        ),
        (
            "no exclude file",
            &["backup", "data", "--exclude-file", "no"],
            1,
            &["exclude file no", "No such file"],
        ),
        (
            "no list of paths",
            &["backup", "--files-from-verbatim", "no"],
            1,
            &["list of paths no", "No such file"],
        ),
        ("no parent", &["backup", "data", "--parent", "ffffffff"], 1, &["snapshot ffffffff not found"]),
        ("a malformed pattern", &["backup", "data", "--exclude", "["], 1, &["invalid patterns: ["]),
        ("no password file", &["-p", "no", "snapshots"], 1, &["password file no", "No such file"]),
        ("a folder as password file", &["-p", "data", "snapshots"], 1, &["password file data"]),
        ("no key", &["key", "remove", "ffff"], 1, &["key ffff not found"]),
        ("half a blob's id", &["cat", "blob", "123"], 1, &["a blob is named whole"]),
    ];
    for (what, arguments, code, said) in cases {
        assert_says(what, &scene.run(arguments), *code, said);
    }
    assert_eq!(fs::read(scene.path("data/one")).unwrap(), b"one", "nothing was harmed");
    assert!(!scene.path("x").exists());
}

#[test]
fn variables_that_are_empty_are_as_good_as_missing_or_told() {
    let scene = Scene::new();
    let output = scene.run_with(&["snapshots"], &[("KEEPWELL_PASSWORD", "")]);
    assert_says(
        "an empty password",
        &output,
        1,
        &["no password is given", "hint: ", "KEEPWELL_PASSWORD_FILE"],
    );
    let output = scene.run_with(&["snapshots"], &[("KEEPWELL_REPOSITORY", "")]);
    assert_says("an empty location", &output, 1, &["location is empty", "hint: ", "KEEPWELL_REPOSITORY"]);
    let output = scene.run_with(&["snapshots"], &[("KEEPWELL_PASSWORD", "hush")]);
    assert_says(
        "a wrong password",
        &output,
        12,
        &["wrong password: it opens no key", "hint: ", "--password-file"],
    );
}

#[test]
fn an_ambiguous_id_says_how_many_begin_with_it() {
    let scene = Scene::new();
    let first = loop {
        let mut firsts: Vec<String> = fs::read_dir(scene.repository().join("snapshots"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap()[..1].to_owned())
            .collect();
        firsts.sort();
        // Of seventeen snapshots two begin with the same digit at the latest.
        if let Some(pair) = firsts.windows(2).find(|pair| pair[0] == pair[1]) {
            break pair[0].clone();
        }
        assert_eq!(scene.run(&["backup", "data"]).status.code(), Some(0));
    };
    let output = scene.run(&["restore", &first, "-t", "x"]);
    assert_says(
        "an ambiguous id",
        &output,
        1,
        &[&format!("snapshot {first} is ambiguous: 2 ids"), "more digits"],
    );
}

#[test]
fn a_tag_with_a_comma_is_two_tags() {
    let scene = Scene::new();
    assert_eq!(scene.run(&["backup", "data", "--tag", "a, b,,", "--tag", "c"]).status.code(), Some(0));
    let listed = String::from_utf8(scene.run(&["snapshots", "latest", "--json"]).stdout).unwrap();
    assert!(listed.contains("\"tags\":[\"a\",\"b\",\"c\"]"), "{listed}");
}

/// A way for a repository to be damaged: its name, what is done to it, what must be said.
type Damage<'a> = (&'a str, fn(&Path), &'a [&'a str]);

#[test]
fn damage_that_keeps_a_repository_from_being_opened_is_named_with_a_way_out() {
    let scene = Scene::new();
    let overwrite = |path: &Path| {
        fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(path, b"garbage").unwrap();
    };
    let out = "put it back from a copy of the repository";
    let damages: &[Damage<'_>] = &[
        (
            "a config of garbage",
            |folder| fs::write(folder.join("config"), "garbage").unwrap(),
            &["config is", out],
        ),
        (
            "an empty config",
            |folder| fs::write(folder.join("config"), "").unwrap(),
            &["config is damaged", out],
        ),
        ("no keys", |folder| fs::remove_dir_all(folder.join("keys")).unwrap(), &["there is no key", out]),
    ];
    for (number, (what, damage, said)) in damages.iter().enumerate() {
        let copy = scene.path(&format!("damaged {number}"));
        copy_folder(&scene.repository(), &copy);
        damage(&copy);
        for verb in [&["snapshots"][..], &["check"], &["backup", "data"]] {
            let output = scene.run(&[&["-r", copy.to_str().unwrap()], verb].concat());
            assert_says(what, &output, 1, said);
        }
    }
    let copy = scene.path("damaged key");
    copy_folder(&scene.repository(), &copy);
    fs::read_dir(copy.join("keys")).unwrap().for_each(|key| overwrite(&key.unwrap().path()));
    let output = scene.run(&["-r", copy.to_str().unwrap(), "snapshots"]);
    assert_says("a damaged key", &output, 1, &["keys/", "does not match its name", out]);
}

#[test]
fn a_lost_pack_is_named_and_leads_to_check() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.repository().join("data")).unwrap();
    let output = scene.run(&["restore", "latest", "-t", "x"]);
    assert_says("a lost pack", &output, 1, &["data/", "not found", "hint: `keepwell check`"]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn what_its_reader_may_not_read_is_named_and_the_rest_is_backed_up() {
    let scene = Scene::new();
    let data = scene.path("data");
    for name in ["secret file", "secret folder"] {
        let path = data.join(name);
        if name.ends_with("folder") {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inside"), "inside").unwrap();
        } else {
            fs::write(&path, "secret").unwrap();
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    }
    // Root may read everything, so somebody else does it, with a program and a repository of his own.
    let somebody = 65_534;
    let own = scene.path("own");
    fs::create_dir(&own).unwrap();
    fs::copy(keepwell().command(&scene.repository()).get_program(), scene.path("program")).unwrap();
    fs::set_permissions(scene.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&own, Some(somebody), Some(somebody)).unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(scene.path("program"));
        command.env_clear().env("HOME", &own).env("KEEPWELL_PASSWORD", PASSWORD).args(arguments);
        command.env("KEEPWELL_REPOSITORY", own.join("repository")).current_dir(&own);
        if rustix::process::geteuid().is_root() {
            command.uid(somebody).gid(somebody);
        }
        command.output().unwrap()
    };
    assert_eq!(run(&["init"]).status.code(), Some(0));
    let output = run(&["backup", data.to_str().unwrap()]);
    let said = ["secret file: Permission denied", "secret folder: Permission denied", "warning: 2 entries"];
    assert_says("unreadable entries", &output, 3, &said);
    let listed = String::from_utf8(run(&["ls", "latest"]).stdout).unwrap();
    assert!(listed.contains("data/folder/two") && !listed.contains("secret"), "{listed}");
    assert_eq!(run(&["check", "--read-data"]).status.code(), Some(0));
    for name in ["secret file", "secret folder"] {
        fs::set_permissions(data.join(name), PermissionsExt::from_mode(0o700)).unwrap();
    }
}
