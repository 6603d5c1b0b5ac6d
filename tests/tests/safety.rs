//! Whoever must not come in does not, and nothing is changed by the attempt; what is secret is told to nobody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use keepwell_tests::daemon::{Daemon, DaemonHome};
use keepwell_tests::programs::{PASSWORD, transcript};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// A daemon with one item, and everything that a stranger might change.
struct Guarded {
    home: DaemonHome,
    daemon: Daemon,
    before: Value,
}

impl Guarded {
    async fn new() -> Self {
        let home = DaemonHome::new();
        std::fs::create_dir(home.path("data-to-keep")).unwrap();
        std::fs::write(home.path("data-to-keep/one.txt"), "one").unwrap();
        let source = home.slow_source("drip", &home.path("enough"));
        let path = home.path("data-to-keep").display().to_string();
        home.configure(&format!("{source}[items.documents]\npaths = [{path:?}]\n"));
        let daemon = home.start();
        let before = state_of(&daemon).await;
        Self { home, daemon, before }
    }

    async fn ensure_unchanged(&self, attempt: &str) {
        assert_eq!(state_of(&self.daemon).await, self.before, "after {attempt}");
    }
}

async fn state_of(daemon: &Daemon) -> Value {
    let none = json!({});
    json!([
        daemon.done("get-items", &none).await,
        daemon.done("get-active-tasks", &none).await,
        daemon.done("get-task-manager-stats", &none).await,
        daemon.done("get-history", &json!({"item": null, "limit": 100})).await,
        daemon.events_after(0).await,
    ])
}

/// Sends what a browser or a client of no good would, and gives the status.
fn raw(daemon: &Daemon, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // It may close before all was sent.
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

/// As a browser has it that logged in when there was another token.
fn stale_cookie(daemon: &Daemon) -> String {
    let port = daemon.address().rsplit_once(':').unwrap().1;
    format!("keepwell-{port}=0123")
}

const PAUSE_ALL: &str = "/api/v1/commands/pause-all-backups";

#[tokio::test]
async fn without_the_token_nothing_is_told_or_done() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    let paths = [
        (Method::POST, PAUSE_ALL),
        (Method::POST, "/api/v1/commands/get-items"),
        (Method::POST, "/api/v1/commands/no-such-command"),
        (Method::GET, "/api/v1/events"),
        (Method::GET, "/api/v1/ws"),
        (Method::GET, "/api/v1/openapi.json"),
        (Method::GET, "/api/v1/repositories/main/snapshots/latest/file?path=/etc/passwd"),
        (Method::GET, "/metrics"),
        (Method::GET, "/anything/else"),
    ];
    for (method, path) in paths {
        for credentials in ["", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNzd29yZA==", "Bearer \u{e9}"] {
            let mut request = daemon.stranger(method.clone(), path);
            if !credentials.is_empty() {
                request = request.header("authorization", credentials.as_bytes());
            }
            let status = request.send().await.unwrap().status();
            // A search for the token is slowed down.
            let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
            assert!(is_refused, "{path} with {credentials:?}: {status}");
        }
        let cookie =
            daemon.stranger(method, path).header("cookie", stale_cookie(daemon)).send().await.unwrap();
        assert!(cookie.status().is_client_error());
    }
    guarded.ensure_unchanged("requests without the token").await;
    for open in ["/healthz", "/readyz", "/"] {
        assert_eq!(
            daemon.stranger(Method::GET, open).send().await.unwrap().status(),
            StatusCode::OK,
            "{open}"
        );
    }
    let login = daemon.stranger(Method::POST, "/login").body("{\"token\":\"wrong\"}").send().await.unwrap();
    assert!(login.status().is_client_error() && login.headers().get("set-cookie").is_none());
}

