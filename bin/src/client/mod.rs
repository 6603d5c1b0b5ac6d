//! The command line as a client of the daemon: the same commands and events as through every other door.
//!
//! The daemon of this machine is found by its announcement in the data folder, and its token beside it; another
//! one by `--url` and `--token-file`. Before each question it is made sure that the daemon that announced itself still
//! serves: its port may have gone to somebody else, who is not to have the token.

mod find;
mod pinned;
mod reached;
mod stream;

use std::sync::Arc;

use keepwell_messages::{Command, Reply, Request};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::daemon::Announcement;
use crate::exit::{Ended, Failure};

use self::find::DataFolder;
use self::reached::Reached;

pub use find::ClientArguments;
pub use stream::{Heard, Stream};

/// Codes of refusals by a daemon that ends or begins.
const PASSING_CODES: [&str; 2] = ["unavailable", "shutting-down"];

/// What asks a daemon.
pub struct Client(Place);

/// Where the daemon is.
enum Place {
    /// At an address that was typed.
    Named(Arc<Reached>),
    /// Where it announces itself, and where it was found last.
    Announced(DataFolder, Mutex<Option<(Announcement, Arc<Reached>)>>),
}

/// Why a command has no answer.
#[derive(Debug)]
pub struct ClientError {
    /// The refusal's code, if it is one.
    pub code: Option<String>,
    /// In words.
    pub failure: Failure,
}

impl ClientError {
    /// Whether the daemon is away, or ends or begins just now, so that the same may be answered later.
    pub fn passes(&self) -> bool {
        self.code.as_deref().is_none_or(|code| PASSING_CODES.contains(&code))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        error.failure
    }
}

impl Client {
    /// Whether it asks a daemon of this machine that serves no more.
    pub fn is_gone(&self) -> bool {
        match &self.0 {
            Place::Named(_) => false,
            Place::Announced(folder, _) => folder.announcement().is_none(),
        }
    }

    fn reach(&self) -> Result<Arc<Reached>, ClientError> {
        let (folder, found) = match &self.0 {
            Place::Named(reached) => return Ok(reached.clone()),
            Place::Announced(folder, found) => (folder, found),
        };
        let failed = |failure| ClientError { code: None, failure };
        let announcement = folder.announcement().ok_or_else(|| failed(folder.not_served()))?;
        let mut found = found.lock();
        match &*found {
            Some((known, reached)) if *known == announcement => Ok(reached.clone()),
            _ => {
                let reached = Arc::new(folder.reach(&announcement).map_err(failed)?);
                *found = Some((announcement, reached.clone()));
                Ok(reached)
            }
        }
    }

    /// Asks for something.
    pub async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, ClientError> {
        let command: Command = request.into();
        let name = command.name();
        let fields = match serde_json::to_value(&command) {
            Ok(Value::Object(tagged)) => tagged.into_iter().next().map_or(Value::Null, |(_, fields)| fields),
            Ok(_) | Err(_) => Value::Null,
        };
        let reached = self.reach()?;
        let answer = reached.ask_by_name(name, fields.to_string()).await?;
        let reply: Reply =
            serde_json::from_value(json!({ name: answer })).map_err(|error| reached.nonsense(&error))?;
        R::reply_of(reply).ok_or_else(|| reached.nonsense(&"another command was answered"))
    }

    /// Asks by name, with the fields as JSON, and gives the reply's fields.
    pub async fn ask_by_name(&self, name: &str, fields: String) -> Result<Value, ClientError> {
        self.reach()?.ask_by_name(name, fields).await
    }

    /// Listens to what happens, after the event of this number if there is one.
    pub async fn listen(&self, after: Option<u64>) -> Result<Stream, ClientError> {
        self.reach()?.listen(after).await
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
