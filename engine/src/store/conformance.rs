//! What every store must do, tried on each kind: memory and a folder always,
//! WebDAV and S3 where a server for them is installed. What is missing is said
//! on one line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keepwell_messages::ErrorClass;

use super::{Location, Store, StoreSettings, webdav_server};
use crate::error::Error;
use crate::id::Id;

fn open(text: &str, settings: &StoreSettings) -> Store {
    let location = Location::parse(text, std::path::Path::new("/")).unwrap();
    Store::open(&location, settings).unwrap()
}

fn pack_path(id: Id) -> String {
    format!("data/{}/{id}", &id.to_hex()[..2])
}

/// Every method, its answers and its errors, on an empty store.
fn conforms(store: &Store) {
    reads_are_what_was_written(store);
    what_is_not_there_is_told_apart(store);
    sizes_and_ranges_are_held_to(store);
    create_leaves_what_is_there(store);
    one_of_many_creators_wins(store);
    listing_finds_every_id_and_nothing_else(store);
}

fn reads_are_what_was_written(store: &Store) {
    store.prepare_layout().unwrap();
    let large = Bytes::from((0..3_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    for bytes in [Bytes::from_static(b"one"), Bytes::new(), large] {
        store.write("index/a", bytes.clone()).unwrap();
        assert_eq!(store.read("index/a", bytes.len() as u64).unwrap(), bytes, "the last write counts");
        assert_eq!(store.size("index/a").unwrap(), Some(bytes.len() as u64));
    }
    assert!(store.delete("index/a").unwrap());
}

fn what_is_not_there_is_told_apart(store: &Store) {
    assert_eq!(store.size("config").unwrap(), None);
    store.delete("config").expect("deleting what is not there is fine");
    for error in [
        store.read("config", 10).unwrap_err(),
        store.read_range("config", 0..10).unwrap_err(),
        store.read_tail("config", 10).unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("config in "), "{error}");
        assert!(error.to_string().contains("not found"), "{error}");
    }
    store.list("snapshots", |object| panic!("{object:?} in an empty folder")).unwrap();
    assert!(matches!(store.read("a//b", 1), Err(Error::Invalid(_))));
    assert!(matches!(store.write("../a", Bytes::new()), Err(Error::Invalid(_))));
}

fn sizes_and_ranges_are_held_to(store: &Store) {
    let damaged = |result: Result<Bytes, Error>| match result {
        Err(Error::Damaged { why, .. }) => why,
        other => panic!("{other:?} is no damage"),
    };
    store.write("index/a", Bytes::from_static(b"0123456789")).unwrap();
    assert!(damaged(store.read("index/a", 9)).contains("10 bytes"));
    for (range, found) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (4..4, "")] {
        assert_eq!(store.read_range("index/a", range).unwrap(), found);
    }
    for range in [5..11, 10..12, 100..200] {
        assert!(damaged(store.read_range("index/a", range)).contains("ends after"));
    }
    for (bytes, tail) in [(3, "789"), (10, "0123456789"), (99, "0123456789")] {
        assert_eq!(store.read_tail("index/a", bytes).unwrap(), (Bytes::from(tail), 10));
    }
    store.write("index/a", Bytes::new()).unwrap();
    assert_eq!(store.read_tail("index/a", 5).unwrap(), (Bytes::new(), 0));
    store.delete("index/a").unwrap();
}

fn create_leaves_what_is_there(store: &Store) {
    assert!(store.create("config", Bytes::from_static(b"first")).unwrap());
    assert!(!store.create("config", Bytes::from_static(b"other")).unwrap(), "same size, other bytes");
    assert!(!store.create("config", Bytes::from_static(b"longer than it")).unwrap());
    assert_eq!(store.read("config", 100).unwrap(), "first");
    store.delete("config").unwrap();
    assert_eq!(store.size("config").unwrap(), None);
}

