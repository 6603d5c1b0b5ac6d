//! The stream that events go into: found or made, and what stands at its end.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode, context::GetStreamErrorKind};

use super::mark::{StreamEnd, Told};
use super::subjects::{Subjects, covers};

/// Names the series of an event's number.
pub const SERIES: &str = "Keepwell-Series";
/// The number up to which the stream has events with this message.
pub const NUMBER: &str = "Keepwell-Event-Number";

/// What a stream that is made here keeps: months of a busy machine. The oldest go first.
const MESSAGES_MAX: i64 = 1_000_000;
/// The most that it takes on the broker's disk.
const BYTES_MAX: i64 = 1 << 30;
/// For so long the broker knows what it was told, should an answer have been lost.
const DUPLICATES_KNOWN_FOR: Duration = Duration::from_secs(600);

/// A stream that takes this node's events.
pub struct EventStream {
    stream: Stream,
    /// Whether nobody else's messages come in between.
    pub is_ours_alone: bool,
}

impl EventStream {
    /// Finds it, or makes it. What is there is left as it is.
    ///
    /// # Errors
    /// What happened, where, and what to do.
    pub async fn find_or_make(context: &Context, name: &str, subjects: &Subjects) -> Result<Self, String> {
        let events = subjects.events();
        let stream = match context.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) if is_not_there(&error.kind()) => {
                let made = context.create_stream(config(name, &events)).await;
                made.map_err(|error| {
                    format!(
                        "the stream {name} cannot be made on the broker: {error}; make it there for {events}, or name \
                         another one in broker.stream"
                    )
                })?
            }
            Err(error) => {
                return Err(format!(
                    "the broker does not say whether it has the stream {name}: {error}; check that JetStream is on, \
                     and what broker.user may do there"
                ));
            }
        };
        let found = &stream.cached_info().config;
        if !found.subjects.iter().any(|pattern| covers(pattern, &events)) {
            return Err(format!(
                "the stream {name} does not take {events}; add that to its subjects, or name another one in \
                 broker.stream"
            ));
        }
        let is_ours_alone = found.subjects == [events] && found.num_replicas <= 1;
        Ok(Self { stream, is_ours_alone })
    }

    /// What stands at its end now.
    ///
    /// # Errors
    /// What happened, and where.
    pub async fn end(&self, subjects: &Subjects) -> Result<StreamEnd, String> {
        let failed = |why: String| {
            format!("the end of the stream cannot be read: {why}; check what broker.user may do")
        };
        let info = self.stream.get_info().await.map_err(|error| failed(error.to_string()))?;
        let last = self.stream.get_last_raw_message_by_subject(&subjects.events()).await;
        let ours = match last {
            Ok(message) => told(&message.headers, message.sequence),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => None,
            Err(error) => return Err(failed(error.to_string())),
        };
        Ok(StreamEnd { sequence: info.state.last_sequence, ours })
    }
}

fn is_not_there(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(name: &str, events: &str) -> Config {
    Config {
        name: name.into(),
        description: Some("events of keepwell".into()),
        subjects: vec![events.into()],
        max_messages: MESSAGES_MAX,
        max_bytes: BYTES_MAX,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        duplicate_window: DUPLICATES_KNOWN_FOR,
        ..Config::default()
    }
}

fn told(headers: &HeaderMap, sequence: u64) -> Option<Told> {
    let series = headers.get(SERIES)?.as_str().parse().ok()?;
    let number = headers.get(NUMBER)?.as_str().parse().ok()?;
    Some(Told { series, number, sequence })
}
