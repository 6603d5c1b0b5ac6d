//! What is sent, in small frames, and what is received, held to the length that was announced.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, unfold};
use http_body::{Body, Frame};
use object_store::client::{HttpError, HttpRequestBody, HttpResponseBody};

use super::fault::Fault;
use super::stopwatch::Stopwatch;
use super::{AttemptLimits, TransferLimit};
use crate::store::traffic::{Direction, Passage};

/// What is handed to a connection at once, where no pace wants less.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// The body of one try. What fits into one frame is handed over as it is, so that a redirect can be followed.
pub(super) async fn sent(body: HttpRequestBody, watch: &Arc<Stopwatch>, passage: &Passage) -> reqwest::Body {
    let frame_bytes = passage.piece_bytes().map_or(FRAME_BYTES_MAX, |bytes| bytes as usize);
    if let Some(bytes) = body.as_bytes()
        && bytes.len() <= FRAME_BYTES_MAX
    {
        passage.pass(Direction::Up, bytes.len() as u64, watch).await;
        return bytes.clone().into();
    }
    let sending =
        Sending { body, rest: Bytes::new(), frame_bytes, watch: Arc::clone(watch), passage: passage.clone() };
    reqwest::Body::wrap_stream(unfold(sending, |mut sending| async move {
        let frame = sending.next().await?;
        Some((frame, sending))
    }))
}

struct Sending {
    body: HttpRequestBody,
    rest: Bytes,
    frame_bytes: usize,
    watch: Arc<Stopwatch>,
    passage: Passage,
}

impl Sending {
    async fn next(&mut self) -> Option<Result<Bytes, HttpError>> {
        while self.rest.is_empty() {
            let next = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await?;
            match next.map(Frame::into_data) {
                Ok(Ok(bytes)) => self.rest = bytes,
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        let frame = self.rest.split_to(self.rest.len().min(self.frame_bytes));
        self.passage.pass(Direction::Up, frame.len() as u64, &self.watch).await;
        self.watch.moved(frame.len() as u64);
        Some(Ok(frame))
    }
}

/// Reads an answer's body, frame by frame.
pub(super) struct Received {
    response: reqwest::Response,
    expected: Option<u64>,
    received: u64,
    watch: Arc<Stopwatch>,
    limit: TransferLimit,
    passage: Passage,
}

impl Received {
    /// `response` has given its headers; its body's time begins now.
    pub(super) fn new(response: reqwest::Response, limits: &AttemptLimits, passage: &Passage) -> Self {
        let expected = response.content_length();
        Self {
            response,
            expected,
            received: 0,
            watch: Stopwatch::start(),
            limit: limits.transfer,
            passage: passage.clone(),
        }
    }

    /// The length that was announced.
    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// The next bytes; `None` at the end, if that is where it was announced to be.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let (received, expected) = (self.received, self.expected);
        let next = self.watch.within(self.limit, self.response.chunk()).await;
        let next = next.map_err(|limit| Fault::Stalled { received, limit })?;
        match next.map_err(|error| Fault::of_body(error, received, expected))? {
            Some(bytes) => {
                self.received += bytes.len() as u64;
                self.watch.moved(bytes.len() as u64);
                self.passage.pass(Direction::Down, bytes.len() as u64, &self.watch).await;
                Ok(Some(bytes))
            }
            None if expected.is_some_and(|expected| expected != received) => {
                Err(Fault::Truncated { received, expected })
            }
            None => Ok(None),
        }
    }

    /// All of it, if it has at most `bytes_max`; else what came until it had more.
    pub(super) async fn collect(&mut self, bytes_max: u64) -> Result<(Bytes, IsWhole), Fault> {
        let room = self.expected.unwrap_or_default().min(bytes_max) as usize;
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.is_empty() {
                if bytes.len() >= room && self.expected == Some(bytes.len() as u64) {
                    // The whole answer in one frame need not be copied. Its end is looked for all the same.
                    return match self.next().await? {
                        None => Ok((bytes, IsWhole::Yes)),
                        Some(_) => Err(Fault::Broken("more came than was announced".into())),
                    };
                }
                all.reserve(room);
            }
            all.extend_from_slice(&bytes);
            if all.len() as u64 > bytes_max {
                return Ok((all.freeze(), IsWhole::No));
            }
        }
        Ok((all.freeze(), IsWhole::Yes))
    }

    /// `first`, and then what comes, for whoever reads it. A fault ends it.
    pub(super) fn into_body(self, first: Bytes) -> HttpResponseBody {
        let rest = unfold(Some(self), |received| async move {
            let mut received = received?;
            match received.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(received))),
                Ok(None) => None,
                Err(fault) => Some((Err(fault.into_http()), None)),
            }
        });
        let first = futures::stream::iter((!first.is_empty()).then_some(Ok(first)));
        HttpResponseBody::new(StreamBody(parking_lot::Mutex::new(first.chain(rest).boxed())))
    }
}

/// Whether a body was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsWhole {
    Yes,
    No,
}

/// The lock is never waited for: it only makes the stream one that may be shared.
struct StreamBody(parking_lot::Mutex<BoxStream<'static, Result<Bytes, HttpError>>>);

impl Body for StreamBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.get_mut().0.get_mut().poll_next_unpin(context).map(|next| Some(next?.map(Frame::data)))
    }
}
