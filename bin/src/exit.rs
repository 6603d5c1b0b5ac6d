//! How the command ends: exit codes, and errors that read well aloud: what
//! happened, where, and what to do about it.
//!
//! One function, [`Failure::of`], knows which engine error has which code.

use std::io;
use std::process::ExitCode;

use keepwell_actors::StartError;
use keepwell_actors::journal::JournalError;
use keepwell_engine::error::Error;
use keepwell_messages::ErrorClass;
use serde::Serialize;

use crate::output::{Output, STANDARD_OUTPUT};

const CODE_FAILED: u8 = 1;
const CODE_SOME_UNREADABLE: u8 = 3;
const CODE_NO_REPOSITORY: u8 = 10;
const CODE_LOCKED: u8 = 11;
const CODE_WRONG_PASSWORD: u8 = 12;
/// 128 + SIGINT, as shells have it.
pub const CODE_INTERRUPTED: u8 = 130;

/// How a verb ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it.
    Done,
    /// All but some source files, which are named already.
    SomeUnreadable {
        /// How many.
        errors: u64,
    },
    /// The work is done, and what it found, told already, is bad: damage, or files that could not be written.
    Failed,
}

/// Why a verb did not do its work.
#[derive(Clone, Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
    /// One line for each of several things that the message sums up.
    details: Vec<String>,
    /// Nobody reads our output any more: neither an error nor worth a word.
    quiet: bool,
}

/// What every verb comes to.
pub type Ended = Result<Ending, Failure>;

impl Failure {
    /// What was asked for cannot be done as asked.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: CODE_FAILED, message: message.into(), hint: None, details: Vec::new(), quiet: false }
    }

    /// No repository where one was looked for.
    pub fn no_repository(message: impl Into<String>) -> Self {
        Self { code: CODE_NO_REPOSITORY, ..Self::usage(message) }
    }

    /// Whoever read our output has had enough.
    pub fn output_closed() -> Self {
        Self { code: 0, quiet: true, ..Self::usage("") }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a line for each of several things that the message sums up.
    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// A failure that only its class and words are known of.
    pub fn of_class(class: ErrorClass, why: impl Into<String>) -> Self {
        Self { hint: hint_for_class(class).map(Into::into), ..Self::usage(why) }
    }

    /// What the engine says, told by somebody else as well.
    pub fn of(error: &Error) -> Self {
        let quiet = match error {
            Error::Local { path, source, .. } => {
                path.as_os_str() == STANDARD_OUTPUT && source.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        };
        Self {
            code: if quiet { 0 } else { code_of(error) },
            hint: hint_for(error),
            details: Vec::new(),
            message: match error {
                Error::Cancelled => "interrupted".into(),
                error => error.to_string(),
            },
            quiet,
        }
    }

    /// What happened, without what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// All of what happened, line by line, without what to do about it.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.message.as_str()).chain(self.details.iter().map(String::as_str))
    }

    /// A local file that the command line itself reads or writes.
    pub fn local(operation: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Error::local(operation, path, source).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::NoRepository { .. } => CODE_NO_REPOSITORY,
        Error::Locked { .. } => CODE_LOCKED,
        Error::WrongPassword { .. } => CODE_WRONG_PASSWORD,
        Error::Cancelled => CODE_INTERRUPTED,
        Error::Upload(error) => code_of(error),
        _ => CODE_FAILED,
    }
}

