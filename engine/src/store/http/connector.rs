//! The client of remote stores: one request in, one answer out, tried again as often as that may help.
//!
//! This is the only loop of its kind: the store's crate is told to retry nothing. A refusal that stays is handed
//! to that crate as it came, since it knows which of them mean "not found" or "exists already".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use object_store::{ClientConfigKey, ClientOptions};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::TransferLimit;
use super::attempt::{AttemptLimits, Request, Tried, attempt};
use super::call::Call;
use super::client;
use super::fault::Fault;
use super::retry::{Decision, RetryLimits};
use crate::crypto;
use crate::store::traffic::{Passage, Traffic};

/// A signature holds for 15 minutes at AWS and Azure, by clocks that may differ by some minutes.
pub(in crate::store) const SIGNATURE_LIFE: Duration = Duration::from_secs(5 * 60);

/// A server that has never answered is tried for so long, if it cannot be reached: most likely its address is
/// wrong, or this machine has no network, and a person waits for a word.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A body that is larger is an upload: packs are, and locks, snapshots and most index files are not.
const LARGE_BODY_BYTES_MIN: usize = 1 << 20;

/// Gives a number from 0 to 1.
pub(in crate::store) type Randomness = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Makes clients.
#[derive(Clone)]
pub(in crate::store) struct Connector {
    pub(in crate::store) transfer: TransferLimit,
    pub(in crate::store) retry: RetryLimits,
    pub(in crate::store) signature_life: Duration,
    pub(in crate::store) randomness: Randomness,
    /// Authorities that are trusted beside the machine's own.
    pub(in crate::store) authorities: Vec<reqwest::Certificate>,
    pub(in crate::store) traffic: Arc<Traffic>,
    /// How many requests that carry much are under way at once. Others wait, signed already.
    pub(in crate::store) uploads: Arc<Semaphore>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("transfer", &self.transfer).finish_non_exhaustive()
    }
}

/// The operating system's randomness, in the middle where that fails.
pub(in crate::store) fn system_randomness() -> f64 {
    let mut random = [0; 4];
    match crypto::fill_random(&mut random) {
        Ok(()) => f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = client::build(options, &self.authorities)?;
        let connect_timeout = client::duration(options, ClientConfigKey::ConnectTimeout)?;
        let connect_timeout = connect_timeout.unwrap_or(self.transfer.base);
        let has_answered = AtomicBool::new(false);
        Ok(HttpClient::new(Service { client, connector: self.clone(), connect_timeout, has_answered }))
    }
}

#[derive(Debug)]
struct Service {
    client: reqwest::Client,
    connector: Connector,
    connect_timeout: Duration,
    /// Whether the server has answered anything since the store was opened.
    has_answered: AtomicBool,
}

impl Service {
    /// Waits until a body that is large may be sent, in the order of coming.
    async fn room(&self, request: &Request) -> Option<SemaphorePermit<'_>> {
        if request.body.content_length() <= LARGE_BODY_BYTES_MIN {
            return None;
        }
        // It is never closed.
        self.connector.uploads.acquire().await.ok()
    }

    /// How long a failed request is tried again.
    fn retry_limits(&self, tried: &Tried) -> RetryLimits {
        match tried {
            Tried::Failed(fault) if fault.is_unreachable() && !self.has_answered.load(Ordering::Relaxed) => {
                let limits = self.connector.retry;
                RetryLimits { timeout: limits.timeout.min(FIRST_ANSWER_WITHIN), ..limits }
            }
            Tried::Failed(_) => self.connector.retry,
            Tried::Accepted(_) | Tried::Refused(..) => {
                self.has_answered.store(true, Ordering::Relaxed);
                self.connector.retry
            }
        }
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let made = Made::now(&request);
        let call = Call::current();
        let request = readable(request).map_err(Fault::into_http)?;
        let attempt_limits = AttemptLimits {
            transfer: self.connector.transfer,
            connect_timeout: self.connect_timeout,
            whole_bytes_max: call.whole_bytes_max,
        };
        let passage = Passage::new(&self.connector.traffic, call.is_urgent);
        loop {
            passage.pass_gate().await;
            let room = self.room(&request).await;
            if made.is_stale(self.connector.signature_life) {
                return Err(Fault::Stale.into_http());
            }
            let (tried, took) = attempt(&self.client, &request, &attempt_limits, &passage).await;
            drop(room);
            let (may_pass, asked) = match &tried {
                Tried::Accepted(_) => (false, None),
                Tried::Refused(answer, _) => (answer.may_pass(), answer.retry_after),
                Tried::Failed(fault) => (fault.may_pass(), None),
            };
            let limits = self.retry_limits(&tried);
            let decision = if may_pass {
                call.failed(took, limits, asked, (self.connector.randomness)())
            } else {
                Decision::GiveUp
            };
            match (decision, tried) {
                (Decision::TryAfter(wait), tried) => {
                    log_retry(&request, &tried, wait, call.tries());
                    tokio::time::sleep(wait).await;
                    call.waited(wait);
                }
                (Decision::GiveUp, Tried::Accepted(response)) => {
                    call.settled(None);
                    return Ok(response);
                }
                (Decision::GiveUp, Tried::Refused(answer, response)) => {
                    call.settled(Some(Box::new(answer)));
                    return Ok(response);
                }
                (Decision::GiveUp, Tried::Failed(fault)) => {
                    call.settled(None);
                    return Err(fault.into_http());
                }
            }
        }
    }
}

