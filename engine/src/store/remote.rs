//! Makes the client of a remote store, and the stores in memory.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use super::http::{Connector, RetryLimits, SIGNATURE_LIFE, TransferLimit, system_randomness};
use super::location::{Location, Login, Place};
use super::settings::StoreSettings;
use super::traffic::Traffic;
use crate::error::{Error, Result};

const PROVIDERS: [&str; 3] = ["aws_", "azure_", "google_"];

/// The client for a place; one that is no folder is reached through `connector`.
pub(super) fn connect(
    location: &Location,
    settings: &StoreSettings,
    connector: Connector,
) -> Result<Arc<dyn ObjectStore>> {
    // Fails only when one is installed already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let refused = |error: object_store::Error| {
        let (_, why) = super::failure::Failed::from(error).judge();
        Error::Invalid(format!("cannot open {location}: {why}"))
    };
    require_credentials(location, settings)?;
    match location.place() {
        Place::Folder(path) => Ok(Arc::new(super::local::LocalStore::new(path.clone()))),
        Place::Memory { name } => Ok(memory(name)),
        Place::S3 { bucket, prefix, endpoint } => {
            let store = s3(bucket, endpoint.as_deref(), settings, connector)?.build().map_err(refused)?;
            Ok(below(prefix, store))
        }
        Place::Google { bucket, prefix } => {
            let store = google(bucket, settings, connector)?.build().map_err(refused)?;
            Ok(below(prefix, store))
        }
        Place::Azure { container, prefix } => {
            let store = azure(container, settings, connector)?.build().map_err(refused)?;
            Ok(below(prefix, store))
        }
        Place::WebDav { url, login } => {
            let folder = ObjectPath::from_url_path(url.path())
                .map_err(|error| Error::Invalid(format!("cannot open {location}: {error}")))?;
            // The client takes the paths in a listing from the server's root on, so it starts there.
            let mut server = url.clone();
            server.set_path("");
            let store = webdav(&server, login.as_ref(), settings, connector)?.build().map_err(refused)?;
            Ok(below(&folder, store))
        }
    }
}

/// Without any, the clients would ask the machine's metadata service, for
/// minutes where there is none, or read the home folder: only if that is wanted.
fn require_credentials(location: &Location, settings: &StoreSettings) -> Result<()> {
    let (provider, names, wanted): (_, &[&str], _) = match location.place() {
        Place::S3 { .. } => {
            let names = &["access_key_id", "token_file", "container_credentials", "skip_signature"];
            ("aws_", names, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        Place::Google { .. } => {
            let names = &["service_account", "application_credentials", "bearer_token"];
            ("google_", names, "GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account")
        }
        Place::Azure { .. } => (
            "azure_",
            &[
                "account_key",
                "access_key",
                "master_key",
                "sas_",
                "token",
                "client_secret",
                "azure_cli",
                "emulator",
                "msi_",
                "skip_signature",
            ],
            "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        ),
        Place::Folder(_) | Place::Memory { .. } | Place::WebDav { .. } => return Ok(()),
    };
    let has_any =
        options_of(settings, provider).any(|(option, _)| names.iter().any(|name| option.contains(name)));
    if has_any || settings.machine_credentials {
        return Ok(());
    }
    Err(Error::Invalid(format!("no credentials for {location} are set; set {wanted}")))
}

fn below<S: ObjectStore>(prefix: &ObjectPath, store: S) -> Arc<dyn ObjectStore> {
    if prefix.is_root() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix.clone())) }
}

/// The one store of this name in this process; it lives as long as the process.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    static STORES: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    let mut stores = STORES.get_or_init(Mutex::default).lock();
    Arc::clone(stores.entry(name.into()).or_default()) as Arc<dyn ObjectStore>
}

fn s3(
    bucket: &str,
    endpoint: Option<&str>,
    settings: &StoreSettings,
    connector: Connector,
) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client_options(settings, "aws_", endpoint))
        .with_http_connector(connector)
        .with_retry(no_retry())
        // Objects are deleted one by one; the plain request is what every server knows.
        .with_disable_bulk_delete(true);
    for (key, value) in options::<AmazonS3ConfigKey>(settings, "aws_")? {
        builder = builder.with_config(key, value);
    }
    if let Some(endpoint) = endpoint {
        // The variable for S3 alone would otherwise win over what the location says.
        builder = builder.with_endpoint(endpoint).with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    Ok(builder.with_bucket_name(bucket))
}

fn google(bucket: &str, settings: &StoreSettings, connector: Connector) -> Result<GoogleCloudStorageBuilder> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client_options(settings, "google_", None))
        .with_http_connector(connector)
        .with_retry(no_retry());
    for (key, value) in options::<GoogleConfigKey>(settings, "google_")? {
        builder = builder.with_config(key, value);
    }
    Ok(builder.with_bucket_name(bucket))
}

