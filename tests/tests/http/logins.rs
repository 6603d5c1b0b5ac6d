//! The page's login: each daemon's own, and what becomes of one that does not count any more.

use keepwell_tests::daemon::{Daemon, DaemonHome};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Logs in, and gives the cookie as a browser sends it.
async fn log_in(daemon: &Daemon) -> String {
    let body = json!({"token": daemon.token}).to_string();
    let login = daemon.stranger(Method::POST, "/login").body(body).send().await.unwrap();
    assert_eq!(login.status(), StatusCode::NO_CONTENT);
    set_cookie(login.headers()).split(';').next().unwrap().to_owned()
}

fn set_cookie(headers: &HeaderMap) -> &str {
    headers["set-cookie"].to_str().unwrap()
}

/// Asks as a browser that has these cookies.
async fn ask_with(daemon: &Daemon, cookies: &str) -> reqwest::Response {
    let asked = daemon.stranger(Method::POST, "/api/v1/commands/get-items").header("cookie", cookies);
    asked.send().await.unwrap()
}

#[tokio::test]
async fn daemons_of_one_host_do_not_end_each_others_logins() {
    let homes = [DaemonHome::new(), DaemonHome::new()];
    let daemons = homes.each_ref().map(DaemonHome::start);
    let cookies = [log_in(&daemons[0]).await, log_in(&daemons[1]).await];
    let names = cookies.each_ref().map(|cookie| cookie.split('=').next().unwrap());
    assert_ne!(names[0], names[1], "a browser keeps one of each name for a host, whatever the port");
    let both = cookies.join("; ");
    for daemon in &daemons {
        assert_eq!(ask_with(daemon, &both).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_stale_login_is_no_search_for_the_token_and_is_forgotten() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let cookie = log_in(&daemon).await;
    let address = daemon.address().to_owned();
    daemon.stop();
    std::fs::remove_file(home.path("data/token")).unwrap();
    let daemon = home.start_with(&["--listen", &address]);
    // More often than the token may be guessed: pages in several tabs come back.
    for _ in 0..40 {
        let refused = ask_with(&daemon, &cookie).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let cleared = set_cookie(refused.headers());
        let name = cookie.split('=').next().unwrap();
        assert!(cleared.starts_with(&format!("{name}=;")) && cleared.contains("Max-Age=0"), "{cleared}");
    }
    // Whoever mistypes is still told so, not to wait.
    let wrong = daemon.stranger(Method::POST, "/login").body("{\"token\":\"wrong\"}").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let cookie = log_in(&daemon).await;
    assert_eq!(ask_with(&daemon, &cookie).await.status(), StatusCode::OK);
}