#[tokio::test]
async fn the_page_s_login_is_for_the_page_alone() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    let body = json!({"token": daemon.token}).to_string();
    let login = daemon.stranger(Method::POST, "/login").body(body).send().await.unwrap();
    assert_eq!(login.status(), StatusCode::NO_CONTENT);
    let set = login.headers()["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains(&daemon.token), "the cookie gives the token away");
    let cookie = set.split(';').next().unwrap().to_owned();
    let ask = |origin: Option<&'static str>, site: Option<&'static str>| {
        let mut request = daemon.stranger(Method::POST, PAUSE_ALL).header("cookie", &cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        async move { request.send().await.unwrap().status() }
    };
    for (origin, site) in [
        (Some("http://evil.example.org"), None),
        (Some("null"), None),
        (Some("http://localhost:1"), None),
        (None, Some("cross-site")),
        (None, Some("same-site")),
    ] {
        assert_eq!(ask(origin, site).await, StatusCode::FORBIDDEN, "{origin:?} {site:?}");
    }
    guarded.ensure_unchanged("requests of other sites").await;
    // The page itself comes in, through a proxy that speaks TLS, too.
    for origin in [daemon.url.clone(), daemon.url.replace("http://", "https://")] {
        let own = daemon.stranger(Method::POST, "/api/v1/commands/get-items");
        let own = own.header("cookie", &cookie).header("origin", &origin).send().await.unwrap();
        assert_eq!(own.status(), StatusCode::OK, "{origin}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused_even_with_the_token() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    for host in ["evil.example.org", "evil.example.org:8377", "127.0.0.1.evil.example.org", ""] {
        let (status, answer) = raw(
            daemon,
            &format!(
                "POST {PAUSE_ALL} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n",
                daemon.token
            ),
        );
        assert!(status == 403 || status == 400, "{host}: {answer}");
        assert!(!answer.contains(&daemon.token));
    }
    guarded.ensure_unchanged("requests that call us by foreign names").await;
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_refused() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    let large = vec![b' '; 4 * 1024 * 1024];
    let sent = daemon.request(Method::POST, PAUSE_ALL).body(large).send().await;
    // It may hang up before it has all.
    assert!(sent.map_or(true, |answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE));
    let (status, _) = raw(
        daemon,
        &format!(
            "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(1 << 20)
        ),
    );
    assert!(status == 0 || (400..500).contains(&status), "{status}");
    let slow = Instant::now();
    let (status, _) = raw(daemon, "POST /api/v1/commands/pause-all-backups HTTP/1.1\r\nHost: localhost\r\n");
    assert!(status == 408 || status == 0, "{status}");
    assert!(slow.elapsed() < Duration::from_secs(30), "{:?}", slow.elapsed());
    guarded.ensure_unchanged("requests of the wrong size").await;
}

#[tokio::test]
async fn no_path_leads_out() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    for path in [
        "/page/../../../../etc/passwd",
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/%2e%2e/%2e%2e/token",
        "/page//etc/passwd",
        "/../data/token",
        "/api/v1/repositories/main/snapshots/latest/file?path=../../../../etc/passwd",
        "/api/v1/repositories/..%2f..%2f/snapshots/latest/file?path=/x",
        "/api/v1/repositories/main/snapshots/..%2f..%2fkeys/file?path=/x",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            daemon.token
        );
        let (status, answer) = raw(daemon, &request);
        assert!((400..500).contains(&status), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_door_runs_no_command_and_restores_only_below_the_roots() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    let item = |source: Value| {
        json!({"item": {"id": "mine", "source": source, "repository": "main", "schedule": null, "enabled": true,
                        "tags": []}})
    };
    for (name, fields) in [
        ("set-item", item(json!({"command": ["/bin/sh", "-c", "id"]}))),
        ("set-item", item(json!({"named": "no such source"}))),
        ("set-item", item(json!({"files": {"paths": ["relative"], "excludes": []}}))),
        ("set-item", item(json!({"files": {"paths": ["/etc"], "excludes": [], "command": "id"}}))),
        ("set-item", {
            let mut changed = item(json!({"files": {"paths": ["/etc"], "excludes": []}}));
            changed["item"]["password_command"] = json!("id");
            changed
        }),
        // The configuration file's item is the file's.
        ("set-item", {
            let mut theirs = item(json!({"files": {"paths": ["/etc"], "excludes": []}}));
            theirs["item"]["id"] = json!("documents");
            theirs
        }),
        ("remove-item", json!({"item": "documents"})),
    ] {
        let (status, answer) = daemon.ask(name, &fields).await;
        assert!(matches!(status, 400 | 409 | 422), "{name} {fields}: {status} {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let root = guarded.home.path("restored").display().to_string();
    for target in [
        "/etc".to_owned(),
        "/".to_owned(),
        "relative".to_owned(),
        format!("{root}/../elsewhere"),
        format!("{root}-beside"),
        guarded.home.path("data").display().to_string(),
    ] {
        let fields = json!({"restore": {"repository": "main", "snapshot": "latest", "path": "",
                                        "target": {"folder": target}, "verify": false}});
        let (status, answer) = daemon.ask("perform-restore", &fields).await;
        assert_eq!(status, 422, "{target}: {answer}");
    }
    guarded.ensure_unchanged("items and restores that are not allowed").await;
}

#[tokio::test]
async fn a_socket_opens_to_our_own_page_alone() {
    let guarded = Guarded::new().await;
    let daemon = &guarded.daemon;
    let url = format!("ws://{}/api/v1/ws", daemon.address());
    let request = |origin: Option<&str>, token: Option<&str>| {
        let mut request = url.as_str().into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    };
    for (origin, token, expected) in [
        (Some("http://evil.example.org"), Some(&*daemon.token), 403),
        (Some("null"), Some(&*daemon.token), 403),
        (None, None, 401),
        (None, Some("wrong"), 401),
    ] {
        match tokio_tungstenite::connect_async(request(origin, token)).await {
            Err(SocketError::Http(answer)) => assert_eq!(answer.status().as_u16(), expected, "{origin:?}"),
            other => panic!("{origin:?} {token:?}: {other:?}"),
        }
    }
    let (mut socket, _) =
        tokio_tungstenite::connect_async(request(Some(&daemon.url), Some(&*daemon.token))).await.unwrap();
    use futures::{SinkExt, StreamExt};
    for nonsense in
        ["", "{}", "[1]", "{\"id\":\"1\",\"command\":{}}", "{\"id\":\"1\",\"command\":{\"a\":{},\"b\":{}}}"]
    {
        socket.send(Message::text(nonsense)).await.unwrap();
        let answer = loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                break text;
            }
        };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], "bad-body", "{nonsense}: {answer}");
    }
    guarded.ensure_unchanged("sockets from elsewhere").await;
}

