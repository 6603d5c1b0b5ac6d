//! The command line as a client of the daemon: the same commands and events as through every other door.
//!
//! The daemon of this machine is found by its announcement in the data folder, and its token beside it; another
//! one by `--url` and `--token-file`.

mod find;
mod stream;

use std::time::Duration;

use keepwell_messages::{Command, Reply, Request};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::exit::{Ended, Failure, innermost};
use crate::http::Token;

pub use find::ClientArguments;
pub use stream::{Heard, Stream};

/// The daemon answers at once; a question about a repository of another continent may take longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Far more than any answer; a server that sends more is none of ours.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A daemon that answers at this address.
pub struct Client {
    url: String,
    token: SecretString,
    http: reqwest::Client,
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

/// Why a command has no answer.
#[derive(Debug)]
pub struct ClientError {
    /// The refusal's code, if it is one.
    pub code: Option<String>,
    /// In words.
    pub failure: Failure,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        error.failure
    }
}

impl Client {
    fn new(url: String, token: &Token, certificate: Option<reqwest::Certificate>) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).no_proxy();
        if let Some(certificate) = certificate {
            builder = builder.tls_certs_merge([certificate]);
        }
        let http =
            builder.build().map_err(|error| Failure::usage(format!("no client can be made: {error}")))?;
        Ok(Self { url, token: token.secret().clone(), http })
    }

    /// Asks for something.
    pub async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        let command: Command = request.into();
        let name = command.name();
        let fields = match serde_json::to_value(&command) {
            Ok(Value::Object(tagged)) => tagged.into_iter().next().map_or(Value::Null, |(_, fields)| fields),
            Ok(_) | Err(_) => Value::Null,
        };
        let answer = self.ask_by_name(name, fields.to_string()).await?;
        let reply: Reply =
            serde_json::from_value(json!({ name: answer })).map_err(|error| self.nonsense(&error))?;
        R::reply_of(reply).ok_or_else(|| self.nonsense(&"another command was answered"))
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
        let why = match (error.is_timeout(), error.is_connect()) {
            (true, _) => "it does not answer in time".to_owned(),
            (false, true) => "nobody answers there".to_owned(),
            (false, false) => innermost(error),
        };
        let failure = Failure::usage(format!("the daemon at {} cannot be asked: {why}", self.url))
            .hint("start it with `keepwell serve`; if it runs, its log says what is wrong");
        ClientError { code: None, failure }
    }

    fn nonsense(&self, why: &dyn std::fmt::Display) -> ClientError {
        let failure =
            Failure::usage(format!("what answers at {} is no keepwell of this version: {why}", self.url))
                .hint("check the address, and that both are the same version");
        ClientError { code: None, failure }
    }
}

/// Finds the daemon and talks to it.
pub fn talk(
    arguments: &ClientArguments,
    context: &Context,
    talk: impl AsyncFnOnce(Client) -> Ended,
) -> Ended {
    let client = arguments.client(context)?;
    actix_rt::System::new().block_on(talk(client))
}
