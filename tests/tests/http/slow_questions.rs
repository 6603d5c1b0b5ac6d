//! A repository that does not answer, and forty questions to it at once: over no door do commands wait behind them.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use keepwell_tests::broker_scene::NODE;
use keepwell_tests::daemon::DaemonHome;
use keepwell_tests::far_repository::FarRepository;
use keepwell_tests::servers::nats::{Entry, Nats};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// More than may be carried out at once on one connection.
const QUESTIONS: usize = 40;
/// An answer to what waits for nothing, on a machine that is busy with other tests. The store answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home with the repository `far`, and the way to its store.
fn far_home(more: &str) -> (DaemonHome, FarRepository) {
    let home = DaemonHome::new();
    let far = FarRepository::make(&home);
    home.configure(&format!("{}{more}", far.configuration(&home)));
    (home, far)
}

fn question() -> Value {
    json!({"repository": "far", "after": null, "limit": 1})
}

#[tokio::test]
async fn over_a_websocket_a_command_does_not_wait_behind_questions() {
    let (home, far) = far_home("");
    let daemon = home.start();
    far.stall();
    let mut request = format!("ws://{}/api/v1/ws", daemon.address()).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", daemon.token).parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    for number in 0..QUESTIONS {
        let asked = json!({"id": number.to_string(), "command": {"get-snapshots": question()}});
        socket.send(Message::text(asked.to_string())).await.unwrap();
    }
    let asked = json!({"id": "pause", "command": {"pause-all-backups": {}}});
    socket.send(Message::text(asked.to_string())).await.unwrap();
    let told = timeout(PATIENCE, async {
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                let told: Value = serde_json::from_str(&text).unwrap();
                if !told["id"].is_null() {
                    return told;
                }
            }
        }
    });
    let told = told.await.expect("the command is answered, whatever is asked beside it");
    assert_eq!((&told["id"], &told["error"]), (&json!("pause"), &Value::Null), "{told}");
    // Who hangs up does not leave his questions behind.
    daemon.wait_for_metric("keepwell_repository_questions", 32.0).await;
    drop(socket);
    daemon.wait_for_metric("keepwell_repository_questions", 0.0).await;
}

#[tokio::test]
async fn over_the_broker_a_command_does_not_wait_behind_questions() {
    // It says itself if there is no broker.
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let (home, far) = far_home(&format!("[broker]\nurl = {:?}\nnode = {NODE:?}\n", nats.url()));
    let daemon = home.start();
    let client = nats.client().await;
    let subject = |name: &str| format!("keepwell.{NODE}.command.{name}");
    let started = Instant::now();
    while let Err(error) = client.request(subject("get-items"), "".into()).await {
        assert!(started.elapsed() < PATIENCE, "the door does not open: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    far.stall();
    for _ in 0..QUESTIONS {
        let inbox = client.new_inbox();
        let asked = question().to_string().into();
        client.publish_with_reply(subject("get-snapshots"), inbox, asked).await.unwrap();
    }
    daemon.wait_for_metric("keepwell_repository_questions", 32.0).await;
    let answer = timeout(PATIENCE, client.request(subject("pause-all-backups"), "{}".into())).await;
    let answer = answer.expect("it is answered").unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer["ok"].is_object(), "{answer}");
}
