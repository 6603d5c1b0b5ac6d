//! The actor system as a service: started, announced, watched, stopped.
//!
//! It ends by itself only if the actors have given up, with an error, so that whoever supervises the process
//! starts it again. On a signal it ends active tasks as cancelled by a shutdown, which the next start makes up
//! for, and is gone within ten seconds whatever hangs.

mod announcement;
mod log;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use keepwell_actors::{Handle, Keepwell, Settings};
use keepwell_engine::control::Control;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::broker::Broker;
use crate::configuration::BrokerSettings;
use crate::doors::Listening;
use crate::exit::{Ended, Ending, Failure, start_failure};
use crate::http::{Certificate, HttpDoor, Token};

pub use announcement::Announcement;
pub use log::start as start_log;

/// Workers that do not end are left behind after it: the process ends, and they with it. With what comes
/// before and after it, that is less than the ten seconds that are promised.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(7);

/// A daemon that is about to start.
pub struct Daemon {
    /// What the actors start with.
    pub settings: Settings,
    /// Where journal, token and announcement live.
    pub data_folder: PathBuf,
    /// Where the HTTP door is.
    pub address: SocketAddr,
    /// The HTTP door.
    pub door: HttpDoor,
    /// The broker that it speaks to, if any.
    pub broker: Option<BrokerSettings>,
    /// Cancelled by the first signal that ends the process.
    pub control: Control,
}

impl Daemon {
    /// Serves until a signal comes.
    pub async fn serve(self, reread: impl AsyncFn(&Handle)) -> Ended {
        let control = self.control.clone();
        let mut signals = Signals::watch()?;
        let mut serving = self.begin().await?;
        let ended = serving.until_end(&control, &mut signals, reread).await;
        serving.stop().await;
        ended
    }

    /// Starts the actors, opens the doors, and tells everybody where they are.
    async fn begin(self) -> Result<Serving, Failure> {
        let handle = Keepwell::start(self.settings).await.map_err(start_failure)?;
        tell_repairs(&handle);
        if let Some(listening) = Listening::new(&handle, None) {
            actix_rt::spawn(log::narrate(listening));
        }
        let certificate = self.door.certificate.clone();
        let broker = self.broker.map(|settings| Broker::open(&handle, settings, &self.data_folder));
        let (server, stop) = self.door.open(handle.clone(), broker.as_ref().map(Broker::state))?;
        let server = actix_rt::spawn(server);
        let announcement = Announcement {
            pid: std::process::id(),
            url: url(self.address, certificate.is_some()),
            certificate: certificate.as_ref().map(|certificate| certificate.file().into()),
            certificate_sha256: certificate.iter().map(|certificate| certificate.sha256()).collect(),
        };
        announcement.write(&self.data_folder)?;
        actix_rt::spawn(watchdog::keep_alive(handle.clone()));
        info!(url = %announcement.url, data_folder = %self.data_folder.display(), pid = announcement.pid,
            "keepwell serves");
        tell_service_manager(&[NotifyState::Ready]);
        let announced = Announced { announcement, data_folder: self.data_folder };
        let looking = certificate.as_ref().map(|certificate| {
            let announced = announced.clone();
            actix_rt::spawn(certificate.clone().keep_looking(move |sha256| announced.renew(sha256)))
        });
        Ok(Serving { handle, broker, certificate, looking, server, stop, announced })
    }
}

/// A daemon that serves.
struct Serving {
    handle: Handle,
    broker: Option<Broker>,
    certificate: Option<Arc<Certificate>>,
    /// Looks whether the certificate was renewed.
    looking: Option<JoinHandle<()>>,
    server: JoinHandle<std::io::Result<()>>,
    stop: ServerHandle,
    announced: Announced,
}