#[tokio::test]
async fn no_secret_is_in_a_log_an_argument_or_an_error() {
    const CREDENTIAL: &str = "a credential of the store";
    let home = DaemonHome::new();
    let source = home.slow_source("drip", &home.path("enough"));
    std::fs::write(
        home.path("location"),
        format!("http://user:{}@127.0.0.1:1/", CREDENTIAL.replace(' ', "-")),
    )
    .unwrap();
    let [location, password] = ["location", "password"].map(|name| home.path(name).display().to_string());
    home.configure(&format!(
        "[repositories.far]\nlocation_file = {location:?}\npassword_file = {password:?}\n{source}\
         [items.drip]\nsource = \"drip\"\nrepository = \"main\"\n\
         [items.far]\npaths = [\"/etc/hostname\"]\nrepository = \"far\"\n"
    ));
    let daemon = home.start_with(&["--listen", "127.0.0.1:0", "-v"]);
    let token = daemon.token.clone();
    let cookie = {
        let body = json!({"token": token}).to_string();
        let login = daemon.stranger(Method::POST, "/login").body(body).send().await.unwrap();
        login.headers()["set-cookie"].to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned()
    };
    daemon.done("perform-backup", &json!({"item": "drip"})).await;
    daemon.done("perform-backup", &json!({"item": "far"})).await;
    let mut told = String::new();
    for (name, fields) in [
        ("get-setup", json!({})),
        ("get-items", json!({})),
        ("get-active-tasks", json!({})),
        ("get-snapshots", json!({"repository": "far", "after": null, "limit": 1})),
        ("set-item", json!({"item": token})),
    ] {
        told += &daemon.ask(name, &fields).await.1.to_string();
    }
    let wrong = daemon
        .stranger(Method::POST, "/login")
        .body(format!("{{\"token\":\"{token}x\"}}"))
        .send()
        .await
        .unwrap();
    told += &wrong.text().await.unwrap();
    let started = Instant::now();
    // Until both are under way or have failed once.
    while daemon.events_after(0).await.len() < 8 && started.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    told += &json!(daemon.events_after(0).await).to_string();
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.running.id())).unwrap();
    told += &String::from_utf8_lossy(&arguments);
    told += &children_of(daemon.running.id());
    told += &daemon.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    told += &transcript(&daemon.stop().output);
    for (what, secret) in [
        ("the token", &*token),
        ("the cookie", &*cookie),
        ("the password", PASSWORD),
        ("the credential", &*CREDENTIAL.replace(' ', "-")),
    ] {
        assert!(!told.contains(secret), "{what} is told: {}", around(&told, secret));
    }
}

/// The arguments of all processes that this one has started.
fn children_of(id: u32) -> String {
    let lists = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let children =
        lists.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    children
        .iter()
        .filter_map(|child| std::fs::read(format!("/proc/{child}/cmdline")).ok())
        .map(|arguments| String::from_utf8_lossy(&arguments).into_owned())
        .collect()
}

fn around<'a>(text: &'a str, secret: &str) -> &'a str {
    let at = text.find(secret).unwrap_or(0);
    let from = (0..=at.saturating_sub(200)).rev().find(|from| text.is_char_boundary(*from)).unwrap_or(0);
    let to = (at + secret.len()..text.len()).find(|to| text.is_char_boundary(*to)).unwrap_or(text.len());
    &text[from..to]
}
