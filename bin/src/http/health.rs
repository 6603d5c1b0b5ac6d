//! Whether it lives, whether it serves, and how it is doing: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use keepwell_actors::{AskError, Handle};
use keepwell_messages::{GetItems, GetTaskManagerStats, ItemNow, TaskEnd, TaskManagerStats};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::events::Listeners;
use crate::broker::{BrokerState, SharedState};
use crate::doors::DoorError;

/// Who asks whether we are ready does not wait longer.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Everybody may ask whether we are ready, and what was found is told to all who ask within this time.
const READY_KEPT: Duration = Duration::from_secs(1);

/// Whether we are ready, as it was found last.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// Finds out by `ask`, unless it was found out just now. Whoever comes meanwhile waits for the same answer.
    async fn is_ready(&self, ask: impl Future<Output = bool>) -> bool {
        let mut found = self.0.lock().await;
        if let Some((at, is_ready)) = *found
            && at.elapsed() < READY_KEPT
        {
            return is_ready;
        }
        let is_ready = timeout(READY_WITHIN, ask).await.unwrap_or(false);
        *found = Some((Instant::now(), is_ready));
        is_ready
    }
}

/// What counts what happens at this door.
#[derive(Clone)]
pub struct Measures(Arc<PrometheusRecorder>);

impl Default for Measures {
    fn default() -> Self {
        Self(Arc::new(PrometheusBuilder::new().build_recorder()))
    }
}

/// How the rest is doing at one moment. It is recorded afresh each time: of an item that was removed nothing is said.
struct Moment<'a> {
    stats: &'a TaskManagerStats,
    items: &'a [ItemNow],
    listeners: usize,
    questions: usize,
    broker: Option<BrokerState>,
}

impl Measures {
    /// Counts an answer.
    pub fn count_answer(&self, status: u16) {
        metrics::with_local_recorder(&*self.0, || {
            counter!("keepwell_http_responses_total", "status" => status.to_string()).increment(1);
        });
    }

    /// What was counted, and the moment.
    fn told(&self, moment: &Moment<'_>) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        moment.record(&recorder);
        recorder.handle().render() + &self.0.handle().render()
    }
}

impl Moment<'_> {
    fn record(&self, recorder: &PrometheusRecorder) {
        let Self { stats, items, listeners, questions, broker } = self;
        metrics::with_local_recorder(recorder, || {
            set_tasks(stats);
            for item in *items {
                set_item(item);
            }
            gauge!("keepwell_event_listeners").set(as_float(*listeners as u64));
            gauge!("keepwell_repository_questions").set(as_float(*questions as u64));
            gauge!("keepwell_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            if let Some(state) = broker {
                set_broker(state);
            }
        });
    }
}

/// It lives.
pub async fn lives() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// Its actors answer. A broker that is away keeps nobody from backing up, and is told beside it.
pub async fn ready(
    handle: web::Data<Handle>,
    readiness: web::Data<Readiness>,
    broker: web::Data<Option<SharedState>>,
) -> HttpResponse {
    match readiness.is_ready(handle.answers()).await {
        true => {
            let broker = broker.as_ref().as_ref().map_or("", |broker| match broker.now() {
                BrokerState { connected: false, .. } => "broker: not connected\n",
                BrokerState { last_error: Some(_), .. } => {
                    "broker: connected, and in trouble; the log says why\n"
                }
                BrokerState { .. } => "broker: connected\n",
            });
            HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!("ready\n{broker}"))
        }
        false => {
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
    let text = measures.told(&Moment {
        stats: &stats,
        items: &items,
        listeners: listeners.count(),
        questions: handle.questions_under_way(),
        broker: broker.as_ref().as_ref().map(SharedState::now),
    });
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

fn set_broker(BrokerState { connected, last_acked, behind, last_error }: &BrokerState) {
    let as_gauge = |is_so: bool| f64::from(u8::from(is_so));
    gauge!("keepwell_broker_connected").set(as_gauge(*connected));
    gauge!("keepwell_broker_in_trouble").set(as_gauge(last_error.is_some()));
    gauge!("keepwell_broker_last_event").set(as_float(*last_acked));
    gauge!("keepwell_broker_events_behind").set(as_float(*behind));
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_the_actors_are_asked_once_a_second() {
        let (readiness, asked) = (Readiness::default(), Cell::new(0));
        let ask = async |is_ready| {
            readiness
                .is_ready(async {
                    asked.set(asked.get() + 1);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    is_ready
                })
                .await
        };
        let found = futures::future::join_all((0..1000).map(|_| ask(true))).await;
        assert!(found.into_iter().all(|is_ready| is_ready));
        assert!(ask(false).await, "it was found out just now");
        assert_eq!(asked.get(), 1);
        tokio::time::sleep(READY_KEPT).await;
        assert!(!ask(false).await);
        assert_eq!(asked.get(), 2);
        tokio::time::sleep(READY_KEPT).await;
        assert!(!readiness.is_ready(std::future::pending()).await, "nobody answers");
    }
}
