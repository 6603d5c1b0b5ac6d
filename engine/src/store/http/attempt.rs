//! One try of a request: sent, answered, and the answer read, each in bounded time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::client::{HttpRequestBody, HttpResponse, HttpResponseBody};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

use super::TransferLimit;
use super::answer::Answer;
use super::body::{IsWhole, Received, sent};
use super::fault::Fault;
use super::stopwatch::Stopwatch;
use crate::store::traffic::Passage;

/// More of an error document is not read: what matters stands at its beginning.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;

/// What a try may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptLimits {
    pub(super) transfer: TransferLimit,
    pub(super) connect_timeout: Duration,
    /// Answers up to this size are read whole.
    pub(super) whole_bytes_max: u64,
}

/// What is tried, again and again.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: HttpRequestBody,
}

/// What came of it.
pub(super) enum Tried {
    /// Yes.
    Accepted(HttpResponse),
    /// No; the response is for whoever wants to see it.
    Refused(Answer, HttpResponse),
    /// Nothing.
    Failed(Fault),
}

/// Sends `request` once; also how long that took, our own waits left out.
pub(super) async fn attempt(
    client: &reqwest::Client,
    request: &Request,
    limits: &AttemptLimits,
    passage: &Passage,
) -> (Tried, Duration) {
    let watch = Stopwatch::start();
    let tried = match exchange(client, request, limits, passage, &watch).await {
        Ok(tried) => tried,
        Err(fault) => Tried::Failed(fault),
    };
    (tried, watch.elapsed())
}

async fn exchange(
    client: &reqwest::Client,
    request: &Request,
    limits: &AttemptLimits,
    passage: &Passage,
    watch: &Arc<Stopwatch>,
) -> Result<Tried, Fault> {
    let mut sending = reqwest::Request::new(request.method.clone(), request.url.clone());
    *sending.headers_mut() = request.headers.clone();
    *sending.body_mut() = Some(sent(request.body.clone(), watch, passage).await);
    let answered = watch.within(limits.transfer, client.execute(sending)).await.map_err(Fault::NoAnswer)?;
    let response = answered.map_err(|error| Fault::of_request(error, limits.connect_timeout))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut received = Received::new(response, limits, passage);
    if !status.is_success() {
        // What was cut off is not missed: this is read by people, and by what looks for a code.
        let (body, _) = received.collect(REFUSAL_BYTES_MAX).await?;
        let answer = Answer::read(status, &headers, &body, SystemTime::now());
        return Ok(Tried::Refused(answer, response_of(status, headers, body.into())));
    }
    if received.expected().is_some_and(|expected| expected > limits.whole_bytes_max) {
        return Ok(Tried::Accepted(response_of(status, headers, received.into_body(Bytes::new()))));
    }
    let body = match received.collect(limits.whole_bytes_max).await? {
        (bytes, IsWhole::Yes) => bytes.into(),
        (bytes, IsWhole::No) => received.into_body(bytes),
    };
    Ok(Tried::Accepted(response_of(status, headers, body)))
}

fn response_of(status: StatusCode, headers: HeaderMap, body: HttpResponseBody) -> HttpResponse {
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
