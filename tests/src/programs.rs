//! keepwell and the programs that it must get along with, run on a repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The password of every repository in the suites.
pub const PASSWORD: &str = "correct horse battery staple";

/// A program that works on repositories in restic's format.
#[derive(Clone, Debug)]
pub struct Program {
    /// For messages.
    pub name: &'static str,
    path: PathBuf,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Keepwell,
    Restic,
    Rustic,
}

/// keepwell as built with these tests.
pub fn keepwell() -> Program {
    let built = std::env::var_os("KEEPWELL_TEST_BINARY").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
        profile.join("keepwell")
    });
    assert!(built.exists(), "{} is not built: run tests/run", built.display());
    Program { name: "keepwell", path: built, dialect: Dialect::Keepwell }
}

/// Debian's restic.
pub fn restic() -> Option<Program> {
    find("KEEPWELL_TEST_RESTIC", "restic", Dialect::Restic)
}

/// restic 0.18.
pub fn restic_018() -> Option<Program> {
    find("KEEPWELL_TEST_RESTIC_018", "restic 0.18", Dialect::Restic)
}

/// rustic.
pub fn rustic() -> Option<Program> {
    find("KEEPWELL_TEST_RUSTIC", "rustic", Dialect::Rustic)
}

/// Every restic that is there.
pub fn restics() -> Vec<Program> {
    restic().into_iter().chain(restic_018()).collect()
}

fn find(variable: &str, name: &'static str, dialect: Dialect) -> Option<Program> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        say(&format!("skipped: {name} is not there ({variable} is not set; see tests/run)"));
    }
    Some(Program { name, path: path?, dialect })
}

/// One line that a reader of the test's output sees.
#[allow(clippy::print_stderr, reason = "a test that skips must say so")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

impl Program {
    /// The program set up for `repository`, with a home, caches and configuration of its own beside it.
    pub fn command(&self, repository: &Path) -> Command {
        self.command_at(repository.as_os_str(), &repository.with_extension("home"))
    }

    /// The program set up for a repository anywhere, with everything that is its own in `home`.
    pub fn command_at(&self, repository: &OsStr, home: &Path) -> Command {
        std::fs::create_dir_all(home).expect("a home for the program");
        let mut command = Command::new(&self.path);
        command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TZ", std::env::var("TZ").unwrap_or_else(|_| "Europe/Berlin".into()));
        command.env("XDG_CACHE_HOME", home.join("cache")).env("TMPDIR", std::env::temp_dir());
        let (repository_variable, password_variable) = match self.dialect {
            Dialect::Keepwell => ("KEEPWELL_REPOSITORY", "KEEPWELL_PASSWORD"),
            Dialect::Restic => ("RESTIC_REPOSITORY", "RESTIC_PASSWORD"),
            Dialect::Rustic => ("RUSTIC_REPOSITORY", "RUSTIC_PASSWORD"),
        };
        command.env(repository_variable, repository).env(password_variable, PASSWORD);
        command
    }

    /// Runs it and returns what it printed, whatever its exit code.
    pub fn try_run<A: AsRef<OsStr>>(
        &self,
        repository: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut command = self.command(repository);
        command.args(arguments);
        command.output().unwrap_or_else(|error| panic!("{} does not start: {error}", self.name))
    }

    /// Runs it, expects success, returns stdout.
    pub fn run<A: AsRef<OsStr>>(&self, repository: &Path, arguments: impl IntoIterator<Item = A>) -> String {
        let mut command = self.command(repository);
        command.args(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("{} does not start: {error}", self.name));
        assert!(
            output.status.success(),
            "{command:?} ended with {}:\n{}",
            output.status,
            transcript(&output)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a repository.
    pub fn init(&self, repository: &Path) {
        self.run(repository, ["init"]);
    }

    /// Backs a folder up.
    pub fn back_up(&self, repository: &Path, folder: &Path) -> String {
        self.run(repository, [OsStr::new("backup"), folder.as_os_str()])
    }

    /// Restores the latest snapshot beneath `target`, where absolute paths are recreated.
    pub fn restore_latest(&self, repository: &Path, target: &Path) -> String {
        self.restore(repository, "latest", target)
    }

    /// Restores a snapshot beneath `target`, where absolute paths are recreated.
    pub fn restore(&self, repository: &Path, snapshot: &str, target: &Path) -> String {
        let mut arguments = vec![OsStr::new("restore"), OsStr::new(snapshot)];
        if self.dialect != Dialect::Rustic {
            arguments.push(OsStr::new("--target"));
        }
        arguments.push(target.as_os_str());
        self.run(repository, arguments)
    }

    /// Checks everything, data included, and expects no error.
    pub fn check_data(&self, repository: &Path) -> String {
        self.run(repository, ["check", "--read-data"])
    }

    /// The ids of the trees and data blobs that the repository holds, as `restic list blobs` prints them.
    pub fn list_blobs(&self, repository: &Path) -> Vec<String> {
        let mut blobs: Vec<String> =
            self.run(repository, ["list", "blobs"]).lines().map(str::to_owned).collect();
        blobs.sort();
        blobs
    }
}

/// The ids of all snapshots in order of name, from the store itself.
pub fn snapshot_ids(repository: &Path) -> Vec<String> {
    let folder = std::fs::read_dir(repository.join("snapshots")).expect("a repository");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let mut ids: Vec<String> = folder.map(|entry| name(entry).into_string().expect("hexadecimal")).collect();
    ids.sort();
    ids
}

/// Both streams of a program, for messages.
pub fn transcript(output: &Output) -> String {
    format!(
        "--- stdout\n{}\n--- stderr\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
