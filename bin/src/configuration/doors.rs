//! How the daemon is reached: the address that it listens on, and the broker that it speaks to.
//!
//! Nothing is said in the clear off this machine unless somebody asked for it: an address of a network needs
//! TLS or `insecure`, a broker elsewhere needs credentials or TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use url::{Host, Url};

use super::resolve::Reader;
use super::tree::KeyError;
use super::written::{WrittenBroker, WrittenDaemon};

/// Where the daemon listens if nothing is said.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8377);
/// What the stream of events is called if nothing is said, with the node's name after it: daemons that share a broker
/// do not share a stream, unless somebody says so.
const STREAM_PREFIX: &str = "keepwell-";
/// The node of a machine that has no name.
const NODE_WITHOUT_NAME: &str = "keepwell";
/// The broker's server if nothing is said.
pub const BROKER_URL_DEFAULT: &str = "nats://127.0.0.1:4222";
/// A name that is part of a subject: longer ones are of no use to people.
pub const SUBJECT_NAME_LENGTH_MAX: usize = 64;
/// The longest node's name fits behind the prefix.
const STREAM_NAME_LENGTH_MAX: usize = 80;

/// How the daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Where it listens. Port 0 is one that is free.
    pub listen: SocketAddr,
    /// Whether it may listen off loopback without TLS.
    pub insecure: bool,
    /// With them it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Host names that it goes by beside its address, in lower case.
    pub allowed_hosts: Vec<String>,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// What a server's TLS needs. Both are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those above it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// The broker that the daemon speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    /// Its servers, `nats://…` or `tls://…`, at least one; no secrets are in them.
    pub urls: Vec<String>,
    /// What this daemon is called there: letters, digits, `-` and `_`.
    pub node: String,
    /// Who it is there.
    pub login: Option<BrokerLogin>,
    /// A PEM file with the certificate authorities that are trusted beside the system's; it asks for TLS.
    pub tls_ca_file: Option<PathBuf>,
    /// The stream that events go into: letters, digits, `-` and `_`.
    pub stream: String,
}

/// Who the daemon is for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerLogin {
    /// A file with a key and a token of NATS.
    CredentialsFile(PathBuf),
    /// A user, and the file whose first line is the password.
    User {
        /// The user.
        user: String,
        /// Where the password stands.
        password_file: PathBuf,
    },
}

/// What the command line says of the address, over the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypedAddress {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Whether that may be off loopback without TLS.
    pub insecure: bool,
}

impl DaemonSettings {
    /// Takes on what was typed.
    pub(super) fn take_on(&mut self, typed: TypedAddress) {
        self.listen = typed.listen.unwrap_or(self.listen);
        self.insecure |= typed.insecure;
    }

    /// Whoever is on a network may read what is said on it without TLS.
    pub(super) fn ensure_safe(&self) -> Result<(), &'static str> {
        if self.listen.ip().is_loopback() || self.tls.is_some() || self.insecure {
            return Ok(());
        }
        Err("whoever is on that network could read what is said: give tls_certificate and tls_key, or \
             insecure = true behind a proxy that has them")
    }

    /// Checks what is written, except for what may still be typed over it; see [`DaemonSettings::ensure_safe`].
    pub(super) fn resolve(reader: &Reader<'_>, written: &WrittenDaemon) -> Result<Self, KeyError> {
        let at = |last: &'static str| ["daemon", last];
        let listen = match &written.listen {
            None => LISTEN_DEFAULT,
            Some(text) => text.parse().map_err(|_| {
                reader.wrong(&at("listen"), "write an address and a port, as 127.0.0.1:8377 or [::1]:8377")
            })?,
        };
        let tls = match (&written.tls_certificate, &written.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: reader.path(&at("tls_certificate"), certificate)?,
                key: reader.path(&at("tls_key"), key)?,
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(reader.wrong(&at("tls_certificate"), "it needs its key: tls_key = \"/path\""));
            }
            (None, Some(_)) => {
                return Err(
                    reader.wrong(&at("tls_key"), "it needs its certificate: tls_certificate = \"/path\"")
                );
            }
        };
        let hosts = written.allowed_hosts.0.iter().map(|host| allowed_host(reader, host));
        let log_format = match written.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(_) => return Err(reader.wrong(&at("log_format"), "write text or json")),
        };
        Ok(Self {
            listen,
            insecure: written.insecure,
            tls,
            allowed_hosts: hosts.collect::<Result<_, _>>()?,
            log_format,
        })
    }
}

/// A host's name in lower case, without a port.
fn allowed_host(reader: &Reader<'_>, host: &str) -> Result<String, KeyError> {
    let wrong = || {
        let why = format!("{host:?} is no name of a host; write it as backup.example.org, without a port");
        reader.wrong(&["daemon", "allowed_hosts"], why)
    };
    match Host::parse(host) {
        Ok(parsed) if !host.contains('%') => Ok(parsed.to_string()),
        _ => Err(wrong()),
    }
}

