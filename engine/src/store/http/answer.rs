//! What a server said instead of yes: its status, the code and message of its error document, and what its
//! headers add. S3, Google and Azure all write `<Code>`; where an answer has no body, Azure says the code in a
//! header, and S3 the bucket's region.

use std::time::{Duration, SystemTime};

use keepwell_messages::ErrorClass;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::retry;
use crate::store::failure::short;

/// Codes for a place that was never made.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
/// Codes for a bucket that is asked for in the wrong region.
const WRONG_REGION: [&str; 4] = [
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
];
/// Codes for a server that cannot serve now, whatever the status beside them.
const BUSY: [&str; 7] = [
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServerBusy",
    "OperationTimedOut",
    "InternalError",
    "TooManyRequests",
];
/// Codes for a write that met another one of the same object: neither says whose it is now.
const CONFLICT_OF_WRITERS: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];

/// An HTTP answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Answer {
    pub(in crate::store) status: StatusCode,
    pub(in crate::store) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) region: Option<String>,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let body = String::from_utf8_lossy(body);
        let header = |name: &str| headers.get(name)?.to_str().ok().map(short);
        Self {
            status,
            code: element(&body, "Code").or_else(|| header("x-ms-error-code")),
            message: element(&body, "Message"),
            region: header("x-amz-bucket-region").or_else(|| element(&body, "Region")),
            retry_after: headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| retry::asked_wait(text, now)),
        }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    fn is_about_space(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        self.status == StatusCode::INSUFFICIENT_STORAGE
            || ["Quota", "StorageFull", "InsufficientStorage"].iter().any(|word| code.contains(word))
    }

    /// Whether the server says that the bucket or container was never made.
    pub(in crate::store) fn is_about_missing_bucket(&self) -> bool {
        self.has_code(&NO_BUCKET)
    }

    fn is_about_region(&self) -> bool {
        self.has_code(&WRONG_REGION)
            || (self.region.is_some()
                && matches!(self.status, StatusCode::MOVED_PERMANENTLY | StatusCode::BAD_REQUEST))
    }

    /// Whether the same request may have another answer at another time.
    pub(super) fn may_pass(&self) -> bool {
        if self.is_about_space() || self.is_about_region() || self.is_about_missing_bucket() {
            return false;
        }
        if self.has_code(&BUSY) || self.has_code(&CONFLICT_OF_WRITERS) {
            return true;
        }
        match self.status.as_u16() {
            // 423: a WebDAV server's lock, which the next moment may not find any more.
            408 | 423 | 429 => true,
            // Not implemented, version, loop, extension, login to the network: these stay.
            501 | 505 | 508 | 510 | 511 => false,
            number => number >= 500,
        }
    }

    pub(in crate::store) fn class(&self) -> ErrorClass {
        if self.is_about_space() {
            return ErrorClass::Space;
        }
        if self.is_about_missing_bucket()
            || self.is_about_region()
            || self.has_code(&["RequestTimeTooSkewed"])
        {
            return ErrorClass::Settings;
        }
        match self.status.as_u16() {
            401 | 403 | 407 => ErrorClass::Credentials,
            404 | 409 | 410 | 412 => ErrorClass::Repository,
            408 => ErrorClass::Network,
            400 if self.may_pass() => ErrorClass::Server,
            423 | 429 | 500.. => ErrorClass::Server,
            _ => ErrorClass::Settings,
        }
    }

    /// What to do, where the class alone does not say it.
    fn advice(&self) -> Option<String> {
        if self.is_about_region() {
            return Some(match &self.region {
                Some(region) => {
                    format!("the bucket is in the region {region}: set the option region to that")
                }
                None => "the bucket is in another region: set the option region to that".into(),
            });
        }
        if self.is_about_missing_bucket() {
            return Some("there is no such bucket or container: create it, or correct the location".into());
        }
        if self.has_code(&["RequestTimeTooSkewed"]) {
            return Some("set this machine's clock".into());
        }
        if let Some(wait) = self.retry_after {
            return Some(format!("it asks to wait {} s before the next try", wait.as_secs()));
        }
        match self.class() {
            ErrorClass::Space => Some("make room there, or have the quota raised".into()),
            ErrorClass::Credentials => Some("check the credentials and what they allow".into()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, " ({code}: {message})")?,
            (Some(code), None) => write!(f, " ({code})")?,
            _ => {}
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

fn element(body: &str, name: &str) -> Option<String> {
    let (_, after) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(short(text))
}

#[cfg(test)]
pub(in crate::store) fn answer(status: u16, code: Option<&str>) -> Answer {
    let body = code.map(|code| format!("<Error><Code>{code}</Code></Error>")).unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap();
    Answer::read(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_stays_and_every_answer_has_its_class() {
        use ErrorClass::{Credentials, Network, Repository, Server, Settings, Space};
        for (status, code, may_pass, class) in [
            (408, None, true, Network),
            (423, None, true, Server),
            (429, None, true, Server),
            (500, None, true, Server),
            (502, None, true, Server),
            (503, None, true, Server),
            (503, Some("SlowDown"), true, Server),
            (504, None, true, Server),
            (522, None, true, Server),
            (400, Some("RequestTimeout"), true, Server),
            (409, Some("ConditionalRequestConflict"), true, Repository),
            (400, None, false, Settings),
            (400, Some("InvalidArgument"), false, Settings),
            (401, None, false, Credentials),
            (403, None, false, Credentials),
            (403, Some("QuotaExceeded"), false, Space),
            (403, Some("RequestTimeTooSkewed"), false, Settings),
            (404, None, false, Repository),
            (404, Some("NoSuchBucket"), false, Settings),
            (404, Some("ContainerNotFound"), false, Settings),
            (407, None, false, Credentials),
            (409, None, false, Repository),
            (412, None, false, Repository),
            (301, Some("PermanentRedirect"), false, Settings),
            (400, Some("AuthorizationHeaderMalformed"), false, Settings),
            (501, None, false, Server),
            (505, None, false, Server),
            (507, None, false, Space),
            (503, Some("XMinioStorageFull"), false, Space),
        ] {
            let answer = answer(status, code);
            assert_eq!(answer.may_pass(), may_pass, "{answer}");
            assert_eq!(answer.class(), class, "{answer}");
        }
    }

    #[test]
    fn the_right_region_is_named_where_the_server_tells_it() {
        let malformed = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        let mut headers = HeaderMap::new();
        let read = |status: u16, headers: &HeaderMap, body: &[u8]| {
            let status = StatusCode::from_u16(status).unwrap();
            Answer::read(status, headers, body, SystemTime::UNIX_EPOCH).to_string()
        };
        assert!(read(400, &headers, malformed).contains("in the region eu-west-1"));
        headers.insert("x-amz-bucket-region", "eu-north-1".parse().unwrap());
        for status in [301, 400] {
            assert!(read(status, &headers, b"").contains("in the region eu-north-1"), "HEAD has no body");
        }
        assert!(!read(404, &headers, b"").contains("region"), "every answer of S3 may name the region");
    }
}
