//! How a store is reached: credentials, endpoint, time limits, connections.
//!
//! The engine reads no environment. Whoever embeds it hands in variables through
//! [`StoreSettings::from_variables`], or options by name. Values are secrets here,
//! since many of them are: nothing prints them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use secrecy::{ExposeSecret, SecretString};

/// Two writers keep a disk busy; more only make it seek.
const CONNECTIONS_LOCAL: usize = 2;
/// restic's default for every remote backend.
const CONNECTIONS_REMOTE: usize = 5;

/// What an upload under a limit should have for itself. With less, several at once all take so long that nothing
/// seems to move, and a server may take them for dead: a pack of 16 MiB takes some 5 minutes at this.
const UPLOAD_SHARE_BYTES_PER_SECOND: u64 = 64 << 10;

/// What restic's users have in their environment, and what it is called here.
const RESTIC_VARIABLES: [(&str, &str); 4] = [
    ("AZURE_ACCOUNT_NAME", "azure_storage_account_name"),
    ("AZURE_ACCOUNT_KEY", "azure_storage_account_key"),
    ("AZURE_ACCOUNT_SAS", "azure_storage_sas_key"),
    ("GOOGLE_ACCESS_TOKEN", "google_bearer_token"),
];

/// How a store is reached.
#[derive(Clone)]
pub struct StoreSettings {
    /// Options by their `object_store` names in lower case: `endpoint`, `region`,
    /// `access_key_id`, `aws_region`, `account_name`, `allow_http`, … A name without
    /// the provider (`region`) wins over one with it (`aws_region`), so that a
    /// chosen option wins over a variable.
    pub options: BTreeMap<String, SecretString>,
    /// Whether a cloud store without credentials among its options may look for them where
    /// the cloud's own tools do: the machine's metadata service, and for Google the
    /// login in the home folder. Otherwise such a store is refused.
    pub machine_credentials: bool,
    /// How many calls are worth having under way at once; 2 for folders, 5 otherwise, if absent.
    pub connections: Option<usize>,
    /// The longest that an answer may take to a request that carries nothing.
    pub request_timeout: Duration,
    /// What carries bytes may take longer by this much: the slowest transfer, per
    /// connection, that is still waited for.
    pub bytes_per_second_min: u64,
    /// The longest that making a connection may take.
    pub connect_timeout: Duration,
    /// How long after its first failure a request is still tried again. A server that asks to be left alone for
    /// longer is given up at once.
    pub retry_timeout: Duration,
    /// How many times at most it is tried again; 0 for never.
    pub retries_max: usize,
    /// The most that all calls together send; without a limit if absent, and at least
    /// [`BYTES_PER_SECOND_MIN`](super::BYTES_PER_SECOND_MIN). What is sent for locks is not counted.
    pub upload_bytes_per_second: Option<u64>,
    /// The same for what they receive.
    pub download_bytes_per_second: Option<u64>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            options: BTreeMap::new(),
            machine_credentials: false,
            connections: None,
            request_timeout: Duration::from_secs(60),
            // Five connections sharing 100 KiB/s have 20 KiB/s each.
            bytes_per_second_min: 16 << 10,
            connect_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(180),
            retries_max: 10,
            upload_bytes_per_second: None,
            download_bytes_per_second: None,
        }
    }
}

