//! How the door is doing, for whoever asks: metrics, and whether the daemon is ready.

use std::sync::Arc;

use parking_lot::Mutex;

/// How the door is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerState {
    /// Whether there is a connection.
    pub connected: bool,
    /// The number of the last event that the stream has.
    pub last_acked: u64,
    /// How many events there are beyond it.
    pub behind: u64,
    /// What went wrong last; absent while all is well.
    pub last_error: Option<String>,
}

/// The state as the door keeps it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct SharedState(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    connected: bool,
    last_acked: u64,
    newest: u64,
    last_error: Option<String>,
}

impl SharedState {
    /// As it is now.
    pub fn now(&self) -> BrokerState {
        let kept = self.0.lock();
        BrokerState {
            connected: kept.connected,
            last_acked: kept.last_acked,
            behind: kept.newest.saturating_sub(kept.last_acked),
            last_error: kept.last_error.clone(),
        }
    }

    pub(super) fn is_connected(&self, connected: bool) {
        self.0.lock().connected = connected;
    }

    /// Something went wrong; whether it is something else than before.
    pub(super) fn failed(&self, why: &str) -> bool {
        let mut kept = self.0.lock();
        let is_new = kept.last_error.as_deref() != Some(why);
        kept.last_error = Some(why.into());
        is_new
    }

    /// The stream has all up to here, so whatever went wrong is over.
    pub(super) fn acked(&self, number: u64) {
        let mut kept = self.0.lock();
        kept.last_acked = number;
        kept.last_error = None;
    }

    pub(super) fn newest(&self, number: u64) {
        let mut kept = self.0.lock();
        kept.newest = kept.newest.max(number);
    }
}
