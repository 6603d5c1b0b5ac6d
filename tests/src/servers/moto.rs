//! moto, an S3 server in memory. It looks at no signature, and knows many of Amazon's own answers.

use super::http::exchange;
use super::ports::Ports;
use super::process::ServerProcess;
use super::{BUCKET, SECRET, Server};

/// A server with one account.
pub struct Moto {
    ports: Ports,
    _process: ServerProcess,
}

impl Moto {
    /// Starts it, with an empty [`BUCKET`].
    pub fn start() -> Option<Self> {
        let program = super::program("KEEPWELL_TEST_MOTO", "moto_server")?;
        let ports = Ports::take();
        let process = ServerProcess::start("moto", &program, |command, _| {
            command.args(["-H", "127.0.0.1", "-p"]).arg(ports.port(0).to_string());
        });
        process.wait_until(|| {
            exchange(ports.port(0), &format!("PUT /{BUCKET}"), b"")
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        Some(Self { ports, _process: process })
    }
}

impl Server for Moto {
    fn name(&self) -> &'static str {
        "moto"
    }

    fn port(&self) -> u16 {
        self.ports.port(0)
    }

    fn location(&self, port: u16, name: &str) -> String {
        format!("s3:http://127.0.0.1:{port}/{BUCKET}/{name}")
    }

    /// Python's server takes the end of a connection for the end of the head, or of the body: an object that was
    /// cut off on its way is stored as what came of it, or as an empty one. Amazon stores nothing then.
    fn ignores_cut_requests(&self) -> bool {
        false
    }

    fn variables(&self, _: u16) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "keepwell".into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]
    }
}
