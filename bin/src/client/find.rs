//! Which daemon.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Client;
use crate::cli::Context;
use crate::configuration::{Configuration, ConfigurationArguments};
use crate::daemon::Announcement;
use crate::exit::Failure;
use crate::http::Token;

/// Which daemon.
#[derive(Debug, Args)]
pub struct ClientArguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// The daemon's data folder [default: that of the configuration]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A daemon elsewhere, as `https://backup.example.org:8377`
    #[arg(long, value_name = "URL", requires = "token_file")]
    url: Option<String>,
    /// File that holds that daemon's token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate (PEM) that the daemon's is signed by, or is
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ClientArguments {
    /// A client of it.
    pub fn client(&self, _: &Context) -> Result<Client, Failure> {
        let certificate = |file: &Path| {
            let read = std::fs::read(file)
                .map_err(|error| Failure::local("read the certificate in", file, error))?;
            reqwest::Certificate::from_pem(&read).map_err(|error| {
                Failure::usage(format!("the certificate in {} cannot be read: {error}", file.display()))
            })
        };
        if let Some(url) = &self.url {
            let url = plain_url(url)?;
            let file = self.token_file.as_deref().unwrap_or(Path::new("token"));
            let token = Token::read(file)?
                .ok_or_else(|| Failure::usage(format!("there is no token in {}", file.display())))?;
            let ca = self.ca_file.as_deref().map(certificate).transpose()?;
            return Client::new(url, &token, ca);
        }
        let data_folder = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => Configuration::read(&self.configuration)?.data_folder()?,
        };
        let not_running = || {
            let words = format!("no daemon serves the data folder {}", data_folder.display());
            Failure::usage(words).hint("start it with `keepwell serve`, or name its folder with --data-dir")
        };
        let announcement = Announcement::read(&data_folder).ok_or_else(not_running)?;
        let file = self.token_file.clone().unwrap_or_else(|| data_folder.join("token"));
        let token = Token::read(&file)?.ok_or_else(not_running)?;
        let ca = self.ca_file.clone().or(announcement.certificate);
        Client::new(announcement.url, &token, ca.as_deref().map(certificate).transpose()?)
    }

    /// A client of this machine's daemon, if one serves.
    pub fn of_configuration(configuration: &Configuration) -> Option<Client> {
        let data_folder = configuration.data_folder.as_ref()?;
        let announcement = Announcement::read(data_folder)?;
        let token = Token::read(&data_folder.join("token")).ok()??;
        let certificate = announcement
            .certificate
            .and_then(|file| reqwest::Certificate::from_pem(&std::fs::read(file).ok()?).ok());
        Client::new(announcement.url, &token, certificate).ok()
    }
}

/// A URL with a password in it would show it in every error.
fn plain_url(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("--url {why}")).hint("write it as https://backup.example.org:8377")
    };
    let url = url::Url::parse(text).map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("is not http:// or https:// with a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user or a password in it; the token file is enough"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}
