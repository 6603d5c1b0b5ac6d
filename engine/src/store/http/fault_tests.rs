//! Each way in which a network or a server fails, made to happen: its class, its message, and that it ends in
//! bounded time.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use keepwell_messages::ErrorClass;

use super::server::{Server, hasty, object, open, reply, reset, with_keys};
use crate::store::StoreSettings;

/// Far longer than any of these may take, and far shorter than it would if nobody gave up.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

fn once() -> StoreSettings {
    StoreSettings { retries_max: 0, ..hasty() }
}

#[test]
fn every_network_failure_is_known_by_its_type_and_ends_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Its queue is full, so that nobody is let in any more.
    let (full, _waiting) = full_listener();
    let head =
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n";
    let stalled_head = Server::start(|_, _, _| std::thread::sleep(Duration::from_secs(60)));
    let stalled_body = Server::start(move |_, _, connection| {
        let _ = connection.write_all(format!("{head}some").as_bytes());
        std::thread::sleep(Duration::from_secs(60));
    });
    let one_byte_a_second = Server::start(move |_, _, connection| {
        let _ = connection.write_all(head.as_bytes());
        while connection.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let hang_up = Server::start(|_, _, _| {});
    let reset = Server::start(|_, _, connection| reset(connection));
    let truncated = Server::start(move |_, _, connection| {
        let _ = connection.write_all(format!("{head}only this").as_bytes());
    });
    for (place, reason) in [
        (format!("http://127.0.0.1:{closed}/"), "cannot connect: Connection refused"),
        (format!("https://127.0.0.1:{closed}/"), "cannot connect: Connection refused"),
        ("http://name.invalid/".into(), "cannot connect: the name name.invalid has no address"),
        (format!("http://127.0.0.1:{full}/"), "within 1s"),
        (stalled_head.webdav(), "no answer within 1s"),
        (stalled_body.webdav(), "too slowly: 4 bytes of it within 1s"),
        (one_byte_a_second.webdav(), "too slowly"),
        (hang_up.webdav(), "the connection broke: "),
        (reset.webdav(), "the connection broke: Connection reset by peer"),
        (truncated.webdav(), "cut short: it ended after 9 bytes of 1000"),
    ] {
        let begun = Instant::now();
        let error = open(&place, &once(), |_| {}).read("config", 2000).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Network, "{place}: {error:?}");
        assert!(error.to_string().contains(reason), "{place}: {error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        assert!(begun.elapsed() < ENDS_WITHIN, "{place}: {:?}", begun.elapsed());
    }
}

#[test]
fn an_upload_that_the_server_does_not_take_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let _held: Vec<_> = listener.incoming().map_while(Result::ok).collect();
    });
    let settings = StoreSettings { bytes_per_second_min: 8 << 20, ..once() };
    let store = open(&format!("http://127.0.0.1:{port}/"), &settings, |_| {});
    let begun = Instant::now();
    let error = store.write("data/aa/x", vec![0; 64 << 20].into()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Network, "{error}");
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!(begun.elapsed() < ENDS_WITHIN, "{:?}", begun.elapsed());
}

#[test]
fn refusals_say_what_to_do_and_have_their_class() {
    let error = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    let region = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    for (answer, class, reason) in [
        (reply("403 X", "", &error("AccessDenied")), ErrorClass::Credentials, "check the credentials"),
        (reply("401 X", "", ""), ErrorClass::Credentials, "check the credentials"),
        (reply("507 X", "", ""), ErrorClass::Space, "make room"),
        (reply("403 X", "", &error("QuotaExceeded")), ErrorClass::Space, "quota"),
        (reply("404 X", "", &error("NoSuchBucket")), ErrorClass::Settings, "no such bucket"),
        (reply("404 X", "x-ms-error-code: ContainerNotFound\r\n", ""), ErrorClass::Settings, "create it"),
        (reply("400 X", "", region), ErrorClass::Settings, "in the region eu-west-1"),
        (
            reply("301 X", "x-amz-bucket-region: eu-west-2\r\n", &error("PermanentRedirect")),
            ErrorClass::Settings,
            "in the region eu-west-2",
        ),
        (reply("403 X", "", &error("RequestTimeTooSkewed")), ErrorClass::Settings, "clock"),
    ] {
        let server = Server::answering(vec![answer.clone()]);
        let store = open(&server.s3(), &with_keys(once()), |_| {});
        for error in [
            store.read("config", 10).unwrap_err(),
            store.write("config", Bytes::from_static(b"x")).unwrap_err(),
            store.list("data", |_| Ok(())).unwrap_err(),
        ] {
            assert_eq!(error.class(), class, "{answer}: {error:?}");
            assert!(error.to_string().contains(reason), "{answer}: {error}");
            assert!(!error.is_not_found(), "{error}");
        }
        assert_eq!(server.asked().len(), 3, "nothing is asked again: {answer}");
    }
}

#[test]
fn no_error_repeats_a_signature_or_a_token_or_a_password() {
    let cut = object("whole").replace("whole", "");
    for answer in
        [reply("503 X", "", ""), reply("403 X", "", "nonsense"), String::new(), cut, "junk\r\n\r\n".into()]
    {
        let server = Server::answering(vec![answer]);
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        let sas = "sv=2022-11-02&ss=b&sig=aHVzaA%3D%3D";
        let azure = once().with_option("endpoint", &*endpoint).with_option("account_name", "a");
        let stores = [
            open("az://container/a", &azure.with_option("sas_key", sas), |_| {}),
            open(&server.s3(), &with_keys(once()), |_| {}),
            open(&server.webdav(), &once(), |_| {}),
        ];
        for store in stores {
            for error in [
                store.read("config", 10).unwrap_err(),
                store.write("config", Bytes::from_static(b"x")).unwrap_err(),
                store.delete("config").unwrap_err(),
                store.list("data", |_| Ok(())).unwrap_err(),
            ] {
                let text = format!("{error} {error:?}");
                for secret in ["aHVzaA", "sig=", "Signature", "hush", "aHVzaDpodXNo"] {
                    assert!(!text.contains(secret), "{secret} in {text}");
                }
            }
        }
    }
}

/// A port whose queue of connections is full, and what fills it.
fn full_listener() -> (u16, (rustix::fd::OwnedFd, Vec<TcpStream>)) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let address: std::net::SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
    let wait = Duration::from_millis(200);
    let filling: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok()).take(8).collect();
    (address.port(), (listener, filling))
}
