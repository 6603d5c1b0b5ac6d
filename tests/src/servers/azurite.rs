//! Azurite, Microsoft's own stand-in for Azure's blobs. It looks at signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};

use super::http::exchange;
use super::ports::Ports;
use super::process::ServerProcess;
use super::{BUCKET, SECRET, Server};

const ACCOUNT: &str = "keepwelltests";
const API_VERSION: &str = "2021-12-02";

/// A server with one account.
pub struct Azurite {
    ports: Ports,
    _process: ServerProcess,
}

impl Azurite {
    /// Starts it, with [`BUCKET`] as an empty container.
    pub fn start() -> Option<Self> {
        let program = super::program("KEEPWELL_TEST_AZURITE", "azurite-blob")?;
        let ports = Ports::take();
        let process = ServerProcess::start("Azurite", &program, |command, data| {
            command.args(["--blobHost", "127.0.0.1", "--silent", "--disableTelemetry", "--blobPort"]);
            command.arg(ports.port(0).to_string()).arg("--location").arg(data);
            command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{}", key()));
        });
        process.wait_until(|| {
            exchange(ports.port(0), &make_container(), b"")
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 201"))
        });
        Some(Self { ports, _process: process })
    }
}

/// Its account key, as everybody spells it.
fn key() -> String {
    STANDARD.encode(SECRET)
}

/// The signed request that makes the container.
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
fn make_container() -> String {
    let date = super::http::now();
    let headers = format!("x-ms-date:{date}\nx-ms-version:{API_VERSION}");
    // The account stands twice: as whose resource it is, and as the first part of the path.
    let resource = format!("/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container");
    let text = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}\n{resource}");
    let mut signature = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    signature.update(text.as_bytes());
    let signature = STANDARD.encode(signature.finalize().into_bytes());
    format!(
        "PUT /{ACCOUNT}/{BUCKET}?restype=container\r\nx-ms-date: {date}\r\nx-ms-version: {API_VERSION}\r\n\
         Authorization: SharedKey {ACCOUNT}:{signature}"
    )
}

impl Server for Azurite {
    fn name(&self) -> &'static str {
        "Azurite"
    }

    fn port(&self) -> u16 {
        self.ports.port(0)
    }

    fn location(&self, _: u16, name: &str) -> String {
        format!("az://{BUCKET}/{name}")
    }

    fn variables(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.into()),
            ("AZURE_STORAGE_ACCOUNT_KEY", key()),
            ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{port}/{ACCOUNT}")),
        ]
    }
}
