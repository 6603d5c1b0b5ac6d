//! Repositories as they are written: where they lie, what gives their passwords, how they are reached.
//!
//! No secret stands in the configuration: a location with a password in it, or an option that is one, is refused.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keepwell_engine::store::{BYTES_PER_SECOND_MIN, Location, StoreSettings};

use super::ConfiguredRepository;
use super::resolve::Reader;
use super::tree::KeyError;
use super::written::{Span, WrittenRepository};
use crate::password::PasswordSource;
use crate::repository::{settings_from_variables, with_option};

/// More calls at once only wait for each other: a store has at most so many threads.
pub(super) const CONNECTIONS_MAX: u32 = 64;
/// A store that has not answered for a day does not.
pub(super) const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);
/// Within less no far server answers.
pub(super) const TIMEOUT_MIN: Duration = Duration::from_secs(1);

impl Reader<'_> {
    /// A repository, checked.
    pub(super) fn repository(
        &self,
        name: &str,
        written: &WrittenRepository,
    ) -> Result<ConfiguredRepository, KeyError> {
        let key = ["repositories", name];
        let at = |last: &'static str| ["repositories", name, last];
        let (location_key, text) = match (&written.location, &written.location_file) {
            (Some(text), None) => (at("location"), text.clone()),
            (None, Some(file)) => {
                let key = at("location_file");
                (key, self.first_line(&key, &self.path(&key, file)?)?)
            }
            (Some(_), Some(_)) => return Err(self.wrong(&key, "give location or location_file, not both")),
            (None, None) => {
                return Err(
                    self.wrong(&key, "say where it lies: location = \"/path\", s3://…, gs://…, az://…")
                );
            }
        };
        if written.location.is_some() && holds_password(&text) {
            let why = "passwords do not stand in the configuration; write the whole location into a file, and \
                       location_file = \"/path\" here";
            return Err(self.wrong(&location_key, why));
        }
        let password = match (&written.password_file, &written.password_command) {
            (Some(file), None) => PasswordSource::File(self.path(&at("password_file"), file)?),
            (None, Some(command)) => PasswordSource::Command(command.clone()),
            (Some(_), Some(_)) => {
                return Err(self.wrong(&key, "give password_file or password_command, not both"));
            }
            (None, None) => {
                let why = "say what gives its password: password_file = \"/path\" or password_command = \
                           \"program argument\"";
                return Err(self.wrong(&key, why));
            }
        };
        Ok(ConfiguredRepository {
            name: name.into(),
            location: self.location(&location_key, &text)?,
            password,
            settings: self.store_settings(name, written)?,
        })
    }

    fn first_line(&self, key: &[&str], path: &Path) -> Result<String, KeyError> {
        let text = fs::read_to_string(path)
            .map_err(|error| self.wrong(key, format!("{} cannot be read: {error}", path.display())))?;
        match text.lines().next().map(str::trim) {
            Some(line) if !line.is_empty() => Ok(line.into()),
            _ => Err(self.wrong(key, format!("the first line of {} names no location", path.display()))),
        }
    }

    fn location(&self, key: &[&str], text: &str) -> Result<Location, KeyError> {
        let text = match text.starts_with('~') {
            true => self.path(key, text)?.to_string_lossy().into_owned(),
            false => text.to_owned(),
        };
        // What is relative to something shows, because nothing is.
        let location =
            Location::parse(&text, Path::new("")).map_err(|error| self.wrong(key, error.to_string()))?;
        match location.as_folder() {
            Some(folder) if !folder.is_absolute() => {
                Err(self.wrong(key, format!("{text:?} is no absolute path; write it from / or from ~/ on")))
            }
            _ => Ok(location),
        }
    }

    fn store_settings(&self, name: &str, written: &WrittenRepository) -> Result<StoreSettings, KeyError> {
        let mut settings = settings_from_variables();
        for (option, value) in &written.options {
            let key = ["repositories", name, "options", option];
            if is_secret(option) {
                let why = "secrets do not stand in the configuration; put it into the store's usual variable, \
                           such as AWS_SECRET_ACCESS_KEY";
                return Err(self.wrong(&key, why));
            }
            settings = with_option(settings, option, &value.0)
                .map_err(|wanted| self.wrong(&key, format!("it takes {wanted}")))?;
        }
        self.set_limits(&mut settings, name, written)?;
        Ok(settings)
    }

    fn set_limits(
        &self,
        settings: &mut StoreSettings,
        name: &str,
        written: &WrittenRepository,
    ) -> Result<(), KeyError> {
        let wrong = |key: &str, why: String| Err(self.wrong(&["repositories", name, key], why));
        match written.connections {
            None => {}
            Some(number) if (1..=CONNECTIONS_MAX).contains(&number) => {
                settings.connections = Some(number as usize);
            }
            Some(number) => return wrong("connections", format!("{number} is not 1 to {CONNECTIONS_MAX}")),
        }
        for (key, span, shortest, setting) in [
            ("request_timeout", written.request_timeout, TIMEOUT_MIN, &mut settings.request_timeout),
            ("connect_timeout", written.connect_timeout, TIMEOUT_MIN, &mut settings.connect_timeout),
            // Without any, nothing is tried again.
            ("retry_timeout", written.retry_timeout, Duration::ZERO, &mut settings.retry_timeout),
        ] {
            match span {
                None => {}
                Some(Span(span)) if span < shortest => {
                    return wrong(key, "it is shorter than a second".into());
                }
                Some(Span(span)) if span > TIMEOUT_MAX => {
                    return wrong(key, "it is longer than a day".into());
                }
                Some(Span(span)) => *setting = span,
            }
        }
        for (key, rate, setting) in [
            ("upload_limit", written.upload_limit, &mut settings.upload_bytes_per_second),
            ("download_limit", written.download_limit, &mut settings.download_bytes_per_second),
        ] {
            let key = ["repositories", name, key];
            *setting = self.rate(&key, rate, BYTES_PER_SECOND_MIN)?.or(*setting);
        }
        Ok(())
    }
}

/// Whether a URL has a password before its host.
fn holds_password(location: &str) -> bool {
    let Some((_, rest)) = location.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
}

/// Whether an option of a store is a secret by its name.
fn is_secret(option: &str) -> bool {
    let option = option.to_lowercase();
    ["secret", "token", "password", "sas_", "service_account_key"].iter().any(|word| option.contains(word))
        || ["account_key", "storage_key", "master_key", "sas_token"].iter().any(|word| option.ends_with(word))
        || matches!(option.as_str(), "access_key" | "azure_storage_access_key" | "sas_key")
}