/// Its URL is in no log: it may hold a signature or a token.
fn log_retry(request: &Request, tried: &Tried, wait: Duration, tries: usize) {
    let why = match tried {
        Tried::Refused(answer, _) => answer.to_string(),
        Tried::Failed(fault) => fault.to_string(),
        Tried::Accepted(_) => return,
    };
    tracing::info!(method = %request.method, tries, wait_ms = wait.as_millis() as u64, why, "a request is tried again");
}

fn readable(request: HttpRequest) -> Result<Request, Fault> {
    let (parts, body) = request.into_parts();
    // The parser's error would say no more than this, and the text must not be repeated.
    let url = parts.uri.to_string().parse().map_err(|_| Fault::Unusable("its address is no URL".into()))?;
    Ok(Request { method: parts.method, url, headers: parts.headers, body })
}

/// When a request was made, by both clocks: the monotonic one stands still while the machine sleeps.
struct Made {
    is_dated: bool,
    by_monotonic: Instant,
    by_wall: SystemTime,
}

impl Made {
    fn now(request: &HttpRequest) -> Self {
        Self { is_dated: is_dated(request), by_monotonic: Instant::now(), by_wall: SystemTime::now() }
    }

    fn is_stale(&self, life: Duration) -> bool {
        let age = self.by_monotonic.elapsed().max(self.by_wall.elapsed().unwrap_or_default());
        self.is_dated && age > life
    }
}

/// Whether a request holds a signature with a date, or a token that ends.
fn is_dated(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let has_token = headers.get(reqwest::header::AUTHORIZATION).is_some_and(|value| {
        value.as_bytes().get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "))
    });
    headers.contains_key("x-amz-date") || headers.contains_key("x-ms-date") || has_token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_whose_credentials_end_are_ever_stale() {
        for (header, value, is_dated) in [
            ("x-amz-date", "20260101T000000Z", true),
            ("x-ms-date", "Thu, 01 Jan 2026 00:00:00 GMT", true),
            ("authorization", "Bearer abc", true),
            ("authorization", "Basic abc", false),
            ("content-type", "text/plain", false),
        ] {
            let mut request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
            request.headers_mut().insert(header, value.parse().unwrap());
            let mut made = Made::now(&request);
            assert_eq!(made.is_dated, is_dated, "{header}: {value}");
            assert!(!made.is_stale(SIGNATURE_LIFE));
            made.by_wall -= SIGNATURE_LIFE + Duration::from_secs(1);
            assert_eq!(made.is_stale(SIGNATURE_LIFE), is_dated, "{header}, after the machine slept");
        }
    }

    #[test]
    fn randomness_is_from_nought_to_one() {
        assert!((0..1000).map(|_| system_randomness()).all(|random| (0.0..=1.0).contains(&random)));
    }
}
