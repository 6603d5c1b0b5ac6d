//! Certificates that are not to be trusted, and one that is, made here and shown by a real TLS server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use keepwell_messages::ErrorClass;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{hasty, object, open};

/// A server that shows `certificate` and has one object.
fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, connection);
            // A client that does not trust it goes away in the handshake.
            if stream.read(&mut [0; 8192]).is_ok_and(|bytes| bytes > 0) {
                let _ = stream.write_all(object("whole").as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

fn params(name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    params
}

#[test]
fn every_bad_certificate_has_its_own_message_and_is_looked_at_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "an authority");
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let trusted = reqwest::Certificate::from_der(authority_certificate.der()).unwrap();

    let key = KeyPair::generate().unwrap();
    let signed = |params: CertificateParams| params.signed_by(&key, &issuer).unwrap().der().clone();
    let alone = params("127.0.0.1", (2020, 2090)).self_signed(&key).unwrap().der().clone();
    for (certificate, reason) in [
        (signed(params("127.0.0.1", (2010, 2020))), Some("has expired")),
        (signed(params("127.0.0.1", (2080, 2090))), Some("not valid yet")),
        (signed(params("elsewhere.example", (2020, 2090))), Some("for another name")),
        (alone, Some("signed by nobody this machine trusts")),
        (signed(params("127.0.0.1", (2020, 2090))), None),
    ] {
        let place = format!("https://127.0.0.1:{}/", serve(certificate, &key));
        let store = open(&place, &hasty(), |connector| connector.authorities = vec![trusted.clone()]);
        let read = store.read("config", 10);
        match reason {
            None => assert_eq!(read.unwrap(), "whole"),
            Some(reason) => {
                let error = read.unwrap_err();
                assert_eq!(error.class(), ErrorClass::Settings, "{error:?}");
                assert!(error.to_string().contains(reason), "{error}");
                assert!(error.to_string().contains("cannot connect"), "{error}");
            }
        }
    }
    let unknown = open(
        &format!("https://127.0.0.1:{}/", serve(signed(params("127.0.0.1", (2020, 2090))), &key)),
        &hasty(),
        |_| {},
    );
    let error = unknown.read("config", 10).unwrap_err();
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    let anybody = hasty().with_option("allow_invalid_certificates", "true");
    let place = format!("https://127.0.0.1:{}/", serve(signed(params("other", (2010, 2020))), &key));
    assert_eq!(open(&place, &anybody, |_| {}).read("config", 10).unwrap(), "whole");
}

#[test]
fn a_server_without_encryption_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let _ = (&connection).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = (&connection).read_to_end(&mut Vec::new());
        }
    });
    let store = open(&format!("https://127.0.0.1:{port}/"), &hasty(), |_| {});
    let error = store.read("config", 10).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Settings, "{error:?}");
    assert!(error.to_string().contains("http://"), "{error}");
}
