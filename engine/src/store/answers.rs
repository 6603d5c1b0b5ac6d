//! What the store makes of a server's answers, or of none: each has its class and its words, whatever the kind of
//! store. That stores do what they must is tried on real servers, in the tests' room.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use keepwell_messages::ErrorClass;

use super::{Location, Store, StoreSettings};

fn open(text: &str, settings: &StoreSettings) -> Store {
    let location = Location::parse(text, std::path::Path::new("/")).unwrap();
    Store::open(&location, settings).unwrap()
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
