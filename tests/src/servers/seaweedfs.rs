//! SeaweedFS, an S3 server that looks at signatures: wrong credentials are refused with 403.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};

use super::http::exchange;
use super::ports::Ports;
use super::process::ServerProcess;
use super::{BUCKET, SECRET, Server};

const KEY_ID: &str = "keepwell";
/// Its sockets have names made of their ports, and stay behind when it is killed.
const SOCKETS: [(&str, u16); 6] = [
    ("filer", FILER),
    ("filer-grpc", FILER + 1),
    ("master-grpc", 1),
    ("volume-grpc", 3),
    ("s3", S3),
    ("s3-grpc", S3 + 1),
];
const FILER: u16 = 4;
const S3: u16 = 6;

/// A server of one volume folder.
pub struct SeaweedFs {
    ports: Ports,
    _process: ServerProcess,
}

impl SeaweedFs {
    /// Starts it, with an empty [`BUCKET`].
    pub fn start() -> Option<Self> {
        let program = super::program("KEEPWELL_TEST_SEAWEEDFS", "SeaweedFS")?;
        let ports = Ports::take();
        let process = ServerProcess::start("SeaweedFS", &program, |command, data| {
            let credentials = data.join("s3.json");
            let identity = format!(
                r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{KEY_ID}","secretKey":"{SECRET}"}}],
                   "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
            );
            fs::write(&credentials, identity).expect("a file for credentials");
            command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-master.telemetry=false"]);
            command.args([
                // Room for some hundred small repositories; none of it is taken before it is written to.
                "-volume.max=100",
                "-master.volumeSizeLimitMB=64",
                "-s3.iam=false",
                "-s3.autoCreateBucket=false",
            ]);
            command.arg(format!("-dir={}", data.display()));
            command.arg(format!("-s3.config={}", credentials.display()));
            let names = [
                "master.port",
                "master.port.grpc",
                "volume.port",
                "volume.port.grpc",
                "filer.port",
                "filer.port.grpc",
                "s3.port",
                "s3.port.grpc",
                "s3.port.iceberg",
                "s3.port.lance",
            ];
            for (number, name) in (0..).zip(names) {
                command.arg(format!("-{name}={}", ports.port(number)));
            }
        });
        let (filer, s3) = (ports.port(FILER), ports.port(S3));
        process.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, s3)).is_ok());
        // A bucket is a folder of the filer; the S3 door learns of it from there. Until all parts have found each
        // other writes fail, so one is made, and listed without credentials: that it is refused is an answer.
        let answers = |port: u16, request: &str, status: &str| {
            exchange(port, request, b"").is_ok_and(|answer| answer.starts_with(&format!("HTTP/1.1 {status}")))
        };
        process.wait_until(|| answers(filer, &format!("POST /buckets/{BUCKET}/"), "201"));
        process.wait_until(|| answers(filer, "PUT /buckets/ready", "201"));
        process.wait_until(|| answers(s3, &format!("GET /{BUCKET}?list-type=2"), "403"));
        Some(Self { ports, _process: process })
    }
}

impl Server for SeaweedFs {
    fn name(&self) -> &'static str {
        "SeaweedFS"
    }

    fn port(&self) -> u16 {
        self.ports.port(S3)
    }

    fn location(&self, port: u16, name: &str) -> String {
        format!("s3:http://127.0.0.1:{port}/{BUCKET}/{name}")
    }

    fn variables(&self, _: u16) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", KEY_ID.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        for (name, number) in SOCKETS {
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{name}-{}.sock", self.ports.port(number)));
        }
    }
}
