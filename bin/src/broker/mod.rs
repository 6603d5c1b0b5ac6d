//! The broker door: commands by request and reply, events into a stream, over NATS.
//!
//! It runs beside the actors and holds nobody up: without a broker backups go on, and what happened meanwhile is
//! told from the journal when the broker is back. Durable events reach the stream in the order of their numbers,
//! none twice and none left out; progress is told while there is somebody to tell it to.
//!
//! A connection that is lost is given up with all that was under way on it. The next one looks at the end of
//! the stream, and goes on behind it.

mod commands;
mod connection;
mod mark;
mod outbox;
mod progress;
mod state;
mod stream;
mod subjects;

use std::path::Path;
use std::time::Duration;

use keepwell_actors::{Handle, Told};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use self::connection::Connection;
use self::outbox::Outbox;
use self::subjects::Subjects;
use crate::configuration::BrokerSettings;
use crate::doors::{BackOff, Listening};

pub use self::state::{BrokerState, SharedState};

/// The first wait before the next attempt to connect; each is twice the one before.
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
/// The longest: a broker that is back is noticed within it, and one that is away is not bothered more often.
const BACK_OFF_MAX: Duration = Duration::from_secs(15);
/// At a stop the last events have so long to reach the broker.
const LAST_EVENTS_WITHIN: Duration = Duration::from_millis(1_200);
/// After it, all that is left is dropped.
const STOP_WITHIN: Duration = Duration::from_millis(1_800);

/// The door, open until it is stopped.
pub struct Broker {
    state: SharedState,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Broker {
    /// Opens it. It connects by itself, and again whenever the connection is lost; where events are kept that were
    /// told stands in `folder`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(handle: &Handle, settings: BrokerSettings, folder: &Path) -> Self {
        let state = SharedState::default();
        let (stop, stopped) = watch::channel(false);
        let subjects = Subjects::new(&settings.node);
        let outbox = Outbox::new(handle.clone(), &settings, subjects.clone(), folder, state.clone());
        let door = Door { handle: handle.clone(), settings, subjects, outbox, state: state.clone(), stopped };
        Self { state, stop, running: tokio::spawn(door.keep_open()) }
    }

    /// What can be asked how the door is doing; it outlives the door.
    pub fn state(&self) -> SharedState {
        self.state.clone()
    }

    /// Closes it. If the system was shut down before, its last events are told first. Within two seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(STOP_WITHIN, &mut self.running).await.is_err() {
            self.running.abort();
        }
    }
}

struct Door {
    handle: Handle,
    settings: BrokerSettings,
    subjects: Subjects,
    outbox: Outbox,
    state: SharedState,
    stopped: watch::Receiver<bool>,
}

impl Door {
    async fn keep_open(mut self) {
        let mut stopped = self.stopped.clone();
        let after = self.outbox.begin().await;
        let counted = tokio::spawn(count_events(self.handle.clone(), after, self.state.clone()));
        let mut waits = back_off();
        loop {
            let connecting = Connection::make(&self.settings, self.state.clone());
            let connected = tokio::select! {
                connected = connecting => connected,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            match connected {
                Ok(connection) => {
                    info!(url = %connection.url(), node = %self.settings.node, "the broker is connected");
                    self.state.is_connected(true);
                    waits = back_off();
                    let ended = self.converse(connection).await;
                    self.state.is_connected(false);
                    if ended == Conversation::Ended {
                        break;
                    }
                    let why =
                        "the connection to the broker is lost; it is made again, and nothing is left out";
                    warn!("{why}");
                    self.state.failed(why);
                }
                Err(why) => {
                    if self.state.failed(&why) {
                        warn!("{why}; it is tried again, and backups go on without it");
                    }
                }
            }
            tokio::select! {
                () = sleep(waits.next()) => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        }
        counted.abort();
        self.outbox.keep_mark().await;
    }

    /// Serves one connection until it is lost, the system has shut down, or the door is to close.
    async fn converse(&mut self, mut connection: Connection) -> Conversation {
        let client = connection.client();
        let commands = commands::serve(&client, &self.handle, &self.subjects, &self.state);
        let progress = progress::tell(&client, &self.handle, &self.subjects);
        let mut stopped = self.stopped.clone();
        let close = async move {
            // An error means that nobody holds the door any more.
            let _ = stopped.wait_for(|stopped| *stopped).await;
            sleep(LAST_EVENTS_WITHIN).await;
        };
        let ended = tokio::select! {
            () = connection.lost() => Conversation::Lost,
            () = commands => Conversation::Lost,
            () = progress => Conversation::Lost,
            () = self.outbox.empty(&client) => Conversation::Ended,
            () = close => Conversation::Ended,
        };
        connection.close().await;
        ended
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversation {
    Lost,
    Ended,
}

/// Keeps count of what there is to tell, whether it can be told or not.
async fn count_events(handle: Handle, after: u64, state: SharedState) {
    let Some(mut listening) = Listening::new(&handle, Some(after)) else { return };
    while let Some(told) = listening.next().await {
        if let Told::Event(event) = told {
            state.newest(event.number);
        }
    }
}

/// Waits before the next attempt at what the broker did not let us do.
fn back_off() -> BackOff {
    BackOff::new(BACK_OFF_FIRST, BACK_OFF_MAX)
}
