//! The broker door of the real daemon, at a real broker: commands by their names, events as the journal has them,
//! whoever of the two is killed meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use futures::StreamExt;
use keepwell_engine::codec;
use keepwell_messages::{Answer, BackupProgress, Command, GetItems, MESSAGE_VERSION, PerformBackup, Reply};
use keepwell_tests::broker_scene::{
    BrokerScene, GATED, NODE, PHOTOS, STREAM, ask, command, events_of, fields_of, messages_of, until_heard,
};
use keepwell_tests::running::wait_for;
use keepwell_tests::servers::SECRET;
use keepwell_tests::servers::nats::{Entry, Nats, USER};
use keepwell_tests::servers::tls::Authority;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

#[path = "../../messages/tests/samples/mod.rs"]
#[allow(dead_code, reason = "each suite needs its part")]
mod samples;

fn headers(values: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.insert(*name, *value);
    }
    headers
}

async fn text(request: reqwest::RequestBuilder) -> String {
    request.send().await.unwrap().text().await.unwrap()
}

async fn ready(scene: &BrokerScene) -> String {
    text(scene.daemon().stranger(reqwest::Method::GET, "/readyz")).await
}

async fn metrics(scene: &BrokerScene) -> String {
    text(scene.daemon().request(reqwest::Method::GET, "/metrics")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_answered_under_its_name_in_both_encodings() {
    let Some(nats) = Nats::start(Entry::Password) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Password);
    scene.open_gate();
    scene.start();
    let client = nats.client().await;
    until_heard(&client).await;
    let mut carried_out = BTreeSet::new();
    for sample in samples::commands() {
        let name = sample.name();
        let answer = command(&client, name, fields_of(&sample)).await;
        let code = answer["error"]["code"].as_str().unwrap_or("ok");
        assert!(!["bad-body", "unknown-command", "unavailable"].contains(&code), "{name}: {answer}");
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
        let body = codec::encode(MESSAGE_VERSION, &sample).unwrap();
        let answer = ask(&client, name, headers(&[("Keepwell-Encoding", "bincode")]), &body).await.unwrap();
        match codec::decode::<Answer>(MESSAGE_VERSION, &answer.payload).expect("an answer in bincode") {
            Ok(reply) => {
                assert_eq!(reply.name(), name);
                carried_out.insert(name);
            }
            Err(failed) => {
                assert!(
                    !["bad-body", "unknown-command", "unavailable"].contains(&failed.code.as_str()),
                    "{failed:?}"
                );
            }
        }
    }
    for name in [
        "get-items",
        "get-active-tasks",
        "pause-all-backups",
        "resume-all-backups",
        "get-events",
        "get-history",
    ] {
        assert!(carried_out.contains(name), "{name}");
    }
    assert!(!scene.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_with_words() {
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    scene.start();
    let client = nats.client().await;
    until_heard(&client).await;
    let bincode = [("Keepwell-Encoding", "bincode")];
    for (name, head, body, code) in [
        ("get-items", &[][..], &b"{"[..], "bad-body"),
        ("get-items", &[], b"\xff\x00\xfe", "bad-body"),
        ("get-items", &[], b"[]", "bad-body"),
        ("perform-backup", &[], b"{\"itme\":\"photos\"}", "bad-body"),
        ("perform-backup", &[], b"{\"item\":\"nobody\"}", "unknown-item"),
        ("make-coffee", &[], b"{}", "unknown-command"),
        ("get-items", &[("Keepwell-Command-Id", "seven")], b"{}", "bad-body"),
        ("get-items", &[("Keepwell-Encoding", "cbor")], b"{}", "bad-body"),
    ] {
        let answer = ask(&client, name, headers(head), body).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|words| !words.is_empty()), "{answer}");
    }
    let command = codec::encode(MESSAGE_VERSION, &Command::from(GetItems {})).unwrap();
    let newer = [&[MESSAGE_VERSION + 1][..], &command[1..]].concat();
    for body in [b"{}".to_vec(), Vec::new(), newer, [&command[..], b"x"].concat(), vec![0xff; 4096]] {
        let answer = ask(&client, "get-items", headers(&bincode), &body).await.unwrap();
        match codec::decode::<Answer>(MESSAGE_VERSION, &answer.payload) {
            Some(Err(failed)) => assert_eq!(failed.code, "bad-body"),
            other => panic!("{other:?}"),
        }
    }
    until_heard(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_sent_again_under_its_id_is_served_once() {
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    scene.start();
    let client = nats.client().await;
    until_heard(&client).await;
    let id = Uuid::now_v7().to_string();
    let numbered = || headers(&[("Keepwell-Command-Id", &id)]);
    let body = json!({"item": PHOTOS}).to_string();
    let first = ask(&client, "perform-backup", numbered(), body.as_bytes()).await.unwrap();
    let task = serde_json::from_slice::<Value>(&first.payload).unwrap()["ok"]["task"].clone();
    scene.end_of(serde_json::from_value(task).unwrap()).await;
    let again = ask(&client, "perform-backup", numbered(), body.as_bytes()).await.unwrap();
    assert_eq!(first.payload, again.payload);
    scene.kill();
    scene.start();
    until_heard(&client).await;
    let value = Command::from(PerformBackup { item: PHOTOS.into() });
    let mut as_bincode = numbered();
    as_bincode.insert("Keepwell-Encoding", "bincode");
    let bytes = codec::encode(MESSAGE_VERSION, &value).unwrap();
    let third = ask(&client, "perform-backup", as_bincode, &bytes).await.unwrap();
    let answer = codec::decode::<Answer>(MESSAGE_VERSION, &third.payload);
    let Some(Ok(Reply::PerformBackup(made))) = answer else {
        panic!("{third:?}");
    };
    assert_eq!(json!({"ok": {"task": made.task}}), serde_json::from_slice::<Value>(&first.payload).unwrap());
    let created = events_of(&client).await.iter().filter(|told| told.event.name() == "task-created").count();
    assert_eq!(created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_in_the_stream_as_in_the_journal_and_progress_is_in_none() {
    let Some(nats) = Nats::start(Entry::Password) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Password);
    let client = nats.client().await;
    let mut progress = client.subscribe(format!("keepwell.{NODE}.backup-progress")).await.unwrap();
    scene.start();
    until_heard(&client).await;
    let task = scene.back_up(GATED).await;
    let told = timeout(Duration::from_secs(60), progress.next()).await.unwrap().unwrap();
    let told: BackupProgress = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(told.task, task);
    scene.open_gate();
    assert!(scene.end_of(task).await["backed-up"].is_object());
    let told = scene.ensure_told(&client).await;
    let names: BTreeSet<&str> = told.iter().map(|told| told.event.name()).collect();
    for name in ["item-changed", "task-created", "task-status-update", "task-completed"] {
        assert!(names.contains(name), "{names:?}");
    }
    // A stop tells its last events before it ends, and a new start begins where the old one ended.
    let gated = scene.back_up(PHOTOS).await;
    scene.end_of(gated).await;
    let ended = scene.stop();
    assert!(ended.output.status.success(), "{:?}", ended.output);
    let told_at_the_stop = events_of(&client).await;
    scene.start();
    assert_eq!(told_at_the_stop, scene.journal().await[..told_at_the_stop.len()]);
    scene.ensure_told(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_in_mid_backup_misses_no_event_and_hears_none_twice() {
    let Some(mut nats) = Nats::start(Entry::Password) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Password);
    scene.start();
    let client = nats.client().await;
    until_heard(&client).await;
    let gated = scene.back_up(GATED).await;
    scene.daemon().wait_for_task(&gated.to_string(), |now| now["state"] == "running").await;
    let before = scene.ensure_told(&client).await.len();
    nats.kill();
    for _ in 0..3 {
        let photos = scene.back_up(PHOTOS).await;
        assert!(scene.end_of(photos).await["backed-up"].is_object(), "it goes on without a broker");
    }
    scene.open_gate();
    assert!(scene.end_of(gated).await["backed-up"].is_object());
    nats.start_again();
    let client = nats.client().await;
    assert!(scene.ensure_told(&client).await.len() > before + 10);
    // Killed while events go out, again and again.
    for _ in 0..4 {
        let photos = scene.back_up(PHOTOS).await;
        nats.kill();
        nats.start_again();
        scene.end_of(photos).await;
    }
    let client = nats.client().await;
    scene.ensure_told(&client).await;
    let ids: Vec<String> = messages_of(&client)
        .await
        .iter()
        .map(|message| message.headers.get("Nats-Msg-Id").unwrap().as_str().to_owned())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_goes_on_behind_what_it_told() {
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    let client = nats.client().await;
    for item in [PHOTOS, GATED, PHOTOS] {
        scene.start();
        until_heard(&client).await;
        let task = scene.back_up(item).await;
        if item == PHOTOS {
            scene.end_of(task).await;
        }
        scene.kill();
    }
    // What it told is all that it knows, also if the mark was lost on the way.
    let mark = scene.path("data/broker.json");
    let kept: Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
    let series = kept["series"].clone();
    std::fs::write(&mark, json!({"series": series, "number": 1, "sequence": 1}).to_string()).unwrap();
    scene.start();
    scene.ensure_told(&client).await;
    // A stream that is gone is made and filled anew.
    jetstream::new(client.clone()).delete_stream(STREAM).await.unwrap();
    let task = scene.back_up(PHOTOS).await;
    scene.end_of(task).await;
    scene.ensure_told(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_comes_later_hears_all_from_the_beginning() {
    let Some(mut nats) = Nats::prepare(Entry::Open) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    scene.start();
    let task = scene.back_up(PHOTOS).await;
    assert!(scene.end_of(task).await["backed-up"].is_object());
    let said = wait_for("a word about the broker", || {
        let log = scene.log();
        log.lines().find(|line| line.contains("cannot be reached")).map(str::to_owned)
    });
    for words in [&nats.url(), "check broker.url", "backups go on without it"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(ready(&scene).await, "ready\nbroker: not connected\n");
    let metrics = metrics(&scene).await;
    assert!(metrics.contains("keepwell_broker_connected 0\n"), "{metrics}");
    let journal = scene.journal().await.len();
    assert!(metrics.contains(&format!("keepwell_broker_events_behind {journal}\n")), "{journal}: {metrics}");
    nats.start_again();
    let client = nats.client().await;
    scene.ensure_told(&client).await;
    assert_eq!(ready(&scene).await, "ready\nbroker: connected\n");
    assert_eq!(scene.log().matches("cannot be reached").count(), 1, "it is said once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_in_words_and_the_daemon_works_on() {
    let Some(nats) = Nats::start(Entry::Password) else { return };
    let wrong = "wr0ngSecret";
    let mut scene = BrokerScene::with_password(&nats, Entry::Password, wrong);
    scene.start();
    let said = wait_for("a word about the credentials", || {
        let log = scene.log();
        log.lines().find(|line| line.contains("refuses the user")).map(str::to_owned)
    });
    for words in [&nats.url(), "keepwell", "broker.password_file"] {
        assert!(said.contains(words), "{said}");
    }
    let task = scene.back_up(PHOTOS).await;
    assert!(scene.end_of(task).await["backed-up"].is_object());
    // The right password is taken without a new start.
    std::fs::write(scene.path("broker-password"), SECRET).unwrap();
    let client = nats.client().await;
    scene.ensure_told(&client).await;
    let log = scene.log();
    assert!(!log.contains(wrong) && !log.contains(SECRET), "{log}");
    assert!(scene.stop().output.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_there_is_left_as_it_is_and_one_that_does_not_fit_is_named() {
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let client = nats.client().await;
    let context = jetstream::new(client.clone());
    let config = |subjects: &[&str]| jetstream::stream::Config {
        name: STREAM.into(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        max_messages: 500,
        ..jetstream::stream::Config::default()
    };
    context.create_stream(config(&["keepwell.elsewhere.event.>"])).await.unwrap();
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    scene.start();
    until_heard(&client).await;
    wait_for("a word about the stream", || {
        scene.log().contains(&format!("does not take keepwell.{NODE}.event.>")).then_some(())
    });
    context.update_stream(config(&["keepwell.*.event.>"])).await.unwrap();
    let task = scene.back_up(PHOTOS).await;
    scene.end_of(task).await;
    scene.ensure_told(&client).await;
    let now = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    assert_eq!((now.max_messages, now.subjects), (500, vec!["keepwell.*.event.>".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stood_still_for_a_while_has_all_once() {
    let Some(nats) = Nats::start(Entry::Open) else { return };
    let mut scene = BrokerScene::new(&nats, Entry::Open);
    scene.start();
    let client = nats.client().await;
    until_heard(&client).await;
    scene.ensure_told(&client).await;
    nats.freeze();
    for _ in 0..3 {
        let task = scene.back_up(PHOTOS).await;
        assert!(scene.end_of(task).await["backed-up"].is_object());
    }
    // What was sent lies at the broker, and is sent again.
    wait_for("a word about it", || scene.log().contains("does not acknowledge").then_some(()));
    nats.thaw();
    let client = nats.client().await;
    scene.ensure_told(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_over_tls_only_if_its_certificate_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let Some(mut nats) = Nats::prepare(Entry::Password) else { return };
    nats.speak_tls(&authority);
    nats.start_again();
    let mut scene = BrokerScene::new(&nats, Entry::Password);
    let password_file = scene.path("broker-password");
    let table = format!(
        "[broker]\nurl = \"tls://localhost:{}\"\nnode = {NODE:?}\nuser = {USER:?}\npassword_file = {password_file:?}\n",
        nats.port()
    );
    scene.configure(&table);
    scene.start();
    let said = wait_for("a word about the certificate", || {
        let log = scene.log();
        log.lines().find(|line| line.contains("no TLS with the broker")).map(str::to_owned)
    });
    assert!(said.contains("broker.tls_ca_file") && said.contains("localhost"), "{said}");
    let task = scene.back_up(PHOTOS).await;
    assert!(scene.end_of(task).await["backed-up"].is_object());
    scene.stop();
    scene.configure(&format!("{table}tls_ca_file = {:?}\n", authority.file()));
    scene.start();
    let options = async_nats::ConnectOptions::with_user_and_password(USER.into(), SECRET.into());
    let options = options.add_root_certificates(authority.file().into());
    let client = options.connect(format!("tls://localhost:{}", nats.port())).await.unwrap();
    scene.ensure_told(&client).await;
}
