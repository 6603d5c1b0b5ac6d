//! One connection to the broker, from the moment it stands until it is lost, and what to say if none can be made.
//!
//! The client library would connect again by itself and send then what it still has. Here a lost connection is
//! given up instead: what is to be sent is known better from the journal.

use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::state::SharedState;
use crate::configuration::{BrokerLogin, BrokerSettings};
use crate::exit::{causes, innermost};
use crate::password::{self, PasswordSource};

/// The longest that one server may take to let us in.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it stands; after two answers that do not come it does not.
const PING_EVERY: Duration = Duration::from_secs(10);
/// The longest that the broker may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Messages that wait to be read; each may be a command of a megabyte.
const UNREAD_MAX: usize = 128;
/// What was said last has so long to go out.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// See the module.
pub struct Connection {
    client: Client,
    url: String,
    lost: watch::Receiver<bool>,
}

impl Connection {
    /// Connects to the first of the servers that lets us in.
    ///
    /// # Errors
    /// What happened, where, and what to do; without secrets.
    pub async fn make(settings: &BrokerSettings, state: SharedState) -> Result<Self, String> {
        let (tell_lost, lost) = watch::channel(false);
        let options = login(settings).await?;
        let mut options = options
            .name("keepwell")
            .connection_timeout(CONNECT_WITHIN)
            .ping_interval(PING_EVERY)
            .request_timeout(Some(ANSWER_WITHIN))
            .subscription_capacity(UNREAD_MAX)
            .ignore_discovered_servers()
            // Each server once: what comes after is ours to decide.
            .max_reconnects(settings.urls.len())
            .reconnect_delay_callback(|_| Duration::ZERO)
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => drop(tell_lost.send_replace(true)),
                    Event::ServerError(error) => {
                        let why = format!("the broker says: {error}");
                        if state.failed(&why) {
                            warn!("{why}");
                        }
                    }
                    Event::SlowConsumer(_) => warn!("more commands come over the broker than can be read"),
                    Event::Connected | Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {}
                }
                std::future::ready(())
            });
        if let Some(file) = &settings.tls_ca_file {
            options = options.add_root_certificates(file.clone()).require_tls(true);
        }
        let client =
            options.connect(settings.urls.as_slice()).await.map_err(|error| refused(settings, &error))?;
        let url = settings.urls.join(", ");
        Ok(Self { client, url, lost })
    }

    /// What is said and heard over it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The servers that it may be with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns when it is lost.
    pub async fn lost(&mut self) {
        // An error means that the client has ended.
        let _ = self.lost.wait_for(|lost| *lost).await;
    }

    /// Sends what is still to be sent, and ends.
    pub async fn close(self) {
        if !*self.lost.borrow() {
            let _ = timeout(FLUSH_WITHIN, self.client.flush()).await;
        }
    }
}

async fn login(settings: &BrokerSettings) -> Result<ConnectOptions, String> {
    match &settings.login {
        None => Ok(ConnectOptions::new()),
        Some(BrokerLogin::CredentialsFile(file)) => {
            ConnectOptions::with_credentials_file(file).await.map_err(|error| {
                // The library may quote what it could not read.
                let why = match error.raw_os_error() {
                    Some(_) => error.to_string(),
                    None => "it does not hold a token and a key of NATS".into(),
                };
                format!(
                    "the broker's credentials in {} cannot be read: {why}; check broker.credentials_file",
                    file.display()
                )
            })
        }
        Some(BrokerLogin::User { user, password_file }) => {
            let source = PasswordSource::File(password_file.clone());
            let read = tokio::task::spawn_blocking(move || password::read_unattended(&source)).await;
            let password = read
                .map_err(|_| "the broker's password cannot be read".to_owned())?
                .map_err(|failure| format!("{}; check broker.password_file", failure.message()))?;
            Ok(ConnectOptions::with_user_and_password(user.clone(), password.expose_secret().into()))
        }
    }
}

fn refused(settings: &BrokerSettings, error: &ConnectError) -> String {
    let servers = settings.urls.join(", ");
    let refuses = format!("the broker at {servers} refuses");
    match (error.kind(), &settings.login) {
        (ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication, login) => match login {
            None => format!(
                "{refuses} whom it does not know; give broker.user and broker.password_file, or broker.credentials_file"
            ),
            Some(BrokerLogin::User { user, .. }) => {
                format!(
                    "{refuses} the user {user} or the password; check broker.user and broker.password_file"
                )
            }
            Some(BrokerLogin::CredentialsFile(_)) => {
                format!("{refuses} the credentials; check broker.credentials_file, which may have expired")
            }
        },
        (kind, _) if kind == ConnectErrorKind::Tls || is_of_tls(error) => {
            format!(
                "no TLS with the broker at {servers}: {}; check broker.url and broker.tls_ca_file",
                innermost(error)
            )
        }
        (ConnectErrorKind::TimedOut, _) => {
            format!("the broker at {servers} does not answer; check broker.url, and that it runs there")
        }
        _ => format!(
            "the broker at {servers} cannot be reached: {}; check broker.url, and that it runs there",
            innermost(error)
        ),
    }
}

/// Whether TLS is what went wrong: the library tells that as an error of the connection.
fn is_of_tls(error: &ConnectError) -> bool {
    causes(error).any(|reason| {
        let inner = reason.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        reason.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
    })
}