fn one_of_many_creators_wins(store: &Store) {
    if store.shared.is_webdav {
        return; // WebDAV has no create-if-absent; `Store::create` says so.
    }
    let winners = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..8u8 {
            let winners = &winners;
            scope.spawn(move || {
                if store.create("config", Bytes::from(vec![writer; 100])).unwrap() {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(winners.into_inner(), 1);
    store.delete("config").unwrap();
}

fn listing_finds_every_id_and_nothing_else(store: &Store) {
    let mut ids: Vec<Id> = (0..40u8).map(|n| Id::of(&[n])).collect();
    ids.sort();
    std::thread::scope(|scope| {
        for part in ids.chunks(10) {
            scope.spawn(move || {
                for id in part {
                    store.write(&pack_path(*id), Bytes::from(id.to_hex())).unwrap();
                }
            });
        }
    });
    store.write("data/README", Bytes::from_static(b"foreign")).unwrap();
    let mut found = Vec::new();
    store
        .list("data", |object| {
            assert_eq!((object.path.clone(), object.size_bytes), (pack_path(object.id), 64));
            // A callback may use the store.
            assert_eq!(store.read(&object.path, 64)?, object.id.to_hex());
            let age = object.modified.elapsed().unwrap_or_default();
            assert!(age < Duration::from_secs(3600), "{object:?}");
            found.push(object.id);
            Ok(())
        })
        .unwrap();
    found.sort();
    assert_eq!(found, ids);
    let mut calls = 0;
    let stopped = store.list("data", |_| {
        calls += 1;
        Err(Error::Cancelled)
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(calls, 1, "an error of the callback ends the listing");
    for id in ids {
        store.delete(&pack_path(id)).unwrap();
    }
    store.list("data", |object| panic!("{object:?} was deleted")).unwrap();
}

#[test]
fn memory_conforms_and_is_shared_by_name() {
    let store = open("memory://conforms", &StoreSettings::default());
    conforms(&store);
    store.write("config", Bytes::from_static(b"x")).unwrap();
    drop(store);
    let again = open("memory://conforms", &StoreSettings::default());
    assert_eq!(again.read("config", 1).unwrap(), "x");
    assert_eq!(open("memory://another", &StoreSettings::default()).size("config").unwrap(), None);
    assert_eq!((again.connections(), again.is_local()), (5, None));
}

#[test]
fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a b/rep#1/%41");
    let store = open(root.to_str().unwrap(), &StoreSettings::default());
    conforms(&store);
    assert_eq!((store.connections(), store.is_local()), (2, Some(root.as_path())));
}

#[test]
fn webdav_conforms() {
    conforms_to_webdav(webdav_server::start());
}

#[test]
fn rclones_webdav_conforms() {
    let folder = tempfile::tempdir().unwrap();
    // Free a moment ago; rclone's log does not name the port that it was given.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("rclone");
    command.args(["serve", "webdav", "--user", "ada", "--pass", "s3cr@t", "--addr"]);
    command.arg(format!("127.0.0.1:{port}")).arg(folder.path());
    let Some(server) = Server::start(&mut command, "http://127.0.0.1:") else { return };
    conforms_to_webdav(server.port);
}

fn conforms_to_webdav(port: u16) {
    for folder in ["", "/dav/a%20b/", "/dav/c"] {
        conforms(&open(&format!("http://ada:s3cr%40t@127.0.0.1:{port}{folder}"), &StoreSettings::default()));
    }
    let stranger = open(&format!("http://ada:wrong@127.0.0.1:{port}/"), &StoreSettings::default());
    let error = stranger.read("config", 1).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Credentials, "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong"), "{error:?}");
}

#[test]
fn s3_conforms() {
    let mut command = Command::new("moto_server");
    command.args(["-H", "127.0.0.1", "-p", "0"]);
    let Some(server) = Server::start(&mut command, "http://127.0.0.1:") else { return };
    let mut connection = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    connection
        .write_all(
            b"PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let settings =
        StoreSettings::default().with_option("access_key_id", "a").with_option("secret_access_key", "b");
    for place in ["bucket", "bucket/below/this"] {
        conforms(&open(&format!("s3:http://127.0.0.1:{}/{place}", server.port), &settings));
    }
    let nowhere = open(&format!("s3:http://127.0.0.1:{}/none", server.port), &settings);
    let error = nowhere.write("config", Bytes::new()).unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

/// A server of another project, ended with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts it and reads the port from its log; `None`, said on one line, if it is not installed.
    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    fn start(command: &mut Command, before_port: &str) -> Option<Self> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut process) = spawned else {
            eprintln!("skipped: {} is not installed", command.get_program().display());
            return None;
        };
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, after) = line.split_once(before_port)?;
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        // Its log is read on, lest it wait for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let Some(port) = port else {
            let _ = process.kill();
            panic!("{} said no port: {:?}", command.get_program().display(), process.wait());
        };
        Some(Self { process, port })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that gives every request the same answer, or none.
fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut connection = connection;
                let mut request = [0; 4096];
                let _ = connection.read(&mut request);
                // Each connection is for one request.
                let answer_once = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let _ = connection.write_all(answer_once.as_bytes());
                if answer != SILENCE {
                    let _ = connection.shutdown(std::net::Shutdown::Write);
                }
                // Closing before all was read would reset the connection under the answer.
                let _ = connection.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

const SILENCE: &str = "";
const HANG_UP: &str = "HTTP/1.1 ";
const CUT_SHORT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";

#[test]
fn what_a_server_answers_decides_the_class() {
    let settings = StoreSettings {
        retries_max: 0,
        request_timeout: Duration::from_millis(300),
        retry_timeout: Duration::from_millis(300),
        ..StoreSettings::default()
    };
    for (answer, class, reason) in [
        (
            "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
            ErrorClass::Server,
            "503 Service Unavailable",
        ),
        ("HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n", ErrorClass::Server, "429"),
        ("HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n", ErrorClass::Space, "507"),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", ErrorClass::Credentials, "401 Unauthorized"),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", ErrorClass::Credentials, "403 Forbidden"),
        (SILENCE, ErrorClass::Network, "no answer"),
        (HANG_UP, ErrorClass::Network, "the"),
        (CUT_SHORT, ErrorClass::Network, ""),
    ] {
        let port = answering(answer);
        let store = open(&format!("http://ada:hush@127.0.0.1:{port}/"), &settings);
        let error = store.read("config", 1000).unwrap_err();
        assert_eq!(error.class(), class, "{answer}: {error:?}");
        assert!(error.to_string().contains(reason), "{answer}: {error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for place in [
        format!("http://127.0.0.1:{closed}/"),
        format!("https://127.0.0.1:{closed}/"),
        "http://name.invalid/".into(),
    ] {
        let error = open(&place, &settings).write("config", Bytes::new()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Network, "{error:?}");
        assert!(error.to_string().contains("cannot connect"), "{error}");
    }
}

#[test]
fn every_clouds_answers_are_understood_alike() {
    let patient = StoreSettings { retries_max: 0, ..StoreSettings::default() };
    for (answer, class, reason) in [
        ("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", ErrorClass::Server, "503 Service Unavailable"),
        (
            "HTTP/1.1 403 X\r\nContent-Length: 40\r\n\r\n<Error><Code>AccessDenied</Code></Error>",
            ErrorClass::Credentials,
            "403 Forbidden (AccessDenied)",
        ),
    ] {
        let endpoint = format!("http://127.0.0.1:{}", answering(answer));
        let key = "aHVzaA==";
        let clouds = [
            (
                "s3://bucket/a",
                vec![("endpoint", &*endpoint), ("access_key_id", "a"), ("secret_access_key", key)],
            ),
            ("az://container/a", vec![("endpoint", &*endpoint), ("account_name", "a"), ("access_key", key)]),
            ("gs://bucket/a", vec![("base_url", &*endpoint), ("bearer_token", key)]),
        ];
        for (place, options) in clouds {
            let settings = options
                .into_iter()
                .fold(patient.clone(), |settings, (name, value)| settings.with_option(name, value));
            let store = open(place, &settings);
            for error in [
                store.write("config", Bytes::from_static(b"x")).unwrap_err(),
                store.read("config", 10).unwrap_err(),
                store.list("data", |_| Ok(())).unwrap_err(),
            ] {
                assert_eq!(error.class(), class, "{place}: {error:?}");
                assert!(error.to_string().contains(reason), "{place}: {error}");
                assert!(!format!("{error:?}").contains(key), "{place}: {error:?}");
            }
        }
    }
}

#[test]
fn a_cloud_without_credentials_is_refused_before_anything_is_asked() {
    let nowhere = [("region", "here"), ("aws_region", "here"), ("azure_storage_account_name", "a")];
    let settings =
        StoreSettings::from_variables(nowhere.map(|(name, value)| (name.to_uppercase(), value.into())));
    for place in ["s3://bucket", "gs://bucket", "az://container"] {
        let location = Location::parse(place, std::path::Path::new("/")).unwrap();
        let error = Store::open(&location, &settings).unwrap_err();
        assert!(error.to_string().contains(&format!("no credentials for {place}")), "{error}");
        assert_eq!(error.class(), ErrorClass::Settings);
    }
}

#[test]
fn a_store_may_be_dropped_where_tasks_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open("memory://dropped", &StoreSettings::default());
    runtime.block_on(async move { drop(store) });
}
