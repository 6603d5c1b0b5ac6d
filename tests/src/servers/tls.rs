//! Servers whose certificate is not as it should be, beside one whose is: they shake hands, and know nothing else.
//!
//! The authority that signs is made for the test; a program trusts it that is given its file as `SSL_CERT_FILE`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Who says nothing for so long is let go.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Whom a server's certificate says that it belongs to, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// In order.
    Right,
    /// Until some years ago.
    Expired,
    /// From some years on.
    NotYetValid,
    /// For another machine.
    OtherName,
    /// Signed by nobody but itself.
    SelfSigned,
}

/// Someone who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// Makes one; its certificate lies in the folder.
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "keepwell's tests");
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("a certificate");
        let file = folder.join("authority.pem");
        std::fs::write(&file, issuer.pem()).expect("a file");
        Self { issuer, file }
    }

    /// What a program has to be given to trust it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for `localhost` and its key, as PEM.
    pub fn certificate_and_key(&self, kind: Certificate) -> (String, String) {
        let (certificate, key) = self.sign(kind);
        (certificate.pem(), key.serialize_pem())
    }

    /// Starts a server for `localhost`, for as long as the process lives; returns its port.
    pub fn serve(&self, kind: Certificate) -> u16 {
        let (certificate, key) = self.sign(kind);
        // Fails only when one is installed already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("key and certificate belong together");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let config = Arc::clone(&config);
                std::thread::spawn(move || answer_once(connection, config));
            }
        });
        port
    }

    fn sign(&self, kind: Certificate) -> (rcgen::Certificate, KeyPair) {
        let name = if kind == Certificate::OtherName { "elsewhere.example" } else { "localhost" };
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        let (from, until) = match kind {
            Certificate::Expired => (2001, 2002),
            Certificate::NotYetValid => (3000, 3001),
            _ => (2001, 3000),
        };
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = new_key();
        let certificate = match kind {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        (certificate.expect("a certificate"), key)
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}

/// Says that whatever is asked for is not there.
fn answer_once(connection: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
    connection.set_read_timeout(Some(SILENCE_MAX)).ok()?;
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, connection);
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).ok()?;
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
