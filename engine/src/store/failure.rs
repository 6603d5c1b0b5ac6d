//! What a store's error means: its class, which retry rules look at, and a short
//! reason for people.
//!
//! The store wraps errors several levels deep and repeats URLs and whole
//! response bodies in their text. The chain of sources is searched by type; only
//! an HTTP status has to be read from text, since its type is private to the
//! store's crate (tests against real responses notice when that text changes).

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use keepwell_messages::ErrorClass;
use object_store::client::{HttpError, HttpErrorKind};

use crate::error::{Error, plain_reason};

const STATUS_TEXT: &str = "Server returned non-2xx status code: ";
const REASON_CHARACTERS_MAX: usize = 200;

/// The engine's error for `source`, raised by `operation` on `path` in `location`.
pub(super) fn failure(
    operation: &'static str,
    path: &str,
    location: &str,
    source: object_store::Error,
) -> Error {
    let (class, why) = judge(&source);
    Error::Store {
        operation,
        path: path.into(),
        location: location.into(),
        why,
        source: Box::new(source),
        class,
    }
}

/// The class of a store's error, and the useful part of its text.
pub(super) fn judge(error: &object_store::Error) -> (ErrorClass, String) {
    if let object_store::Error::NotFound { .. } = error {
        let detail = status(error).and_then(|status| status.code);
        return (
            ErrorClass::Repository,
            detail.map_or("not found".into(), |code| format!("not found ({code})")),
        );
    }
    if let Some(status) = status(error) {
        return (status.class(), status.to_string());
    }
    if let Some(http) = chain(error).find_map(|cause| cause.downcast_ref::<HttpError>()) {
        return (ErrorClass::Network, http_reason(http));
    }
    if let Some(io) = chain(error).find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return (io_class(io), short(&io_reason(io)));
    }
    let class = match error {
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
    };
    (class, short(&root(error).to_string()))
}

/// Whether a request was answered with `416 Range Not Satisfiable`, or the like of it.
pub(super) fn is_about_range(error: &object_store::Error) -> bool {
    let refused = status(error).is_some_and(|status| matches!(status.number, 416 | 400));
    let local = matches!(
        error,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. }
    ) || (matches!(error, object_store::Error::Generic { .. })
        && chain(error).all(|cause| !cause.is::<HttpError>() && !cause.is::<io::Error>())
        && status(error).is_none());
    refused || local
}

/// Whether the store says that it has no create-if-absent.
pub(super) fn is_create_unknown(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
        || status(error).is_some_and(|status| status.number == 501)
}

/// Whether a WebDAV server says that a folder appeared, or was not there yet,
/// while several writers made it.
pub(super) fn is_folder_race(error: &object_store::Error) -> bool {
    status(error).is_some_and(|status| matches!(status.number, 405 | 409))
}

fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    causes(error)
}

fn causes<'a>(first: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(first), |cause| (*cause).source())
}

fn root(error: &object_store::Error) -> &(dyn StdError + 'static) {
    chain(error).last().unwrap_or(error)
}

/// An HTTP answer other than success.
struct Status {
    number: u16,
    /// `503 Service Unavailable`
    line: String,
    /// What S3, Google and Azure put into `<Code>`.
    code: Option<String>,
    message: Option<String>,
}

fn status(error: &object_store::Error) -> Option<Status> {
    let text = chain(error)
        .map(ToString::to_string)
        .find_map(|text| Some(text.strip_prefix(STATUS_TEXT)?.to_owned()))?;
    let number = text.get(..3)?.parse().ok()?;
    let (line, body) = text.split_once(": ").unwrap_or((&text, ""));
    Some(Status {
        number,
        line: line.trim_end_matches(':').trim().into(),
        code: element(body, "Code"),
        message: element(body, "Message"),
    })
}

fn element(body: &str, name: &str) -> Option<String> {
    let (_, after) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(short(text))
}

impl Status {
    fn class(&self) -> ErrorClass {
        let code = self.code.as_deref().unwrap_or_default();
        match self.number {
            507 => ErrorClass::Space,
            _ if code.contains("Quota") || code.contains("StorageFull") => ErrorClass::Space,
            401 | 403 | 407 => ErrorClass::Credentials,
            404 | 409 | 410 | 412 => ErrorClass::Repository,
            408 => ErrorClass::Network,
            429 | 500.. => ErrorClass::Server,
            _ => ErrorClass::Settings,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered {}", self.line)?;
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, " ({code}: {message})"),
            (Some(code), None) => write!(f, " ({code})"),
            _ => Ok(()),
        }
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
    let deepest = causes(error).last();
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
fn short(text: &str) -> String {
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
    use super::*;

    fn generic(source: impl StdError + Send + Sync + 'static) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: Box::new(source) }
    }

    fn os(number: rustix::io::Errno) -> object_store::Error {
        generic(io::Error::from_raw_os_error(number.raw_os_error()))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Text(String);

    fn answer(text: &str) -> object_store::Error {
        generic(Text(format!("{STATUS_TEXT}{text}")))
    }

    #[test]
    fn every_kind_of_failure_has_its_class_and_a_short_reason() {
        use rustix::io::Errno;
        let refused = HttpError::new(HttpErrorKind::Connect, io::Error::from(ErrorKind::ConnectionRefused));
        let slow = HttpError::new(HttpErrorKind::Timeout, Text("no answer within 60 s".into()));
        let quota = "403 Forbidden: <Error><Code>QuotaExceeded</Code><Message>too\n much</Message></Error>";
        for (error, class, reason) in [
            (os(Errno::NOSPC), ErrorClass::Space, "No space left"),
            (os(Errno::DQUOT), ErrorClass::Space, "uota"),
            (os(Errno::ACCESS), ErrorClass::Credentials, "Permission denied"),
            (os(Errno::ROFS), ErrorClass::Settings, "Read-only file system"),
            (os(Errno::IO), ErrorClass::Server, "nput/output error"),
            (os(Errno::CONNRESET), ErrorClass::Network, "reset"),
            (generic(refused), ErrorClass::Network, "cannot connect: connection refused"),
            (generic(slow), ErrorClass::Network, "timed out: no answer within 60 s"),
            (
                answer("503 Service Unavailable: <html>long</html>"),
                ErrorClass::Server,
                "503 Service Unavailable",
            ),
            (answer("429 Too Many Requests: "), ErrorClass::Server, "429"),
            (answer("507 Insufficient Storage: "), ErrorClass::Space, "507"),
            (answer("401 Unauthorized: "), ErrorClass::Credentials, "401"),
            (answer(quota), ErrorClass::Space, "403 Forbidden (QuotaExceeded: too much)"),
            (answer("400 Bad Request: "), ErrorClass::Settings, "400"),
        ] {
            let (found, why) = judge(&error);
            assert_eq!(found, class, "{error}");
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
