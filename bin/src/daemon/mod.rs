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

use keepwell_actors::{Handle, Keepwell, Settings};
use keepwell_engine::control::Control;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

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
        let mut reread_asked = watched(SignalKind::hangup())?;
        let (mut terminated, mut interrupted) =
            (watched(SignalKind::terminate())?, watched(SignalKind::interrupt())?);
        let handle = Keepwell::start(self.settings).await.map_err(start_failure)?;
        tell_repairs(&handle);
        if let Some(listening) = Listening::new(&handle, None) {
            actix_rt::spawn(log::narrate(listening));
        }
        let certificate = self.door.certificate.clone();
        let broker = self.broker.map(|settings| Broker::open(&handle, settings, &self.data_folder));
        let (server, stop) = self.door.open(handle.clone(), broker.as_ref().map(Broker::state))?;
        let mut serving = actix_rt::spawn(server);
        let url = url(self.address, certificate.is_some());
        let announcement = Announcement {
            pid: std::process::id(),
            url: url.clone(),
            certificate: certificate.as_ref().map(|certificate| certificate.file().into()),
        };
        announcement.write(&self.data_folder)?;
        if let Some(certificate) = &certificate {
            actix_rt::spawn(certificate.clone().keep_looking());
        }
        actix_rt::spawn(watchdog::keep_alive(handle.clone()));
        info!(%url, data_folder = %self.data_folder.display(), pid = announcement.pid, "keepwell serves");
        tell_service_manager(&[NotifyState::Ready]);
        let (manager, scheduler) = (handle.manager(), handle.scheduler());
        let ended = loop {
            // One that came before the signals were watched here.
            if self.control.is_cancelled() {
                break Ok(Ending::Done);
            }
            tokio::select! {
                _ = terminated.recv() => break Ok(Ending::Done),
                _ = interrupted.recv() => break Ok(Ending::Done),
                _ = reread_asked.recv() => {
                    if let Some(certificate) = &certificate {
                        certificate.look();
                    }
                    // It may have to wait for the journal; an end does not wait for it.
                    tokio::select! {
                        () = reread(&handle) => {}
                        _ = terminated.recv() => break Ok(Ending::Done),
                        _ = interrupted.recv() => break Ok(Ending::Done),
                    }
                }
                why = manager.closed() => break Err(gave_up(&why.to_string())),
                why = scheduler.closed() => break Err(gave_up(&why.to_string())),
                served = &mut serving => {
                    let why = match served {
                        Ok(Ok(())) => "its server has ended".to_owned(),
                        Ok(Err(error)) => error.to_string(),
                        Err(error) => error.to_string(),
                    };
                    break Err(Failure::usage(format!("the HTTP door closed by itself: {why}")));
                }
            }
        };
        tell_service_manager(&[NotifyState::Stopping]);
        info!("keepwell stops: active tasks end, what they stored is kept");
        // Listeners hear of the ends before the door closes.
        let shut_down = timeout(SHUTDOWN_WITHIN, handle.shutdown()).await;
        let close_broker = async {
            if let Some(broker) = broker {
                broker.stop().await;
            }
        };
        futures::join!(stop.stop(true), close_broker);
        Announcement::remove(&self.data_folder);
        let Ok(stragglers) = shut_down else {
            warn!("the actors did not end within {} s; the process ends", SHUTDOWN_WITHIN.as_secs());
            // A runtime that is dropped waits for its threads, and one of them hangs.
            std::process::exit(1);
        };
        for straggler in stragglers {
            warn!(?straggler, "did not end in time");
        }
        info!("keepwell has stopped");
        ended
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
