//! What a store's error means: its class, which retry rules look at, and a short
//! reason for people.
//!
//! The store's crate wraps errors several levels deep and repeats URLs and whole response bodies in their text,
//! so nothing is read from text: causes are searched by type, and what a server answered comes beside the error.

use std::io::{self, ErrorKind};

use keepwell_messages::ErrorClass;
use object_store::client::{HttpError, HttpErrorKind};

use super::http::{Answer, Fault, chain, find};
use crate::error::{Error, plain_reason};

const REASON_CHARACTERS_MAX: usize = 200;

/// A call that failed: what the store's crate says, and the refusal that its last request came to, if that is
/// what it failed with.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: object_store::Error,
    pub(super) answer: Option<Box<Answer>>,
}

impl From<object_store::Error> for Failed {
    fn from(error: object_store::Error) -> Self {
        Self { error, answer: None }
    }
}

/// The engine's error for what failed, raised by `operation` on `path` in `location`.
pub(super) fn failure(operation: &'static str, path: &str, location: &str, failed: Failed) -> Error {
    let (class, why) = failed.judge();
    Error::Store {
        operation,
        path: path.into(),
        location: location.into(),
        why,
        source: Box::new(failed.error),
        class,
    }
}

impl Failed {
    /// The class, and the useful part of what was said.
    pub(super) fn judge(&self) -> (ErrorClass, String) {
        let error = &self.error;
        if let Some(answer) = &self.answer {
            return match (&answer.code, error) {
                (code, object_store::Error::NotFound { .. }) if !answer.is_about_missing_bucket() => {
                    let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
                    (ErrorClass::Repository, format!("not found{code}"))
                }
                _ => (answer.class(), answer.to_string()),
            };
        }
        if let object_store::Error::NotFound { .. } = error {
            return (ErrorClass::Repository, "not found".into());
        }
        if let Some(fault) = Fault::within(error) {
            return (fault.class(), fault.to_string());
        }
        if let Some(http) = find::<HttpError>(error) {
            return (ErrorClass::Network, http_reason(http));
        }
        if let Some(io) = find::<io::Error>(error) {
            return (io_class(io), short(&io_reason(io)));
        }
        (other_class(error), short(&chain(error).last().unwrap_or(error).to_string()))
    }

    fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status.as_u16())
    }

    /// Whether the object is not there, though the place that would hold it is.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self.error, object_store::Error::NotFound { .. })
            && !self.answer.as_deref().is_some_and(Answer::is_about_missing_bucket)
    }

    /// Whether an object of that name was there already.
    pub(super) fn is_already_there(&self) -> bool {
        use object_store::Error::{AlreadyExists, Precondition};
        matches!(self.error, AlreadyExists { .. } | Precondition { .. })
    }

    /// Whether a request was not sent because its signature had become too old.
    pub(super) fn is_stale(&self) -> bool {
        matches!(Fault::within(&self.error), Some(Fault::Stale))
    }

    /// Whether a request was answered with `416 Range Not Satisfiable`, or the like of it.
    pub(super) fn is_about_range(&self) -> bool {
        use object_store::Error::{Generic, NotImplemented, NotSupported};
        let error = &self.error;
        match self.status() {
            Some(number) => matches!(number, 416 | 400),
            None => match error {
                NotSupported { .. } | NotImplemented { .. } => true,
                Generic { .. } => find::<HttpError>(error).is_none() && find::<io::Error>(error).is_none(),
                _ => false,
            },
        }
    }

    /// Whether the store says that it has no create-if-absent.
    pub(super) fn is_create_unknown(&self) -> bool {
        use object_store::Error::{NotImplemented, NotSupported};
        matches!(self.error, NotImplemented { .. } | NotSupported { .. }) || self.status() == Some(501)
    }

    /// Whether a WebDAV server says that a folder appeared, or was not there yet,
    /// while several writers made it.
    pub(super) fn is_folder_race(&self) -> bool {
        matches!(self.status(), Some(405 | 409))
    }
}

