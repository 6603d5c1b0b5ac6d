//! What is told of how the daemon is doing: to everybody whether it lives and serves, and to Prometheus the rest.

use keepwell_tests::daemon::DaemonHome;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn of_an_item_that_was_removed_nothing_is_measured_any_more() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let source = json!({"files": {"paths": ["/etc/hostname"], "excludes": []}});
    let item = json!({"id": "mine", "source": source, "repository": "main", "schedule": null, "enabled": true,
                      "tags": []});
    daemon.done("set-item", &json!({"item": item})).await;
    let enabled = "keepwell_item_enabled{item=\"mine\"}";
    assert_eq!(daemon.metric(enabled).await, Some(1.0));
    daemon.done("remove-item", &json!({"item": "mine"})).await;
    assert_eq!(daemon.metric(enabled).await, None);
    // What is counted goes on.
    assert!(daemon.metric("keepwell_http_responses_total{status=\"200\"}").await >= Some(4.0));
    assert_eq!(daemon.metric("keepwell_tasks_ended_total{state=\"failed\"}").await, Some(0.0));
}

#[tokio::test]
async fn it_is_ready_as_soon_as_it_serves_however_many_ask() {
    let home = DaemonHome::new();
    let daemon = home.start();
    let asked = (0..100).map(|_| daemon.stranger(Method::GET, "/readyz").send());
    for answer in futures::future::join_all(asked).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "ready\n");
    }
}
