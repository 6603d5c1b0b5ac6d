//! NATS, a broker with streams on disk. It can be killed and started again at the same port with what it stored.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use async_nats::{Client, ConnectOptions};
use rustix::process::Signal;
use tempfile::TempDir;

use super::SECRET;
use super::ports::Ports;
use super::process::ServerProcess;
use super::tls::{Authority, Certificate};

/// The user of a server that looks who comes.
pub const USER: &str = "keepwell";

/// Whom a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Everybody.
    Open,
    /// [`USER`], whose password is [`SECRET`].
    Password,
}

/// A server with streams.
pub struct Nats {
    ports: Ports,
    program: PathBuf,
    entry: Entry,
    /// Lines of its configuration that are not the same for all.
    more: String,
    /// What outlives the process.
    store: TempDir,
    process: Option<ServerProcess>,
}

impl Nats {
    /// Starts it with an empty store.
    pub fn start(entry: Entry) -> Option<Self> {
        let mut nats = Self::prepare(entry)?;
        nats.start_again();
        Some(nats)
    }

    /// A server that is not started yet.
    pub fn prepare(entry: Entry) -> Option<Self> {
        let program = super::program("KEEPWELL_TEST_NATS", "nats-server")?;
        let store = tempfile::tempdir().expect("a folder for a server");
        Some(Self { ports: Ports::take(), program, entry, more: String::new(), store, process: None })
    }

    /// Lets it speak TLS as `localhost`, with a certificate of this authority.
    pub fn speak_tls(&mut self, authority: &Authority) {
        let (certificate, key) = authority.certificate_and_key(Certificate::Right);
        let files = ["certificate.pem", "key.pem"].map(|name| self.store.path().join(name));
        fs::write(&files[0], certificate).expect("a file");
        fs::write(&files[1], key).expect("a file");
        self.more = format!("tls {{ cert_file: {:?}, key_file: {:?} }}\n", files[0], files[1]);
    }

    /// Starts it at the port and with the store that it had.
    pub fn start_again(&mut self) {
        let (port, store) = (self.port(), self.store.path().to_path_buf());
        // A password as an argument would be everybody's.
        let login = match self.entry {
            Entry::Open => String::new(),
            Entry::Password => format!("authorization {{ user: {USER}, password: \"{SECRET}\" }}\n"),
        };
        let process = ServerProcess::start("nats-server", &self.program, |command, data| {
            let configuration = data.join("nats.conf");
            let streams = format!("jetstream {{ store_dir: \"{}\" }}\n", store.display());
            let place = format!("listen: \"127.0.0.1:{port}\"\n");
            fs::write(&configuration, format!("{place}{streams}{login}{}", self.more)).expect("a file");
            command.arg("-c").arg(configuration);
        });
        process.wait_until(|| process.log().contains("Server is ready"));
        self.process = Some(process);
    }

    /// Kills it; what it stored stays.
    pub fn kill(&mut self) {
        self.process = None;
        let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, self.port())).is_ok();
        crate::running::wait_for("the server's port", || is_free().then_some(()));
    }

    /// Lets it stand still with all that it has, as a machine does that hangs.
    pub fn freeze(&self) {
        self.process.as_ref().expect("it was started").signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("it was started").signal(Signal::CONT);
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.ports.port(0)
    }

    /// As programs write it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// Somebody else at the same broker.
    pub async fn client(&self) -> Client {
        let options = match self.entry {
            Entry::Open => ConnectOptions::new(),
            Entry::Password => ConnectOptions::with_user_and_password(USER.into(), SECRET.into()),
        };
        options.connect(self.url()).await.expect("the server lets us in")
    }
}
