//! TLS with a server that shows one of a few known certificates, whatever names and dates stand in them.
//!
//! That the server has the certificate's key is proved as always. Nobody is asked who signed it: whoever wrote down
//! its digest has said enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::http::certificate_sha256;

/// Whether another certificate than the known ones was shown; it is set at the moment that one is.
pub type WasOther = Arc<AtomicBool>;

#[derive(Debug)]
struct Pinned {
    sha256: Vec<String>,
    was_other: WasOther,
    provider: CryptoProvider,
}

/// A client's TLS that trusts certificates with these SHA-256, in hexadecimal, and no others.
pub fn trusting(sha256: Vec<String>, was_other: WasOther) -> ClientConfig {
    let pinned = Pinned { sha256, was_other, provider: ring::default_provider() };
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.sha256.contains(&certificate_sha256(shown)) {
            return Ok(ServerCertVerified::assertion());
        }
        self.was_other.store(true, Ordering::Relaxed);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