impl BrokerSettings {
    /// Checks what is written.
    pub(super) fn resolve(reader: &Reader<'_>, written: &WrittenBroker) -> Result<Self, KeyError> {
        let at = |last: &'static str| ["broker", last];
        let path = |last, text: &String| reader.path(&at(last), text);
        let login = match (&written.credentials_file, &written.user, &written.password_file) {
            (None, None, None) => None,
            (Some(file), None, None) => Some(BrokerLogin::CredentialsFile(path("credentials_file", file)?)),
            (None, Some(user), Some(file)) => {
                Some(BrokerLogin::User { user: user.clone(), password_file: path("password_file", file)? })
            }
            (Some(_), ..) => {
                let why = "give credentials_file, or user and password_file, not both";
                return Err(reader.wrong(&["broker"], why));
            }
            (None, Some(_), None) => {
                return Err(reader.wrong(&at("user"), "it needs password_file = \"/path\" beside it"));
            }
            (None, None, Some(_)) => {
                return Err(reader.wrong(&at("password_file"), "it needs user = \"…\" beside it"));
            }
        };
        let tls_ca_file = written.tls_ca_file.as_ref().map(|file| path("tls_ca_file", file)).transpose()?;
        let urls = match written.url.0.as_slice() {
            [] => vec![BROKER_URL_DEFAULT.into()],
            some => some.to_vec(),
        };
        for url in &urls {
            let is_safe = login.is_some() || tls_ca_file.is_some();
            ensure_server(url, is_safe).map_err(|why| reader.wrong(&at("url"), why))?;
        }
        let name = |last, name: &String, length_max: usize| match is_name(name, length_max) {
            true => Ok(name.clone()),
            false => {
                let why = format!("it has 1 to {length_max} letters, digits, '-' and '_'");
                Err(reader.wrong(&at(last), why))
            }
        };
        let node = match &written.node {
            Some(node) => name("node", node, SUBJECT_NAME_LENGTH_MAX)?,
            None => machine_name(),
        };
        let stream = match &written.stream {
            Some(stream) => name("stream", stream, STREAM_NAME_LENGTH_MAX)?,
            None => format!("{STREAM_PREFIX}{node}"),
        };
        Ok(Self { urls, node, login, tls_ca_file, stream })
    }
}

/// Whether a URL is that of a server of NATS that may be spoken to. `is_safe`: with a login or TLS.
fn ensure_server(text: &str, is_safe: bool) -> Result<(), String> {
    let wanted = "write it as nats://host:4222 or tls://host:4222";
    let url = Url::parse(text).map_err(|_| format!("it is no URL; {wanted}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("secrets do not stand in the configuration: give user and password_file, or \
                    credentials_file"
            .into());
    }
    if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("it is no server of NATS; {wanted}"));
    }
    let is_loopback = match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        None => false,
    };
    if is_loopback || is_safe || url.scheme() == "tls" {
        return Ok(());
    }
    Err(format!(
        "{text} is another machine, and anybody could command this one there: give credentials_file, user and \
         password_file, tls_ca_file, or tls:// for nats://"
    ))
}

fn is_name(name: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
}

/// The machine's name as a part of a subject.
fn machine_name() -> String {
    subject_name(&rustix::system::uname().nodename().to_string_lossy())
}

/// What cannot be part of a subject becomes `-`.
fn subject_name(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let safe: String = name
        .chars()
        .take(SUBJECT_NAME_LENGTH_MAX)
        .map(|letter| if fits(letter) { letter } else { '-' })
        .collect();
    if safe.is_empty() { NODE_WITHOUT_NAME.into() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_name_becomes_part_of_a_subject() {
        for (name, subject) in
            [("nas", "nas"), ("nas.home.example", "nas-home-example"), ("", "keepwell"), ("Büro 1", "B-ro-1")]
        {
            assert_eq!(subject_name(name), subject);
            assert!(is_name(&subject_name(name), SUBJECT_NAME_LENGTH_MAX), "{name}");
        }
        let longest = subject_name(&"x".repeat(300));
        assert!(is_name(&longest, SUBJECT_NAME_LENGTH_MAX));
        assert!(is_name(&format!("{STREAM_PREFIX}{longest}"), STREAM_NAME_LENGTH_MAX));
    }

    #[test]
    fn brokers_elsewhere_need_credentials_or_tls() {
        for (url, is_safe, fits) in [
            ("nats://127.0.0.1:4222", false, true),
            ("nats://localhost", false, true),
            ("nats://[::1]:4222", false, true),
            ("nats://nas.example:4222", false, false),
            ("nats://nas.example:4222", true, true),
            ("tls://nas.example:4222", false, true),
            ("nats://127.0.0.1.example:4222", false, false),
            ("nats://ada:hush@127.0.0.1:4222", true, false),
            ("http://127.0.0.1:4222", true, false),
            ("127.0.0.1:4222", true, false),
        ] {
            let said = ensure_server(url, is_safe);
            assert_eq!(said.is_ok(), fits, "{url}: {said:?}");
            assert!(!said.is_err_and(|why| why.contains("hush")), "{url}");
        }
    }
}