fn azure(container: &str, settings: &StoreSettings, connector: Connector) -> Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client_options(settings, "azure_", None))
        .with_http_connector(connector)
        .with_retry(no_retry());
    for (key, value) in options::<AzureConfigKey>(settings, "azure_")? {
        builder = builder.with_config(key, value);
    }
    Ok(builder.with_container_name(container))
}

fn webdav(
    url: &url::Url,
    login: Option<&Login>,
    settings: &StoreSettings,
    connector: Connector,
) -> Result<HttpBuilder> {
    let mut client = client_options(settings, "", Some(url.as_str()));
    if let Some(login) = login {
        if url.scheme() == "http" && !is_loopback(url) {
            tracing::warn!(%url, "the password for this store is sent without encryption");
        }
        client = client.with_default_headers(basic_authorization(login)?);
    }
    let mut builder = HttpBuilder::new()
        .with_url(url.as_str())
        .with_client_options(client)
        .with_http_connector(connector)
        .with_retry(no_retry());
    for (key, value) in options::<ClientConfigKey>(settings, "")? {
        builder = builder.with_config(key, value);
    }
    Ok(builder)
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn basic_authorization(login: &Login) -> Result<HeaderMap> {
    let pair = format!("{}:{}", login.user, login.password.expose_secret());
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::Invalid("the WebDAV login cannot be sent in a header".into()))?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    Ok(headers)
}

/// The options that are meant for this provider: those with its prefix, then
/// those with none, so that the latter win. What no store knows is refused.
fn options<'a, K: std::str::FromStr>(
    settings: &'a StoreSettings,
    provider: &str,
) -> Result<Vec<(K, &'a str)>> {
    options_of(settings, provider)
        .map(|(name, value)| match name.parse() {
            Ok(key) => Ok((key, value)),
            Err(_) => Err(Error::Invalid(format!("{name} is no option of this kind of store"))),
        })
        .collect()
}

fn options_of<'a>(settings: &'a StoreSettings, provider: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let is_own = |name: &str| !provider.is_empty() && name.starts_with(provider);
    let is_anyones = |name: &str| !PROVIDERS.iter().any(|provider| name.starts_with(provider));
    let all = || settings.options.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
    let own: Vec<_> = all().filter(|(name, _)| is_own(name)).collect();
    own.into_iter().chain(all().filter(move |(name, _)| is_anyones(name)))
}

fn uploads_at_once(settings: &StoreSettings) -> usize {
    settings.uploads_at_once(settings.connections_for(false))
}

/// Requests as `settings` want them.
pub(super) fn connector(settings: &StoreSettings, traffic: &Arc<Traffic>) -> Connector {
    Connector {
        transfer: TransferLimit {
            base: settings.request_timeout,
            bytes_per_second_min: settings.bytes_per_second_min,
        },
        retry: RetryLimits { retries_max: settings.retries_max, timeout: settings.retry_timeout },
        signature_life: SIGNATURE_LIFE,
        randomness: Arc::new(system_randomness),
        authorities: Vec::new(),
        traffic: Arc::clone(traffic),
        uploads: Arc::new(Semaphore::new(uploads_at_once(settings).min(Semaphore::MAX_PERMITS))),
    }
}

/// Plain HTTP is allowed where a person wrote `http://`, and nowhere else.
fn client_options(settings: &StoreSettings, provider: &str, endpoint: Option<&str>) -> ClientOptions {
    let is_plain = |url: &str| url.starts_with("http://");
    let in_options = options_of(settings, provider).any(|(name, value)| {
        (name.contains("endpoint_url") || name.ends_with("endpoint") || name.ends_with("base_url"))
            && is_plain(value)
    });
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(is_plain) || in_options)
        .with_connect_timeout(settings.connect_timeout)
        .with_timeout_disabled()
}

/// The connector does that.
fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_without_the_provider_wins_and_other_providers_options_are_passed_over() {
        let settings = StoreSettings::default()
            .with_option("region", "chosen")
            .with_option("aws_region", "variable")
            .with_option("azure_storage_account_name", "other");
        let taken = options::<AmazonS3ConfigKey>(&settings, "aws_").unwrap();
        assert_eq!(taken, [(AmazonS3ConfigKey::Region, "variable"), (AmazonS3ConfigKey::Region, "chosen")]);
    }

    #[test]
    fn an_option_that_no_store_knows_is_refused_by_its_name() {
        let settings = StoreSettings::default().with_option("regoin", "x");
        let error = options::<AmazonS3ConfigKey>(&settings, "aws_").unwrap_err();
        assert!(error.to_string().contains("regoin"), "{error}");
    }
}
