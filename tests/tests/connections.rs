//! What the HTTP door does with connections: those that are closed, those that take nothing, and very many.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::far_repository::FarRepository;

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