impl Serving {
    /// Returns when it is to end: at a signal, or with an error when something ended by itself.
    async fn until_end(
        &mut self,
        control: &Control,
        signals: &mut Signals,
        reread: impl AsyncFn(&Handle),
    ) -> Ended {
        let (manager, scheduler) = (self.handle.manager(), self.handle.scheduler());
        loop {
            // One that came before the signals were watched here.
            if control.is_cancelled() {
                return Ok(Ending::Done);
            }
            tokio::select! {
                () = signals.end.come() => return Ok(Ending::Done),
                _ = signals.reread.recv() => {
                    if let Some(certificate) = &self.certificate {
                        certificate.look(|sha256| self.announced.renew(sha256));
                    }
                    // It may have to wait for the journal; an end does not wait for it.
                    tokio::select! {
                        () = reread(&self.handle) => {}
                        () = signals.end.come() => return Ok(Ending::Done),
                    }
                }
                why = manager.closed() => return Err(gave_up(&why.to_string())),
                why = scheduler.closed() => return Err(gave_up(&why.to_string())),
                served = &mut self.server => {
                    let why = match served {
                        Ok(Ok(())) => "its server has ended".to_owned(),
                        Ok(Err(error)) => error.to_string(),
                        Err(error) => error.to_string(),
                    };
                    return Err(Failure::usage(format!("the HTTP door closed by itself: {why}")));
                }
            }
        }
    }

    /// Ends tasks, closes the doors, and takes the announcement away. If the actors do not end in time, the process
    /// ends here.
    async fn stop(self) {
        tell_service_manager(&[NotifyState::Stopping]);
        info!("keepwell stops: active tasks end, what they stored is kept");
        // Listeners hear of the ends before the door closes.
        let shut_down = timeout(SHUTDOWN_WITHIN, self.handle.shutdown()).await;
        let close_broker = async {
            if let Some(broker) = self.broker {
                broker.stop().await;
            }
        };
        futures::join!(self.stop.stop(true), close_broker);
        if let Some(looking) = self.looking {
            looking.abort();
        }
        Announcement::remove(&self.announced.data_folder);
        let Ok(stragglers) = shut_down else {
            warn!("the actors did not end within {} s; the process ends", SHUTDOWN_WITHIN.as_secs());
            // A runtime that is dropped waits for its threads, and one of them hangs.
            std::process::exit(1);
        };
        for straggler in stragglers {
            warn!(?straggler, "did not end in time");
        }
        info!("keepwell has stopped");
    }
}

/// What was announced, and where.
#[derive(Clone)]
struct Announced {
    announcement: Announcement,
    data_folder: PathBuf,
}

impl Announced {
    /// Announces other certificates.
    fn renew(&self, certificate_sha256: Vec<String>) {
        let renewed = Announcement { certificate_sha256, ..self.announcement.clone() };
        if let Err(failure) = renewed.write(&self.data_folder) {
            error!(
                "{}; the command line of this machine will not trust the renewed certificate",
                failure.message()
            );
        }
    }
}

/// The signals that a daemon hears itself.
struct Signals {
    end: EndSignals,
    reread: Signal,
}

/// Those that end it.
struct EndSignals([Signal; 2]);

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let end = EndSignals([watched(SignalKind::terminate())?, watched(SignalKind::interrupt())?]);
        Ok(Self { end, reread: watched(SignalKind::hangup())? })
    }
}

impl EndSignals {
    /// Returns when one has come.
    async fn come(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Where a door at this address is reached.
pub fn url(address: SocketAddr, is_secure: bool) -> String {
    format!("{}://{address}", if is_secure { "https" } else { "http" })
}

fn watched(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))
}

fn gave_up(why: &str) -> Failure {
    Failure::usage(format!("the actors have given up: {why}"))
        .hint("the log says why; started again, the daemon goes on with what its journal holds")
}

/// A service manager that is not there needs to hear nothing.
fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        warn!(%error, "the service manager cannot be told");
    }
}

fn tell_repairs(handle: &Handle) {
    let repairs = handle.repairs();
    if let Some(damage) = &repairs.journal {
        warn!(why = %damage.why, moved_to = %damage.moved_to.display(),
            "the journal was damaged; a new one is begun, and history starts again");
    }
    if let Some(damage) = &repairs.items_file {
        warn!(why = %damage.why, moved_to = %damage.moved_to.display(),
            "items.json was damaged; items that only it knew are gone");
    }
}

/// Reads token and certificate, and takes the place to listen at: what can be wrong is known before anything starts.
pub fn door(
    address: SocketAddr,
    data_folder: &std::path::Path,
    certificate: Option<Arc<Certificate>>,
    names: Vec<String>,
) -> Result<HttpDoor, Failure> {
    let listener = HttpDoor::listen(address)?;
    let token = Token::read_or_make(&data_folder.join("token"))?;
    Ok(HttpDoor { listener, certificate, token, names })
}

/// Makes the data folder, for nobody else's eyes.
pub fn make_data_folder(folder: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::local("make the data folder", folder, error))
}
