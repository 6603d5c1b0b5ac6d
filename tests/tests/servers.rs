//! The servers of the suites themselves: none outlives the test that started it, and two that are started at once
//! do not meet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use keepwell_tests::programs::say;
use keepwell_tests::running::wait_for;
use keepwell_tests::servers::Server;
use keepwell_tests::servers::rclone::Rclone;
use keepwell_tests::servers::seaweedfs::SeaweedFs;

const INSIDE: &str = "KEEPWELL_TEST_HOLDS_A_SERVER";
const NAME: &str = "a_server_is_gone_when_its_tests_process_is_killed";

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_server_is_gone_when_its_tests_process_is_killed() {
    let is_inside = std::env::var_os(INSIDE).is_some();
    let Some(server) = Rclone::start() else { return };
    if is_inside {
        say(&format!("port {}", server.port()));
        // Until it is killed.
        loop {
            std::thread::park();
        }
    }
    drop(server);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.into_iter().find_map(|line| line.strip_prefix("port ")?.parse().ok());
    child.kill().unwrap();
    let port = told.expect("it tells its port");
    child.wait().unwrap();
    wait_for("the end of the server", || (!answers(port)).then_some(()));
}

#[test]
fn servers_that_are_dropped_are_gone_at_once_even_if_the_test_panics() {
    let Some(first) = Rclone::start() else { return };
    let second = Rclone::start().unwrap();
    assert_ne!(first.port(), second.port());
    let port = second.port();
    let panicked = std::thread::spawn(move || {
        assert!(!answers(second.port()), "as intended: it answers");
    });
    assert!(panicked.join().is_err());
    assert!(!answers(port));
    assert!(answers(first.port()), "the other one goes on");
    let port = first.port();
    drop(first);
    assert!(!answers(port));
}

#[test]
fn seaweedfs_leaves_no_sockets_behind() {
    let Some(server) = SeaweedFs::start() else { return };
    let block = server.port() - 6..server.port() + 10;
    drop(server);
    for entry in std::fs::read_dir("/tmp").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap_or_default();
        let port = name
            .strip_prefix("seaweedfs-")
            .and_then(|rest| rest.strip_suffix(".sock")?.rsplit_once('-')?.1.parse::<u16>().ok());
        assert!(!port.is_some_and(|port| block.contains(&port)), "{name}");
    }
}
