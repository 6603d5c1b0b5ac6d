//! The servers that remote stores, and a broker, are tried on: programs of other projects, each started on a free loopback
//! port for one test and gone with it, and some of our own where none is strict enough, quick enough, or none exists.
//!
//! A server answers by the time it is returned. It ends with its value, also if the test panics, and with
//! the test's process, however that ends. The program's place comes from the variables that `tests/run` sets; one
//! that is missing is said on one line, and the test that asked goes on without it.

pub mod azurite;
pub mod google;
pub mod http;
pub mod moto;
pub mod nats;
pub mod plain_s3;
pub mod ports;
pub mod process;
pub mod rclone;
pub mod seaweedfs;
pub mod tls;
pub mod webdav;

use std::path::PathBuf;

use keepwell_engine::store::{Location, Store, StoreSettings};

/// The bucket or container that every server has from the start.
pub const BUCKET: &str = "keepwell";
/// What must never be seen in any text: it is part of every server's credentials.
pub const SECRET: &str = "huSh5ecret";

/// Something that speaks a store's protocol on a loopback port.
///
/// Places take the port as an argument, so that one may lead through a proxy.
pub trait Server: Send + Sync {
    /// For messages.
    fn name(&self) -> &'static str;

    /// Where it listens.
    fn port(&self) -> u16;

    /// Where a repository of this name lies, as keepwell spells it; restic understands it for S3.
    fn location(&self, port: u16, name: &str) -> String;

    /// What programs need in their environment to be let in.
    fn variables(&self, port: u16) -> Vec<(&'static str, String)>;

    /// Whether of several who create one object at once exactly one is told that it did.
    fn creates_exclusively(&self) -> bool {
        true
    }

    /// Whether it does nothing about a request that did not arrive whole.
    fn ignores_cut_requests(&self) -> bool {
        true
    }

    /// The engine's settings for it: the defaults, and its variables.
    fn settings(&self, port: u16) -> StoreSettings {
        let variables = self.variables(port).into_iter();
        StoreSettings::from_variables(variables.map(|(name, value)| (name.to_owned(), value)))
    }

    /// Its store of this name.
    fn store(&self, name: &str) -> Store {
        open(&self.location(self.port(), name), &self.settings(self.port()))
    }
}

/// Opens the store at a place that is known to be one.
pub fn open(text: &str, settings: &StoreSettings) -> Store {
    Store::open(&parse(text), settings).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Reads a place that is known to be one.
pub fn parse(text: &str) -> Location {
    Location::parse(text, std::path::Path::new("/")).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The program whose path a variable holds; one that is missing is said on one line.
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        crate::programs::say(&format!("skipped: {name} is not there ({variable} is not set; see tests/run)"));
    }
    path
}
