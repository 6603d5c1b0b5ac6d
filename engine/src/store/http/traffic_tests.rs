//! Pace and pause, tried on a server that counts what reaches it, and on a folder.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::server::{Server, hasty, object, open, reply};
use crate::store::{Location, Store, StoreSettings};

const MIB: u64 = 1 << 20;
/// Patience with what must happen; nothing waits so long where it works.
const SOON: Duration = Duration::from_secs(30);

/// Takes uploads and counts the bytes of each path while they come.
fn counting_server(paths: [&'static str; 3]) -> (String, Arc<[AtomicU64; 3]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let counts = Arc::<[AtomicU64; 3]>::default();
    let all = Arc::clone(&counts);
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let counts = Arc::clone(&all);
            thread::spawn(move || {
                let mut connection = connection;
                let mut buffer = vec![0; 64 << 10];
                let (mut head, mut left, mut place) = (Vec::new(), None::<u64>, 0);
                while let Ok(bytes @ 1..) = connection.read(&mut buffer) {
                    let mut body = bytes as u64;
                    if left.is_none() {
                        head.extend_from_slice(&buffer[..bytes]);
                        let text = String::from_utf8_lossy(&head).to_lowercase();
                        let Some((before, _)) = text.split_once("\r\n\r\n") else { continue };
                        place = paths.iter().position(|path| before.contains(path)).unwrap();
                        let length = before.split_once("content-length: ").unwrap().1;
                        left = Some(length.lines().next().unwrap().parse().unwrap());
                        body = head.len() as u64 - before.len() as u64 - 4;
                    }
                    counts[place].fetch_add(body, Ordering::Relaxed);
                    left = left.map(|left| left.saturating_sub(body));
                    if left == Some(0) {
                        let _ = connection.write_all(reply("201 Created", "", "").as_bytes());
                        return;
                    }
                }
            });
        }
    });
    (place, counts)
}

