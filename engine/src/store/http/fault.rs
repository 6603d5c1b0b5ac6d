//! Why a request had no answer, by type: what was found in the client's chain of errors, and a sentence
//! that says what to do.
//!
//! The client hides the cause several levels deep, and an `io::Error` hides what it wraps from `source`: both are
//! searched by type. No text here repeats a URL, since those may hold a signature or a token.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use keepwell_messages::ErrorClass;
use object_store::client::{HttpError, HttpErrorKind};
use rustls::CertificateError;

use super::resolver::NameUnresolved;
use crate::error::plain_reason;
use crate::store::failure::short;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Fault {
    #[error("cannot connect: {0}; check the location and this machine's network")]
    NameUnresolved(NameUnresolved),
    #[error("cannot connect: {0}; check that the server runs, and its address and port")]
    Unreachable(String),
    #[error(
        "cannot connect: no connection within {0:?}; check that the server runs, and its address and port"
    )]
    ConnectTimedOut(Duration),
    #[error("cannot connect: {0}")]
    Certificate(CertificateFault),
    #[error("cannot connect: no encrypted connection: {0}; if the server has none, write http:// for it")]
    Tls(String),
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the answer came too slowly: {received} bytes of it within {limit:?}")]
    Stalled { received: u64, limit: Duration },
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("the answer was cut short: it ended after {received} bytes{}", of(*expected))]
    Truncated { received: u64, expected: Option<u64> },
    #[error("the request was waiting for so long that its signature is not valid any more")]
    Stale,
    #[error("the request cannot be made: {0}")]
    Unusable(String),
}

/// What is wrong with a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::store) enum CertificateFault {
    #[error(
        "the server's certificate has expired; it has to be renewed there (or this machine's clock is wrong)"
    )]
    Expired,
    #[error("the server's certificate is not valid yet; check this machine's clock")]
    NotValidYet,
    #[error(
        "the server's certificate is signed by nobody this machine trusts; add its authority to the machine's \
         certificates, or name its file in SSL_CERT_FILE"
    )]
    UnknownIssuer,
    #[error("the server's certificate is for another name; write the location with the name it was made for")]
    WrongName,
    #[error("the server's certificate was revoked; it has to be renewed there")]
    Revoked,
    #[error("the server's certificate is not valid ({0}); it has to be renewed there")]
    Other(String),
}

fn of(expected: Option<u64>) -> String {
    expected.map(|bytes| format!(" of {bytes}")).unwrap_or_default()
}

impl Fault {
    /// What a client's error is about. `connect_timeout` is the limit it had for making a connection.
    pub(super) fn of_request(error: reqwest::Error, connect_timeout: Duration) -> Self {
        let error = error.without_url();
        if let Some(name) = find::<NameUnresolved>(&error) {
            return Self::NameUnresolved(name.clone());
        }
        if let Some(tls) = find::<rustls::Error>(&error) {
            return of_tls(tls, error.is_connect());
        }
        if error.is_connect() {
            if error.is_timeout() {
                return Self::ConnectTimedOut(connect_timeout);
            }
            return Self::Unreachable(root_reason(&error));
        }
        if error.is_builder() || error.is_redirect() {
            return Self::Unusable(root_reason(&error));
        }
        Self::Broken(root_reason(&error))
    }

