//! Every command and every event by its name, through every door: the same cases are run through each of them, on
//! a daemon of its own, and replies, refusals and events are compared.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use keepwell_messages::{BackupProgress, Command};
use keepwell_tests::alike::Alike;
use keepwell_tests::broker_scene::{NODE, events_of};
use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::programs::transcript;
use keepwell_tests::running::{Running, wait_for};
use keepwell_tests::servers::nats::{Entry, Nats};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A way in and out.
enum Door {
    Http,
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>, Vec<Value>),
    CommandLine(Running),
    Broker(async_nats::Client, Box<async_nats::Subscriber>),
}

/// What came of a command: the reply's fields, or what was said and what to do.
#[derive(Clone, Debug, PartialEq)]
enum Came {
    Reply(Value),
    Refused(Value, Value),
}

impl Door {
    fn name(&self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Socket(..) => "WebSocket",
            Self::CommandLine(_) => "command line",
            Self::Broker(..) => "broker",
        }
    }

    async fn ask(&mut self, home: &DaemonHome, daemon: &Daemon, name: &str, fields: &Value) -> Came {
        match self {
            Self::Http => {
                let (status, answer) = daemon.ask(name, fields).await;
                if status == 200 { Came::Reply(answer) } else { refused(&answer["error"]) }
            }
            Self::Socket(socket, heard) => {
                let asked = json!({"id": "7", "command": {name: fields}});
                socket.send(Message::text(asked.to_string())).await.unwrap();
                loop {
                    let told = next_of(socket).await;
                    if told["id"] != "7" {
                        heard.push(told);
                    } else if told["error"].is_null() {
                        return Came::Reply(told["reply"][name].clone());
                    } else {
                        return refused(&told["error"]);
                    }
                }
            }
            Self::CommandLine(_) => {
                let mut command = home.command("command");
                command.args(["--json", name, &fields.to_string()]);
                let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
                if output.status.success() {
                    return Came::Reply(serde_json::from_slice(&output.stdout).unwrap());
                }
                let last = String::from_utf8(output.stderr.clone()).unwrap();
                let last = last.lines().last().unwrap_or_else(|| panic!("{}", transcript(&output)));
                refused(&serde_json::from_str(last).unwrap())
            }
            Self::Broker(client, _) => {
                let subject = format!("keepwell.{NODE}.command.{name}");
                let answer = client.request(subject, fields.to_string().into()).await.unwrap();
                let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                if answer["error"].is_null() {
                    Came::Reply(answer["ok"].clone())
                } else {
                    refused(&answer["error"])
                }
            }
        }
    }

    /// All durable events, and whether there was progress.
    async fn events(self, daemon: &Daemon, last: u64) -> (Vec<Value>, bool) {
        match self {
            Self::Http => {
                let path = "/api/v1/events?after=0";
                let stream = daemon.request(Method::GET, path).send().await.unwrap().bytes_stream();
                let mut stream = Box::pin(stream);
                let (mut text, mut events) = (String::new(), Vec::new());
                while events.last().is_none_or(|event: &Value| event["number"] != last) {
                    text += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
                    while let Some((frame, rest)) = text.split_once("\n\n") {
                        if let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data: ")) {
                            let event: Value = serde_json::from_str(data).unwrap();
                            let name = frame.lines().find_map(|line| line.strip_prefix("event: ")).unwrap();
                            assert!(event["event"].get(name).is_some(), "{frame}");
                            assert!(frame.contains(&format!("id: {}\n", event["number"])), "{frame}");
                            events.push(event);
                        }
                        text = rest.to_owned();
                    }
                }
                // Progress is the latest only: this listener came when all was over.
                (events, true)
            }
            Self::Socket(mut socket, mut heard) => {
                while !heard.iter().any(|told| told["event"]["number"] == last) {
                    heard.push(next_of(&mut socket).await);
                }
                let is_progress = heard.iter().any(|told| told["progress"]["message"].is_string());
                let events = heard.iter().map(|told| told["event"].clone());
                (events.filter(|event| !event.is_null()).collect(), is_progress)
            }
            Self::CommandLine(watch) => {
                let lines = || -> Vec<Value> {
                    let text = watch.stdout();
                    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
                    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
                };
                wait_for("the last event", || {
                    lines().iter().any(|line| line["number"] == last).then_some(())
                });
                let is_progress = lines().iter().any(|line| line["message_type"] == "backup_progress");
                let events = lines().into_iter().filter(|line| line["message_type"] == "event");
                (events.collect(), is_progress)
            }
            Self::Broker(client, mut progress) => {
                let started = std::time::Instant::now();
                let told = loop {
                    assert!(started.elapsed() < Duration::from_secs(60), "event {last} is not told");
                    let told = events_of(&client).await;
                    if told.last().is_some_and(|event| event.number == last) {
                        break told;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
                let told = told.iter().map(|event| serde_json::to_value(event).unwrap());
                let told = told.collect();
                let patience = Duration::from_secs(10);
                (told, tokio::time::timeout(patience, progress.next()).await.is_ok_and(|told| told.is_some()))
            }
        }
    }
}

