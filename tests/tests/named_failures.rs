//! What goes wrong on the way to a store, as the binary tells it: each in its own words, with what to do about it,
//! soon, with the right exit code, and without a secret.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::OsStr;
use std::process::Output;
use std::time::{Duration, Instant};

use keepwell_tests::programs::{PASSWORD, keepwell, say, transcript};
use keepwell_tests::running::Running;
use keepwell_tests::servers::azurite::Azurite;
use keepwell_tests::servers::google::Google;
use keepwell_tests::servers::http::{Answer, HttpServer};
use keepwell_tests::servers::moto::Moto;
use keepwell_tests::servers::ports::refused;
use keepwell_tests::servers::rclone::Rclone;
use keepwell_tests::servers::seaweedfs::SeaweedFs;
use keepwell_tests::servers::tls::{Authority, Certificate};
use keepwell_tests::servers::{BUCKET, SECRET, Server};
use rustix::process::Signal;

/// Somebody sits there and waits.
const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const FAILED: i32 = 1;
const NO_REPOSITORY: i32 = 10;

/// Runs a verb on a place that is not as it should be.
fn run(location: &str, variables: &[(&str, String)], verb: &[&str]) -> (Output, Duration) {
    let home = tempfile::tempdir().unwrap();
    let mut command = keepwell().command_at(OsStr::new(location), home.path());
    command.envs(variables.iter().map(|(name, value)| (*name, value))).args(verb).arg("--no-cache");
    let begun = Instant::now();
    let running = Running::start(command);
    // Whoever is not soon is not waited for.
    while !running.has_ended() && begun.elapsed() < SOON {
        std::thread::sleep(LOOK_AGAIN);
    }
    let took = begun.elapsed();
    if !running.has_ended() {
        running.signal(Signal::KILL);
    }
    (running.end().output, took)
}

