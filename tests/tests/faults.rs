//! Backups over a network that fails in every way, to real servers: cuts, resets, stalls, trickles, refusals,
//! errors of the server, lost and truncated replies, from random scripts. `faulty_backup.rs` says what has to hold.
//!
//! Every script has a number, which is printed: `KEEPWELL_FAULT_SEED=n` runs it alone, on each server. The long
//! form (`KEEPWELL_TEST_LONG=1`) runs ten times as many.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keepwell_engine::store::Store;
use keepwell_tests::fault_proxy::FaultProxy;
use keepwell_tests::fault_proxy::fault::{Fault, Side};
use keepwell_tests::fault_proxy::link::Link;
use keepwell_tests::fault_proxy::script::{Rule, Script, Which};
use keepwell_tests::faulty_backup::{FaultyBackup, RETRIES_MAX, impatient};
use keepwell_tests::programs::{Program, restic, restic_018, say};
use keepwell_tests::random_data::seed;
use keepwell_tests::servers::google::Google;
use keepwell_tests::servers::moto::Moto;
use keepwell_tests::servers::seaweedfs::SeaweedFs;
use keepwell_tests::servers::webdav::StrictWebDav;
use keepwell_tests::servers::{Server, open};

/// On each server; thirty in all.
const SCRIPTS: u64 = 6;
const SCRIPTS_LONG: u64 = 60;
/// Most of a script's time is waiting.
const AT_ONCE: usize = 3;
/// What a server's test adds to the seed, so that no two run the same scripts.
const SEEDS_APART: u64 = 1000;

fn survives_scripts(server: &dyn Server, place: u64, restics: &[Program]) {
    let alone: Option<u64> =
        std::env::var("KEEPWELL_FAULT_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let is_long = std::env::var_os("KEEPWELL_TEST_LONG").is_some_and(|value| value == "1");
    let count = if is_long { SCRIPTS_LONG } else { SCRIPTS };
    let seeds = match alone {
        Some(seed) => seed..seed + 1,
        // Small enough to be read aloud.
        None => {
            let first = seed() % 1_000_000 * 10 * SEEDS_APART + place * SEEDS_APART;
            first..first + count
        }
    };
    let backup = FaultyBackup::new(server);
    let next = AtomicU64::new(seeds.start);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let take =
                        || Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| seeds.contains(seed));
                    let fails = |seed: &u64| {
                        catch_unwind(AssertUnwindSafe(|| backup.survives(*seed, restics))).is_err()
                    };
                    std::iter::from_fn(take).filter(fails).collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    assert!(
        failed.is_empty(),
        "on {}: run again with KEEPWELL_FAULT_SEED={failed:?}, one at a time",
        server.name()
    );
}

#[test]
fn backups_to_moto_survive_a_network_that_fails() {
    let Some(server) = Moto::start() else { return };
    survives_scripts(&server, 0, &restic_018().into_iter().collect::<Vec<_>>());
}

#[test]
fn backups_to_moto_survive_a_network_that_fails_as_the_older_restic_sees_it() {
    let Some(server) = Moto::start() else { return };
    survives_scripts(&server, 1, &restic().into_iter().collect::<Vec<_>>());
}

#[test]
fn backups_to_seaweedfs_survive_a_network_that_fails() {
    let Some(server) = SeaweedFs::start() else { return };
    survives_scripts(&server, 2, &restic_018().into_iter().collect::<Vec<_>>());
}

#[test]
fn backups_to_google_survive_a_network_that_fails() {
    survives_scripts(&Google::start(), 3, &[]);
}

#[test]
fn backups_to_webdav_survive_a_network_that_fails() {
    survives_scripts(&StrictWebDav::start(), 4, &[]);
}

