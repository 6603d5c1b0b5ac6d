//! Where events come out: to everybody who listens, in the order of their numbers.
//!
//! Durable events are told on the journal's own thread at the moment they are committed, so their order is
//! that of their numbers whichever actor decided them. A listener that is too slow loses the oldest and is
//! told so; it holds nobody up.

use std::sync::Arc;

use keepwell_messages::{BackupProgress, NumberedEvent};
use parking_lot::RwLock;
use tokio::sync::broadcast;

/// Durable events that a listener may be behind. Each takes some 500 bytes, once for all listeners.
pub const EVENTS_BEHIND_MAX: usize = 4096;

/// Values of progress that a listener may be behind: the newest of each of some dozen tasks.
pub const PROGRESS_BEHIND_MAX: usize = 256;

/// See the module. Clones are the same hub.
#[derive(Clone)]
pub(crate) struct Hub {
    channels: Arc<RwLock<Option<Channels>>>,
}

struct Channels {
    events: broadcast::Sender<Arc<NumberedEvent>>,
    progress: broadcast::Sender<Arc<BackupProgress>>,
}

/// What a listener reads from.
pub(crate) struct Listening {
    pub(crate) events: broadcast::Receiver<Arc<NumberedEvent>>,
    pub(crate) progress: broadcast::Receiver<Arc<BackupProgress>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let (events, _) = broadcast::channel(EVENTS_BEHIND_MAX);
        let (progress, _) = broadcast::channel(PROGRESS_BEHIND_MAX);
        Self { channels: Arc::new(RwLock::new(Some(Channels { events, progress }))) }
    }

    /// Tells of what was committed. Errors mean that nobody listens.
    pub(crate) fn tell(&self, committed: &[NumberedEvent]) {
        if let Some(channels) = &*self.channels.read() {
            for event in committed {
                let _ = channels.events.send(Arc::new(event.clone()));
            }
        }
    }

    pub(crate) fn tell_progress(&self, progress: BackupProgress) {
        if let Some(channels) = &*self.channels.read() {
            let _ = channels.progress.send(Arc::new(progress));
        }
    }

    /// `None` once the hub is closed.
    pub(crate) fn listen(&self) -> Option<Listening> {
        let channels = self.channels.read();
        let Channels { events, progress } = channels.as_ref()?;
        Some(Listening { events: events.subscribe(), progress: progress.subscribe() })
    }

    /// Progress only; `None` once the hub is closed.
    pub(crate) fn listen_to_progress(&self) -> Option<broadcast::Receiver<Arc<BackupProgress>>> {
        self.channels.read().as_ref().map(|channels| channels.progress.subscribe())
    }

    /// Nothing more is told; listeners read what they have and then the end.
    pub(crate) fn close(&self) {
        *self.channels.write() = None;
    }
}