/// Reading and writing verbs end alike: so, soon, in these words, and with nothing in them that is secret.
fn assert_named(what: &str, location: &str, variables: &[(&str, String)], code: i32, said: &[&str]) {
    let mut failed = Vec::new();
    for verb in [&["snapshots"][..], &["init"]] {
        let (output, took) = run(location, variables, verb);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        say(&format!("{what}, {verb:?}, {took:.1?}: {}", told.trim_end()));
        let all = format!("{what}, {verb:?}: {}", transcript(&output));
        let mut expect = |holds: bool, why: String| {
            if !holds {
                failed.push(format!("{why}: {all}"));
            }
        };
        expect(output.status.code() == Some(code), format!("the exit code is not {code}"));
        expect(took < SOON, format!("it took {took:?}"));
        for words in said {
            expect(told.contains(words), format!("{words:?} is not said"));
        }
        expect(told.lines().count() <= 2, "more than a message and a hint".into());
        for unfit in [SECRET, PASSWORD, "wr0ngS3cret", "Signature=", "panicked", "os error"] {
            expect(!all.contains(unfit), format!("{unfit:?} is told"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_bucket_that_does_not_exist() {
    let said = ["no such bucket", "create it", "nowhere"];
    if let Some(server) = Moto::start() {
        let place = server.location(server.port(), "x").replace(BUCKET, "nowhere");
        assert_named("moto", &place, &server.variables(server.port()), FAILED, &said);
    }
    if let Some(server) = SeaweedFs::start() {
        let place = server.location(server.port(), "x").replace(BUCKET, "nowhere");
        assert_named("SeaweedFS", &place, &server.variables(server.port()), FAILED, &said);
    }
    let google = Google::start();
    assert_named("Google", "gs://nowhere/x", &google.variables(google.port()), FAILED, &said);
    if let Some(server) = Azurite::start() {
        assert_named("Azurite", "az://nowhere/x", &server.variables(server.port()), FAILED, &said);
    }
}

/// Amazon's own answers, for no server of others has regions.
#[test]
fn a_wrong_region() {
    let variables = |region: &str| {
        vec![
            ("AWS_ACCESS_KEY_ID", "keepwell".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", region.to_owned()),
        ]
    };
    let document = |code: &str, more: &str| {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Wrong.</Message>{more}</Error>")
            .into_bytes()
    };
    let moved = HttpServer::start(move |request| Answer {
        status: "301 Moved Permanently",
        headers: "x-amz-bucket-region: eu-central-1\r\n".into(),
        body: if request.method == "HEAD" { Vec::new() } else { document("PermanentRedirect", "") },
    });
    let malformed = HttpServer::start(move |_| Answer {
        status: "400 Bad Request",
        headers: "x-amz-bucket-region: eu-central-1\r\n".into(),
        body: document("AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"),
    });
    for (what, server) in [("moved", &moved), ("malformed", &malformed)] {
        let place = format!("s3:http://127.0.0.1:{}/{BUCKET}/x", server.port());
        let said = ["the region eu-central-1", "set the option region"];
        assert_named(what, &place, &variables("us-west-2"), FAILED, &said);
    }
}

#[test]
fn wrong_credentials() {
    let said = ["check", "credentials"];
    let wrong = |text: &str| text.replace(SECRET, "wr0ngS3cret");
    let wrong_variables = |server: &dyn Server| -> Vec<(&'static str, String)> {
        let variables = server.variables(server.port()).into_iter();
        variables.map(|(name, value)| (name, wrong(&value))).collect()
    };
    if let Some(server) = SeaweedFs::start() {
        let place = server.location(server.port(), "x");
        assert_named("SeaweedFS", &place, &wrong_variables(&server), FAILED, &[&said[..], &["403"]].concat());
    }
    let google = Google::start();
    assert_named("Google", &google.location(google.port(), "x"), &wrong_variables(&google), FAILED, &said);
    if let Some(server) = Rclone::start() {
        let place = wrong(&server.location(server.port(), "x"));
        assert_named("rclone", &place, &[], FAILED, &[&said[..], &["401"]].concat());
    }
}

#[test]
fn a_certificate_that_is_not_to_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let trusting = [("SSL_CERT_FILE", authority.file().to_str().unwrap().to_owned())];
    let place = |kind| format!("https://localhost:{}/x", authority.serve(kind));
    // The way is right: with a certificate in order there merely is no repository.
    let (output, _) = run(&place(Certificate::Right), &trusting, &["snapshots"]);
    assert_eq!(output.status.code(), Some(NO_REPOSITORY), "{}", transcript(&output));
    for (kind, said) in [
        (Certificate::Expired, &["certificate has expired", "renewed"][..]),
        (Certificate::NotYetValid, &["certificate is not valid yet", "clock"]),
        (Certificate::OtherName, &["certificate is for another name", "location"]),
        (Certificate::SelfSigned, &["certificate", "trusts", "SSL_CERT_FILE"]),
    ] {
        assert_named(&format!("{kind:?}"), &place(kind), &trusting, FAILED, said);
    }
    let said = ["certificate", "trusts", "SSL_CERT_FILE"];
    assert_named("an unknown authority", &place(Certificate::Right), &[], FAILED, &said);
}

#[test]
fn a_host_that_does_not_resolve() {
    let said = ["cannot connect", "name.invalid has no address", "check the location"];
    assert_named("WebDAV", "https://name.invalid/x", &[], FAILED, &said);
    let keys = [("AWS_ACCESS_KEY_ID", "keepwell".to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned())];
    assert_named("S3", "s3:https://name.invalid/bucket/x", &keys, FAILED, &said);
}

#[test]
fn a_port_that_nobody_listens_on() {
    let (port, _kept) = refused();
    let said = ["cannot connect", "refused", "check that the server runs"];
    let place = format!("http://ada:{SECRET}@127.0.0.1:{port}/x");
    assert_named("WebDAV", &place, &[], FAILED, &said);
    let keys = [("AWS_ACCESS_KEY_ID", "keepwell".to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned())];
    assert_named("S3", &format!("s3:http://127.0.0.1:{port}/bucket/x"), &keys, FAILED, &said);
}
