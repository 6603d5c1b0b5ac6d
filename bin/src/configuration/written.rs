//! The configuration as it is written: its keys, and nothing decided yet. An unknown key is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::quantities::{parse_duration, parse_rate};

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// Where the journal lives, in `journal/` beneath.
    pub data_folder: Option<String>,
    /// Backups that run at once.
    pub max_concurrent_tasks: Option<u32>,
    /// Backups that run at once into one repository that does not say itself.
    pub max_tasks_per_repository: Option<u32>,
    /// When a worker is given up that shows no sign of work.
    pub hang_after: Option<Span>,
    /// The longest that one timer runs.
    pub timer_max: Option<Span>,
    /// How hard to compress.
    pub compression: Option<String>,
    /// Folders below which restores may write.
    pub restore_roots: Words,
    /// What follows a failed attempt.
    pub retry: WrittenRetry,
    /// How the daemon is reached.
    pub daemon: WrittenDaemon,
    /// The broker that it speaks to.
    pub broker: Option<WrittenBroker>,
    /// What is backed up that is no folder, by name.
    pub sources: BTreeMap<String, WrittenSource>,
    /// Where backups go, by name.
    pub repositories: BTreeMap<String, WrittenRepository>,
    /// What is backed up, by name.
    pub items: BTreeMap<String, WrittenItem>,
}

/// What follows a failed attempt.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenRetry {
    /// Attempts after the first.
    pub max_retries: Option<u32>,
    /// The wait before the first of them, which doubles.
    pub base_delay: Option<Span>,
    /// The same after the store could not be reached.
    pub network_delay: Option<Span>,
}

/// How the daemon is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenDaemon {
    /// Address and port.
    pub listen: Option<String>,
    /// Whether it may listen off loopback without TLS.
    pub insecure: bool,
    /// A file with its certificate, and those above it.
    pub tls_certificate: Option<String>,
    /// A file with the key of that.
    pub tls_key: Option<String>,
    /// Names that it goes by beside its address.
    pub allowed_hosts: Words,
    /// How log lines look.
    pub log_format: Option<String>,
}

/// The broker that the daemon speaks to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenBroker {
    /// Its servers.
    pub url: Words,
    /// What this daemon is called there.
    pub node: Option<String>,
    /// A file with a key and a token of NATS.
    pub credentials_file: Option<String>,
    /// The user there.
    pub user: Option<String>,
    /// A file with that user's password.
    pub password_file: Option<String>,
    /// A file with the certificate authorities that are trusted beside the system's.
    pub tls_ca_file: Option<String>,
    /// The stream that events go into.
    pub stream: Option<String>,
}

/// Where backups go.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenRepository {
    /// A path, or a URL without a password in it.
    pub location: Option<String>,
    /// A file whose first line is the location, for one with a password in it.
    pub location_file: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<String>,
    /// A command that prints it.
    pub password_command: Option<String>,
    /// Backups that run at once into it.
    pub max_tasks: Option<u32>,
    /// Calls under way at once.
    pub connections: Option<u32>,
    /// The longest that an answer may take.
    pub request_timeout: Option<Span>,
    /// The longest that making a connection may take.
    pub connect_timeout: Option<Span>,
    /// How long a request that fails is tried again.
    pub retry_timeout: Option<Span>,
    /// The most that is sent to it.
    pub upload_limit: Option<Rate>,
    /// The most that is received from it.
    pub download_limit: Option<Rate>,
    /// Options of the store, as `-o` takes them.
    pub options: BTreeMap<String, Scalar>,
}

/// What is backed up that is no folder: of one kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenSource {
    /// A program and its arguments, whose output is backed up as one file.
    pub command: Words,
    /// What that file is called.
    pub file_name: Option<String>,
    /// The path of a SQLite database.
    pub sqlite: Option<String>,
    /// A Firebird database.
    pub firebird: Option<WrittenFirebird>,
}

/// A Firebird database.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenFirebird {
    /// `host/port:/path`, `host/port:service_mgr:/path`, or the path of an embedded one.
    pub database: Option<String>,
    /// The database's user.
    pub user: Option<String>,
    /// A file that holds that user's password.
    pub password_file: Option<String>,
    /// Whether old versions of rows are left where they are.
    pub no_garbage_collection: bool,
    /// Whether the dump can be restored on a machine of another kind.
    pub transportable: bool,
    /// Threads that read at once, from Firebird 5 on.
    pub parallel_workers: Option<u32>,
    /// The path of Firebird's gbak.
    pub gbak: Option<String>,
    /// Where an embedded engine keeps its locks.
    pub lock_folder: Option<String>,
}

impl Default for WrittenFirebird {
    fn default() -> Self {
        Self {
            database: None,
            user: None,
            password_file: None,
            no_garbage_collection: false,
            transportable: true,
            parallel_workers: None,
            gbak: None,
            lock_folder: None,
        }
    }
}

/// What is backed up.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenItem {
    /// Files and folders.
    pub paths: Words,
    /// Patterns of what is left out.
    pub excludes: Words,
    /// Instead of paths, the name of a source.
    pub source: Option<String>,
    /// The name of a repository.
    pub repository: Option<String>,
    /// When, if by itself.
    pub schedule: Option<String>,
    /// The zone whose civil time the schedule is in.
    pub time_zone: Option<String>,
    /// A task starts at most so long after its due time.
    pub jitter: Option<Span>,
    /// Whether the schedule counts.
    pub enabled: bool,
    /// What follows a failed attempt of it, where that is something else than of others.
    pub retry: WrittenRetry,
    /// The most that a backup of it reads.
    pub read_limit: Option<Rate>,
    /// The most that a backup of it stores.
    pub upload_limit: Option<Rate>,
    /// Tags of its snapshots.
    pub tags: Words,
}

impl Default for WrittenItem {
    fn default() -> Self {
        Self {
            paths: Words::default(),
            excludes: Words::default(),
            source: None,
            repository: None,
            schedule: None,
            time_zone: None,
            jitter: None,
            enabled: true,
            retry: WrittenRetry::default(),
            read_limit: None,
            upload_limit: None,
            tags: Words::default(),
        }
    }
}

/// A duration, as `"30s"` or `"1h30m"`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = "a duration with its unit in quotes, as \"30s\", \"5m\" or \"1h30m\"";
        deserializer.deserialize_str(Quantity { wanted, parse: parse_duration }).map(Self)
    }
}

/// Bytes per second, as `"2 MiB"`.
#[derive(Clone, Copy, Debug)]
pub struct Rate(pub u64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = "bytes per second with their unit in quotes, as \"500 KiB\" or \"2 MiB\"";
        deserializer.deserialize_str(Quantity { wanted, parse: parse_rate }).map(Self)
    }
}

/// Reads text that holds a number and its unit.
struct Quantity<T> {
    wanted: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Quantity<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug, Default)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordsVisitor;

        impl<'de> Visitor<'de> for WordsVisitor {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts, as [\"one\", \"two\"]")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(vec![text.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }

        deserializer.deserialize_any(WordsVisitor)
    }
}

/// A text, a number or a truth value, as text.
#[derive(Clone)]
pub struct Scalar(pub String);

/// It may be a secret.
impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.into()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}
