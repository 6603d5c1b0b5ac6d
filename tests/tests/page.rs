//! The web page in a real browser, before a real daemon with real backups: what it shows of them as they go, what its
//! buttons do, and what it makes of a network that fails and of a daemon that is killed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::time::Duration;

use keepwell_tests::browser::Browser;
use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::far_repository::FarRepository;
use keepwell_tests::fault_proxy::FaultProxy;
use keepwell_tests::fault_proxy::fault::{Fault, Side};
use keepwell_tests::fault_proxy::script::{Rule, Script, Which};
use keepwell_tests::page_scene::{Scene, drip, letters};
use keepwell_tests::running::wait_for;
use keepwell_tests::servers::Server;
use keepwell_tests::servers::ports::Ports;
use keepwell_tests::servers::webdav::StrictWebDav;
use serde_json::json;

#[tokio::test]
async fn the_pages_pure_parts_hold_their_tables() {
    let Some(browser) = Browser::start().await else { return };
    let home = DaemonHome::new();
    let daemon = home.start();
    browser.open(&daemon.url).await;
    browser.see("#token").await;
    let failures = browser.script_that_waits(include_str!("page_parts.js")).await;
    assert_eq!(failures, json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_token_is_refused_in_words_and_the_right_one_lets_in_until_one_signs_out() {
    let Some(browser) = Browser::start().await else { return };
    let home = DaemonHome::new();
    let daemon = home.start();
    browser.open(&daemon.url).await;
    browser.fill("#token", "a wrong token, twenty characters long").await;
    browser.click(".login [type=submit]").await;
    browser.see_words("#token-error", "not the token").await;
    assert_eq!(browser.script("return document.activeElement.id", json!([])).await, "token");
    browser.fill("#token", &daemon.token).await;
    browser.click(".login [type=submit]").await;
    browser.see("[data-connection=live]").await;
    browser.see_words("main", "make an item").await;
    browser.reload().await;
    browser.see("[data-connection=live]").await;
    browser.click("[data-action=sign-out]").await;
    browser.see("#token").await;
    browser.reload().await;
    browser.see("#token").await;
    assert_eq!(
        browser.script("return document.cookie", json!([])).await,
        "",
        "no script can read the cookie"
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn progress_moves_a_paused_task_stands_still_and_a_reload_shows_the_same() {
    let Some(scene) = Scene::set(drip).await else { return };
    let browser = &scene.browser;
    scene.go("items").await;
    browser.click("[data-item=drip] [data-action=run]").await;
    scene.go("tasks").await;
    scene.shows("drip", "running").await;
    let row = "[data-title=drip] ";
    let meta = "return document.querySelector('[data-title=drip] .meta')?.innerText";
    let first = browser.wait_until("counters", meta, json!([])).await;
    let moved = format!(
        "const text = document.querySelector('[data-title=drip] .meta')?.innerText; return text !== {first} && text"
    );
    browser.wait_until("counters that moved", &moved, json!([])).await;
    browser.see_words(&format!("{row}.message"), "Compressing: ").await;
    browser.see_words("[data-figure=running]", "1 of 3").await;
    browser.click(&format!("{row}[data-action=pause]")).await;
    scene.shows("drip", "paused").await;
    browser.see_words("[data-figure=paused]", "1").await;
    wait_until_quiet(&scene.daemon);
    let shown = "return ['.message', '.percent', '.status', '.row-actions'].map((part) => \
                 document.querySelector(`[data-title=drip] ${part}`)?.innerText)";
    let before = browser.script(shown, json!([])).await;
    browser.reload().await;
    scene.shows("drip", "paused").await;
    let again = browser.script(shown, json!([])).await;
    assert_eq!(again, before, "what a reload shows of a task in its middle");
    browser.click(&format!("{row}[data-action=resume]")).await;
    scene.shows("drip", "running").await;
    browser.click(&format!("{row}[data-action=cancel]")).await;
    browser.click("dialog button[autofocus]").await;
    browser.see_no_more("dialog").await;
    scene.shows("drip", "running").await;
    browser.click(&format!("{row}[data-action=cancel]")).await;
    browser.click("dialog [data-confirm]").await;
    let outcome = scene.shows("drip", "cancelled").await;
    assert!(outcome.contains("Somebody cancelled it"), "{outcome}");
    browser.see_words("[data-figure=running]", "0 of 3").await;
    scene.ensure_no_complaints().await;
}

/// Waits until the daemon gives nothing to write(2) for a while, but for its log and its answers.
fn wait_until_quiet(daemon: &Daemon) {
    const ANSWERS_BYTES: u64 = 64 << 10;
    let io = format!("/proc/{}/io", daemon.running.id());
    let written = || -> u64 {
        let counters = std::fs::read_to_string(&io).unwrap();
        counters.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok()).unwrap()
    };
    let mut before = written();
    let mut looked = std::time::Instant::now();
    // The source gives more than a megabyte a second to whoever takes it.
    wait_for("a quiet process", || {
        let quiet = written() - before < ANSWERS_BYTES;
        if !quiet {
            (before, looked) = (written(), std::time::Instant::now());
        }
        (quiet && looked.elapsed() > Duration::from_secs(1)).then_some(())
    });
}

#[tokio::test]
async fn all_is_paused_and_resumed_from_the_head() {
    let Some(scene) = Scene::set(drip).await else { return };
    let browser = &scene.browser;
    browser.click("[data-action=pause-all]").await;
    browser.see_words("[data-figure=global-pause]", "All paused").await;
    scene.daemon.done("perform-backup", &json!({"item": "drip"})).await;
    let waits = scene.shows("drip", "queued").await;
    assert!(waits.contains("all backups are paused"), "{waits}");
    browser.click("[data-action=resume-all]").await;
    scene.shows("drip", "running").await;
    browser.see_no_more("[data-figure=global-pause]").await;
    std::fs::write(scene.home.path("enough"), "").unwrap();
    scene.shows("drip", "completed").await;
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn a_network_that_fails_is_shown_as_a_retry_with_its_attempt_and_its_countdown() {
    let server = StrictWebDav::start();
    let proxy = FaultProxy::start(server.port(), Script::clean());
    let location = server.location(proxy.port(), "far");
    let configure = |home: &DaemonHome| {
        std::fs::write(home.path("location"), &location).unwrap();
        let far = format!(
            "[repositories.far]\nlocation_file = {:?}\npassword_file = {:?}\nretry_timeout = \"1s\"\n",
            home.path("location"),
            home.path("password")
        );
        let retry = "[retry]\nnetwork_delay = \"6s\"\n";
        format!("{far}{retry}{}", letters(home).replace("\"main\"", "\"far\""))
    };
    let Some(scene) = Scene::set(configure).await else { return };
    let mut init =
        keepwell_tests::programs::keepwell().command_at(location.as_ref(), &scene.home.path("home"));
    let made = init.arg("init").output().unwrap();
    assert!(made.status.success(), "{}", keepwell_tests::programs::transcript(&made));
    let fault = Fault::Reset { side: Side::Request, after_bytes: 0 };
    proxy.follow(Script::new([Rule { which: Which::Numbered(0..u64::MAX), fault }]));
    let browser = &scene.browser;
    scene.go("items").await;
    browser.click("[data-item=letters] [data-action=run]").await;
    scene.go("tasks").await;
    let waits = scene.shows("letters", "retrying").await;
    assert!(waits.contains("attempt 2 of 4"), "{waits}");
    let countdown = "[data-title=letters] .countdown";
    let first = browser.see(countdown).await;
    let script = "const text = document.querySelector(arguments[0])?.innerText; return text && text !== arguments[1] && text";
    let next = browser.wait_until("a countdown that moves", script, json!([countdown, first])).await;
    assert!(next.as_str().unwrap() < first.as_str(), "{first}, then {next}");
    browser.see("[data-title=letters] .status-icon.is-retrying").await;
    browser.see_words("[data-figure=retrying]", "1").await;
    proxy.follow(Script::clean());
    scene.shows("letters", "completed").await;
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_comes_back_is_met_again_without_a_login_and_told_as_it_is() {
    let Some(browser) = Browser::start().await else { return };
    let home = DaemonHome::new();
    // A crash is tried again after this time.
    home.configure(&format!("[retry]\nbase_delay = \"1s\"\n{}", drip(&home)));
    let ports = Ports::take();
    let listen = format!("127.0.0.1:{}", ports.port(0));
    let daemon = home.start_with(&["--listen", &listen]);
    let mut scene = Scene { browser, home, daemon };
    scene.browser.open(&scene.daemon.url).await;
    scene.log_in().await;
    scene.daemon.done("perform-backup", &json!({"item": "drip"})).await;
    scene.shows("drip", "running").await;
    scene.browser.see_words("[data-title=drip] .meta", "stored").await;
    scene.daemon.kill();
    scene.browser.see("[data-connection=lost]").await;
    scene.daemon = scene.home.start_with(&["--listen", &listen]);
    scene.browser.see("[data-connection=live]").await;
    scene.shows("drip", "running").await;
    let told = scene.daemon.done("get-active-tasks", &json!({})).await["tasks"][0].clone();
    let id = scene
        .browser
        .script("return document.querySelector('[data-title=drip]').dataset.task", json!([]))
        .await;
    assert_eq!(id, told["id"], "the same task goes on");
    std::fs::write(scene.home.path("enough"), "").unwrap();
    scene.shows("drip", "completed").await;
    scene.browser.see_words("[data-figure=running]", "0 of 3").await;
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn events_of_a_time_without_a_line_are_told_when_it_is_up_again() {
    let Some(scene) = Scene::set(letters).await else { return };
    let Scene { browser, daemon, .. } = &scene;
    let port = daemon.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let proxy = FaultProxy::start(port, Script::clean());
    browser.open(&format!("http://127.0.0.1:{}", proxy.port())).await;
    browser.see("[data-connection=live]").await;
    let back_up = async || {
        let task = daemon.done("perform-backup", &json!({"item": "letters"})).await["task"].clone();
        let task = task.as_str().unwrap().to_owned();
        daemon.wait_for_task(&task, |now| now["state"] == "completed").await;
        task
    };
    let first = back_up().await;
    browser.see(&format!("[data-task=\"{first}\"][data-status=completed]")).await;
    // The next request cuts all lines, and nobody is let in for a while.
    let fault = Fault::Refuse(Duration::from_secs(2));
    proxy.follow(Script::new([Rule { which: Which::Numbered(0..u64::MAX), fault }]));
    browser.click("[data-view=items]").await;
    browser.script("fetch('/healthz').catch(() => {})", json!([])).await;
    browser.see("[data-connection=lost]").await;
    proxy.follow(Script::clean());
    let second = back_up().await;
    browser.see("[data-connection=live]").await;
    browser.see_words("#announcements", "letters: Completed").await;
    browser.click("[data-view=tasks]").await;
    browser.see(&format!("[data-task=\"{second}\"][data-status=completed]")).await;
    scene.ensure_no_complaints().await;
}

#[tokio::test]
async fn a_question_that_nobody_wants_any_more_is_closed_and_the_page_goes_on() {
    const QUESTIONS: &str = "keepwell_repository_questions";
    let mut far = None;
    let configure = |home: &DaemonHome| {
        let made = far.insert(FarRepository::make(home));
        format!("{}{}", made.configuration(home), letters(home))
    };
    let Some(scene) = Scene::set(configure).await else { return };
    far.as_ref().unwrap().stall();
    // A browser opens six connections to one place: if one of these stayed, nothing else would be asked after some of them.
    for number in 0..8 {
        scene.go(&format!("snapshots/far?find={number}")).await;
        scene.daemon.wait_for_metric(QUESTIONS, 1.0).await;
    }
    scene.go("items").await;
    scene.daemon.wait_for_metric(QUESTIONS, 0.0).await;
    scene.browser.click("[data-item=letters] [data-action=run]").await;
    scene.go("tasks").await;
    scene.shows("letters", "completed").await;
    scene.ensure_no_complaints().await;
}