const REQUEST: Side = Side::Request;
const REPLY: Side = Side::Reply;
/// What the server asks for that is not going to be waited for.
const TOO_LONG: Fault = Fault::Answer { status: 429, retry_after_seconds: Some(1000) };
/// Large enough that what passes of some tries, put together, is far from all.
const SIZE: usize = 100_000;
/// Tries, the waits between them and the last answer, on a busy machine.
const CALL_MAX: Duration = Duration::from_secs(15);

/// A store behind a proxy that does this.
fn faulty(server: &dyn Server, script: Script) -> (FaultProxy, Store) {
    let proxy = FaultProxy::start(server.port(), script);
    let settings = impatient(server.settings(proxy.port()));
    let store = open(&server.location(proxy.port(), "faults"), &settings);
    (proxy, store)
}

/// Tries all of them at the same time, for most of the time is waiting.
fn with_each(faults: &[Fault], look: impl Fn(usize, Fault) + Sync) {
    std::thread::scope(|scope| {
        for (number, fault) in faults.iter().enumerate() {
            let look = &look;
            scope.spawn(move || look(number, *fault));
        }
    });
}

#[test]
fn each_fault_that_stays_is_told_by_its_class_in_bounded_time_with_bounded_requests() {
    let server = Google::start();
    server.store("faults").write("config", vec![7u8; SIZE].into()).unwrap();
    let faults = [
        Fault::Cut { side: REQUEST, after_bytes: 20 },
        Fault::Cut { side: REPLY, after_bytes: 20 },
        Fault::Cut { side: REPLY, after_bytes: 600 },
        Fault::Reset { side: REQUEST, after_bytes: 20 },
        Fault::Reset { side: REPLY, after_bytes: 600 },
        Fault::Stall { side: REQUEST, after_bytes: 20 },
        Fault::Stall { side: REPLY, after_bytes: 20 },
        Fault::Stall { side: REPLY, after_bytes: 600 },
        Fault::Trickle { after_bytes: 20 },
        Fault::Trickle { after_bytes: 600 },
        Fault::Answer { status: 500, retry_after_seconds: None },
        Fault::Answer { status: 503, retry_after_seconds: None },
        Fault::Answer { status: 429, retry_after_seconds: Some(1) },
        TOO_LONG,
        Fault::TruncateReply,
        Fault::LoseReply,
        Fault::Refuse(Duration::from_secs(60)),
    ];
    with_each(&faults, |_, fault| {
        let (proxy, store) = faulty(&server, Script::from_request(0, fault));
        let begun = Instant::now();
        let error = store.read("config", SIZE as u64).unwrap_err();
        let (took, requests) = (begun.elapsed(), proxy.traffic().request_count());
        say(&format!("{fault:?}: {:?} after {took:.1?} and {requests} requests: {error}", error.class()));
        assert_eq!(error.class(), fault.class(), "{fault:?}: {error:?}");
        assert!(took < CALL_MAX, "{fault:?}: {took:?}");
        assert!((1..=1 + RETRIES_MAX as u64).contains(&requests), "{fault:?}: {requests} requests");
        if fault == TOO_LONG {
            assert!(
                error.to_string().contains("1000 s"),
                "it says how long the server asks to wait: {error}"
            );
            assert_eq!(requests, 1, "what does not fit into the time is not tried");
        }
    });
}

