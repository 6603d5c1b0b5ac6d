//! Which daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use parking_lot::Mutex;

use super::reached::{Reached, Trust};
use super::{Client, Place};
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
        if let Some(client) = self.elsewhere()? {
            return Ok(client);
        }
        let data_folder = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => Configuration::read_for_client(&self.configuration)?.data_folder()?,
        };
        let folder = self.folder(data_folder);
        folder.client()?.ok_or_else(|| folder.not_served())
    }

    /// A client of the daemon at the address that was typed, if one was.
    pub fn elsewhere(&self) -> Result<Option<Client>, Failure> {
        let Some(url) = &self.url else { return Ok(None) };
        let url = plain_url(url)?;
        let file = self.token_file.as_deref().unwrap_or(Path::new("token"));
        let token = Token::read(file)?
            .ok_or_else(|| Failure::usage(format!("there is no token in {}", file.display())))?;
        let trust = match &self.ca_file {
            Some(file) => Trust::Also(certificate(file)?),
            None => Trust::Usual,
        };
        Ok(Some(Client(Place::Named(Arc::new(Reached::new(url, &token, trust)?)))))
    }

    /// The configuration, with the data folder that was typed, if one was.
    pub fn configuration(&self) -> Result<Configuration, Failure> {
        let mut configuration = Configuration::read_for_client(&self.configuration)?;
        if let Some(folder) = &self.data_dir {
            let absolute = std::path::absolute(folder);
            configuration.data_folder =
                Some(absolute.map_err(|error| Failure::local("find the data folder", folder, error))?);
        }
        Ok(configuration)
    }

    /// A client of the daemon that serves this data folder, if one does.
    pub fn of_folder(&self, data_folder: PathBuf) -> Result<Option<Client>, Failure> {
        self.folder(data_folder).client()
    }

    fn folder(&self, path: PathBuf) -> DataFolder {
        let token_file = self.token_file.clone().unwrap_or_else(|| path.join("token"));
        DataFolder { path, token_file, ca_file: self.ca_file.clone() }
    }
}

/// A data folder of this machine, which a daemon may serve.
#[derive(Clone)]
pub struct DataFolder {
    path: PathBuf,
    token_file: PathBuf,
    /// Who signs the daemon's certificate, if that is to count and not what the daemon announces.
    ca_file: Option<PathBuf>,
}

impl DataFolder {
    /// What the daemon that serves it says of itself; `None` if none does.
    pub fn announcement(&self) -> Option<Announcement> {
        Announcement::read_living(&self.path)
    }

    /// That none does.
    pub fn not_served(&self) -> Failure {
        let words = format!("no daemon serves the data folder {}", self.path.display());
        Failure::usage(words).hint("start it with `keepwell serve`, or name its folder with --data-dir")
    }

    /// The daemon, as it says where it is and what it shows.
    pub fn reach(&self, announcement: &Announcement) -> Result<Reached, Failure> {
        let token = Token::read(&self.token_file)?.ok_or_else(|| {
            let file = self.token_file.display();
            Failure::usage(format!("there is no token in {file}, and the daemon wants it"))
                .hint("start the daemon again: it makes one")
        })?;
        let trust = match &self.ca_file {
            Some(file) => Trust::Also(certificate(file)?),
            None => Trust::Only(announcement.certificate_sha256.clone()),
        };
        Reached::new(announcement.url.clone(), &token, trust)
    }

    fn client(&self) -> Result<Option<Client>, Failure> {
        let Some(announcement) = self.announcement() else { return Ok(None) };
        let reached = Arc::new(self.reach(&announcement)?);
        Ok(Some(Client(Place::Announced(self.clone(), Mutex::new(Some((announcement, reached)))))))
    }
}

fn certificate(file: &Path) -> Result<reqwest::Certificate, Failure> {
    let read = std::fs::read(file).map_err(|error| Failure::local("read the certificate in", file, error))?;
    reqwest::Certificate::from_pem(&read).map_err(|error| {
        Failure::usage(format!("the certificate in {} cannot be read: {error}", file.display()))
    })
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
