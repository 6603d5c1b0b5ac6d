//! Every key of the configuration, described: what it takes, what counts without it, what it means.
//!
//! The reference, the schema, the example and `config show` are made of this list. What is read is what
//! `written.rs` says; a test holds the two together.

use std::time::Duration;

use keepwell_actors::board::Limits;
use keepwell_actors::schedule::TIMER_MAX;
use keepwell_engine::archive::BackupLimits;
use keepwell_engine::store::BYTES_PER_SECOND_MIN;

use super::named_source::PARALLEL_WORKERS_MAX;
use super::repositories::{CONNECTIONS_MAX, TIMEOUT_MAX, TIMEOUT_MIN};
use super::resolve::{DELAY_MAX, HANG_AFTER_MIN, RETRIES_MAX, TIMER_MIN};

/// A key.
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What counts without it, as it would be written; or words in parentheses. Empty: nothing does.
    pub default: &'static str,
    /// What it means, in a sentence without a full stop.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is a path from `/` or `~/` on.
    Path,
    /// A text or a list of them.
    Texts,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A duration from the first to the second.
    Span(Duration, Duration),
    /// Bytes a second, at least so many.
    Rate(u64),
    /// true or false.
    Truth,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table of tables with these keys, each under a name of its own.
    Named(&'static [Key]),
    /// A table whose keys are the store's.
    Options,
}

const TASKS_MAX: u64 = Limits::MAX_CONCURRENT_TASKS_MAX as u64;

const fn key(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default, about }
}

/// What stands at the top.
pub const KEYS: &[Key] = &[
    key(
        "data_folder",
        Kind::Path,
        "(keepwell in the user's data folder)",
        "Where the journal, the token and copies of databases live",
    ),
    key(
        "max_concurrent_tasks",
        Kind::Number(1, TASKS_MAX),
        "3",
        "Backups that run at once. A number set by a command counts more",
    ),
    key(
        "max_tasks_per_repository",
        Kind::Number(1, TASKS_MAX),
        "",
        "Backups that run at once into one repository that does not say itself",
    ),
    key(
        "hang_after",
        Kind::Span(HANG_AFTER_MIN, Duration::MAX),
        "\"30m\"",
        "When a worker is given up that shows no sign of work",
    ),
    key(
        "timer_max",
        Kind::Span(TIMER_MIN, TIMER_MAX),
        "\"20d\"",
        "The longest that one timer runs before the clock is looked at again. It is looked at every minute anyway",
    ),
    key(
        "compression",
        Kind::OneOf(&["off", "fastest", "auto", "better", "max"]),
        "\"auto\"",
        "How hard to compress; `--compression` counts more",
    ),
    key(
        "restore_roots",
        Kind::Texts,
        "[]",
        "Folders below which the daemon may restore; without any it restores nowhere",
    ),
    key("retry", Kind::Table(RETRY), "", "What follows a failed attempt"),
    key("daemon", Kind::Table(DAEMON), "", "How the daemon is reached"),
    key(
        "broker",
        Kind::Table(BROKER),
        "",
        "The NATS servers that the daemon speaks to; without this table it speaks to none",
    ),
    key(
        "repositories",
        Kind::Named(REPOSITORY),
        "",
        "Where backups go; without any there is `default`, the one of `keepwell backup PATH`",
    ),
    key(
        "sources",
        Kind::Named(SOURCE),
        "",
        "What is backed up that is no folder: one of `command`, `sqlite` and `firebird`",
    ),
    key("items", Kind::Named(ITEM), "", "What is backed up"),
];

const RETRY: &[Key] = &[
    key("max_retries", Kind::Number(0, RETRIES_MAX as u64), "3", "Attempts after the first"),
    key(
        "base_delay",
        Kind::Span(Duration::ZERO, DELAY_MAX),
        "\"30s\"",
        "The wait before the first retry, which doubles up to two minutes, or to itself if it is longer",
    ),
    key(
        "network_delay",
        Kind::Span(Duration::ZERO, DELAY_MAX),
        "\"1m\"",
        "The same after the store could not be reached, up to five minutes",
    ),
];

