//! Durable events into the stream, in the order of their numbers.
//!
//! Several are under way at once, and each says which one it follows: if the broker does not take one, it does not
//! take those behind it either, and all of them are sent again from where the stream ends. In a stream that others
//! write to as well, one is under way at a time.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::path::Path;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, publish::PublishAck};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use keepwell_actors::{Handle, Told};
use keepwell_messages::GetEvents;
use serde_json::json;
use tokio::time::sleep;
use tracing::{error, warn};

use super::back_off;
use super::mark::{Mark, MarkFile, go_on_from};
use super::state::SharedState;
use super::stream::{EventStream, NUMBER, SERIES};
use super::subjects::{MISSED, Subjects};
use crate::configuration::BrokerSettings;
use crate::doors::Listening;

/// Events that are sent before the first of them is acknowledged. Each takes some 500 bytes.
const UNDER_WAY_MAX: usize = 64;
/// While many go out, the mark is kept after so many; what it lags behind, the stream's end tells.
const MARK_EVERY: u64 = 256;
/// The longest that the broker may take to acknowledge one.
const ACK_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub struct Outbox {
    handle: Handle,
    stream: String,
    subjects: Subjects,
    file: MarkFile,
    mark: Mark,
    /// The mark as the file has it.
    kept: Option<Mark>,
    state: SharedState,
}

/// A message that is to go out.
struct Outgoing {
    name: &'static str,
    id: String,
    /// The stream has all up to this event with it.
    number: u64,
    body: Bytes,
}

/// A message that is under way.
struct UnderWay {
    number: u64,
    ack: BoxFuture<'static, Result<PublishAck, PublishError>>,
}

impl Outbox {
    /// One that has not begun.
    pub fn new(
        handle: Handle,
        settings: &BrokerSettings,
        subjects: Subjects,
        folder: &Path,
        state: SharedState,
    ) -> Self {
        let file = MarkFile::new(folder);
        Self { handle, stream: settings.stream.clone(), subjects, file, mark: Mark::new(), kept: None, state }
    }

