//! Whether it lives, whether it serves, and how it is doing: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use keepwell_actors::{AskError, Handle};
use keepwell_messages::{GetItems, GetTaskManagerStats, ItemNow, TaskEnd, TaskManagerStats};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::time::timeout;

use super::events::Listeners;
use crate::broker::{BrokerState, SharedState};
use crate::doors::{DoorError, actors_answer};

/// Who asks whether we are ready does not wait longer.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What counts what happens at this door.
#[derive(Clone)]
pub struct Measures(Arc<PrometheusRecorder>);

impl Default for Measures {
    fn default() -> Self {
        Self(Arc::new(PrometheusBuilder::new().build_recorder()))
    }
}

impl Measures {
    /// Counts an answer.
    pub fn count_answer(&self, status: u16) {
        metrics::with_local_recorder(&*self.0, || {
            counter!("keepwell_http_responses_total", "status" => status.to_string()).increment(1);
        });
    }

    fn set(&self, stats: &TaskManagerStats, items: &[ItemNow], listeners: usize, questions: usize) {
        metrics::with_local_recorder(&*self.0, || {
            set_tasks(stats);
            for item in items {
                set_item(item);
            }
            gauge!("keepwell_event_listeners").set(as_float(listeners as u64));
            gauge!("keepwell_repository_questions").set(as_float(questions as u64));
            gauge!("keepwell_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
    }

    fn set_broker(&self, state: &BrokerState) {
        let BrokerState { connected, last_acked, behind, last_error } = state;
        let as_gauge = |is_so: bool| f64::from(u8::from(is_so));
        metrics::with_local_recorder(&*self.0, || {
            gauge!("keepwell_broker_connected").set(as_gauge(*connected));
            gauge!("keepwell_broker_in_trouble").set(as_gauge(last_error.is_some()));
            gauge!("keepwell_broker_last_event").set(as_float(*last_acked));
            gauge!("keepwell_broker_events_behind").set(as_float(*behind));
        });
    }
}

/// It lives.
pub async fn lives() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// Its actors answer. A broker that is away keeps nobody from backing up, and is told beside it.
pub async fn ready(handle: web::Data<Handle>, broker: web::Data<Option<SharedState>>) -> HttpResponse {
    match timeout(READY_WITHIN, actors_answer(&handle)).await {
        Ok(true) => {
            let broker = broker.as_ref().as_ref().map_or("", |broker| match broker.now() {
                BrokerState { connected: false, .. } => "broker: not connected\n",
                BrokerState { last_error: Some(_), .. } => {
                    "broker: connected, and in trouble; the log says why\n"
                }
                BrokerState { .. } => "broker: connected\n",
            });
            HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!("ready\n{broker}"))
        }
        Ok(false) | Err(_) => {
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("not ready\n")
        }
    }
}

/// How it is doing, for Prometheus.
pub async fn metrics(
    handle: web::Data<Handle>,
    measures: web::Data<Measures>,
    listeners: web::Data<Listeners>,
    broker: web::Data<Option<SharedState>>,
) -> Result<HttpResponse, DoorError> {
    let asked = async {
        let stats = handle.ask(GetTaskManagerStats {}).await?;
        Ok::<_, AskError>((stats, handle.ask(GetItems {}).await?.items))
    };
    let (stats, items) = asked.await?;
    measures.set(&stats, &items, listeners.count(), handle.questions_under_way());
    if let Some(broker) = broker.as_ref() {
        measures.set_broker(&broker.now());
    }
    let text = measures.0.handle().render();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

fn set_tasks(stats: &TaskManagerStats) {
    let TaskManagerStats {
        running,
        restoring,
        queued,
        paused,
        retrying,
        completed,
        failed,
        cancelled,
        globally_paused,
        max_concurrent_tasks,
        fenced_workers,
    } = *stats;
    for (state, count) in [
        ("running", running),
        ("restoring", restoring),
        ("queued", queued),
        ("paused", paused),
        ("retrying", retrying),
    ] {
        gauge!("keepwell_tasks", "state" => state).set(count);
    }
    for (state, count) in [("completed", completed), ("failed", failed), ("cancelled", cancelled)] {
        counter!("keepwell_tasks_ended_total", "state" => state).absolute(count);
    }
    gauge!("keepwell_globally_paused").set(f64::from(u8::from(globally_paused)));
    gauge!("keepwell_max_concurrent_tasks").set(max_concurrent_tasks);
    gauge!("keepwell_fenced_workers").set(fenced_workers);
}

fn set_item(now: &ItemNow) {
    let name = || now.item.id.0.clone();
    gauge!("keepwell_item_enabled", "item" => name()).set(f64::from(u8::from(now.item.enabled)));
    if let Some(due) = now.next_due {
        gauge!("keepwell_item_next_due_seconds", "item" => name()).set((due - Utc::now()).as_seconds_f64());
    }
    let Some(latest) = &now.latest else { return };
    let is_well = matches!(latest.end, TaskEnd::BackedUp(_));
    gauge!("keepwell_item_latest_ok", "item" => name()).set(f64::from(u8::from(is_well)));
    gauge!("keepwell_item_latest_end_timestamp_seconds", "item" => name())
        .set(latest.at.timestamp_millis() as f64 / 1000.0);
    if let TaskEnd::BackedUp(done) = &latest.end {
        gauge!("keepwell_item_latest_bytes", "item" => name()).set(as_float(done.bytes));
        gauge!("keepwell_item_latest_errors", "item" => name()).set(as_float(done.errors));
    }
}

/// Exact up to 2^53, and near enough beyond.
fn as_float(number: u64) -> f64 {
    number as f64
}
