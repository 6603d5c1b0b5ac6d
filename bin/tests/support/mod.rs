//! A user with a home folder of his own, who types commands.
#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;

/// The password of repositories made by `init`.
pub const PASSWORD: &str = "correct horse";

/// A fresh home folder.
pub struct User {
    home: TempDir,
}

/// What a command came to.
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl User {
    /// A user who has nothing yet.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A user with a repository at [`User::repository`] and two files in `~/data`.
    pub fn with_repository() -> Self {
        let user = Self::new();
        user.write("data/one.txt", "one");
        user.write("data/folder/two.txt", "two");
        let ran = user.run_in_repository(["init"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        user
    }

    /// A path in the home folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where `init` makes the repository.
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// Writes a file in the home folder.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command, with no variables but `HOME` and `PATH`, started in the home folder.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keepwell"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.home.path()).stdin(std::process::Stdio::null());
        command
    }

    /// Runs the command.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        ended(self.command(arguments))
    }

    /// Runs the command on the repository at [`User::repository`].
    pub fn run_in_repository<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        ended(self.in_repository(arguments))
    }

    /// The command on the repository at [`User::repository`].
    pub fn in_repository<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> std::process::Command {
        let mut command = self.command(arguments);
        command.env("KEEPWELL_REPOSITORY", self.repository()).env("KEEPWELL_PASSWORD", PASSWORD);
        command
    }
}

/// Runs a command to its end, which must come.
pub fn ended(command: std::process::Command) -> Ran {
    let output: Output = assert_cmd::Command::from_std(command)
        .timeout(Duration::from_secs(120))
        .output()
        .expect("the command can be started");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("output for people is UTF-8"),
        err: String::from_utf8(output.stderr).expect("errors for people are UTF-8"),
    }
}

/// The lines of JSON in `text`.
pub fn messages(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Whether two files hold the same.
pub fn same(left: &Path, right: &Path) -> bool {
    std::fs::read(left).unwrap() == std::fs::read(right).unwrap()
}