fn other_class(error: &object_store::Error) -> ErrorClass {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorClass::Credentials
        }
        object_store::Error::AlreadyExists { .. }
        | object_store::Error::Precondition { .. }
        | object_store::Error::NotModified { .. } => ErrorClass::Repository,
        object_store::Error::JoinError { .. } => ErrorClass::Crash,
        object_store::Error::InvalidPath { .. }
        | object_store::Error::NotSupported { .. }
        | object_store::Error::NotImplemented { .. }
        | object_store::Error::UnknownConfigurationKey { .. } => ErrorClass::Settings,
        // What remains are answers that the store's crate could not make sense of.
        _ => ErrorClass::Server,
    }
}

fn http_reason(error: &HttpError) -> String {
    let what = match error.kind() {
        HttpErrorKind::Connect => "cannot connect",
        HttpErrorKind::Timeout => "timed out",
        HttpErrorKind::Request | HttpErrorKind::Interrupted => "the connection broke",
        HttpErrorKind::Decode => "the answer cannot be read",
        _ => "the request failed",
    };
    let deepest = chain(error).last();
    match deepest {
        Some(cause) => short(&format!("{what}: {cause}")),
        None => what.into(),
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        // A repository's own files are never folders, nor its folders files.
        ErrorKind::NotADirectory => "Not a directory: a file stands where a folder is needed".into(),
        _ => plain_reason(error),
    }
}

fn io_class(error: &io::Error) -> ErrorClass {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ErrorClass::Space,
        ErrorKind::PermissionDenied => ErrorClass::Credentials,
        ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename => ErrorClass::Settings,
        ErrorKind::NotFound | ErrorKind::AlreadyExists => ErrorClass::Repository,
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::TimedOut
        | ErrorKind::StaleNetworkFileHandle => ErrorClass::Network,
        _ => ErrorClass::Server,
    }
}

/// One line, cut to what a message has room for.
pub(super) fn short(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(REASON_CHARACTERS_MAX) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use super::super::http::answer;
    use super::*;

    fn generic(source: impl StdError + Send + Sync + 'static) -> Failed {
        object_store::Error::Generic { store: "test", source: Box::new(source) }.into()
    }

    fn os(number: rustix::io::Errno) -> Failed {
        generic(io::Error::from_raw_os_error(number.raw_os_error()))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Text(String);

    fn answered(status: u16, code: Option<&str>) -> Failed {
        Failed {
            answer: Some(Box::new(answer(status, code))),
            ..generic(Text("what the crate makes of it".into()))
        }
    }

    #[test]
    fn every_kind_of_failure_has_its_class_and_a_short_reason() {
        use rustix::io::Errno;
        let refused = HttpError::new(HttpErrorKind::Connect, io::Error::from(ErrorKind::ConnectionRefused));
        let slow = HttpError::new(HttpErrorKind::Timeout, Text("no answer within 60 s".into()));
        for (failed, class, reason) in [
            (os(Errno::NOSPC), ErrorClass::Space, "No space left"),
            (os(Errno::DQUOT), ErrorClass::Space, "uota"),
            (os(Errno::ACCESS), ErrorClass::Credentials, "Permission denied"),
            (os(Errno::ROFS), ErrorClass::Settings, "Read-only file system"),
            (os(Errno::IO), ErrorClass::Server, "nput/output error"),
            (os(Errno::CONNRESET), ErrorClass::Network, "reset"),
            (generic(refused), ErrorClass::Network, "cannot connect: connection refused"),
            (generic(slow), ErrorClass::Network, "timed out: no answer within 60 s"),
            (answered(503, None), ErrorClass::Server, "503 Service Unavailable"),
            (answered(429, None), ErrorClass::Server, "429"),
            (answered(507, None), ErrorClass::Space, "507"),
            (answered(401, None), ErrorClass::Credentials, "401"),
            (answered(403, Some("QuotaExceeded")), ErrorClass::Space, "403 Forbidden (QuotaExceeded)"),
            (answered(400, None), ErrorClass::Settings, "400"),
        ] {
            let (found, why) = failed.judge();
            assert_eq!(found, class, "{failed:?}");
            assert!(why.contains(reason), "{why} should say {reason}");
            assert!(why.chars().count() <= REASON_CHARACTERS_MAX + 60, "{why}");
        }
    }

    #[test]
    fn text_is_cut_to_one_short_line() {
        assert_eq!(short("a\n  b\tc"), "a b c");
        let cut = short(&"ä".repeat(1000));
        assert_eq!(cut.chars().count(), REASON_CHARACTERS_MAX + 1);
    }
}