const DAEMON: &[Key] = &[
    key(
        "listen",
        Kind::Text,
        "\"127.0.0.1:8377\"",
        "Address and port. Off loopback it needs TLS or `insecure`",
    ),
    key(
        "insecure",
        Kind::Truth,
        "false",
        "Whether it may listen off loopback without TLS, as behind a proxy",
    ),
    key(
        "tls_certificate",
        Kind::Path,
        "",
        "A PEM file with the certificate and those above it; with `tls_key`",
    ),
    key("tls_key", Kind::Path, "", "A PEM file with the key of the certificate"),
    key(
        "allowed_hosts",
        Kind::Texts,
        "[]",
        "Names that the daemon goes by beside its address, without a port",
    ),
    key("log_format", Kind::OneOf(&["text", "json"]), "\"text\"", "How log lines look"),
];

const BROKER: &[Key] = &[
    key(
        "url",
        Kind::Texts,
        "\"nats://127.0.0.1:4222\"",
        "Its servers, as `nats://host:4222` or `tls://host:4222`. Off loopback they need credentials or TLS",
    ),
    key(
        "node",
        Kind::Text,
        "(the machine's name)",
        "What this daemon is called in subjects: letters, digits, `-` and `_`, at most 64",
    ),
    key(
        "credentials_file",
        Kind::Path,
        "",
        "A file with a key and a token of NATS; or `user` and `password_file`",
    ),
    key("user", Kind::Text, "", "The user there"),
    key("password_file", Kind::Path, "", "A file whose first line is that user's password"),
    key(
        "tls_ca_file",
        Kind::Path,
        "",
        "A PEM file with certificate authorities that are trusted beside the system's; it asks for TLS",
    ),
    key(
        "stream",
        Kind::Text,
        "(keepwell-NODE)",
        "The stream that events go into: letters, digits, `-` and `_`, at most 80",
    ),
];

const REPOSITORY: &[Key] = &[
    key(
        "location",
        Kind::Text,
        "",
        "A path, or `s3://`, `gs://`, `az://`, `http(s)://`, without a password in it",
    ),
    key("location_file", Kind::Path, "", "Instead, a file whose first line is the location"),
    key("password_file", Kind::Path, "", "A file whose first line is the password"),
    key("password_command", Kind::Text, "", "Instead, a command that prints it; run without a shell"),
    key(
        "max_tasks",
        Kind::Number(1, TASKS_MAX),
        "(`max_tasks_per_repository`)",
        "Backups that run at once into it",
    ),
    key(
        "connections",
        Kind::Number(1, CONNECTIONS_MAX as u64),
        "(the store's own)",
        "Calls under way at once",
    ),
    key(
        "request_timeout",
        Kind::Span(TIMEOUT_MIN, TIMEOUT_MAX),
        "(the store's own)",
        "The longest that an answer may take",
    ),
    key(
        "connect_timeout",
        Kind::Span(TIMEOUT_MIN, TIMEOUT_MAX),
        "(the store's own)",
        "The longest that making a connection may take",
    ),
    key(
        "retry_timeout",
        Kind::Span(Duration::ZERO, TIMEOUT_MAX),
        "(the store's own)",
        "How long a request that fails is tried again",
    ),
    key(
        "upload_limit",
        Kind::Rate(BYTES_PER_SECOND_MIN),
        "",
        "The most that is sent to it; all tasks share it",
    ),
    key(
        "download_limit",
        Kind::Rate(BYTES_PER_SECOND_MIN),
        "",
        "The most that is received from it; all tasks share it",
    ),
    key("options", Kind::Options, "", "Options of the store, as `-o` takes them; no secrets"),
];

const SOURCE: &[Key] = &[
    key("command", Kind::Texts, "", "A program and its arguments, whose output is backed up as one file"),
    key("file_name", Kind::Text, "(the source's name)", "What that file is called"),
    key("sqlite", Kind::Path, "", "A SQLite database"),
    key("firebird", Kind::Table(FIREBIRD), "", "A Firebird database; docs/firebird.md says more"),
];

