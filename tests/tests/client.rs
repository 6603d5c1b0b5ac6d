//! The command line as a client: whom it asks and whom not, and what becomes of it while the daemon ends and comes again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use keepwell_messages::{BackedUp, Event, GlobalPause, NumberedEvent, TaskEnd, TaskEnded, TaskId};
use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::programs::transcript;
use keepwell_tests::running::{Running, wait_for};
use keepwell_tests::servers::http::{Answer, HttpServer, Request};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn the_token_is_not_sent_to_whoever_has_the_port_of_a_daemon_that_was_killed() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let address = daemon.address().to_owned();
    let asks = |verb: &str| home.command(verb).output().unwrap().status.success();
    assert!(asks("pause-all"));
    let mut watch = home.command("watch");
    watch.args(["--json", "--after", "0"]);
    let watch = Running::start(watch);
    wait_for("the first event", || watch.stdout().contains("\"paused\":true").then_some(()));
    daemon.kill();
    assert!(home.path("data/daemon.json").exists(), "it is left behind");
    let stranger = TcpListener::bind(address).unwrap();
    stranger.set_nonblocking(true).unwrap();
    for verb in ["status", "tasks", "resume-all"] {
        let told = transcript(&home.command(verb).output().unwrap());
        assert!(told.contains("no daemon serves") && told.contains("keepwell serve"), "{verb}: {told}");
    }
    // What was under way looks for it too.
    wait_for("a look", || watch.stderr().contains("the daemon has gone").then_some(()));
    let _daemon = home.start();
    assert!(asks("resume-all"), "the daemon is found at its new port");
    wait_for("an event of it", || watch.stdout().contains("\"paused\":false").then_some(()));
    assert_eq!(stranger.accept().map(drop).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn whether_the_daemons_address_is_safe_is_told_to_the_daemon_and_to_who_checks_and_not_to_its_clients() {
    let home = DaemonHome::new();
    home.configure("[daemon]\nlisten = \"0.0.0.0:8377\"\n[items.a]\npaths = [\"/etc/hostname\"]\n");
    let told = transcript(&home.command("status").output().unwrap());
    assert!(told.contains("no daemon serves"), "{told}");
    let ran = home.command("run").arg("a").output().unwrap();
    assert!(ran.status.success(), "{}", transcript(&ran));
    let mut check = keepwell_tests::programs::keepwell().command(&home.path("repository"));
    let checked = check.args(["config", "check", "--config"]).arg(home.configuration()).output().unwrap();
    let told = transcript(&checked);
    assert!(!checked.status.success() && told.contains("daemon.listen"), "{told}");
}

/// A daemon with TLS whose certificate names only this host.
fn start_with_certificate_of(home: &DaemonHome, host: &str, more: &str) -> Daemon {
    let made = rcgen::generate_simple_self_signed(vec![host.into()]).unwrap();
    std::fs::write(home.path("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let path = |name: &str| home.path(name).display().to_string();
    home.configure(&format!(
        "[daemon]\ntls_certificate = {:?}\ntls_key = {:?}\n{more}",
        path("certificate.pem"),
        path("key.pem")
    ));
    home.start()
}

#[test]
fn the_daemons_own_certificate_is_trusted_whatever_host_it_names_and_no_other_is() {
    let home = DaemonHome::new();
    std::fs::write(home.path("restored/a"), "a").unwrap();
    let folder = home.path("restored").display().to_string();
    let daemon =
        start_with_certificate_of(&home, "backup.example.org", &format!("[items.a]\npaths = [{folder:?}]\n"));
    assert!(daemon.url.starts_with("https://127.0.0.1:"), "{}", daemon.url);
    let status = home.command("status").output().unwrap();
    assert!(status.status.success(), "{}", transcript(&status));
    // The daemon is asked; beside it, `run` would fail at the journal.
    let run = home.command("run").arg("a").output().unwrap();
    assert!(run.status.success(), "{}", transcript(&run));
    let announced = home.path("data/daemon.json");
    let mut told: Value = serde_json::from_slice(&std::fs::read(&announced).unwrap()).unwrap();
    assert_eq!(told["certificate_sha256"][0].as_str().map(str::len), Some(64), "{told}");
    told["certificate_sha256"] = json!(["00".repeat(32)]);
    std::fs::write(&announced, told.to_string()).unwrap();
    for words in [["status"].as_slice(), &["run", "a"]] {
        let refused = home.command(words[0]).args(&words[1..]).output().unwrap();
        let told = transcript(&refused);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("another certificate") && told.contains("nothing was sent"), "{told}");
    }
    let other = home.path("certificate.pem").display().to_string();
    let by_authority = transcript(&home.command("status").args(["--ca-file", &other]).output().unwrap());
    assert!(by_authority.contains("certificate") && !by_authority.contains("another"), "{by_authority}");
}

#[test]
fn a_backup_that_the_daemon_ended_when_it_was_shut_down_is_no_interrupt() {
    let home = DaemonHome::new();
    let source = home.slow_source("drip", &home.path("enough"));
    home.configure(&format!("{source}[items.slow]\nsource = \"drip\"\n"));
    let daemon = home.start();
    let mut command = home.command("run");
    command.args(["slow", "--json"]);
    let run = Running::start(command);
    wait_for("progress", || run.stdout().contains("backup_progress").then_some(()));
    assert!(daemon.stop().output.status.success());
    let ended = run.end().output;
    let told = transcript(&ended);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("the daemon was shut down"), "{told}");
}

/// What is told to whoever listens for the first time, the second, and so on; the last again and again.
fn daemon_that_says(
    listeners: Vec<Answer>,
    commands: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> HttpServer {
    let heard = AtomicUsize::new(0);
    HttpServer::start(move |request: Request| match request.path.strip_prefix("api/v1/commands/") {
        Some(name) => commands(name),
        None => {
            let number = heard.fetch_add(1, Ordering::SeqCst);
            let Answer { status, headers, body } = &listeners[number.min(listeners.len() - 1)];
            Answer { status, headers: headers.clone(), body: body.clone() }
        }
    })
}

fn events(events: &[(u64, Event)]) -> Answer {
    let mut body = ": welcome\n\n".to_owned();
    for (number, event) in events {
        let told = NumberedEvent { number: *number, at: chrono::DateTime::UNIX_EPOCH, event: event.clone() };
        let data = serde_json::to_string(&told).unwrap();
        body += &format!("event: {}\nid: {number}\ndata: {data}\n\n", event.name());
    }
    let headers = "Content-Type: text/event-stream\r\n".into();
    Answer { status: "200 OK", headers, body: body.into() }
}

fn shutting_down(code: &str) -> Answer {
    let body = json!({"error": {"code": code, "message": "it is being shut down", "hint": null}}).to_string();
    Answer { status: "503 Service Unavailable", headers: String::new(), body: body.into() }
}

fn reply(fields: &Value) -> Answer {
    Answer { status: "200 OK", headers: String::new(), body: fields.to_string().into() }
}

/// keepwell, told of a daemon at this port.
fn client_of(server: &HttpServer, folder: &tempfile::TempDir, verb: &str) -> Command {
    let token: PathBuf = folder.path().join("token");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&token).unwrap();
    std::io::Write::write_all(&mut &file, &[b'x'; 40]).unwrap();
    let mut command = keepwell_tests::programs::keepwell().command(&folder.path().join("none"));
    command.args([verb, "--json", "--url", &format!("http://127.0.0.1:{}", server.port()), "--token-file"]);
    command.arg(token);
    command
}

#[test]
fn watch_outlives_a_daemon_that_says_that_it_ends() {
    let paused = |paused| Event::GlobalPause(GlobalPause { paused });
    let heard = vec![
        events(&[(7, paused(true))]),
        shutting_down("shutting-down"),
        shutting_down("unavailable"),
        events(&[(8, paused(false))]),
    ];
    let asked = AtomicUsize::new(0);
    let server = daemon_that_says(heard, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => reply(&json!({"tasks": []})),
        _ => shutting_down("shutting-down"),
    });
    let folder = tempfile::tempdir().unwrap();
    let watch = Running::start(client_of(&server, &folder, "watch"));
    wait_for("the event after the restart", || {
        assert!(!watch.has_ended(), "{}", watch.stderr());
        watch.stdout().contains("\"number\":8").then_some(())
    });
    watch.signal(Signal::INT);
    assert!(watch.end().output.status.success());
}

#[test]
fn run_outlives_a_daemon_that_says_that_it_ends() {
    let task = TaskId(uuid::Uuid::now_v7());
    let backed_up =
        BackedUp { snapshot: "ab".repeat(32), files: 1, bytes: 2, bytes_new: 2, bytes_stored: 2, errors: 0 };
    let end = Event::TaskCompleted(TaskEnded { task, end: TaskEnd::BackedUp(backed_up) });
    let heard =
        vec![events(&[]), shutting_down("shutting-down"), shutting_down("unavailable"), events(&[(9, end)])];
    let server = daemon_that_says(heard, move |name| match name {
        "perform-backup" => reply(&json!({"task": task})),
        _ => shutting_down("shutting-down"),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut run = client_of(&server, &folder, "run");
    run.arg("papers");
    let ended = Running::start(run).end().output;
    let told = transcript(&ended);
    assert!(ended.status.success() && told.contains("\"message_type\":\"summary\""), "{told}");
}