fn sum(counts: &[AtomicU64; 3]) -> u64 {
    counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn uploads_side_by_side_keep_to_the_limit_and_share_it() {
    let paths = ["data/aa/x", "data/bb/x", "data/cc/x"];
    let (place, counts) = counting_server(paths);
    let settings = StoreSettings { upload_bytes_per_second: Some(2 * MIB), ..StoreSettings::default() };
    let store = open(&place, &settings, |_| {});
    thread::scope(|scope| {
        for path in paths {
            let store = store.clone();
            scope.spawn(move || store.write(path, vec![7; 8 << 20].into()).unwrap());
        }
        let now = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        // Whoever began first had what was saved up.
        wait_until("all to begin", || now().iter().all(|count| *count > 0));
        let (before, begun) = (now(), Instant::now());
        wait_until("12 MiB more", || sum(&counts) >= before.iter().sum::<u64>() + 12 * MIB);
        let after = now();
        let shares = [0, 1, 2].map(|place| after[place] - before[place]);
        let third = shares.iter().sum::<u64>() / 3;
        assert!(shares.iter().all(|share| share.abs_diff(third) < third / 10), "{shares:?}");
        assert!(
            begun.elapsed() >= Duration::from_millis(5400),
            "it is within the limit: {:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn a_long_upload_and_a_long_download_keep_to_their_limits() {
    let limit = Some(2 * MIB);
    let settings = StoreSettings {
        upload_bytes_per_second: limit,
        download_bytes_per_second: limit,
        // Far shorter than the transfers take: waits of our own do not count.
        request_timeout: Duration::from_secs(1),
        bytes_per_second_min: u64::MAX,
        ..StoreSettings::default()
    };
    let body = "x".repeat(20 << 20);
    let answer = object(&body);
    let server = Server::start(move |_, asked, connection| {
        let answer = if asked.method == "GET" { answer.clone() } else { reply("201 Created", "", "") };
        let _ = connection.write_all(answer.as_bytes());
    });
    let store = open(&server.webdav(), &settings, |_| {});
    let up = thread::spawn({
        let store = store.clone();
        move || {
            let begun = Instant::now();
            store.write("data/aa/x", vec![7; 20 << 20].into()).unwrap();
            begun.elapsed()
        }
    });
    let begun = Instant::now();
    assert_eq!(store.read("data/aa/y", 32 << 20).unwrap(), body);
    for (way, took) in [("down", begun.elapsed()), ("up", up.join().unwrap())] {
        assert!((took.as_secs_f64() / 10.0 - 1.0).abs() < 0.05, "{way}: {took:?}");
    }
}

#[test]
fn a_pause_stops_transfers_within_a_second_and_costs_no_time_limit_and_locks_pass() {
    let paths = ["data/aa/x", "locks/y", "data/cc/x"];
    let (place, counts) = counting_server(paths);
    let limit = Some(4 * MIB);
    let settings = StoreSettings { upload_bytes_per_second: limit, ..hasty() };
    let store = open(&place, &settings, |_| {});
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write(paths[0], vec![7; 6 << 20].into()));
        wait_until("a first part", || sum(&counts) >= MIB);
        store.set_paused(true);
        thread::sleep(Duration::from_secs(1));
        let at_rest = sum(&counts);
        // Longer than a request may take.
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(sum(&counts), at_rest, "nothing goes in a pause");
        let begun = Instant::now();
        store.write(paths[1], vec![1; 1 << 20].into()).unwrap();
        assert!(
            begun.elapsed() < Duration::from_millis(900),
            "a lock waits for no pace: {:?}",
            begun.elapsed()
        );
        let later = scope.spawn(|| store.write(paths[2], Bytes::from_static(b"later")));
        thread::sleep(Duration::from_millis(200));
        assert!(!writing.is_finished() && !later.is_finished());
        store.set_paused(false);
        writing.join().unwrap().unwrap();
        later.join().unwrap().unwrap();
    });
    assert_eq!(counts[0].load(Ordering::Relaxed), 6 * MIB);
}

#[test]
fn a_download_stops_in_a_pause_and_goes_on_after_it() {
    let body = "x".repeat(24 << 20);
    let answer = object(&body);
    let server = Server::start(move |_, _, connection| {
        let _ = connection.write_all(answer.as_bytes());
    });
    let settings = StoreSettings { download_bytes_per_second: Some(24 * MIB), ..hasty() };
    let store = open(&server.webdav(), &settings, |_| {});
    let reading = thread::spawn({
        let store = store.clone();
        move || store.read("data/aa/x", 32 << 20)
    });
    wait_until("the request", || !server.asked().is_empty());
    store.set_paused(true);
    // As long as all of it would take, and longer than a request may.
    thread::sleep(Duration::from_millis(1500));
    assert!(!reading.is_finished());
    store.set_paused(false);
    assert_eq!(reading.join().unwrap().unwrap(), body);
    assert_eq!(server.asked().len(), 1, "the pause broke nothing");
}

#[test]
fn after_a_pause_that_outlives_the_signature_a_call_is_signed_anew() {
    let server = Server::answering(vec![object("whole")]);
    let store = open(&server.s3(), &super::server::with_keys(hasty()), |connector| {
        connector.signature_life = Duration::from_secs(1);
    });
    store.set_paused(true);
    let reading = thread::spawn({
        let store = store.clone();
        move || store.read("config", 10)
    });
    thread::sleep(Duration::from_millis(2100));
    assert!(server.asked().is_empty());
    let resumed = chrono::Utc::now();
    store.set_paused(false);
    assert_eq!(reading.join().unwrap().unwrap(), "whole");
    let asked = server.asked();
    let signed = asked[0].header("x-amz-date").unwrap();
    assert!(signed >= resumed.format("%Y%m%dT%H%M%SZ").to_string().as_str(), "{signed} is before {resumed}");
}

#[test]
fn a_folder_is_paced_and_paused_too_by_whole_objects() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        upload_bytes_per_second: Some(2 * MIB),
        download_bytes_per_second: Some(4 * MIB),
        ..StoreSettings::default()
    };
    let store = Store::open(&Location::folder(folder.path()), &settings).unwrap();
    store.prepare_layout().unwrap();
    let (large, begun) = (Bytes::from(vec![7; 2 << 20]), Instant::now());
    store.write("data/aa/x", large.clone()).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(store.read("data/aa/x", 2 << 20).unwrap(), large);
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    store.set_paused(true);
    let writing = thread::spawn({
        let store = store.clone();
        move || store.write("config", Bytes::from_static(b"x"))
    });
    store.write("locks/a", large).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(!writing.is_finished());
    store.set_paused(false);
    writing.join().unwrap().unwrap();
}