fn hint_for(error: &Error) -> Option<String> {
    let hint = match error {
        Error::NoRepository { .. } => {
            "check how the location is written, or make a repository there with `keepwell init`"
        }
        Error::RepositoryExists { .. } => "use it as it is, or choose another place for a new one",
        Error::WrongPassword { .. } => {
            "give the right one with --password-file or --password-command, in KEEPWELL_PASSWORD, or at the prompt"
        }
        Error::Locked { .. } => {
            "wait for it with --retry-lock 10m; if that process is gone, run `keepwell unlock`"
        }
        Error::LockLost { .. } => "run the same command again: what was stored until now is kept",
        Error::Damaged { object, .. } if object == "config" || object.starts_with("keys/") => {
            "the repository cannot be opened without it: put it back from a copy of the repository"
        }
        Error::Damaged { .. } => "`keepwell check --read-data` tells what else is damaged",
        Error::NotFound { what } if what.starts_with("snapshot") => {
            "`keepwell snapshots` shows those that are there"
        }
        Error::NotFound { what } if what.starts_with('/') => {
            "`keepwell ls` lists what is in the snapshot, with paths as they are to be written"
        }
        Error::SourceCommand { .. } => "no snapshot was made of what the command had given",
        Error::Cancelled => {
            "nothing is lost: what was stored or restored until now is kept, and the next run goes on from it"
        }
        Error::Crashed(_) => "this is a defect of Keepwell; please report it",
        Error::Upload(error) => return hint_for(error),
        Error::Store { .. } if error.is_read_only() => {
            "the store cannot be written to: check its permissions, or whether it is mounted read-only"
        }
        Error::Store { class: ErrorClass::Repository, .. } => "`keepwell check` tells what else is missing",
        Error::Store { class, .. } => hint_for_class(*class)?,
        Error::Local { .. } => hint_for_class(error.class())?,
        _ => return None,
    };
    Some(hint.into())
}

/// What an error says and then each of its causes, the innermost last.
pub fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// The cause of all causes, which says most: those before it often repeat the address.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// What to do about a failure of this class, if there is one thing to do.
pub fn hint_for_class(class: ErrorClass) -> Option<&'static str> {
    match class {
        ErrorClass::Network => {
            Some("check the network and the store's address, then run the same command again")
        }
        ErrorClass::Server => Some("the store has a problem of its own: run the same command again later"),
        ErrorClass::Credentials => {
            Some("check the password, and the store's credentials and what they allow")
        }
        ErrorClass::Space => Some("make room, then run the same command again: what was stored is kept"),
        _ => None,
    }
}

/// Why an actor system was not started.
pub fn start_failure(error: StartError) -> Failure {
    let hint = match &error {
        StartError::Journal(JournalError::InUse { .. }) => Some(
            "a daemon or another `keepwell run` works with it: wait until that has ended, or stop it; \
             `keepwell backup PATH` needs no journal",
        ),
        StartError::Journal(JournalError::NewerVersion { .. }) => {
            Some("use the newer keepwell that wrote it, or another data_folder")
        }
        StartError::Journal(JournalError::Full(_)) => Some("make room, then run the same command again"),
        StartError::Journal(_) | StartError::Item { .. } => None,
    };
    let failure = Failure::usage(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The last line of a command that failed, for programs.
#[derive(Serialize)]
struct ExitError<'a> {
    code: u8,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Tells what there is to tell and gives the exit code.
pub fn end(ended: Ended, output: &Output) -> ExitCode {
    let code = match ended {
        Ok(Ending::Done) => 0,
        Ok(Ending::Failed) => CODE_FAILED,
        Ok(Ending::SomeUnreadable { errors }) => {
            let message: String = match errors {
                1 => "1 entry could not be read and is not in the snapshot; it is named above".into(),
                _ => format!(
                    "{errors} entries could not be read and are not in the snapshot; they are named above"
                ),
            };
            tell(output, "warning", &Failure { code: CODE_SOME_UNREADABLE, ..Failure::usage(message) });
            CODE_SOME_UNREADABLE
        }
        Err(failure) => {
            if !failure.quiet {
                tell(output, "error", &failure);
            }
            failure.code
        }
    };
    ExitCode::from(code)
}

fn tell(output: &Output, word: &str, failure: &Failure) {
    let Failure { code, message, hint, details, .. } = failure;
    let (code, hint) = (*code, hint.as_deref());
    if output.is_json() {
        output.error_message("exit_error", &ExitError { code, message, details, hint });
        return;
    }
    output.error_line(&format!("{word}: {message}"));
    for detail in details {
        output.error_line(&format!("  {detail}"));
    }
    if let Some(hint) = hint {
        output.error_line(&format!("hint: {hint}"));
    }
}