#[test]
fn each_fault_that_passes_is_outlived() {
    let server = Google::start();
    let store = server.store("faults");
    let bytes = vec![7u8; SIZE];
    store.write("config", bytes.clone().into()).unwrap();
    let faults = [
        Fault::Cut { side: REQUEST, after_bytes: 20 },
        Fault::Cut { side: REPLY, after_bytes: 20 },
        Fault::Cut { side: REPLY, after_bytes: 5000 },
        Fault::Reset { side: REQUEST, after_bytes: 20 },
        Fault::Reset { side: REPLY, after_bytes: 5000 },
        Fault::Stall { side: REQUEST, after_bytes: 20 },
        Fault::Stall { side: REPLY, after_bytes: 5000 },
        Fault::Trickle { after_bytes: 5000 },
        Fault::Delay(Duration::from_millis(200)),
        Fault::Answer { status: 503, retry_after_seconds: None },
        Fault::Answer { status: 429, retry_after_seconds: Some(1) },
        Fault::TruncateReply,
        Fault::LoseReply,
        Fault::Refuse(Duration::from_millis(100)),
    ];
    with_each(&faults, |number, fault| {
        let failed =
            |what: &str, error: &dyn std::fmt::Debug| -> ! { panic!("{fault:?}: {what}: {error:?}") };
        let first = || Script::new([Rule { which: Which::Numbered(0..1), fault }]);
        let (proxy, through) = faulty(&server, first());
        let read = through.read("config", SIZE as u64).unwrap_or_else(|error| failed("read", &error));
        assert!(read == bytes, "{fault:?}: other bytes");
        let requests = proxy.traffic().request_count();
        let expected = if matches!(fault, Fault::Delay(_)) { 1 } else { 2 };
        assert_eq!(requests, expected, "{fault:?}: requests");

        let (_proxy, through) = faulty(&server, first());
        let path = format!("locks/{number}");
        let created = through.create(&path, "mine".into()).unwrap_or_else(|error| failed("create", &error));
        assert!(created, "{fault:?}: what it made itself is its own");
        assert_eq!(store.read(&path, 10).unwrap(), "mine");

        let (_proxy, through) = faulty(&server, first());
        through.list("locks", |_| Ok(())).unwrap_or_else(|error| failed("list", &error));

        let (_proxy, through) = faulty(&server, first());
        through.delete(&path).unwrap_or_else(|error| failed("delete", &error));
        assert_eq!(store.size(&path).unwrap(), None);
    });
}

#[test]
fn a_slow_link_is_as_slow_as_it_says_and_everything_is_counted() {
    let server = Google::start();
    let link = Link { latency: Duration::from_millis(20), bytes_per_second: Some(2 << 20) };
    let proxy = FaultProxy::over_link(server.port(), Script::clean(), link);
    let store = open(&server.location(proxy.port(), "link"), &server.settings(proxy.port()));
    let bytes = vec![1u8; 2 << 20];
    let begun = Instant::now();
    store.write("config", bytes.clone().into()).unwrap();
    assert!(store.read("config", 2 << 20).unwrap() == bytes);
    let took = begun.elapsed();
    // A second each way. The way to the server is buffered on both sides, and may seem to be faster.
    assert!((Duration::from_millis(1900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    let traffic = proxy.traffic();
    for side in [Side::Request, Side::Reply] {
        let counted = traffic.bytes(side);
        assert!((2 << 20..(2 << 20) + 4096).contains(&counted), "{side:?}: {counted}");
        let now = Instant::now();
        assert_eq!(traffic.bytes_between(side, begun, now), counted);
        assert_eq!(traffic.bytes_between(side, now, now + Duration::from_secs(1)), 0);
    }
    let methods: Vec<String> = traffic.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["PUT", "GET"]);
    // The first may not have been given back yet when the second request comes.
    assert!((1..=2).contains(&traffic.connection_count()), "{} connections", traffic.connection_count());
}

#[test]
fn a_proxy_that_refuses_listens_again_and_one_that_is_dropped_does_not() {
    let server = Google::start();
    let refuse = Fault::Refuse(Duration::from_millis(500));
    let proxy =
        FaultProxy::start(server.port(), Script::new([Rule { which: Which::Numbered(0..1), fault: refuse }]));
    let port = proxy.port();
    let ask = || keepwell_tests::servers::http::exchange(port, "GET /", b"");
    assert!(ask().is_err());
    let refused =
        keepwell_tests::running::wait_for("a refusal", || TcpStream::connect(("127.0.0.1", port)).err());
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let answer = keepwell_tests::running::wait_for("an answer", || ask().ok());
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    drop(proxy);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
