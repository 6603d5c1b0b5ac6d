//! Many listeners and many commands at once: no durable event is lost, answers stay quick, memory stays flat.
//!
//! The short form has 200 listeners for 5 seconds and asserts that nothing is lost. The long form has 1,000
//! listeners, 20 durable events and 500 commands a second for 60 seconds, and asserts the 99th percentile too:
//! it wants a machine that does nothing else. Memory is compared between the middle and the end: the buffers of a
//! thousand connections come as they are first filled (57 MiB after 10 s, 75 after 30, 80 after 60, and 81 after 90).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::process_counters::resident_bytes_of;
use keepwell_tests::programs::say;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

/// What a command may take, at the 99th percentile.
const ANSWERED_WITHIN: Duration = Duration::from_millis(50);
const COMMANDS_PER_SECOND: u32 = 500;
/// Each tells two durable events: a task is made and queued, or it is cancelled and has entered that state.
const CHANGES_PER_SECOND: u32 = 10;
/// What may come to the daemon's memory once all have listened for a while: what grows with the time or the number of
/// events passes it.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_and_no_answer_is_late_under_load() {
    let is_long = std::env::var_os("KEEPWELL_TEST_LONG").is_some();
    let (listeners, time) =
        if is_long { (1_000, Duration::from_secs(60)) } else { (200, Duration::from_secs(5)) };
    let home = DaemonHome::new();
    let source = home.slow_source("drip", &home.path("enough"));
    home.configure_with(
        "max_concurrent_tasks = 1",
        &format!("{source}[items.slow]\nsource = \"drip\"\n[items.waits]\npaths = [\"/etc/hostname\"]\n"),
    );
    let daemon = Arc::new(home.start());
    // It holds the only slot, so that the other item's tasks wait.
    let slow =
        daemon.done("perform-backup", &json!({"item": "slow"})).await["task"].as_str().unwrap().to_owned();
    daemon.wait_for_task(&slow, |now| now["state"] == "running").await;
    let first = last_event(&daemon).await;
    let ended = Arc::new(AtomicBool::new(false));
    let mut listening = JoinSet::new();
    for _ in 0..listeners {
        listening.spawn(listen(daemon.clone(), first, ended.clone()));
        // A thousand that come at once are another test.
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let mut latencies = command(&daemon, time / 2).await;
    // By now every connection has the buffers that it keeps.
    let before = resident_bytes_of(daemon.running.id());
    latencies.extend(command(&daemon, time - time / 2).await);
    let after = resident_bytes_of(daemon.running.id());
    let last = last_event(&daemon).await;
    // One more, which all have to hear of: then they have heard of all.
    daemon.done("pause-all-backups", &json!({})).await;
    ended.store(true, Ordering::SeqCst);
    let told = last - first;
    let mut complete = 0;
    while let Some(heard) = listening.join_next().await {
        let heard = heard.unwrap();
        let expected: Vec<u64> = (first + 1..=last).collect();
        assert!(heard.starts_with(&expected), "a listener heard {} of {told} events", heard.len());
        complete += 1;
    }
    assert_eq!(complete, listeners);
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1000];
    say(&format!(
        "{listeners} listeners heard all of {told} events; {} commands in {time:?}: median {:?}, p99 {:?}, latest {:?}; \
         memory {} MiB, then {} MiB",
        latencies.len(),
        at(500),
        at(990),
        at(1000),
        before >> 20,
        after >> 20
    ));
    assert!(after < before + GROWTH_BYTES_MAX, "memory grew from {before} to {after} bytes");
    if is_long {
        assert!(at(990) < ANSWERED_WITHIN, "p99 is {:?}", at(990));
    }
}

async fn last_event(daemon: &Daemon) -> u64 {
    let mut after = 0;
    loop {
        match daemon.events_after(after).await.last() {
            Some(event) => after = event["number"].as_u64().unwrap(),
            None => return after,
        }
    }
}

/// The numbers of all durable events until there is a global pause.
async fn listen(daemon: Arc<Daemon>, after: u64, ended: Arc<AtomicBool>) -> Vec<u64> {
    let request = daemon.request(Method::GET, &format!("/api/v1/events?after={after}"));
    let mut answer = request.timeout(Duration::from_secs(600)).send().await.unwrap();
    let (mut heard, mut text) = (Vec::new(), Vec::new());
    loop {
        let patience = Duration::from_secs(if ended.load(Ordering::SeqCst) { 60 } else { 300 });
        let chunk =
            timeout(patience, answer.chunk()).await.expect("the end is told").unwrap().expect("no end yet");
        text.extend_from_slice(&chunk);
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = text.split_off(whole);
        for line in std::str::from_utf8(&text).unwrap().lines() {
            if let Some(number) = line.strip_prefix("id: ") {
                heard.push(number.parse().unwrap());
            }
            assert!(line != "event: missed", "events were missed");
            if line == "event: global-pause" {
                return heard;
            }
        }
        text = rest;
    }
}

/// Asks at a steady rate, and gives what each answer took since it was due to be asked.
async fn command(daemon: &Arc<Daemon>, time: Duration) -> Vec<Duration> {
    let mut asked = JoinSet::new();
    let mut turn = interval(Duration::from_secs(1) / COMMANDS_PER_SECOND);
    let began = Instant::now();
    let mut count = 0;
    let changes = tokio::spawn(change(daemon.clone(), time));
    while began.elapsed() < time {
        let due = turn.tick().await;
        count += 1;
        let (name, fields) = match count % 4 {
            0 => ("get-items", json!({})),
            1 => ("get-task-manager-stats", json!({})),
            2 => ("get-active-tasks", json!({})),
            _ => ("get-history", json!({"item": "waits", "limit": 10})),
        };
        let daemon = daemon.clone();
        asked.spawn(async move {
            daemon.done(name, &fields).await;
            due.elapsed()
        });
    }
    let mut latencies = changes.await.unwrap();
    while let Some(latency) = asked.join_next().await {
        latencies.push(latency.unwrap());
    }
    latencies
}

/// Makes a task that waits, and cancels it, in turn.
async fn change(daemon: Arc<Daemon>, time: Duration) -> Vec<Duration> {
    let mut turn = interval(Duration::from_secs(1) / CHANGES_PER_SECOND);
    let (began, mut task, mut latencies) = (Instant::now(), None, Vec::new());
    while began.elapsed() < time {
        let due = turn.tick().await;
        task = match task {
            None => Some(daemon.done("perform-backup", &json!({"item": "waits"})).await["task"].clone()),
            Some(task) => {
                daemon.done("cancel-task", &json!({"task": task})).await;
                None
            }
        };
        latencies.push(due.elapsed());
    }
    if let Some(task) = task {
        daemon.done("cancel-task", &json!({"task": task})).await;
    }
    latencies
}