const FIREBIRD: &[Key] = &[
    key(
        "database",
        Kind::Text,
        "",
        "`host/port:/path`, `host/port:service_mgr:/path`, or the path of one that no server opens",
    ),
    key("user", Kind::Text, "", "The database's user"),
    key("password_file", Kind::Path, "", "A file whose first line is that user's password"),
    key(
        "no_garbage_collection",
        Kind::Truth,
        "false",
        "Whether old versions of rows are left where they are",
    ),
    key(
        "transportable",
        Kind::Truth,
        "true",
        "Whether the dump can be restored on a machine of another kind",
    ),
    key(
        "parallel_workers",
        Kind::Number(1, PARALLEL_WORKERS_MAX as u64),
        "",
        "Threads that read at once, from Firebird 5 on",
    ),
    key("gbak", Kind::Path, "(`gbak` on the path)", "Firebird's gbak"),
    key("lock_folder", Kind::Path, "", "Where an embedded engine keeps its locks"),
];

const ITEM: &[Key] = &[
    key("paths", Kind::Texts, "", "Files and folders, from `/` or `~/` on"),
    key("excludes", Kind::Texts, "[]", "Patterns of what is left out, as restic's"),
    key("source", Kind::Text, "", "Instead of paths, the name of a source"),
    key("repository", Kind::Text, "(the only one)", "The name of a repository; needed if there are several"),
    key(
        "schedule",
        Kind::Text,
        "",
        "When, as `daily 02:00`, `every 4h`, `weekly sun 03:30`, `monthly 1 04:00` or a cron line; without it only when asked",
    ),
    key("time_zone", Kind::Text, "(the machine's zone)", "The zone whose civil time the schedule is in"),
    key(
        "jitter",
        Kind::Span(Duration::ZERO, Duration::from_secs(86_400)),
        "\"0s\"",
        "A task starts at most so long after its due time",
    ),
    key("enabled", Kind::Truth, "true", "Whether the schedule counts"),
    key(
        "retry",
        Kind::Table(RETRY),
        "",
        "What follows a failed attempt of it; what is not said is as in `[retry]`",
    ),
    key(
        "read_limit",
        Kind::Rate(BackupLimits::BYTES_PER_SECOND_MIN),
        "",
        "The most that a backup of it reads, to spare a disk or a database; what has not changed is not read",
    ),
    key(
        "upload_limit",
        Kind::Rate(BackupLimits::BYTES_PER_SECOND_MIN),
        "",
        "The most that a backup of it stores, beside the limit of its repository",
    ),
    key("tags", Kind::Texts, "[]", "Tags of its snapshots"),
];

/// A duration as it is written.
pub fn shown_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::super::written::{
        Written, WrittenBroker, WrittenDaemon, WrittenFirebird, WrittenItem, WrittenRepository, WrittenRetry,
        WrittenSource,
    };
    use super::*;

    /// The keys that a type reads, from what it says about one that it does not.
    fn read_by<T: DeserializeOwned>() -> Vec<String> {
        let error = serde_json::from_str::<T>("{\"?\": 1}").err().expect("there is no such key").to_string();
        error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_described_is_what_is_read() {
        for (keys, read) in [
            (KEYS, read_by::<Written>()),
            (RETRY, read_by::<WrittenRetry>()),
            (DAEMON, read_by::<WrittenDaemon>()),
            (BROKER, read_by::<WrittenBroker>()),
            (REPOSITORY, read_by::<WrittenRepository>()),
            (SOURCE, read_by::<WrittenSource>()),
            (FIREBIRD, read_by::<WrittenFirebird>()),
            (ITEM, read_by::<WrittenItem>()),
        ] {
            let mut described: Vec<&str> = keys.iter().map(|key| key.name).collect();
            let mut read: Vec<&str> = read.iter().map(String::as_str).collect();
            described.sort_unstable();
            read.sort_unstable();
            assert_eq!(described, read);
        }
    }
}
