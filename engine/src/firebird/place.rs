//! Where a database is, and who opens it: a server over the network, a server's service manager, or the engine
//! inside the tool itself. Derived from how it is written, and written back in the same way.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Who opens the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirebirdReach {
    /// The tool itself, as a file of this machine.
    Embedded,
    /// This server, `HOST` or `HOST/PORT`; rows come over the network.
    Network(String),
    /// This server's service manager; the dump is made there and comes over the network.
    Service(String),
}

/// A database: `/path`, `host/port:/path` or `host/port:service_mgr:/path`. A server may know it by an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirebirdPlace {
    reach: FirebirdReach,
    path: String,
}

/// Between a server and the path of a database that its service manager is to open.
const SERVICE: &str = "service_mgr";

impl FirebirdPlace {
    /// Who opens it.
    pub fn reach(&self) -> &FirebirdReach {
        &self.reach
    }

    /// Its path, or its alias, as who opens it knows it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether no server is asked.
    pub fn is_embedded(&self) -> bool {
        self.reach == FirebirdReach::Embedded
    }

    /// Another database that is opened by the same.
    pub fn with_path(&self, path: impl Into<String>) -> Self {
        Self { reach: self.reach.clone(), path: path.into() }
    }

    /// The name of its file without folder and ending, or its alias.
    pub fn stem(&self) -> String {
        let stem = Path::new(&self.path).file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The server's host name or address, without port and brackets.
    pub fn host(&self) -> Option<&str> {
        match &self.reach {
            FirebirdReach::Embedded => None,
            FirebirdReach::Network(server) | FirebirdReach::Service(server) => {
                let host = server.rsplit_once('/').map_or(server.as_str(), |(host, _)| host);
                Some(host.trim_start_matches('[').trim_end_matches(']'))
            }
        }
    }

    /// As a tool connects to it without the service manager.
    pub(super) fn attachment(&self) -> String {
        match &self.reach {
            FirebirdReach::Embedded => self.path.clone(),
            FirebirdReach::Network(server) | FirebirdReach::Service(server) => {
                format!("{server}:{}", self.path)
            }
        }
    }

    /// The service manager, if that opens it.
    pub(super) fn service(&self) -> Option<String> {
        match &self.reach {
            FirebirdReach::Service(server) => Some(format!("{server}:{SERVICE}")),
            _ => None,
        }
    }
}

impl FromStr for FirebirdPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} names no database: {why}"));
        if text.chars().any(char::is_control) {
            return wrong("it holds a control character");
        }
        if text.starts_with('/') {
            return Ok(Self { reach: FirebirdReach::Embedded, path: text.into() });
        }
        if text.contains("://") {
            return wrong("write host:/path or host/port:/path, not a URL");
        }
        // An IPv6 address stands in brackets and has colons of its own.
        let after_address = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
        let colon = text.get(after_address..).and_then(|rest| rest.find(':')).map(|at| at + after_address);
        let Some((server, path)) = colon.map(|at| (&text[..at], &text[at + 1..])) else {
            return wrong("write an absolute path, or host:/path for a server's");
        };
        // What begins with a dash would be an option to the tools.
        if server.is_empty() || server.starts_with(['-', '/']) || server.contains(' ') {
            return wrong("there is no server's name before the colon");
        }
        let (reach, path) = match path.strip_prefix(SERVICE).and_then(|rest| rest.strip_prefix(':')) {
            Some(path) => (FirebirdReach::Service(server.into()), path),
            None => (FirebirdReach::Network(server.into()), path),
        };
        if path.is_empty() || path.starts_with('-') || path == SERVICE {
            return wrong("after the colon a path or an alias is wanted");
        }
        Ok(Self { reach, path: path.into() })
    }
}

impl fmt::Display for FirebirdPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reach {
            FirebirdReach::Embedded => f.write_str(&self.path),
            FirebirdReach::Network(server) => write!(f, "{server}:{}", self.path),
            FirebirdReach::Service(server) => write!(f, "{server}:{SERVICE}:{}", self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_written_in_three_ways_and_comes_back_as_it_was_written() {
        let network = |server: &str| FirebirdReach::Network(server.into());
        let service = |server: &str| FirebirdReach::Service(server.into());
        for (text, reach, path, host) in [
            ("/data/books.fdb", FirebirdReach::Embedded, "/data/books.fdb", None),
            ("/a:b/books.fdb", FirebirdReach::Embedded, "/a:b/books.fdb", None),
            ("db.example:/data/b.fdb", network("db.example"), "/data/b.fdb", Some("db.example")),
            ("127.0.0.1/13050:/data/b.fdb", network("127.0.0.1/13050"), "/data/b.fdb", Some("127.0.0.1")),
            ("[::1]/3050:/data/b.fdb", network("[::1]/3050"), "/data/b.fdb", Some("::1")),
            ("localhost:employee", network("localhost"), "employee", Some("localhost")),
            ("win:C:\\data\\b.fdb", network("win"), "C:\\data\\b.fdb", Some("win")),
            ("h/3051:service_mgr:/data/b.fdb", service("h/3051"), "/data/b.fdb", Some("h")),
        ] {
            let place: FirebirdPlace = text.parse().unwrap();
            assert_eq!((place.reach(), place.path(), place.host()), (&reach, path, host), "{text}");
            assert_eq!(place.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_database_is_refused_with_what_to_write() {
        for (text, said) in [
            ("books.fdb", "an absolute path"),
            ("", "an absolute path"),
            (":/data/b.fdb", "no server's name"),
            ("-x:/data/b.fdb", "no server's name"),
            ("host:", "a path or an alias"),
            ("host:-x", "a path or an alias"),
            ("host:service_mgr", "a path or an alias"),
            ("host:service_mgr:", "a path or an alias"),
            ("inet://host/data", "not a URL"),
            ("/a\nb", "control character"),
        ] {
            let why = text.parse::<FirebirdPlace>().unwrap_err();
            assert!(why.contains(said), "{text:?}: {why}");
        }
    }
}
