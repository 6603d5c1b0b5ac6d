//! The HTTP door answers with the status that its clients know, and says in words what it means.

use keepwell_tests::daemon::DaemonHome;
use reqwest::Method;
use serde_json::{Value, json};

/// What a refusal says.
async fn told_by(answer: reqwest::Response) -> Value {
    let path = answer.url().path().to_owned();
    let body = answer.bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: no words: {error}: {body:?}"))
}

#[tokio::test]
async fn another_method_is_not_allowed_and_those_that_are_are_named() {
    let home = DaemonHome::new();
    let daemon = home.start();
    for (method, path, allowed) in [
        (Method::GET, "/api/v1/commands/get-items", "POST"),
        (Method::DELETE, "/api/v1/commands/get-items", "POST"),
        (Method::POST, "/api/v1/events", "GET"),
        (Method::HEAD, "/api/v1/events", "GET"),
        (Method::POST, "/api/v1/ws", "GET"),
        (Method::PUT, "/api/v1/repositories/main/snapshots/latest/file?path=/a", "GET"),
        (Method::POST, "/api/v1/openapi.json", "GET, HEAD"),
        (Method::POST, "/healthz", "GET, HEAD"),
        (Method::DELETE, "/readyz", "GET, HEAD"),
        (Method::OPTIONS, "/metrics", "GET, HEAD"),
        (Method::POST, "/", "GET, HEAD"),
        (Method::GET, "/login", "POST"),
        (Method::GET, "/logout", "POST"),
    ] {
        let answer = daemon.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.headers()["allow"], allowed, "{method} {path}");
        if method != Method::HEAD {
            let body = told_by(answer).await;
            assert_eq!(body["error"]["code"], "wrong-method", "{body}");
        }
    }
}

#[tokio::test]
async fn a_head_is_that_of_what_there_is_without_its_body() {
    let home = DaemonHome::new();
    let daemon = home.start();
    for path in ["/", "/page/page.js", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        let whole = daemon.request(Method::GET, path).send().await.unwrap();
        let (status, bytes) = (whole.status(), whole.headers()["content-length"].clone());
        let head = daemon.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!((head.status(), &head.headers()["content-length"]), (status, &bytes), "{path}");
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
    let metrics = daemon.request(Method::HEAD, "/metrics").send().await.unwrap();
    assert_eq!(metrics.status(), 200);
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_every_refusal_has_its_words() {
    let home = DaemonHome::new();
    home.configure("[items.host]\npaths = [\"/etc/hostname\"]\n");
    let daemon = home.start();
    let task = daemon.done("perform-backup", &json!({"item": "host"})).await["task"].clone();
    daemon.wait_for_task(task.as_str().unwrap(), |now| now["state"] == "completed").await;
    let file = |snapshot: &str, path: &str| {
        format!("/api/v1/repositories/main/snapshots/{snapshot}/file?path={path}")
    };
    let there = daemon.request(Method::GET, &file("latest", "/etc/hostname")).send().await.unwrap();
    assert_eq!(there.status(), 200);
    for (path, status, code, words) in [
        (file("latest", "/etc/nothing"), 404, "not-found", "/etc/nothing not found"),
        (file("latest", "/etc"), 404, "not-found", "not a file"),
        (file("0123456789abcdef", "/etc/hostname"), 404, "not-found", "snapshot 0123456789abcdef not found"),
        (file("latest", "/a").replace("main", "mane"), 404, "not-found", "did you mean main?"),
        (file("latest", "/a").replace("path", "file"), 400, "bad-body", "the address cannot be read"),
        ("/api/v1/ws".into(), 426, "wrong-protocol", "a WebSocket is to be opened"),
        ("/page/nothing.js".into(), 404, "not-found", "nothing.js"),
        ("/page/%ff%fe".into(), 404, "not-found", ""),
        (file("%ff", "/etc/hostname"), 404, "not-found", ""),
        ("/nothing".into(), 404, "not-found", "there is nothing at GET /nothing"),
    ] {
        let answer = daemon.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let body = told_by(answer).await;
        assert_eq!(body["error"]["code"], code, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{path}: {body}");
    }
    let undecodable = daemon.request(Method::POST, "/api/v1/commands/%ff").body("{}").send().await.unwrap();
    let body = told_by(undecodable).await;
    assert!(body["error"]["code"].is_string(), "{body}");
    let upgrade = daemon.request(Method::GET, "/api/v1/ws").send().await.unwrap();
    assert_eq!(upgrade.headers()["upgrade"], "websocket");
}
