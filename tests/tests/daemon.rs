//! The daemon as a service: signals, a second one, what keeps it from starting, and the command line that asks it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::process::Output;
use std::time::{Duration, Instant};

use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::programs::transcript;
use keepwell_tests::running::{PATIENCE, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A home with the item `slow`, whose source gives bytes until `enough` is there, due `schedule`.
fn slow_home(schedule: &str) -> DaemonHome {
    let home = DaemonHome::new();
    let source = home.slow_source("drip", &home.path("enough"));
    home.configure(&format!("{source}[items.slow]\nsource = \"drip\"\n{schedule}"));
    home
}

async fn running_task(daemon: &Daemon) -> String {
    let task =
        daemon.done("perform-backup", &json!({"item": "slow"})).await["task"].as_str().unwrap().to_owned();
    let now = daemon
        .wait_for_task(&task, |now| {
            now["state"] == "running" && now["progress"]["bytes_done"].as_u64() > Some(0)
        })
        .await;
    // How much a command will print is known at its end.
    assert_eq!(now["progress"]["totals_final"], false, "{now}");
    task
}

#[tokio::test]
async fn sigterm_ends_it_within_ten_seconds_and_the_next_start_catches_up() {
    let home = slow_home("schedule = \"* * * * *\"\n");
    let daemon = home.start();
    // Its due time, not a command, makes the task: only that is made up for.
    let task = loop {
        let tasks = daemon.done("get-active-tasks", &json!({})).await["tasks"].clone();
        if let Some(task) = tasks.as_array().unwrap().first()
            && task["state"] == "running"
        {
            break task.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(task["trigger"]["due"].is_string(), "{task}");
    let asked = Instant::now();
    let ended = daemon.stop();
    let took = asked.elapsed();
    let log = transcript(&ended.output);
    assert!(ended.output.status.success(), "{log}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert!(!home.path("data/daemon.json").exists());
    std::fs::write(home.path("enough"), "").unwrap();
    let daemon = home.start();
    let id = task["id"].as_str().unwrap();
    let before = daemon.done("get-task", &json!({"task": id})).await;
    assert_eq!(before["end"], json!({"cancelled": "shutdown"}), "{before}");
    // What was due is made up for: as missed if a minute has passed, else at its own due time.
    let made_up = wait_until_completed(&daemon).await;
    let due = task["trigger"]["due"].as_str().unwrap();
    let covers = made_up["trigger"]["due"] == due || made_up["trigger"]["catch-up"]["since"] == due;
    assert!(covers, "{made_up} does not stand for {due}");
}

async fn wait_until_completed(daemon: &Daemon) -> Value {
    loop {
        let ended = daemon.done("get-history", &json!({"item": "slow", "limit": 10})).await["tasks"].clone();
        if let Some(task) = ended.as_array().unwrap().iter().rev().find(|task| task["state"] == "completed") {
            return task.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn sighup_reads_the_configuration_again_and_keeps_the_old_one_if_there_is_a_mistake() {
    let home = slow_home("");
    let daemon = home.start();
    let task = running_task(&daemon).await;
    let source = home.slow_source("drip", &home.path("enough"));
    let names = async || -> Vec<String> {
        let items = daemon.done("get-items", &json!({})).await["items"].clone();
        let items = items.as_array().unwrap().iter().filter(|now| now["item"]["enabled"] == true);
        items.map(|now| now["item"]["id"].as_str().unwrap().to_owned()).collect()
    };
    home.configure_with(
        "max_concurrent_tasks = 7",
        &format!("{source}[items.slow]\nsource = \"drip\"\n[items.added]\npaths = [\"/etc/hostname\"]\n"),
    );
    daemon.running.signal(Signal::HUP);
    wait_for("the new configuration", || daemon.running.stderr().contains("was read again").then_some(()));
    assert_eq!(names().await, ["added", "slow"]);
    assert_eq!(daemon.done("get-task-manager-stats", &json!({})).await["max_concurrent_tasks"], 7);
    // Three mistakes, each told with its place; nothing changes.
    home.configure("[items.third]\npath = [\"/etc\"]\n[retry]\nmax_retries = \"many\"\n[items.fourth]\nsource = \"no\"\n");
    daemon.running.signal(Signal::HUP);
    wait_for("the complaint", || daemon.running.stderr().contains("the old one counts").then_some(()));
    let log = daemon.running.stderr();
    for words in ["keepwell.toml:", "did you mean paths?", "max_retries", "items.fourth"] {
        assert!(log.contains(words), "{words:?} is not in {log}");
    }
    assert_eq!(names().await, ["added", "slow"]);
    // One that is gone is disabled, and its task runs on.
    home.configure(
        "[items.added]\npaths = [\"/etc/hostname\"]\n[daemon]\nallowed_hosts = [\"backup.example.org\"]\n",
    );
    daemon.running.signal(Signal::HUP);
    wait_for("the third configuration", || {
        (daemon.running.stderr().matches("was read again").count() == 2).then_some(())
    });
    assert_eq!(names().await, ["added"]);
    assert_eq!(daemon.done("get-task", &json!({"task": task})).await["state"], "running");
    assert!(daemon.running.stderr().contains("[daemon] is another one"), "{}", daemon.running.stderr());
}

#[test]
fn a_log_for_programs_has_no_line_for_people_in_it() {
    let home = DaemonHome::new();
    let daemon = home.start_with(&["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let ended = daemon.stop().output;
    assert!(ended.status.success(), "{}", transcript(&ended));
    let log = String::from_utf8(ended.stderr).unwrap();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line["message"].is_string()), "{line}");
    }
    assert!(log.contains("interrupted: ending cleanly"), "{log}");
}

#[tokio::test]
async fn a_second_daemon_is_told_the_process_of_the_first() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let second = home.command("serve").args(["--listen", "127.0.0.1:0"]).output().unwrap();
    let words = transcript(&second);
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("in use by process {}", daemon.running.id())), "{words}");
    // The first is as it was.
    daemon.done("get-items", &json!({})).await;
    assert!(home.path("data/daemon.json").exists());
}

#[test]
fn what_keeps_it_from_starting_is_told_with_what_to_do() {
    let home = DaemonHome::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let none: &[&str] = &[];
    std::fs::write(home.path("no.pem"), "this is no certificate").unwrap();
    let tls = format!(
        "[daemon]\ntls_certificate = {:?}\ntls_key = {:?}\n",
        home.path("no.pem").display().to_string(),
        home.path("no.pem").display().to_string()
    );
    let off_loopback = "[daemon]\nlisten = \"192.0.2.1:8377\"\n";
    let missing = tls.replace("no.pem", "missing.pem");
    for (more, options, words) in [
        (
            "",
            &["--listen", &*port][..],
            &["cannot listen at", &*port, "choose another port with --listen"][..],
        ),
        ("", &["--listen", "192.0.2.1:8377"], &["--listen 192.0.2.1:8377", "tls_certificate"]),
        ("", &["--listen", "192.0.2.1:8377", "--insecure"], &["no such address", "ip address"]),
        // What is typed counts before what is written is looked at.
        (off_loopback, none, &["keepwell.toml:", "daemon.listen", "insecure = true"]),
        (off_loopback, &["--insecure"], &["192.0.2.1:8377", "no such address"]),
        (off_loopback, &["--listen", &*port], &["cannot listen at", &*port]),
        (&*tls, none, &["the certificate in", "no.pem", "PEM"]),
        (&*missing, none, &["the certificate in", "missing.pem", "PEM"]),
    ] {
        home.configure(more);
        let mut command = home.command("serve");
        if options.is_empty() && more != off_loopback {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let refused = command.args(options).output().unwrap();
        let told = transcript(&refused);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
        assert!(!home.path("data/daemon.json").exists());
    }
}

#[tokio::test]
async fn the_command_line_asks_the_daemon() {
    let home = slow_home("");
    let ask = |verb: &str, more: &[&str]| -> Output { home.command(verb).args(more).output().unwrap() };
    let said = |verb: &str, more: &[&str]| -> String {
        let output = ask(verb, more);
        assert!(output.status.success(), "{verb} {more:?}: {}", transcript(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let absent = transcript(&ask("status", &[]));
    assert!(absent.contains("no daemon serves") && absent.contains("keepwell serve"), "{absent}");
    let daemon = home.start();
    assert!(said("status", &[]).contains("0 of 3 running"));
    assert!(said("items", &[]).contains("slow"));
    assert!(said("tasks", &[]).contains("no task is active"));
    assert!(said("history", &[]).contains("no task has ended yet"));
    let task = running_task(&daemon).await;
    assert!(said("tasks", &[]).contains(&task));
    assert!(said("pause", &["slow"]).contains("is paused"));
    let paused = said("tasks", &["--json"]);
    assert!(paused.contains("\"state\":\"paused\""), "{paused}");
    assert!(said("resume", &[&task[..20]]).contains(&task));
    assert!(said("pause-all", &[]).contains("everything is paused"));
    assert!(said("status", &[]).contains("keepwell resume-all"));
    assert!(said("resume-all", &[]).contains("everything goes on"));
    assert!(said("cancel", &["slow"]).contains(&task));
    let unknown = transcript(&ask("cancel", &["slow"]));
    assert!(unknown.contains("no active task is slow") && unknown.contains("keepwell tasks"), "{unknown}");
    assert!(said("history", &["slow"]).contains("cancelled by a command"));
    std::fs::write(home.path("enough"), "").unwrap();
    let ran = said("run", &["slow", "--json"]);
    assert!(ran.contains("\"message_type\":\"summary\"") && ran.contains("task-created"), "{ran}");
    let reply = said("command", &["get-task-manager-stats"]);
    assert_eq!(serde_json::from_str::<Value>(&reply).unwrap()["completed"], 1);
    let wrong = transcript(&ask("command", &["get-task-manager-stat"]));
    assert!(wrong.contains("did you mean get-task-manager-stats?"), "{wrong}");
}

#[tokio::test]
async fn run_follows_the_daemons_task_and_an_interrupt_cancels_it() {
    let home = slow_home("");
    let daemon = home.start();
    let mut command = home.command("run");
    command.args(["slow", "--json"]);
    let run = keepwell_tests::running::Running::start(command);
    wait_for("progress", || {
        run.stdout()
            .contains("\"bytes_done\":65536")
            .then_some(())
            .or_else(|| run.stdout().contains("backup_progress").then_some(()))
    });
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.output.status.code(), Some(130), "{}", transcript(&ended.output));
    let history = daemon.done("get-history", &json!({"item": null, "limit": 1})).await;
    assert_eq!(history["tasks"][0]["end"], json!({"cancelled": "requested"}), "{history}");
}

#[tokio::test]
async fn watch_tells_events_and_finds_a_daemon_that_was_started_again() {
    let home = slow_home("");
    let daemon = home.start();
    let address = daemon.address().to_owned();
    let mut command = home.command("watch");
    command.args(["--json", "--after", "0"]);
    let watch = keepwell_tests::running::Running::start(command);
    wait_for("the first event", || watch.stdout().contains("item-changed").then_some(()));
    daemon.kill();
    let daemon = home.start_with(&["--listen", &address]);
    daemon.done("pause-all-backups", &json!({})).await;
    wait_for("an event of the second daemon", || watch.stdout().contains("global-pause").then_some(()));
    watch.signal(Signal::INT);
    let told = watch.end();
    let numbers: Vec<u64> = String::from_utf8_lossy(&told.output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["number"].as_u64())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn a_service_manager_is_told_that_it_serves_lives_and_stops() {
    let home = DaemonHome::new();
    let path = home.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = || {
        let mut text = [0; 4096];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let serve = home.command("serve");
    // The watchdog names the process that is to give signs of life, as systemd does.
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    command.args(["--listen", "127.0.0.1:0"]).env_clear();
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let daemon = keepwell_tests::running::Running::start(command);
    let until = |word: &str| while !told().lines().any(|line| line == word) {};
    until("READY=1");
    for _ in 0..3 {
        until("WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    until("STOPPING=1");
    assert!(daemon.end().output.status.success());
}

/// A certificate for loopback, and its key, in these files.
fn write_certificate(home: &DaemonHome) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    std::fs::write(home.path("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

/// What a client is shown, whether it trusts that or not.
async fn shown_certificate(daemon: &Daemon) -> Vec<u8> {
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).tls_info(true).no_proxy();
    // A new connection each time: what counts is what is shown now.
    let answer = client.build().unwrap().get(format!("{}/healthz", daemon.url)).send().await.unwrap();
    answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_shows_a_renewed_one_without_a_restart() {
    let home = DaemonHome::new();
    let first = write_certificate(&home);
    let path = |name: &str| home.path(name).display().to_string();
    home.configure(&format!(
        "[daemon]\ntls_certificate = {:?}\ntls_key = {:?}\n",
        path("certificate.pem"),
        path("key.pem")
    ));
    let daemon = home.start();
    assert!(daemon.url.starts_with("https://"), "{}", daemon.url);
    let status = || home.command("status").output().unwrap();
    assert!(status().status.success(), "{}", transcript(&status()));
    assert!(shown_certificate(&daemon).await == first);
    // One that cannot be read leaves the old one.
    std::fs::write(home.path("certificate.pem"), "half a certif").unwrap();
    daemon.running.signal(Signal::HUP);
    wait_for("the complaint", || {
        daemon.running.stderr().contains("the old certificate is shown").then_some(())
    });
    assert!(shown_certificate(&daemon).await == first);
    let second = write_certificate(&home);
    daemon.running.signal(Signal::HUP);
    let renewed = async {
        while shown_certificate(&daemon).await != second {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the renewed certificate");
    assert!(status().status.success(), "{}", transcript(&status()));
}
