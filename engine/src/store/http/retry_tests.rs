//! When requests are made again, tried on servers that count them.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use keepwell_messages::ErrorClass;

use super::server::{Server, hasty, object, open, reply, reset, with_keys};

const BUSY: &str = "503 Service Unavailable";

#[test]
fn a_server_that_is_always_busy_is_asked_so_often_and_no_more() {
    for status in ["408 X", "429 X", "500 X", "502 X", BUSY, "504 X"] {
        let server = Server::answering(vec![reply(status, "", "")]);
        for (place, settings) in [(server.webdav(), hasty()), (server.s3(), with_keys(hasty()))] {
            let before = server.asked().len();
            let store = open(&place, &settings, |_| {});
            let error = store.read("config", 10).unwrap_err();
            assert!(error.to_string().contains(&status[..3]), "{error}");
            assert_eq!(server.asked().len() - before, 4, "{status} at {place}");
            store.write("config", Bytes::from_static(b"x")).unwrap_err();
            assert_eq!(server.asked().len() - before, 8, "{status} at {place}");
        }
    }
}

#[test]
fn what_stays_is_asked_once() {
    for status in ["400 X", "401 X", "403 X", "404 X", "412 X", "501 X", "507 X"] {
        let server = Server::answering(vec![reply(status, "", "")]);
        let store = open(&server.s3(), &with_keys(hasty()), |_| {});
        store.read("config", 10).unwrap_err();
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn what_passes_is_survived() {
    let slow_down = reply("503 X", "", "<Error><Code>SlowDown</Code></Error>");
    let time_out = reply("400 X", "", "<Error><Code>RequestTimeout</Code></Error>");
    for failure in [
        reply(BUSY, "", ""),
        slow_down,
        time_out,
        "HTTP/1.1 ".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly".into(),
        reply(BUSY, "Retry-After: 0\r\n", ""),
    ] {
        let server = Server::answering(vec![failure.clone(), failure.clone(), object("whole")]);
        let store = open(&server.s3(), &with_keys(hasty()), |_| {});
        assert_eq!(store.read("config", 1000).unwrap(), "whole", "{failure}");
        assert_eq!(server.asked().len(), 3, "{failure}");
    }
}

#[test]
fn a_reset_in_the_midst_of_a_large_answer_is_survived() {
    let large = "x".repeat(3_000_000);
    let whole = large.clone();
    let server = Server::start(move |number, _, connection| {
        let answer = object(&whole);
        let part = if number == 0 { &answer.as_bytes()[..2_000_000] } else { answer.as_bytes() };
        let _ = connection.write_all(part);
        if number == 0 {
            reset(connection);
        }
    });
    let store = open(&server.s3(), &with_keys(hasty()), |_| {});
    assert_eq!(store.read("data/aa/x", 4 << 20).unwrap(), large);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_server_that_says_how_long_to_wait_is_waited_for() {
    // A date has no fractions of a second, and the first server takes one.
    let later = (chrono::Utc::now() + Duration::from_secs(4)).to_rfc2822().replace("+0000", "GMT");
    for asked in ["1".to_owned(), later] {
        let busy = reply(BUSY, &format!("Retry-After: {asked}\r\n"), "");
        let server = Server::answering(vec![busy, object("whole")]);
        let store = open(&server.s3(), &with_keys(hasty()), |_| {});
        let begun = Instant::now();
        assert_eq!(store.read("config", 10).unwrap(), "whole");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{asked}: {:?}", begun.elapsed());
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_server_that_asks_for_more_time_than_there_is_is_given_up_at_once_and_the_error_says_how_long() {
    for status in [BUSY, "429 Too Many Requests"] {
        let server = Server::answering(vec![reply(status, "Retry-After: 3600\r\n", "")]);
        let store = open(&server.s3(), &with_keys(hasty()), |_| {});
        let error = store.read("config", 10).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Server);
        assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_request_whose_signature_is_too_old_is_signed_anew() {
    let busy = reply(BUSY, "Retry-After: 1\r\n", "");
    let server = Server::answering(vec![busy.clone(), busy, object("whole")]);
    let store = open(&server.s3(), &with_keys(hasty()), |connector| {
        connector.signature_life = Duration::from_millis(500);
    });
    assert_eq!(store.read("config", 10).unwrap(), "whole");
    let asked = server.asked();
    let mut signatures: Vec<_> = asked.iter().map(|asked| asked.header("authorization").unwrap()).collect();
    signatures.dedup();
    assert_eq!((asked.len(), signatures.len()), (3, 3), "{signatures:?}");

    // The tries of all signatures count together.
    let server = Server::answering(vec![reply(BUSY, "Retry-After: 1\r\n", "")]);
    let store = open(&server.s3(), &with_keys(hasty()), |connector| {
        connector.signature_life = Duration::from_millis(500);
    });
    store.read("config", 10).unwrap_err();
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_listing_goes_on_where_it_was_when_a_signature_became_too_old() {
    let id = |n: u8| crate::id::Id::of(&[n]).to_hex();
    let mut ids = [id(1), id(2)];
    ids.sort();
    let page = |key: &str, more: &str| {
        let entry = format!(
            "<Contents><Key>locks/{key}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><Size>1</Size>\
             <ETag>\"1\"</ETag></Contents>"
        );
        reply("200 OK", "", &format!("<ListBucketResult>{more}{entry}</ListBucketResult>"))
    };
    let first =
        page(&ids[0], "<NextContinuationToken>t</NextContinuationToken><IsTruncated>true</IsTruncated>");
    let busy = reply(BUSY, "Retry-After: 1\r\n", "");
    let server = Server::answering(vec![first, busy, page(&ids[1], "")]);
    let store = open(&server.s3(), &with_keys(hasty()), |connector| {
        connector.signature_life = Duration::from_millis(500);
    });
    let mut found = Vec::new();
    store
        .list("locks", |object| {
            found.push(object.id.to_hex());
            Ok(())
        })
        .unwrap();
    assert_eq!(found, ids);
    let asked = server.asked();
    assert!(asked[2].path.contains(&format!("start-after=locks%2F{}", ids[0])), "{}", asked[2].path);
}

#[test]
fn a_create_whose_answer_was_lost_finds_that_the_object_is_its_own() {
    let mine = Bytes::from_static(b"mine");
    for (theirs, is_mine) in [("mine", true), ("thei", false)] {
        let server = Server::start(move |number, asked, connection| {
            let answer = match (number, asked.method.as_str()) {
                (0, "PUT") => String::new(),
                (_, "PUT") => reply("412 Precondition Failed", "", ""),
                (_, "HEAD") => object(theirs).replace(theirs, ""),
                _ => object(theirs),
            };
            let _ = connection.write_all(answer.as_bytes());
        });
        let store = open(&server.s3(), &with_keys(hasty()), |_| {});
        assert_eq!(store.create("config", mine.clone()).unwrap(), is_mine);
        let asked = server.asked();
        assert_eq!(asked[1].header("if-none-match"), Some("*"), "{:?}", asked[1]);
        assert_eq!(asked[1].body, "mine".as_bytes());
    }
}
