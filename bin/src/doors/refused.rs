//! Why a door does not do what it was asked for.

use keepwell_actors::AskError;
use keepwell_messages::{ErrorClass, Refusal};
use serde::Serialize;

use crate::exit::hint_for_class;

/// The kinds of refusal: what a program that asked can act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The body is not what the command takes.
    BadBody,
    /// No token, or a wrong one.
    Unauthorized,
    /// The request comes from where it must not.
    Forbidden,
    /// No command of this name.
    UnknownCommand,
    /// Nothing of this name.
    NotFound,
    /// It is there, and nothing is done with it in this way.
    WrongMethod,
    /// It speaks another protocol.
    WrongProtocol,
    /// It cannot be done as things stand.
    State,
    /// It is larger than anything that is taken.
    TooLarge,
    /// It takes too long to arrive.
    TooSlow,
    /// What is asked for is not right in itself.
    Content,
    /// Too much is asked at once.
    TooMany,
    /// Something that it takes failed: the journal, a repository, the actors.
    Unavailable,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorError {
    /// Of which kind.
    pub kind: Kind,
    /// A name for programs, kebab-case.
    pub code: &'static str,
    /// What happened, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// As it is told.
#[derive(Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl std::fmt::Display for DoorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DoorError {}

impl DoorError {
    /// One whose code is that of its kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: kind.code(), message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As it is told.
    pub fn body(&self) -> ErrorBody<'_> {
        let error = ErrorFields { code: self.code, message: &self.message, hint: self.hint.as_deref() };
        ErrorBody { error }
    }
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::BadBody => "bad-body",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::UnknownCommand => "unknown-command",
            Self::NotFound => "not-found",
            Self::WrongMethod => "wrong-method",
            Self::WrongProtocol => "wrong-protocol",
            Self::State => "wrong-state",
            Self::TooLarge => "too-large",
            Self::TooSlow => "too-slow",
            Self::Content => "invalid",
            Self::TooMany => "too-many-requests",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<AskError> for DoorError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Unreachable(_) => Self::new(Kind::Unavailable, error.to_string())
                .hint("ask again under the same command id; if it lasts, the daemon's log says why"),
            AskError::Busy(_) => Self::new(Kind::Unavailable, error.to_string())
                .hint("ask again later; /metrics says how many questions are under way"),
        }
    }
}

impl From<Refusal> for DoorError {
    fn from(refusal: Refusal) -> Self {
        use Kind::{Content, State, TooMany, Unavailable};
        let (kind, code, hint) = match &refusal {
            Refusal::DuplicateTask(_) => {
                (State, "duplicate-task", Some("wait for it, or cancel it first".into()))
            }
            Refusal::UnknownItem(_) => {
                (Content, "unknown-item", Some("`keepwell items` or get-items lists them".into()))
            }
            Refusal::UnknownTask(_) => {
                (Content, "unknown-task", Some("`keepwell tasks` or get-active-tasks lists them".into()))
            }
            Refusal::WhichTask(_) => (State, "which-task", Some("`keepwell tasks` lists them".into())),
            Refusal::WrongState(..) => (State, "wrong-state", None),
            Refusal::ItemOfConfigurationFile(_) => (State, "item-of-configuration-file", None),
            Refusal::Invalid(_) => (Content, "invalid", None),
            Refusal::QueueFull(_) => (TooMany, "queue-full", None),
            Refusal::GloballyPaused => {
                (State, "globally-paused", Some("`keepwell resume-all` lets all go on".into()))
            }
            Refusal::ShuttingDown => {
                (Unavailable, "shutting-down", Some("ask again when it runs again".into()))
            }
            Refusal::Journal(failure) => {
                (Unavailable, "journal", hint_for_class(failure.class).map(Into::into))
            }
            Refusal::Failed(failure) => {
                let kind = match failure.class {
                    ErrorClass::Repository | ErrorClass::Credentials | ErrorClass::Settings => State,
                    _ => Unavailable,
                };
                (kind, "failed", hint_for_class(failure.class).map(Into::into))
            }
        };
        Self { kind, code, message: refusal.to_string(), hint }
    }
}