    /// What an error in the midst of an answer is about.
    pub(super) fn of_body(error: reqwest::Error, received: u64, expected: Option<u64>) -> Self {
        let error = error.without_url();
        let ended = find::<io::Error>(&error).is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof);
        if ended { Self::Truncated { received, expected } } else { Self::Broken(root_reason(&error)) }
    }

    /// Whether the same request may have an answer at another time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NameUnresolved(_)
            | Self::Unreachable(_)
            | Self::ConnectTimedOut(_)
            | Self::NoAnswer(_)
            | Self::Stalled { .. }
            | Self::Broken(_)
            | Self::Truncated { .. } => true,
            Self::Certificate(_) | Self::Tls(_) | Self::Stale | Self::Unusable(_) => false,
        }
    }

    /// Whether no connection came about.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::NameUnresolved(_) | Self::Unreachable(_) | Self::ConnectTimedOut(_))
    }

    pub(in crate::store) fn class(&self) -> ErrorClass {
        match self {
            Self::Certificate(_) | Self::Tls(_) | Self::Unusable(_) => ErrorClass::Settings,
            _ => ErrorClass::Network,
        }
    }

    /// As the store's crate takes it.
    pub(super) fn into_http(self) -> HttpError {
        let kind = match &self {
            Self::NameUnresolved(_) | Self::Unreachable(_) | Self::Certificate(_) | Self::Tls(_) => {
                HttpErrorKind::Connect
            }
            Self::ConnectTimedOut(_) | Self::NoAnswer(_) | Self::Stalled { .. } => HttpErrorKind::Timeout,
            Self::Broken(_) | Self::Truncated { .. } => HttpErrorKind::Interrupted,
            Self::Stale | Self::Unusable(_) => HttpErrorKind::Unknown,
        };
        HttpError::new(kind, self)
    }

    /// The fault that an error of the store's crate came from.
    pub(in crate::store) fn within(error: &object_store::Error) -> Option<&Self> {
        find(error)
    }
}

fn of_tls(error: &rustls::Error, is_connecting: bool) -> Fault {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(why) => Fault::Certificate(of_certificate(why)),
        Tls::NoCertificatesPresented => Fault::Certificate(CertificateFault::Other("there is none".into())),
        // What is not said while a connection is made is damage on the way.
        _ if !is_connecting => Fault::Broken(short(&error.to_string())),
        Tls::InvalidMessage(_) | Tls::PeerIncompatible(_) | Tls::AlertReceived(_) => {
            Fault::Tls(short(&error.to_string()))
        }
        _ => Fault::Broken(short(&error.to_string())),
    }
}

fn of_certificate(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotValidYet
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::Revoked => CertificateFault::Revoked,
        // The verifier's own word for a certificate that is its own authority.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            CertificateFault::UnknownIssuer
        }
        other => CertificateFault::Other(short(&format!("{other:?}"))),
    }
}

/// The first `T` in an error's chain, also where an `io::Error` wraps it.
pub(in crate::store) fn find<'a, T: StdError + 'static>(
    first: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    chain(first).find_map(|cause| cause.downcast_ref())
}

/// An error and its causes. What an `io::Error` wraps comes after it.
pub(in crate::store) fn chain<'a>(
    first: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(first), |cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => (*cause).source(),
        }
    })
}

/// The deepest reason, in one short line.
fn root_reason(error: &(dyn StdError + 'static)) -> String {
    let system = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    match system.filter(|io| io.get_ref().is_none()) {
        Some(io) => short(&plain_reason(io)),
        None => short(&chain(error).last().unwrap_or(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_inside_an_io_error() {
        let name = NameUnresolved { name: "host".into(), why: "no such name".into() };
        let nested = io::Error::other(io::Error::other(name));
        assert_eq!(find::<NameUnresolved>(&nested).expect("it is in there").name, "host");
        assert_eq!(chain(&nested).count(), 3);
    }

    #[test]
    fn every_certificate_fault_has_its_own_sentence_that_says_what_to_do() {
        let faults = [
            (CertificateError::Expired, CertificateFault::Expired, "renewed"),
            (CertificateError::NotValidYet, CertificateFault::NotValidYet, "clock"),
            (CertificateError::UnknownIssuer, CertificateFault::UnknownIssuer, "SSL_CERT_FILE"),
            (CertificateError::NotValidForName, CertificateFault::WrongName, "name it was made for"),
            (CertificateError::Revoked, CertificateFault::Revoked, "renewed"),
            (CertificateError::BadEncoding, CertificateFault::Other("BadEncoding".into()), "renewed"),
        ];
        for (error, fault, advice) in faults {
            assert_eq!(of_certificate(&error), fault);
            assert!(fault.to_string().contains(advice), "{fault}");
            let whole = of_tls(&rustls::Error::InvalidCertificate(error), true);
            assert_eq!(whole.class(), ErrorClass::Settings, "{whole}");
            assert!(!whole.may_pass(), "{whole}");
        }
    }
}
