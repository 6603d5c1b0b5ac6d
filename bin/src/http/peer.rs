//! The other end of a WebSocket, as something is sent to it: whoever takes nothing for too long is as good as gone.

use std::time::Duration;

use actix_ws::{CloseReason, Closed, Session};
use tokio::time::timeout;

/// A peer that takes nothing for so long comes back by the number that it has seen.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// A last word to one that may not listen any more.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
pub struct Peer(Session);

/// It is not there any more.
#[derive(Debug)]
pub struct Gone;

impl Peer {
    /// The one at the end of this session.
    pub fn new(session: Session) -> Self {
        Self(session)
    }

    /// Tells it something.
    pub async fn tell(&mut self, text: String) -> Result<(), Gone> {
        within(TAKEN_WITHIN, self.0.text(text)).await
    }

    /// Asks whether it is there.
    pub async fn ping(&mut self) -> Result<(), Gone> {
        within(TAKEN_WITHIN, self.0.ping(b"")).await
    }

    /// Answers that we are.
    pub async fn pong(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        within(TAKEN_WITHIN, self.0.pong(bytes)).await
    }

    /// Takes leave.
    pub async fn close(self, reason: CloseReason) -> Result<(), Gone> {
        within(CLOSED_WITHIN, self.0.close(Some(reason))).await
    }
}

async fn within(time: Duration, sent: impl Future<Output = Result<(), Closed>>) -> Result<(), Gone> {
    match timeout(time, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Closed)) | Err(_) => Err(Gone),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use actix_web::web::Payload;
    use actix_web::{FromRequest, HttpResponse};
    use actix_ws::CloseCode;

    use super::*;

    /// One that takes nothing: nobody reads the answer that all would go into.
    async fn deaf() -> (HttpResponse, Peer) {
        let asked = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
        ];
        let request = asked.into_iter().fold(TestRequest::default(), TestRequest::insert_header);
        let (request, mut body) = request.to_http_parts();
        let body = Payload::from_request(&request, &mut body).await.unwrap();
        let (response, session, _) = actix_ws::handle(&request, body).unwrap();
        (response, Peer::new(session))
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_for_ever_to_a_peer_that_takes_nothing() {
        let (_answer, mut peer) = deaf().await;
        let mut told = 0;
        while peer.tell("something".into()).await.is_ok() {
            told += 1;
            assert!(told < 1000, "somewhere it has to end");
        }
        assert!(peer.ping().await.is_err());
        assert!(peer.pong(b"x").await.is_err());
        assert!(peer.close(CloseCode::Away.into()).await.is_err());
    }
}
