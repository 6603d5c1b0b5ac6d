//! Events as they happen, as a stream of server-sent events: `GET /api/v1/events`.
//!
//! A durable event has its number as id, so that a browser that comes back names the last one that it has seen
//! and misses none. Progress has no id. A comment now and then shows that the line still holds.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::Stream;
use keepwell_actors::{Handle, Told};
use keepwell_messages::{BackupProgress, NumberedEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::doors::{DoorError, Kind, Listening};

/// What lies on the way forgets a connection that says nothing for a minute.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);
/// A browser that lost us comes back after so many milliseconds.
const BACK_AFTER_MILLIS: u32 = 1_000;

/// How many may listen.
#[derive(Clone)]
pub struct Listeners {
    places: Arc<Semaphore>,
    max: usize,
}

impl Listeners {
    /// As many places as this.
    pub fn new(max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max)), max }
    }

    /// A place, as long as it is held.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, DoorError> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            DoorError::new(Kind::TooMany, format!("{} listen already; come back later", self.max))
        })
    }

    /// How many listen.
    pub fn count(&self) -> usize {
        self.max.saturating_sub(self.places.available_permits())
    }
}

/// Where a listener starts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// After the event of this number; absent: from now on.
    pub after: Option<u64>,
}

/// Tells what happens.
pub async fn events(
    request: HttpRequest,
    from: web::Query<From>,
    handle: web::Data<Handle>,
    listeners: web::Data<Listeners>,
) -> Result<HttpResponse, DoorError> {
    let after = match last_seen(request.headers())? {
        Some(number) => Some(number),
        None => from.after,
    };
    let place = listeners.enter()?;
    let listening = Listening::new(&handle, after)
        .ok_or_else(|| DoorError::new(Kind::Unavailable, "the system is shutting down"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(frames(listening, place)))
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, DoorError> {
    let Some(given) = headers.get("last-event-id") else { return Ok(None) };
    let text = given.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || DoorError::new(Kind::BadBody, "the header Last-Event-ID is not an event's number");
    text.parse().map(Some).map_err(|_| wrong())
}

fn frames(
    listening: Listening,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let first = Some(Bytes::from(format!("retry: {BACK_AFTER_MILLIS}\n: welcome\n\n")));
    futures::stream::unfold((listening, place, first), |(mut listening, place, mut first)| async move {
        let frame = match first.take() {
            Some(first) => first,
            None => match timeout(SIGN_OF_LIFE_EVERY, listening.next()).await {
                Ok(told) => Bytes::from(frame(&told?)),
                Err(_) => Bytes::from_static(b": still here\n\n"),
            },
        };
        Some((Ok(frame), (listening, place, None)))
    })
}

/// What is missed.
#[derive(Serialize)]
pub struct MissedAfter {
    /// The number of the last event that was told.
    pub after: u64,
}

fn frame(told: &Told) -> String {
    match told {
        Told::Event(event) => {
            let NumberedEvent { number, .. } = **event;
            format!("event: {}\nid: {number}\ndata: {}\n\n", event.event.name(), json(&**event))
        }
        Told::Progress(progress) => {
            format!("event: {}\ndata: {}\n\n", BackupProgress::NAME, json(&**progress))
        }
        Told::Missed { after } => {
            format!("event: missed\ndata: {}\n\n", json(&MissedAfter { after: *after }))
        }
    }
}

/// One line: JSON escapes what would end it.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our messages have string keys only")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use keepwell_messages::{Event, GlobalPause, ItemRef};

    use super::*;

    #[test]
    fn a_frame_is_one_line_of_json_under_the_events_name() {
        let told =
            |number, event| Told::Event(Arc::new(NumberedEvent { number, at: DateTime::UNIX_EPOCH, event }));
        for (told, expected) in [
            (
                told(7, Event::GlobalPause(GlobalPause { paused: true })),
                "event: global-pause\nid: 7\ndata: {\"number\":7,\"at\":\"1970-01-01T00:00:00Z\",\
                 \"event\":{\"global-pause\":{\"paused\":true}}}\n\n",
            ),
            (
                told(8, Event::ItemChanged(ItemRef { item: "a\nid: 9\n\nb".into() })),
                "event: item-changed\nid: 8\ndata: {\"number\":8,\"at\":\"1970-01-01T00:00:00Z\",\
                 \"event\":{\"item-changed\":{\"item\":\"a\\nid: 9\\n\\nb\"}}}\n\n",
            ),
            (Told::Missed { after: 3 }, "event: missed\ndata: {\"after\":3}\n\n"),
        ] {
            assert_eq!(frame(&told), expected);
        }
    }
}
