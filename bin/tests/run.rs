//! `run`: an item of the configuration, backed up by the actor system in the command's own process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use keepwell_actors::runner::{EngineRunner, Places};
use keepwell_actors::{Handle, Keepwell, Settings};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::job::Engine;
use keepwell_engine::repository::{Repository, RepositoryAddress, RepositoryOptions, Session};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::{FilesItem, Item, ItemSource, PauseAllBackups, ResumeAllBackups, SetItem};
use serde_json::Value;
use support::{PASSWORD, Ran, User, ended, messages, same};

/// A user with a repository, a password in a file, and the usual item `documents` beside what `more` adds.
fn user_with(more: &str) -> User {
    let user = User::with_repository();
    user.write("password", PASSWORD);
    configure(&user, more);
    user
}

fn configure(user: &User, more: &str) {
    let usual = "\
        [repositories.cellar]\nlocation = \"~/repository\"\npassword_file = \"~/password\"\n\
        [items.documents]\npaths = [\"~/data\"]\n";
    user.write(".config/keepwell/keepwell.toml", &format!("{usual}{more}"));
}

fn snapshots(user: &User) -> Vec<Value> {
    messages(&user.run_in_repository(["snapshots", "--json"]).out)
}

/// The command under way, and what it prints.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(user: &User, item: &str, more: &[&str]) -> Self {
        let mut command = user.command(["run", item, "--json"].iter().chain(more));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line that tells of an event of this name.
    fn wait_for(&mut self, event: &str) -> Value {
        loop {
            let line = self.lines.next().unwrap_or_else(|| unreachable!("it ended before {event}")).unwrap();
            let told: Value = serde_json::from_str(&line).unwrap();
            if !told["event"][event].is_null() {
                return told["event"][event].clone();
            }
        }
    }

    fn wait_until_running(&mut self) {
        while self.wait_for("task-status-update")["to"] != "running" {}
    }

    fn interrupt(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    }

    /// Kills it, as a machine that loses power does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its end, and the rest of what it printed.
    fn end(self) -> Ran {
        let rest: Vec<String> = self.lines.map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            out: rest.join("\n"),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Keeps everybody else from the user's repository.
fn lock(user: &User) -> (Arc<Repository>, Session) {
    let (settings, options) = (StoreSettings::default(), RepositoryOptions::default());
    let location = Location::folder(user.repository());
    let repository = Repository::open(&location, &settings, &PASSWORD.to_owned().into(), options).unwrap();
    let session = repository.begin(true, &Control::new()).unwrap();
    (repository, session)
}

#[test]
fn an_item_is_backed_up_with_its_tags_and_excludes_and_restores() {
    let user = user_with("excludes = [\"*.tmp\"]\ntags = [\"home\", \"daily\"]\n");
    user.write("data/scratch.tmp", "x");
    let ran = user.run(["run", "documents"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("processed 2 files") && ran.out.contains("of documents saved"), "{}", ran.out);
    assert_eq!(ran.err, "", "nothing to complain of, and no bar without a terminal");
    let listed = snapshots(&user);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["tags"], serde_json::json!(["home", "daily"]));
    assert_eq!(listed[0]["paths"], serde_json::json!([user.path("data")]));
    assert_eq!(user.run_in_repository(["restore", "latest", "--target", "back"]).code, Some(0));
    let back = user.path("back").join(user.path("data").strip_prefix("/").unwrap());
    assert!(same(&user.path("data/folder/two.txt"), &back.join("folder/two.txt")));
    assert!(!back.join("scratch.tmp").exists());
    assert!(user.path(".local/share/keepwell/journal/journal.sqlite").exists());
}

#[test]
fn events_progress_and_the_end_are_lines_of_json() {
    let user = user_with("");
    let ran = user.run(["run", "documents", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told = messages(&ran.out);
    let events: Vec<&str> = told
        .iter()
        .filter(|line| line["message_type"] == "event")
        .flat_map(|line| line["event"].as_object().unwrap().keys().map(String::as_str))
        .collect();
    for event in ["task-created", "task-status-update", "task-completed"] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }
    let summary = told.last().unwrap();
    assert_eq!((&summary["message_type"], &summary["attempts"]), (&"summary".into(), &1.into()));
    assert_eq!(summary["snapshot_id"], snapshots(&user)[0]["id"]);
}

#[test]
fn without_a_repository_in_the_configuration_the_default_one_is_made() {
    let user = User::new();
    user.write("data/f", "x");
    user.write("k.toml", "[items.data]\npaths = \"~/data\"\n");
    let ran = user.run(["run", "data", "--config", "k.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let password = user.path(".local/share/keepwell/password");
    assert!(ran.err.contains(password.to_str().unwrap()), "{}", ran.err);
    assert!(user.run(["snapshots"]).out.contains("1 snapshot"), "it is the one that other verbs use");
    let again = user.run(["run", "data", "--config", "k.toml"]);
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_done_has_its_code_a_reason_and_a_hint() {
    let user = user_with("");
    user.write("wrong", "wrong");
    let config = |text: &str| {
        let items = "[items.documents]\npaths = [\"~/data\"]\n";
        user.write("other.toml", &format!("data_folder = \"~/other\"\n[repositories.r]\n{text}\n{items}"));
    };
    for (repository, code, said) in [
        ("location = \"~/repository\"\npassword_file = \"~/wrong\"", 12, "wrong password"),
        ("location = \"~/repository\"\npassword_file = \"~/none\"", 1, "/none"),
        ("location = \"~/repository\"\npassword_command = \"false\"", 1, "password command false failed"),
        ("location = \"~/nowhere\"\npassword_file = \"~/password\"", 10, "keepwell init"),
    ] {
        config(repository);
        let ran = user.run(["run", "documents", "--config", "other.toml"]);
        assert_eq!(ran.code, Some(code), "{repository}: {}", ran.err);
        assert!(ran.err.contains(said), "{repository}: {}", ran.err);
    }
    for (arguments, said) in [
        (&["run", "document"][..], "did you mean documents?"),
        (&["run", "photos"], "there are documents"),
        (&["run", "documents", "--config", "none.toml"], "none.toml"),
        (&["run", "documents", "-r", "/elsewhere"], "from the configuration"),
        (&["run", "documents", "-p", "password"], "from the configuration"),
        (&["run", "documents", "--no-lock"], "--no-lock"),
    ] {
        let ran = user.run(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    let mut meant_for_others = user.command(["run", "documents"]);
    meant_for_others.env("KEEPWELL_REPOSITORY", "/elsewhere");
    assert_eq!(ended(meant_for_others).code, Some(0), "variables for other verbs are passed over");
}

#[test]
fn an_item_that_cannot_be_read_wholly_ends_with_3_and_names_what_is_missing() {
    let user = user_with("");
    configure(&user, "[items.half]\npaths = [\"~/data\", \"/does/not/exist\"]\n");
    let ran = user.run(["run", "half"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert_eq!(ran.err.matches("/does/not/exist").count(), 1, "named once: {}", ran.err);
    assert!(ran.err.contains("1 entry could not be read"), "{}", ran.err);
    assert_eq!(snapshots(&user).len(), 1);
    let told = messages(&user.run(["run", "half", "--json"]).err);
    assert!(told.iter().any(|line| line["item"] == "/does/not/exist" && line["during"] == "archival"));
}

#[test]
fn an_interrupted_run_cancels_its_task_ends_with_130_and_leaves_no_lock() {
    let user = user_with("");
    let (repository, session) = lock(&user);
    let mut running = Running::start(&user, "documents", &["--retry-lock", "10m"]);
    running.wait_until_running();
    running.interrupt();
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(ran.out.contains("task-cancelled"), "{}", ran.out);
    assert_eq!(messages(&ran.err).last().unwrap()["code"], 130);
    drop((session, repository));
    assert_eq!(std::fs::read_dir(user.repository().join("locks")).unwrap().count(), 0);
    assert_eq!(snapshots(&user).len(), 0);
    assert_eq!(user.run(["run", "documents"]).code, Some(0), "nothing is in its way");
}

#[test]
fn a_failed_attempt_is_followed_by_another_which_is_announced() {
    let user = user_with("[retry]\nmax_retries = 50\nbase_delay = \"100ms\"\n");
    let locked = lock(&user);
    let mut running = Running::start(&user, "documents", &[]);
    let retry = running.wait_for("task-retry")["retry"].clone();
    assert_eq!((&retry["attempt"], &retry["attempts_max"]), (&2.into(), &51.into()));
    assert!(retry["why"].as_str().unwrap().contains("locked"), "{retry}");
    drop(locked);
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(messages(&ran.out).last().unwrap()["attempts"].as_u64().unwrap() >= 2, "{}", ran.out);
}

#[test]
fn attempts_that_all_fail_end_with_the_last_one_s_code_and_say_when_the_next_came() {
    let user = user_with("");
    let _locked = lock(&user);
    let mut command = user.command(["run", "documents"]);
    command.env("KEEPWELL__RETRY__BASE_DELAY", "100ms").env("KEEPWELL__RETRY__MAX_RETRIES", "1");
    let ran = ended(command);
    assert_eq!(ran.code, Some(11), "{}", ran.err);
    assert!(ran.err.contains("attempt 1 of 2 failed: the repository is locked"), "{}", ran.err);
    assert!(ran.err.contains("the next begins at "), "{}", ran.err);
    assert!(ran.err.contains("keepwell unlock"), "{}", ran.err);
}

#[test]
fn a_second_process_on_the_same_data_folder_is_told_so() {
    let user = user_with("");
    let locked = lock(&user);
    let mut running = Running::start(&user, "documents", &["--retry-lock", "10m"]);
    running.wait_until_running();
    let second = user.run(["run", "documents"]);
    assert_eq!(second.code, Some(1), "{}", second.err);
    assert!(second.err.contains("in use by process"), "{}", second.err);
    assert!(second.err.contains("hint: a daemon or another `keepwell run`"), "{}", second.err);
    drop(locked);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_killed_run_is_gone_on_with_and_only_by_a_run_of_the_same_item() {
    let user = user_with("[items.other]\npaths = [\"~/data/folder\"]\n[retry]\nbase_delay = \"100ms\"\n");
    let locked = lock(&user);
    let mut running = Running::start(&user, "documents", &["--retry-lock", "10m"]);
    running.wait_until_running();
    running.kill();
    drop(locked);
    assert_eq!(user.run(["run", "other"]).code, Some(0));
    let paths: Vec<Value> = snapshots(&user).into_iter().map(|snapshot| snapshot["paths"].clone()).collect();
    assert_eq!(paths, [serde_json::json!([user.path("data/folder")])], "the other item's task stays asleep");
    let ran = user.run(["run", "documents"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("had been interrupted; it goes on"), "{}", ran.err);
    assert!(ran.out.contains("2 attempts"), "{}", ran.out);
    assert_eq!(snapshots(&user).len(), 2);
}

#[test]
fn a_damaged_journal_is_moved_aside_and_told_of() {
    let user = user_with("");
    assert_eq!(user.run(["run", "documents"]).code, Some(0));
    let journal = user.path(".local/share/keepwell/journal/journal.sqlite");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", journal.display()));
    }
    std::fs::write(&journal, [0x55; 8192]).unwrap();
    let ran = user.run(["run", "documents"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("the journal was damaged") && ran.err.contains("moved to"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "told once: {}", ran.err);
}

/// Does something with the user's journal, as another process does that has items of its own in its file.
fn with_journal(user: &User, items: Vec<Item>, act: impl AsyncFnOnce(&Handle)) {
    let address = RepositoryAddress {
        location: Location::folder(user.repository()),
        settings: StoreSettings::default(),
        password: Arc::new(|| Ok(PASSWORD.to_owned().into())),
    };
    let places = Places::new(Arc::new(SystemClock), "test").repository("cellar", address);
    let runner = Arc::new(EngineRunner::new(Engine::new(RepositoryOptions::default()), places));
    let journal = user.path(".local/share/keepwell/journal");
    let settings = Settings { items, ..Settings::new(journal, runner) };
    actix_rt::System::new().block_on(async {
        let handle = Keepwell::start(settings).await.unwrap();
        act(&handle).await;
        handle.shutdown().await;
    });
}

fn item_of(user: &User, name: &str) -> Item {
    let paths = vec![user.path("data").to_str().unwrap().to_owned()];
    Item {
        id: name.into(),
        source: ItemSource::Files(FilesItem { paths, excludes: Vec::new() }),
        repository: "cellar".into(),
        schedule: None,
        enabled: true,
        tags: Vec::new(),
    }
}

#[test]
fn items_of_the_journal_are_backed_up_too_but_none_that_a_configuration_had_once() {
    let user = user_with("");
    with_journal(&user, vec![item_of(&user, "once")], async |handle| {
        handle.ask(SetItem { item: item_of(&user, "by-command") }).await.unwrap();
    });
    let ran = user.run(["run", "by-command"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for (name, said) in [("once", "there is no item once"), ("by-comand", "did you mean by-command?")] {
        let ran = user.run(["run", name]);
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.err);
        assert!(ran.err.contains(said), "{name}: {}", ran.err);
    }
    assert_eq!(snapshots(&user).len(), 1);
}

#[test]
fn while_everything_is_paused_nothing_starts_and_that_is_said() {
    let user = user_with("");
    with_journal(&user, Vec::new(), async |handle| {
        handle.ask(PauseAllBackups {}).await.unwrap();
    });
    let ran = user.run(["run", "documents"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("everything is paused"), "{}", ran.err);
    with_journal(&user, Vec::new(), async |handle| {
        handle.ask(ResumeAllBackups {}).await.unwrap();
    });
    assert_eq!(user.run(["run", "documents"]).code, Some(0));
}

#[test]
fn an_item_may_have_retries_of_its_own() {
    let user = user_with(
        "[items.gone]\npaths = [\"~/nowhere\"]\n[items.gone.retry]\nmax_retries = 1\nbase_delay = \"10ms\"\n",
    );
    let ran = user.run(["run", "gone", "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let retries: Vec<Value> =
        messages(&ran.out).into_iter().filter(|told| !told["event"]["task-retry"].is_null()).collect();
    assert_eq!(retries.len(), 1, "{}", ran.out);
    let retry = &retries[0]["event"]["task-retry"]["retry"];
    assert_eq!((&retry["attempt"], &retry["attempts_max"]), (&2.into(), &2.into()), "{retry}");
}
