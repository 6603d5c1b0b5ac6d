//! What listeners hear who begin at a number: those who bring one of another journal are told so, through every door, and
//! hear what happens from then on.

use std::time::Duration;

use futures::StreamExt;
use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::running::{Running, wait_for};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// No journal of these tests comes so far.
const FAR_AHEAD: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the newest event, once there is one: the daemon serves before it has told of its items.
async fn newest(daemon: &Daemon) -> u64 {
    loop {
        if let Some(event) = daemon.events_after(0).await.last() {
            return event["number"].as_u64().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reads server-sent events until a text is among them.
async fn read_until(answer: &mut reqwest::Response, text: &mut String, wanted: &str) {
    while !text.contains(wanted) {
        let chunk = timeout(PATIENCE, answer.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("{wanted:?} is not told, but {text:?}"));
        text.push_str(std::str::from_utf8(&chunk.unwrap().expect("no end")).unwrap());
    }
}

#[tokio::test]
async fn a_number_that_is_yet_to_come_is_another_journals_and_one_is_told_what_happens_from_now_on() {
    let home = DaemonHome::new();
    home.configure("[items.host]\npaths = [\"/etc/hostname\"]\n");
    let daemon = home.start();
    let last = newest(&daemon).await;
    let ahead = format!("/api/v1/events?after={FAR_AHEAD}");
    let asked = daemon.request(Method::GET, &ahead).send().await.unwrap();
    let named = daemon.request(Method::GET, "/api/v1/events").header("last-event-id", FAR_AHEAD);
    let mut streams = [(asked, String::new()), (named.send().await.unwrap(), String::new())];
    for (stream, text) in &mut streams {
        read_until(stream, text, &format!("event: missed\ndata: {{\"after\":{last}}}\n\n")).await;
    }
    let url = format!("ws://{}/api/v1/ws?after={FAR_AHEAD}", daemon.address());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", daemon.token).parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let mut heard = async || -> Value {
        loop {
            let told = timeout(PATIENCE, socket.next()).await.expect("something is told");
            if let Message::Text(text) = told.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    };
    assert_eq!(heard().await, json!({"missed": {"after": last}}));
    let mut watch = home.command("watch");
    watch.args(["--json", "--after", &FAR_AHEAD.to_string()]);
    let watch = Running::start(watch);
    let told = || watch.stdout();
    wait_for("what the command line missed", || told().contains(&format!("\"after\":{last}")).then_some(()));
    daemon.done("pause-all-backups", &json!({})).await;
    let next = last + 1;
    for (stream, text) in &mut streams {
        read_until(stream, text, &format!("id: {next}\n")).await;
    }
    assert_eq!(heard().await["event"]["number"], next);
    wait_for("the next event", || told().contains(&format!("\"number\":{next}")).then_some(()));
    watch.signal(Signal::INT);
    watch.end();
}