impl StoreSettings {
    /// The defaults, with what the usual variables say: those named `AWS_…`,
    /// `AZURE_…` and `GOOGLE_…` that mean something to a store, restic's names
    /// included. Other variables are passed over. Buckets and containers are not
    /// taken from variables: the location names them.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let options = variables
            .into_iter()
            .filter_map(|(name, value)| Some((option_of_variable(&name)?, SecretString::from(value))))
            .collect();
        Self { options, ..Self::default() }
    }

    /// Sets one option by its name.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options.insert(name.to_ascii_lowercase(), SecretString::from(value.into()));
        self
    }

    /// Whether both lead to the same store, limits and connections aside.
    pub(crate) fn reaches_the_same_as(&self, other: &Self) -> bool {
        let exposed = |settings: &Self| -> Vec<(String, String)> {
            let all = settings.options.iter();
            all.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
        };
        self.machine_credentials == other.machine_credentials && exposed(self) == exposed(other)
    }

    pub(super) fn connections_for(&self, is_local: bool) -> usize {
        let default = if is_local { CONNECTIONS_LOCAL } else { CONNECTIONS_REMOTE };
        self.connections.unwrap_or(default).max(1)
    }

    /// How many of so many connections may upload at once.
    pub(super) fn uploads_at_once(&self, connections: usize) -> usize {
        let shares = self.upload_bytes_per_second.map(|limit| limit / UPLOAD_SHARE_BYTES_PER_SECOND);
        shares.map_or(connections, |shares| connections.min(shares.max(1) as usize))
    }
}

fn option_of_variable(name: &str) -> Option<String> {
    if let Some((_, option)) = RESTIC_VARIABLES.iter().find(|(variable, _)| *variable == name) {
        return Some((*option).into());
    }
    let option = name.to_ascii_lowercase();
    let is_known = if option.starts_with("aws_") {
        option.parse().is_ok_and(|key: AmazonS3ConfigKey| key != AmazonS3ConfigKey::Bucket)
    } else if option.starts_with("azure_") {
        option.parse().is_ok_and(|key: AzureConfigKey| key != AzureConfigKey::ContainerName)
    } else if option.starts_with("google_") {
        option.parse().is_ok_and(|key: GoogleConfigKey| key != GoogleConfigKey::Bucket)
    } else {
        false
    };
    is_known.then_some(option)
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings")
            .field("options", &self.options.keys())
            .field("machine_credentials", &self.machine_credentials)
            .field("connections", &self.connections)
            .field("request_timeout", &self.request_timeout)
            .field("bytes_per_second_min", &self.bytes_per_second_min)
            .field("connect_timeout", &self.connect_timeout)
            .field("retry_timeout", &self.retry_timeout)
            .field("retries_max", &self.retries_max)
            .field("upload_bytes_per_second", &self.upload_bytes_per_second)
            .field("download_bytes_per_second", &self.download_bytes_per_second)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn variables_that_mean_something_to_a_store_are_taken_and_others_passed_over() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_PAGER", "less"),
            ("AWS_BUCKET", "elsewhere"),
            ("AZURE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_SAS_TOKEN", "sas"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
            ("GOOGLE_PROJECT_ID", "project"),
            ("HOME", "/root"),
            ("TOKEN", "not ours"),
        ];
        let settings = StoreSettings::from_variables(variables.map(|(k, v)| (k.into(), v.into())));
        let taken: Vec<_> = settings.options.iter().map(|(k, v)| (k.as_str(), v.expose_secret())).collect();
        assert_eq!(
            taken,
            [
                ("aws_access_key_id", "id"),
                ("aws_secret_access_key", "hush"),
                ("azure_storage_account_name", "account"),
                ("azure_storage_sas_token", "sas"),
                ("google_application_credentials", "/key.json"),
            ]
        );
        assert!(!format!("{settings:?}").contains("hush"), "values are never printed");
    }

    #[test]
    fn connections_default_by_kind_and_are_never_none() {
        let settings = StoreSettings::default();
        assert_eq!((settings.connections_for(true), settings.connections_for(false)), (2, 5));
        let none = StoreSettings { connections: Some(0), ..settings };
        assert_eq!(none.connections_for(true), 1);
    }

    #[test]
    fn under_a_low_limit_fewer_uploads_go_at_once() {
        for (limit, at_once) in
            [(None, 5), (Some(1), 1), (Some(64 << 10), 1), (Some(200 << 10), 3), (Some(u64::MAX), 5)]
        {
            let settings = StoreSettings { upload_bytes_per_second: limit, ..StoreSettings::default() };
            assert_eq!(settings.uploads_at_once(5), at_once, "{limit:?}");
        }
    }
}