fn refused(error: &Value) -> Came {
    assert!(error["message"].is_string(), "{error}");
    Came::Refused(error["message"].clone(), error.get("hint").cloned().unwrap_or(Value::Null))
}

async fn next_of(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    loop {
        let message =
            tokio::time::timeout(Duration::from_secs(60), socket.next()).await.expect("something is told");
        if let Message::Text(text) = message.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// What is waited for before the next command.
#[derive(Clone, Copy)]
enum Then {
    GoOn,
    Running,
    Ended,
}

/// One command; `TASK` in its fields is the task that was made.
fn cases() -> Vec<(&'static str, Value, Then)> {
    use Then::{Ended, GoOn, Running};
    let item = json!({"id": "mine", "source": {"files": {"paths": ["/etc/hostname"], "excludes": ["*.tmp"]}},
                      "repository": "main", "schedule": {"spec": "daily 02:00", "time_zone": "UTC", "jitter_seconds": null},
                      "enabled": true, "tags": ["a"]});
    let mut wrong = item.clone();
    wrong["schedule"]["spec"] = json!("whenever");
    let restore = |target: &str| {
        json!({"restore": {"repository": "main", "snapshot": "latest", "path": "", "target": {"folder": target},
                           "verify": true}})
    };
    let schedule = json!({"spec": "weekly sun 03:30", "time_zone": "Europe/Berlin", "jitter_seconds": null});
    let page = |more: Value| {
        let mut fields = json!({"repository": "main", "limit": 10});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    vec![
        ("get-setup", json!({}), GoOn),
        ("get-task-manager-stats", json!({}), GoOn),
        ("get-active-tasks", json!({}), GoOn),
        ("pause-backup", json!({}), GoOn),
        ("perform-backup", json!({"item": "no such item"}), GoOn),
        ("perform-firebird-backup", json!({"item": "slow"}), GoOn),
        ("perform-backup", json!({"item": "slow"}), Running),
        ("perform-backup", json!({"item": "slow"}), GoOn),
        ("get-active-tasks", json!({}), GoOn),
        ("get-task", json!({"task": "TASK"}), GoOn),
        ("pause-backup", json!({}), GoOn),
        ("pause-backup", json!({"task": "TASK"}), GoOn),
        ("resume-backup", json!({}), Running),
        ("pause-all-backups", json!({}), GoOn),
        ("get-task-manager-stats", json!({}), GoOn),
        ("get-item-explanation", json!({"item": "slow"}), GoOn),
        ("resume-all-backups", json!({}), Running),
        ("cancel-task", json!({"task": "TASK"}), Ended),
        ("cancel-task", json!({"task": "TASK"}), GoOn),
        ("get-history", json!({"item": "slow", "limit": 10}), GoOn),
        ("set-max-concurrent-tasks", json!({"max_concurrent_tasks": 2}), GoOn),
        ("set-max-concurrent-tasks", json!({"max_concurrent_tasks": 0}), GoOn),
        ("set-item", json!({"item": item}), GoOn),
        ("set-item", json!({"item": wrong}), GoOn),
        ("enable-item", json!({"item": "mine", "enabled": false}), GoOn),
        ("get-items", json!({}), GoOn),
        ("perform-backup", json!({"item": "mine"}), Ended),
        ("get-snapshots", page(json!({"after": null})), GoOn),
        ("get-folder", page(json!({"snapshot": "latest", "path": "/etc", "after": null})), GoOn),
        ("get-matching-entries", page(json!({"snapshots": ["latest"], "pattern": "host*"})), GoOn),
        ("get-differences", page(json!({"older": "latest", "newer": "latest"})), GoOn),
        ("get-folder", page(json!({"snapshot": "ffff", "path": "/", "after": null})), GoOn),
        ("perform-restore", restore("/nowhere"), GoOn),
        ("get-schedule-outcomes", json!({"item": "mine", "limit": 10}), GoOn),
        ("get-due-times", json!({"schedule": schedule, "after": "2026-03-28T00:00:00Z", "limit": 3}), GoOn),
        ("remove-item", json!({"item": "mine"}), GoOn),
        ("remove-item", json!({"item": "slow"}), GoOn),
        ("get-events", json!({"after": 0, "limit": 3}), GoOn),
        ("get-events", json!({"after": 0, "limt": 3}), GoOn),
    ]
}

#[test]
fn the_cases_are_about_every_command() {
    for name in Command::NAMES {
        assert!(cases().iter().any(|(case, ..)| case == name), "no case for {name}");
    }
}

#[tokio::test]
async fn every_door_gives_the_same_replies_and_events() {
    let through_http = play("", |_, _| Box::pin(async { Door::Http })).await;
    let through_socket = play("", |_, daemon| {
        let mut request =
            format!("ws://{}/api/v1/ws?after=0", daemon.address()).into_client_request().unwrap();
        let token = format!("Bearer {}", daemon.token);
        request.headers_mut().insert("authorization", token.parse().unwrap());
        Box::pin(async {
            let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
            Door::Socket(Box::new(socket), Vec::new())
        })
    });
    compare(&through_http, &through_socket.await);
    let through_command_line = play("", |home, _| {
        let mut command = home.command("watch");
        command.args(["--json", "--after", "0"]);
        Box::pin(async { Door::CommandLine(Running::start(command)) })
    });
    compare(&through_http, &through_command_line.await);
    // It says itself if there is no broker.
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let settings = format!("[broker]\nurl = {:?}\nnode = {NODE:?}\n", nats.url());
    let client = nats.client().await;
    let progress = client.subscribe(format!("keepwell.{NODE}.backup-progress")).await.unwrap();
    let through_broker = play(&settings, |_, _| {
        Box::pin(async move {
            wait_until_served(&client).await;
            Door::Broker(client, Box::new(progress))
        })
    });
    compare(&through_http, &through_broker.await);
}

/// The door opens by itself, a little after the daemon serves.
async fn wait_until_served(client: &async_nats::Client) {
    let subject = format!("keepwell.{NODE}.command.get-task-manager-stats");
    let started = std::time::Instant::now();
    while let Err(error) = client.request(subject.clone(), "".into()).await {
        assert!(started.elapsed() < Duration::from_secs(60), "the door does not open: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What came of each case, and all events, with what differs from run to run named alike.
struct Played {
    door: &'static str,
    came: Vec<(&'static str, Came)>,
    events: Vec<Value>,
}

fn compare(one: &Played, other: &Played) {
    for (one_came, other_came) in one.came.iter().zip(&other.came) {
        assert_eq!(one_came, other_came, "{} and {}", one.door, other.door);
    }
    assert_eq!(one.came.len(), other.came.len());
    assert_eq!(one.events, other.events, "{} and {}", one.door, other.door);
}

type Opening = std::pin::Pin<Box<dyn Future<Output = Door>>>;

async fn play(more: &str, open: impl FnOnce(&DaemonHome, &Daemon) -> Opening) -> Played {
    let home = DaemonHome::new();
    let source = home.slow_source("drip", &home.path("enough"));
    home.configure(&format!("{source}[items.slow]\nsource = \"drip\"\n{more}"));
    let daemon = home.start();
    let mut door = open(&home, &daemon).await;
    let name = door.name();
    let (mut alike, mut came) = (Alike::new(&home), Vec::new());
    let mut task = String::new();
    for (command, fields, then) in cases() {
        let fields: Value = serde_json::from_str(&fields.to_string().replace("TASK", &task)).unwrap();
        let answer = door.ask(&home, &daemon, command, &fields).await;
        if let Came::Reply(reply) = &answer
            && command.starts_with("perform-")
        {
            task = reply["task"].as_str().unwrap().to_owned();
        }
        match then {
            Then::GoOn => {}
            Then::Running => {
                let works = |now: &Value| {
                    now["state"] == "running" && now["progress"]["bytes_done"].as_u64() > Some(0)
                };
                daemon.wait_for_task(&task, works).await;
            }
            Then::Ended => {
                daemon.wait_for_task(&task, |now| !now["end"].is_null()).await;
            }
        }
        came.push((
            command,
            match answer {
                Came::Reply(reply) => Came::Reply(alike.of(&reply)),
                Came::Refused(message, hint) => Came::Refused(alike.of(&message), alike.of(&hint)),
            },
        ));
    }
    let last = daemon.events_after(0).await.last().unwrap()["number"].as_u64().unwrap();
    let (events, is_progress) = door.events(&daemon, last).await;
    assert!(is_progress, "no {} through {name}", BackupProgress::NAME);
    let mut numbers = events.iter().map(|event| event["number"].as_u64().unwrap());
    assert!((1..=last).eq(numbers.by_ref().take(usize::try_from(last).unwrap())), "a gap through {name}");
    let events = events.into_iter().map(|mut event| {
        event.as_object_mut().unwrap().remove("message_type");
        alike.of(&event)
    });
    Played { door: name, came, events: events.collect() }
}
