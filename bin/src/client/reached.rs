//! One address where a daemon answers: what is sent there, and what the answers mean.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::pinned::{WasOther, trusting};
use super::{ClientError, Stream};
use crate::exit::{Failure, causes, innermost};
use crate::http::Token;

/// The daemon answers at once; a question about a repository of another continent may take longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Far more than any answer; a server that sends more is none of ours.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Whose certificates are trusted.
pub enum Trust {
    /// Those of the authorities that everybody trusts.
    Usual,
    /// These too: they are signed by this one, or are it.
    Also(reqwest::Certificate),
    /// Those with these SHA-256, and no others.
    Only(Vec<String>),
}

/// See the module.
pub struct Reached {
    url: String,
    token: SecretString,
    http: reqwest::Client,
    was_other_certificate: WasOther,
}

/// A refusal as the door tells it.
#[derive(Deserialize)]
struct Refused {
    error: RefusedFields,
}

#[derive(Deserialize)]
struct RefusedFields {
    code: String,
    message: String,
    hint: Option<String>,
}

impl Reached {
    /// What answers at `url`; nothing is sent yet.
    pub fn new(url: String, token: &Token, trust: Trust) -> Result<Self, Failure> {
        let was_other_certificate = WasOther::default();
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).no_proxy();
        let builder = match trust {
            Trust::Usual => builder,
            Trust::Also(certificate) => builder.tls_certs_merge([certificate]),
            Trust::Only(sha256) => {
                builder.tls_backend_preconfigured(trusting(sha256, was_other_certificate.clone()))
            }
        };
        let http =
            builder.build().map_err(|error| Failure::usage(format!("no client can be made: {error}")))?;
        Ok(Self { url, token: token.secret().clone(), http, was_other_certificate })
    }

    /// Asks by name, with the fields as JSON, and gives the reply's fields.
    pub async fn ask_by_name(&self, name: &str, fields: String) -> Result<Value, ClientError> {
        let id = uuid::Uuid::now_v7().to_string();
        let asked = self
            .http
            .post(format!("{}/api/v1/commands/{name}", self.url))
            .bearer_auth(self.token.expose_secret())
            .header("content-type", "application/json")
            .header("idempotency-key", id)
            .timeout(ANSWER_WITHIN)
            .body(fields)
            .send();
        let answer = asked.await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = self.body(answer).await?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|error| self.nonsense(&error));
        }
        Err(self.refused(status, &body))
    }

    /// Listens to what happens, after the event of this number if there is one.
    pub async fn listen(&self, after: Option<u64>) -> Result<Stream, ClientError> {
        let after = after.map(|number| format!("?after={number}")).unwrap_or_default();
        let asked = self
            .http
            .get(format!("{}/api/v1/events{after}", self.url))
            .bearer_auth(self.token.expose_secret())
            .send();
        let answer = asked.await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(Stream::new(answer));
        }
        let body = self.body(answer).await?;
        Err(self.refused(status, &body))
    }

    async fn body(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.nonsense(&"the answer does not end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        let Ok(Refused { error }) = serde_json::from_slice::<Refused>(body) else {
            return self.nonsense(&format!("it answers with {status}"));
        };
        let failure = Failure::usage(error.message);
        let failure = match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        ClientError { code: Some(error.code), failure }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        if self.was_other_certificate.swap(false, Ordering::Relaxed) {
            let words =
                format!("what answers at {} shows another certificate than the daemon does", self.url);
            let hint = "nothing was sent there; start the daemon again, and look who listens at that port if it lasts";
            return ClientError { code: None, failure: Failure::usage(words).hint(hint) };
        }
        let why = match (error.is_timeout(), error.is_connect()) {
            (true, _) => "it does not answer in time".to_owned(),
            (false, true) if is_refused_connection(error) => "nobody answers there".to_owned(),
            (false, _) => innermost(error),
        };
        let failure = Failure::usage(format!("the daemon at {} cannot be asked: {why}", self.url))
            .hint("start it with `keepwell serve`; if it runs, its log says what is wrong");
        ClientError { code: None, failure }
    }

    /// What answers is no daemon.
    pub fn nonsense(&self, why: &dyn std::fmt::Display) -> ClientError {
        let failure =
            Failure::usage(format!("what answers at {} is no keepwell of this version: {why}", self.url))
                .hint("check the address, and that both are the same version");
        ClientError { code: None, failure }
    }
}

fn is_refused_connection(error: &reqwest::Error) -> bool {
    let mut of_system = causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    of_system.next().is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
