//! What goes between a store and its users: at which pace, and whether at all. One for each store, so that all
//! tasks on a repository share it.
//!
//! While the gate is closed nothing goes. What is urgent heeds neither gate nor pace: a lock has to be refreshed
//! in a pause, too, and in time.

use std::sync::Arc;

use tokio::sync::watch;

use super::StoreSettings;
use super::http::Stopwatch;
use crate::pace::Pace;

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the store.
    Up,
    /// From it.
    Down,
}

/// The gate, and a pace each way.
#[derive(Debug)]
pub(super) struct Traffic {
    is_closed: watch::Sender<bool>,
    up: Option<Pace>,
    down: Option<Pace>,
}

impl Traffic {
    pub(super) fn new(settings: &StoreSettings) -> Arc<Self> {
        Arc::new(Self {
            is_closed: watch::Sender::new(false),
            up: settings.upload_bytes_per_second.map(Pace::new),
            down: settings.download_bytes_per_second.map(Pace::new),
        })
    }

    /// Closes or opens the gate.
    pub(super) fn close(&self, is_closed: bool) {
        self.is_closed.send_if_modified(|now| std::mem::replace(now, is_closed) != is_closed);
    }

    /// Returns when the gate is open.
    pub(super) async fn pass_gate(&self) {
        // Fails only without a sender, and this is it.
        let _ = self.is_closed.subscribe().wait_for(|is_closed| !is_closed).await;
    }

    /// Returns when so many bytes may go, at an open gate.
    pub(super) async fn pass(&self, direction: Direction, bytes: u64) {
        let pace = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let mut left = bytes;
        while let Some(pace) = pace
            && left > 0
        {
            self.pass_gate().await;
            let piece = left.min(pace.piece_bytes());
            pace.take(piece).await;
            left -= piece;
        }
        // It may have been closed while the pace was waited for.
        self.pass_gate().await;
    }

    /// Whether nothing has to wait.
    pub(super) fn is_free(&self) -> bool {
        self.up.is_none() && self.down.is_none() && !*self.is_closed.borrow()
    }

    fn piece_bytes(&self) -> Option<u64> {
        self.up.as_ref().map(Pace::piece_bytes)
    }
}

/// The way of one call through the traffic.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    /// Absent for what is urgent.
    traffic: Option<Arc<Traffic>>,
}

impl Passage {
    pub(super) fn new(traffic: &Arc<Traffic>, is_urgent: bool) -> Self {
        Self { traffic: (!is_urgent).then(|| Arc::clone(traffic)) }
    }

    /// Returns when the gate is open.
    pub(super) async fn pass_gate(&self) {
        if let Some(traffic) = &self.traffic {
            traffic.pass_gate().await;
        }
    }

    /// Returns when so many bytes may go; `watch` stands still until then.
    pub(super) async fn pass(&self, direction: Direction, bytes: u64, watch: &Arc<Stopwatch>) {
        if let Some(traffic) = &self.traffic
            && !traffic.is_free()
        {
            let _waiting = watch.own_wait();
            traffic.pass(direction, bytes).await;
        }
    }

    /// What is best sent at once, if there is a pace.
    pub(super) fn piece_bytes(&self) -> Option<u64> {
        self.traffic.as_ref()?.piece_bytes()
    }
}
