//! The HTTP client, from the options that a person may set by name.
//!
//! Every option that the store's crate knows is heeded; a test counts them. Time limits of a whole request are
//! not the client's: they grow with what is sent.

use std::sync::Arc;
use std::time::Duration;

use object_store::{ClientConfigKey, ClientOptions, Error, Result};
use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy};

use super::resolver::SystemResolver;

const USER_AGENT: &str = concat!("keepwell/", env!("CARGO_PKG_VERSION"));

/// The client that `options` describe, which trusts `authorities` beside the machine's own.
pub(super) fn build(options: &ClientOptions, authorities: &[Certificate]) -> Result<reqwest::Client> {
    use ClientConfigKey as Key;
    let text = |key: Key| options.get_config_value(&key);
    let mut builder = ClientBuilder::new()
        .user_agent(text(Key::UserAgent).unwrap_or_else(|| USER_AGENT.into()))
        .https_only(!truth(options, Key::AllowHttp)?)
        // The length of an object is the length of its answer.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .dns_resolver(Arc::new(SystemResolver { shuffled: truth(options, Key::RandomizeAddresses)? }));
    if let Some(headers) = options.get_default_headers() {
        builder = builder.default_headers(headers.clone());
    }
    let mut trusted = authorities.to_vec();
    if let Some(url) = text(Key::ProxyUrl) {
        let mut proxy = Proxy::all(url).map_err(refused)?;
        if let Some(certificate) = text(Key::ProxyCaCertificate) {
            trusted.push(Certificate::from_pem(certificate.as_bytes()).map_err(refused)?);
        }
        if let Some(excludes) = text(Key::ProxyExcludes) {
            proxy = proxy.no_proxy(NoProxy::from_string(&excludes));
        }
        builder = builder.proxy(proxy);
    }
    builder = if truth(options, Key::NoSystemCertificates)? {
        builder.tls_certs_only(trusted)
    } else {
        builder.tls_certs_merge(trusted)
    };
    if truth(options, Key::AllowInvalidCertificates)? {
        builder = builder.danger_accept_invalid_certs(true);
    }
    timed(protocol(builder, options)?, options)?.build().map_err(refused)
}

fn protocol(mut builder: ClientBuilder, options: &ClientOptions) -> Result<ClientBuilder> {
    use ClientConfigKey as Key;
    if truth(options, Key::Http1Only)? {
        builder = builder.http1_only();
    }
    if truth(options, Key::Http2Only)? {
        builder = builder.http2_prior_knowledge();
    }
    if truth(options, Key::Http2KeepAliveWhileIdle)? {
        builder = builder.http2_keep_alive_while_idle(true);
    }
    if let Some(bytes) = number(options, Key::Http2MaxFrameSize)? {
        builder = builder.http2_max_frame_size(Some(bytes));
    }
    if let Some(connections) = number(options, Key::PoolMaxIdlePerHost)? {
        builder = builder.pool_max_idle_per_host(connections);
    }
    Ok(builder)
}

fn timed(mut builder: ClientBuilder, options: &ClientOptions) -> Result<ClientBuilder> {
    use ClientConfigKey as Key;
    if let Some(limit) = duration(options, Key::Timeout)? {
        builder = builder.timeout(limit);
    }
    if let Some(limit) = duration(options, Key::ConnectTimeout)? {
        builder = builder.connect_timeout(limit);
    }
    if let Some(limit) = duration(options, Key::ReadTimeout)? {
        builder = builder.read_timeout(limit);
    }
    if let Some(limit) = duration(options, Key::PoolIdleTimeout)? {
        builder = builder.pool_idle_timeout(limit);
    }
    if let Some(interval) = duration(options, Key::Http2KeepAliveInterval)? {
        builder = builder.http2_keep_alive_interval(interval);
    }
    if let Some(limit) = duration(options, Key::Http2KeepAliveTimeout)? {
        builder = builder.http2_keep_alive_timeout(limit);
    }
    Ok(builder)
}

/// A duration among the options, if it is set.
pub(super) fn duration(options: &ClientOptions, key: ClientConfigKey) -> Result<Option<Duration>> {
    let Some(text) = options.get_config_value(&key) else { return Ok(None) };
    humantime::parse_duration(&text).map(Some).map_err(|_| not_understood(key, "a duration, as 30s"))
}

fn number<N: std::str::FromStr>(options: &ClientOptions, key: ClientConfigKey) -> Result<Option<N>> {
    let Some(text) = options.get_config_value(&key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| not_understood(key, "a number"))
}

fn truth(options: &ClientOptions, key: ClientConfigKey) -> Result<bool> {
    let text = options.get_config_value(&key).unwrap_or_default();
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" | "y" => Ok(true),
        "0" | "false" | "off" | "no" | "n" | "" => Ok(false),
        _ => Err(not_understood(key, "true or false")),
    }
}

fn not_understood(key: ClientConfigKey, wanted: &str) -> Error {
    Error::Generic {
        store: "HTTP client",
        source: format!("the option {} takes {wanted}", key.as_ref()).into(),
    }
}

fn refused(error: reqwest::Error) -> Error {
    Error::Generic { store: "HTTP client", source: Box::new(error.without_url()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<reqwest::Client> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        build(&ClientOptions::new().with_config(name.parse().unwrap(), value), &[])
    }

    #[test]
    fn every_option_is_heeded_so_a_value_that_makes_no_sense_is_refused_by_its_name() {
        for name in [
            "allow_http",
            "allow_invalid_certificates",
            "connect_timeout",
            "disable_system_certificates",
            "http1_only",
            "http2_keep_alive_interval",
            "http2_keep_alive_timeout",
            "http2_keep_alive_while_idle",
            "http2_max_frame_size",
            "http2_only",
            "pool_idle_timeout",
            "pool_max_idle_per_host",
            "randomize_addresses",
            "read_timeout",
            "timeout",
        ] {
            let error = with(name, "nonsense").unwrap_err();
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
        assert!(with("proxy_url", "http://[").is_err());
        assert!(with("proxy_url", "http://127.0.0.1:3128").is_ok());
        assert!(with("user_agent", "somebody/1.0").is_ok());
        assert!(with("http1_only", "off").is_ok());
        assert!(with("connect_timeout", "90 seconds").is_ok());
    }
}
