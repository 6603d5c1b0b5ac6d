//! `simulate`: the timetable that a configuration would give.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use serde_json::Value;
use support::{Ran, User, ended, messages};

/// Simulates these items, in Berlin.
fn simulate(items: &str, arguments: &str) -> Ran {
    let user = User::new();
    user.write("k.toml", items);
    let mut command =
        user.command(["simulate", "--config", "k.toml"].into_iter().chain(arguments.split(' ')));
    command.env("TZ", "Europe/Berlin");
    let ran = ended(command);
    assert!(!user.path(".local").exists(), "nothing is left behind");
    ran
}

/// The lines of one type.
fn lines(ran: &Ran, message_type: &str) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    messages(&ran.out).into_iter().filter(|line| line["message_type"] == message_type).collect()
}

fn field(lines: &[Value], name: &str) -> Vec<Value> {
    lines.iter().map(|line| line[name].clone()).collect()
}

fn daily(time: &str) -> String {
    format!("[items.docs]\npaths = \"/data\"\nschedule = \"daily {time}\"\n")
}

#[test]
fn a_daily_item_runs_once_a_day_across_the_changes_to_and_from_summer_time() {
    for (from, started) in [
        // 02:30 does not exist on the 29th: the first instant after the gap is 03:00, 01:00 UTC.
        ("2026-03-28", ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        // 02:30 comes twice on the 25th, and counts the first time.
        ("2026-10-24", ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
    ] {
        let ran = simulate(&daily("02:30"), &format!("--from {from} --for 3d --json"));
        assert_eq!(field(&lines(&ran, "task"), "started"), started, "{from}");
        assert_eq!(field(&lines(&ran, "summary"), "ran"), [3]);
    }
    let ran = simulate(&daily("02:30"), "--from 2026-10-24 --for 3d");
    for shown in ["2026-10-25 02:30:00 CEST docs", "2026-10-26 02:30:00 CET  docs", "10:00  completed"] {
        assert!(ran.out.contains(shown), "{shown}: {}", ran.out);
    }
}

#[test]
fn what_a_sleeping_machine_misses_is_caught_up_by_one_task_when_it_wakes() {
    let items = "[items.docs]\npaths = \"/data\"\nschedule = \"0 * * * *\"\n";
    let ran = simulate(items, "--from 2026-01-10T11:30:00Z --for 1d --sleep 22:00-07:00 --json");
    let caught_up: Vec<Value> =
        lines(&ran, "task").into_iter().filter(|task| task["trigger"] == "catch-up").collect();
    assert_eq!(field(&caught_up, "since"), ["2026-01-10T21:00:00Z"], "22:00 in Berlin");
    assert_eq!(field(&caught_up, "due"), ["2026-01-11T06:00:00Z"]);
    assert_eq!(field(&caught_up, "due_times"), [10]);
    assert!(caught_up[0]["started"].as_str().unwrap().starts_with("2026-01-11T06:00:"), "{caught_up:?}");
    let summary = &lines(&ran, "summary")[0];
    let counts =
        ["due", "ran", "caught_up", "catch_ups", "skipped", "failed"].map(|name| summary[name].clone());
    assert_eq!(counts, [24, 14, 10, 1, 0, 0].map(Value::from), "{summary}");
}

#[test]
fn a_task_that_a_sleep_freezes_goes_on_when_the_machine_wakes() {
    let ran =
        simulate(&daily("21:50"), "--from 2026-01-10 --for 2d --sleep 22:00-07:00 --duration 1h --json");
    let task = &lines(&ran, "task")[0];
    // Ten minutes before the sleep and fifty after it.
    assert_eq!(task["started"], "2026-01-10T20:50:00Z");
    assert!(task["ended"].as_str().unwrap().starts_with("2026-01-11T06:50:0"), "{task}");
}

#[test]
fn nothing_is_done_in_a_sleep_that_outlasts_the_simulation() {
    let ran = simulate(&daily("23:00"), "--from 2026-01-10 --for 1d --sleep 22:00-07:00 --json");
    assert_eq!(lines(&ran, "task").len(), 0, "{}", ran.out);
}

#[test]
fn a_backup_that_takes_too_long_makes_due_times_be_skipped_and_says_why() {
    let items = "[items.docs]\npaths = \"/data\"\nschedule = \"0 * * * *\"\n";
    let ran = simulate(items, "--from 2026-01-10T00:30:00Z --for 4h10m --duration 90m --json");
    let skipped = lines(&ran, "skipped");
    assert_eq!(field(&skipped, "due"), ["2026-01-10T02:00:00Z", "2026-01-10T04:00:00Z"]);
    assert_eq!(field(&skipped, "reason"), ["still-running", "still-running"]);
    let summary = &lines(&ran, "summary")[0];
    // The tasks of 01:00 and 03:00.
    assert_eq!((&summary["ran"], &summary["skipped"]), (&2.into(), &2.into()), "{summary}");
}

#[test]
fn items_wait_for_a_slot_and_disabled_ones_never_run() {
    let items = "max_concurrent_tasks = 1\n\
        [items.a]\npaths = \"/a\"\nschedule = \"daily 02:00\"\n\
        [items.b]\npaths = \"/b\"\nschedule = \"daily 02:00\"\n\
        [items.off]\npaths = \"/off\"\nschedule = \"daily 02:00\"\nenabled = false\n\
        [items.by-hand]\npaths = \"/by-hand\"\n";
    let ran = simulate(items, "--from 2026-01-10 --for 1d --json");
    let mut waited = field(&lines(&ran, "task"), "waited_seconds");
    waited.sort_by_key(Value::as_u64);
    assert_eq!(waited[0], 0);
    assert!((600..605).contains(&waited[1].as_u64().unwrap()), "{waited:?}");
    assert_eq!(field(&lines(&ran, "skipped"), "reason"), ["disabled"]);
    let summaries = lines(&ran, "summary");
    assert_eq!(field(&summaries, "item"), ["a", "b", "by-hand", "off"]);
    assert_eq!(field(&summaries, "skipped"), [0, 0, 0, 1]);
    assert_eq!(field(&summaries, "scheduled"), [true, true, false, true]);
}

#[test]
fn failures_are_as_many_as_asked_for_and_the_seed_brings_them_back() {
    let hourly = |name: &str| format!("[items.{name}]\npaths = \"/data\"\nschedule = \"every 1h\"\n");
    let items = format!("max_concurrent_tasks = 2\n{}{}{}", hourly("a"), hourly("b"), hourly("c"));
    let with = |more: &str| simulate(&items, &format!("--from 2026-01-01 --for 10d --json {more}"));
    let some = with("--fail 20% --seed 7");
    assert_eq!(some.out, with("--fail 20% --seed 7").out);
    assert_ne!(some.out, with("--fail 20% --seed 8").out);
    let tasks = lines(&some, "task");
    let retried = tasks.iter().filter(|task| task["attempts"].as_u64() > Some(1)).count();
    let failed: Vec<&Value> = tasks.iter().filter(|task| task["end"] == "failed").collect();
    assert!(retried > tasks.len() / 10 && !failed.is_empty(), "{retried} of {}, {failed:?}", tasks.len());
    assert!(failed.iter().all(|task| task["class"].is_string()));
    let counted = field(&lines(&some, "summary"), "failed").iter().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(counted, failed.len() as u64);
    assert_eq!(lines(&with("--fail 0%"), "summary")[0]["failed"], 0);
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let good = daily("02:00");
    for (items, arguments, said) in [
        ("[items.docs]\npaths = \"/d\"\nschedule = \"0 0 31 2 *\"\n", "--for 1d", "never fires"),
        ("[items.docs]\npaths = \"/d\"\n", "--for 1d", "no item in"),
        ("", "--for 1d", "schedule = \"daily 02:00\""),
        (&good, "--for 0", "--for takes"),
        (&good, "--for 100000d", "--for takes"),
        (&good, "--sleep 22:00", "22:00-07:00"),
        (&good, "--fail 5", "5%"),
        (&good, "--from someday", "2026-01-31"),
        (&good, "--duration 90d", "31d"),
        (&good, "--repo /r", "from the configuration"),
    ] {
        let ran = simulate(items, arguments);
        assert_eq!(ran.code, Some(1), "{arguments}");
        assert!(ran.err.contains(said), "{arguments}: {}", ran.err);
    }
}
