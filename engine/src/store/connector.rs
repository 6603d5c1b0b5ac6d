//! How long one request may take. A fixed limit fails either way: long enough
//! for a pack over a slow link, it hangs for minutes on a dead server; short
//! enough to notice that, it cuts uploads that only needed time. Here the limit
//! grows with what is sent. A time-out comes back as the store's own kind of
//! error, so that the store's retries see it.
//!
//! The limit ends at the response's headers; what is read after them is limited
//! by [`super::Store`], which knows how much that is.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// The time a transfer may take: a base, and more for every byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransferLimit {
    pub(super) base: Duration,
    pub(super) bytes_per_second_min: u64,
}

impl TransferLimit {
    pub(super) fn for_bytes(self, bytes: u64) -> Duration {
        self.base.saturating_add(Duration::from_secs(bytes / self.bytes_per_second_min.max(1)))
    }
}

/// Makes clients whose requests are limited in time by what they send.
#[derive(Debug)]
pub(super) struct LimitedConnector(pub(super) TransferLimit);

impl HttpConnector for LimitedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(LimitedService { client, limit: self.0 }))
    }
}

#[derive(Debug)]
struct LimitedService {
    client: HttpClient,
    limit: TransferLimit,
}

#[async_trait]
impl HttpService for LimitedService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let bytes = request.body().content_length() as u64;
        let limit = self.limit.for_bytes(bytes);
        match tokio::time::timeout(limit, self.client.execute(request)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, NoAnswer { limit })),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no answer within {limit:?}")]
struct NoAnswer {
    limit: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_bytes() {
        let limit = TransferLimit { base: Duration::from_secs(60), bytes_per_second_min: 16 << 10 };
        assert_eq!(limit.for_bytes(0), Duration::from_secs(60));
        assert_eq!(limit.for_bytes(16 << 20), Duration::from_secs(60 + 1024));
        let any = TransferLimit { base: Duration::MAX, bytes_per_second_min: 0 };
        assert_eq!(any.for_bytes(u64::MAX), Duration::MAX, "no overflow, no division by zero");
    }
}
