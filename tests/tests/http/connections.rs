//! What the HTTP door does with connections: those that are closed, those that take nothing, and very many.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::far_repository::FarRepository;
use keepwell_tests::running::wait_for;
use reqwest::Method;
use serde_json::json;

/// Questions and downloads that somebody waits for.
const QUESTIONS: &str = "keepwell_repository_questions";

/// Asks for something with the token, and leaves the answer to whoever reads the connection.
fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    let (token, length) = (&daemon.token, body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[tokio::test]
async fn a_connection_that_is_closed_ends_its_question() {
    let home = DaemonHome::new();
    let far = FarRepository::make(&home);
    home.configure(&far.configuration(&home));
    let daemon = home.start();
    far.stall();
    for (method, path, body) in [
        ("POST", "/api/v1/commands/get-snapshots", r#"{"repository":"far","after":null,"limit":1}"#),
        ("GET", "/api/v1/repositories/far/snapshots/latest/file?path=/a", ""),
    ] {
        let stream = ask(&daemon, method, path, body);
        daemon.wait_for_metric(QUESTIONS, 1.0).await;
        drop(stream);
        daemon.wait_for_metric(QUESTIONS, 0.0).await;
        let stream = ask(&daemon, method, path, body);
        daemon.wait_for_metric(QUESTIONS, 1.0).await;
        stream.shutdown(Shutdown::Write).unwrap();
        daemon.wait_for_metric(QUESTIONS, 0.0).await;
    }
}

/// A daemon of a shell that said this of open files.
fn start_after(home: &DaemonHome, ulimit: &str) -> Daemon {
    let serve = home.command("serve");
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &format!("{ulimit}; exec \"$0\" \"$@\"")]);
    command.arg(serve.get_program()).args(serve.get_args()).args(["--listen", "127.0.0.1:0"]).env_clear();
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    home.start_as(command)
}

#[tokio::test]
async fn as_many_files_are_open_as_are_allowed_to_who_asks_for_them() {
    let home = DaemonHome::new();
    let daemon = start_after(&home, "ulimit -Sn 300; ulimit -Hn 2000");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.running.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("2000"), "{files}");
}

#[tokio::test]
async fn strangers_cannot_take_the_files_that_a_backup_needs() {
    const FILES_MAX: usize = 200;
    let home = DaemonHome::new();
    home.configure("[items.host]\npaths = [\"/etc/hostname\"]\n");
    let daemon = start_after(&home, &format!("ulimit -n {FILES_MAX}"));
    // This connection stays open, so that it has a place.
    daemon.done("get-items", &json!({})).await;
    let strangers: Vec<TcpStream> =
        (0..FILES_MAX).map(|_| TcpStream::connect(daemon.address()).unwrap()).collect();
    let open = format!("/proc/{}/fd", daemon.running.id());
    let count = || std::fs::read_dir(&open).unwrap().count();
    // The first hundred are taken in, the others wait in the system's queue.
    wait_for("strangers that are taken in", || (count() > FILES_MAX / 2).then_some(()));
    let task = daemon.done("perform-backup", &json!({"item": "host"})).await["task"].clone();
    let ended = daemon.wait_for_task(task.as_str().unwrap(), |now| !now["end"].is_null()).await;
    assert_eq!(ended["state"], "completed", "{ended}");
    drop(strangers);
}

#[tokio::test]
async fn a_stranger_s_login_is_read_as_far_as_a_token_is_long() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let body = |padding: usize| format!("{{\"token\":\"{}\"{}}}", daemon.token, " ".repeat(padding));
    for (padding, expected) in [(0, 204), (3 << 10, 204), (4 << 10, 413), (512 << 10, 413)] {
        let login = daemon.stranger(Method::POST, "/login").body(body(padding)).send().await;
        // It may hang up before it has all.
        let status = login.map_or(413, |answer| answer.status().as_u16());
        assert_eq!(status, expected, "{padding} blanks");
    }
}