    /// Reads the mark, or begins a series of its own for a journal that was begun anew. Returns the number of the
    /// last event that was told.
    pub async fn begin(&mut self) -> u64 {
        let file = self.file.clone();
        match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok(kept)) => self.kept = kept,
            Ok(Err(error)) => {
                warn!(%error, file = %self.file.path().display(), "how far events were told cannot be read")
            }
            Err(_) => {}
        }
        if let Some(kept) = self.kept
            && self.handle.repairs().journal.is_none()
            && self.journal_knows(kept.number).await
        {
            self.mark = kept;
        }
        self.state.acked(self.mark.number);
        self.keep_mark().await;
        self.mark.number
    }

    /// Whether the journal came as far as this number.
    async fn journal_knows(&self, number: u64) -> bool {
        let Some(before) = number.checked_sub(1) else { return true };
        match self.handle.ask(GetEvents { after: before, limit: 1 }).await {
            Ok(page) => !page.events.is_empty() || page.oldest_kept > number,
            // It cannot be read now; the stream's end says the rest.
            Err(_) => true,
        }
    }

    /// Tells what there is and what comes, until the system has shut down and all was told.
    pub async fn empty(&mut self, client: &Client) {
        let context = jetstream::context::ContextBuilder::new().timeout(ACK_WITHIN).build(client.clone());
        let mut waits = back_off();
        loop {
            let before = self.mark;
            match self.empty_once(client, &context).await {
                Ok(()) => return,
                Err(why) => {
                    if self.state.failed(&why) {
                        warn!("{why}; it is tried again, and no event is lost");
                    }
                }
            }
            self.keep_mark().await;
            if self.mark != before {
                waits = back_off();
            }
            sleep(waits.next()).await;
        }
    }

    async fn empty_once(&mut self, client: &Client, context: &Context) -> Result<(), String> {
        let stream = EventStream::find_or_make(context, &self.stream, &self.subjects).await?;
        self.mark = go_on_from(self.mark, stream.end(&self.subjects).await?);
        self.state.acked(self.mark.number);
        let Some(listening) = Listening::new(&self.handle, Some(self.mark.number)) else { return Ok(()) };
        // A stream keeps its place while something else is waited for.
        let mut told = Box::pin(futures::stream::unfold(listening, |mut listening| async move {
            listening.next().await.map(|told| (told, listening))
        }));
        let under_way_max = if stream.is_ours_alone { UNDER_WAY_MAX } else { 1 };
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let mut previous: Option<String> = None;
        let mut is_over = false;
        while !(is_over && under_way.is_empty()) {
            let has_room = under_way.len() < under_way_max && !is_over;
            let first = under_way.front_mut().map(|first| &mut first.ack);
            tokio::select! {
                biased;
                acked = acknowledged(first) => {
                    let number = under_way.pop_front().map_or(self.mark.number, |first| first.number);
                    let ack = acked.map_err(|error| not_taken(number, &error))?;
                    self.mark = Mark { number, sequence: ack.sequence, ..self.mark };
                    self.state.acked(number);
                    let kept = self.kept.map_or(0, |kept| kept.number);
                    if under_way.is_empty() || number >= kept + MARK_EVERY {
                        self.keep_mark().await;
                    }
                }
                next = told.next(), if has_room => {
                    let Some(next) = next else {
                        is_over = true;
                        continue;
                    };
                    let Some(outgoing) = self.outgoing(&next, client.server_info().max_payload) else { continue };
                    let follows = previous.replace(outgoing.id.clone()).filter(|_| stream.is_ours_alone);
                    under_way.push_back(self.send(context, outgoing, follows).await?);
                }
            }
        }
        Ok(())
    }

    /// The message of something that was told; `None` for progress, which no stream keeps.
    fn outgoing(&self, told: &Told, bytes_max: usize) -> Option<Outgoing> {
        match told {
            Told::Event(event) => {
                let number = event.number;
                let id = self.id(&number.to_string());
                match serde_json::to_vec(&**event) {
                    // Headers count, too.
                    Ok(body) if body.len() + 1024 <= bytes_max => {
                        Some(Outgoing { name: event.event.name(), id, number, body: body.into() })
                    }
                    Ok(_) | Err(_) => {
                        error!(
                            number,
                            "an event is larger than what the broker lets pass; it is told as missed"
                        );
                        Some(self.missed(number.saturating_sub(1), number))
                    }
                }
            }
            Told::Missed { after } => {
                error!(
                    after,
                    "events after this number were not told to the broker, and are not kept any more"
                );
                Some(self.missed(*after, *after))
            }
            Told::Progress(_) => None,
        }
    }

    fn missed(&self, after: u64, number: u64) -> Outgoing {
        let body = json!({"after": after}).to_string().into();
        Outgoing { name: MISSED, id: self.id(&format!("{MISSED}.{after}")), number, body }
    }

    /// By it the broker knows what it was told already.
    fn id(&self, what: &str) -> String {
        format!("{}.{}.{what}", self.subjects.node(), self.mark.series)
    }

    async fn send(
        &self,
        context: &Context,
        outgoing: Outgoing,
        follows: Option<String>,
    ) -> Result<UnderWay, String> {
        let Outgoing { name, id, number, body } = outgoing;
        let mut message = PublishMessage::build()
            .payload(body)
            .message_id(id)
            .expected_stream(&self.stream)
            .header(SERIES, self.mark.series.to_string().as_str())
            .header(NUMBER, number.to_string().as_str());
        if let Some(follows) = follows {
            message = message.expected_last_message_id(follows);
        }
        let sent = context.send_publish(self.subjects.event(name), message).await;
        let ack = sent.map_err(|error| not_taken(number, &error))?.into_future();
        Ok(UnderWay { number, ack })
    }

    /// Writes the mark, if the file has another one.
    pub async fn keep_mark(&mut self) {
        if self.kept == Some(self.mark) {
            return;
        }
        let (file, mark) = (self.file.clone(), self.mark);
        match tokio::task::spawn_blocking(move || file.write(&mark)).await {
            Ok(Ok(())) => self.kept = Some(mark),
            Ok(Err(error)) => {
                let file = self.file.path().display();
                let why =
                    format!("how far events were told to the broker cannot be written to {file}: {error}");
                if self.state.failed(&why) {
                    warn!("{why}");
                }
            }
            Err(_) => {}
        }
    }
}

/// The answer to the first message that is under way; for ever nothing if there is none.
async fn acknowledged(
    first: Option<&mut BoxFuture<'static, Result<PublishAck, PublishError>>>,
) -> Result<PublishAck, PublishError> {
    match first {
        Some(ack) => ack.await,
        None => std::future::pending().await,
    }
}

fn not_taken(number: u64, error: &PublishError) -> String {
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
            format!("the broker does not acknowledge event {number}")
        }
        PublishErrorKind::StreamNotFound => format!("the broker has no stream that takes event {number}"),
        _ => format!("the broker does not take event {number}: {error}"),
    }
}
