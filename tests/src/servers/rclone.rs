//! rclone's WebDAV server over a folder, which asks for a login.

use std::net::{Ipv4Addr, TcpStream};

use super::ports::Ports;
use super::process::ServerProcess;
use super::{SECRET, Server};

/// A server of one folder.
pub struct Rclone {
    ports: Ports,
    _process: ServerProcess,
}

impl Rclone {
    /// Starts it over an empty folder.
    pub fn start() -> Option<Self> {
        let program = super::program("KEEPWELL_TEST_RCLONE", "rclone")?;
        let ports = Ports::take();
        let process = ServerProcess::start("rclone", &program, |command, data| {
            // Its settings are nobody's; the login in its environment is seen by its user alone.
            command.args(["--config", "/dev/null", "serve", "webdav", "--addr"]);
            command.arg(format!("127.0.0.1:{}", ports.port(0))).arg(data);
            command.env("RCLONE_USER", "ada").env("RCLONE_PASS", SECRET);
        });
        process.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, ports.port(0))).is_ok());
        Some(Self { ports, _process: process })
    }
}

impl Server for Rclone {
    fn name(&self) -> &'static str {
        "rclone"
    }

    fn port(&self) -> u16 {
        self.ports.port(0)
    }

    fn location(&self, port: u16, name: &str) -> String {
        format!("http://ada:{SECRET}@127.0.0.1:{port}/{}", super::http::encoded(name))
    }

    fn variables(&self, _: u16) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn creates_exclusively(&self) -> bool {
        false // WebDAV has no create-if-absent; `Store::create` says so.
    }
}
