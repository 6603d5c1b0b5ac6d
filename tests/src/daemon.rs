//! A daemon under way, as `keepwell serve` starts it, and what its doors answer.
//!
//! Everything that is its own lies in one temporary folder. It listens on a free port of loopback, and is found
//! as every client finds it: by its announcement. One that is dropped is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{self, PASSWORD};
use crate::running::{Ended, Running, wait_for};

/// No answer takes longer, on a machine that is busy with other tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Where a daemon lives: configuration, data folder, and a repository named `main`.
pub struct DaemonHome {
    folder: TempDir,
}

impl DaemonHome {
    /// A home whose configuration has the repository `main`, restore root `restored`, and no item.
    pub fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a home") };
        let keepwell = programs::keepwell();
        keepwell.run(&home.path("repository"), ["init"]);
        std::fs::write(home.path("password"), PASSWORD).expect("a password");
        std::fs::create_dir(home.path("restored")).expect("a restore root");
        home.configure("");
        home
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.path("keepwell.toml")
    }

    /// Writes the configuration: the usual one, and `more` after it, which is to begin with a table.
    pub fn configure(&self, more: &str) {
        self.configure_with("", more);
    }

    /// The same with keys that belong to no table.
    pub fn configure_with(&self, keys: &str, more: &str) {
        let path = |name| self.path(name).display().to_string();
        let text = format!(
            "data_folder = {:?}\nrestore_roots = [{:?}]\n{keys}\n\
             [repositories.main]\nlocation = {:?}\npassword_file = {:?}\n{more}",
            path("data"),
            path("restored"),
            path("repository"),
            path("password"),
        );
        std::fs::write(self.configuration(), text).expect("a configuration");
    }

    /// A source of the configuration that gives random bytes, slowly, until a file is there.
    pub fn slow_source(&self, name: &str, until: &Path) -> String {
        let script = format!(
            "while [ ! -e {} ]; do head -c 65536 /dev/urandom; sleep 0.05; done; echo end",
            until.display()
        );
        format!("[sources.{name}]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n")
    }

    /// keepwell, told of this configuration.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = programs::keepwell().command(&self.path("repository"));
        // The configuration says where the repository is.
        for name in ["KEEPWELL_REPOSITORY", "KEEPWELL_PASSWORD"] {
            command.env_remove(name);
        }
        command.arg(verb).arg("--config").arg(self.configuration());
        command
    }

    /// Starts it on a free port.
    pub fn start(&self) -> Daemon {
        self.start_with(&["--listen", "127.0.0.1:0"])
    }

    /// Starts it with these options.
    pub fn start_with(&self, options: &[&str]) -> Daemon {
        let mut command = self.command("serve");
        command.args(options);
        self.start_as(command)
    }

    /// Starts it with this command, whose process is, or becomes, the daemon.
    pub fn start_as(&self, command: Command) -> Daemon {
        let announcement = self.path("data/daemon.json");
        // That of one that was killed is none of this one's.
        let _ = std::fs::remove_file(&announcement);
        let running = Running::start(command);
        let url = wait_for("the daemon", || {
            assert!(!running.has_ended(), "the daemon ended: {}", running.stderr());
            let told: Value = serde_json::from_slice(&std::fs::read(&announcement).ok()?).ok()?;
            Some(told["url"].as_str()?.to_owned())
        });
        let token = std::fs::read_to_string(self.path("data/token")).expect("a token").trim().to_owned();
        // Another one can only have been installed by another test of the same process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().expect("a client");
        Daemon { running, url, token, http }
    }
}

impl Default for DaemonHome {
    fn default() -> Self {
        Self::new()
    }
}

/// A daemon under way.
pub struct Daemon {
    /// The process.
    pub running: Running,
    /// Where its HTTP door is.
    pub url: String,
    /// Its token.
    pub token: String,
    http: reqwest::Client,
}

impl Daemon {
    /// Where it listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").expect("a URL").1
    }

    /// Asks a command by its name: the status, and the answer.
    pub async fn ask(&self, name: &str, fields: &Value) -> (u16, Value) {
        let asked = self.http.post(format!("{}/api/v1/commands/{name}", self.url));
        let answer = asked.bearer_auth(&self.token).body(fields.to_string()).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
    }

    /// Asks a command that is to be carried out, and gives the reply's fields.
    pub async fn done(&self, name: &str, fields: &Value) -> Value {
        let (status, answer) = self.ask(name, fields).await;
        assert_eq!(status, 200, "{name} {fields}: {answer}");
        answer
    }

    /// A request with the token, for what is no command.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// The same without the token.
    pub fn stranger(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Durable events after a number, as far as they have been told by now.
    pub async fn events_after(&self, number: u64) -> Vec<Value> {
        let asked = serde_json::json!({"after": number, "limit": 1000});
        self.done("get-events", &asked).await["events"].as_array().expect("a list").clone()
    }

    /// What its metrics say of this one; `None` if they say nothing.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.request(reqwest::Method::GET, "/metrics").send().await.expect("an answer");
        let text = answer.text().await.expect("metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until a metric is this.
    pub async fn wait_for_metric(&self, name: &str, expected: f64) {
        let started = std::time::Instant::now();
        while self.metric(name).await != Some(expected) {
            assert!(started.elapsed() < ANSWER_WITHIN, "waited in vain for {name} {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a task is as it should be.
    pub async fn wait_for_task(&self, task: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let started = std::time::Instant::now();
        loop {
            let now = self.done("get-task", &serde_json::json!({"task": task})).await;
            if is_so(&now) {
                return now;
            }
            assert!(started.elapsed() < crate::running::PATIENCE, "waited in vain: {now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it with SIGTERM and waits for its end.
    pub fn stop(self) -> Ended {
        self.running.signal(Signal::TERM);
        self.running.end()
    }

    /// Kills it, as a machine that loses power does.
    pub fn kill(self) {
        self.running.signal(Signal::KILL);
        self.running.end();
    }
}
