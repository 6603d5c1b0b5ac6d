//! Certificate and key of the door, read again when they change: whoever renews them restarts nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::exit::Failure;
use crate::quantities::shown_hex;

/// How soon a renewed certificate is shown.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

/// Shows the certificate that was read last.
#[derive(Debug)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    changed: [Option<SystemTime>; 2],
}

impl Certificate {
    /// Reads both files.
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>, Failure> {
        let changed = [certificate, key].map(changed);
        let shown = Shown { key: certified(certificate, key)?, changed };
        Ok(Arc::new(Self { certificate: certificate.into(), key: key.into(), shown: RwLock::new(shown) }))
    }

    /// Where the certificate stands.
    pub fn file(&self) -> &Path {
        &self.certificate
    }

    /// What a server shows it with.
    pub fn server(self: &Arc<Self>) -> ServerConfig {
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(self.clone())
    }

    /// The SHA-256 of the certificate that is shown, in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256_of(&self.shown.read().key)
    }

    /// Reads them again if they changed; what cannot be read leaves the old one shown. `announce` is given the SHA-256
    /// of the new and the old certificate before the new one is shown: who asks meanwhile may meet either.
    pub fn look(&self, announce: impl FnOnce(Vec<String>)) {
        let now = [&*self.certificate, &*self.key].map(changed);
        if now == self.shown.read().changed {
            return;
        }
        match certified(&self.certificate, &self.key) {
            Ok(key) => {
                announce(vec![sha256_of(&key), self.sha256()]);
                *self.shown.write() = Shown { key, changed: now };
                tracing::info!(certificate = %self.certificate.display(), "the renewed certificate is shown");
            }
            Err(failure) => {
                self.shown.write().changed = now;
                tracing::error!("{}; the old certificate is shown until it can be read", failure.message());
            }
        }
    }

    /// Looks now and then, for ever.
    pub async fn keep_looking(self: Arc<Self>, announce: impl Fn(Vec<String>)) {
        loop {
            tokio::time::sleep(LOOKED_AT_EVERY).await;
            self.look(&announce);
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().key.clone())
    }
}

/// The SHA-256 of a certificate, in hexadecimal.
pub fn certificate_sha256(certificate: &[u8]) -> String {
    shown_hex(&Sha256::digest(certificate))
}

fn sha256_of(key: &CertifiedKey) -> String {
    // A chain without a certificate is refused when it is read.
    key.cert.first().map_or_else(String::new, |certificate| certificate_sha256(certificate))
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn certified(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Failure> {
    let wrong = |what: &str, file: &Path, why: String| {
        Failure::usage(format!("the {what} in {} cannot be read: {why}", file.display()))
            .hint("both are PEM files: tls_certificate with the whole chain, tls_key with its private key, unencrypted")
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("certificate", certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("certificate", certificate, "there is none in it".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key", key, error.to_string()))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, secret, &provider)
        .map_err(|error| wrong("certificate", certificate, error.to_string()))?;
    Ok(Arc::new(certified))
}
