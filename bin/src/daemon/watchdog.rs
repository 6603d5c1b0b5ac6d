//! Signs of life for a service manager that wants them (`WatchdogSec=` of systemd): given as long as the actors answer.

use std::time::Duration;

use keepwell_actors::Handle;
use sd_notify::NotifyState;
use tokio::time::{interval, timeout};
use tracing::warn;

/// Gives them, if they are wanted.
pub async fn keep_alive(handle: Handle) {
    let mut wanted_within_micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut wanted_within_micros) {
        return;
    }
    // Twice as often as is wanted, as systemd advises.
    let every = Duration::from_micros(wanted_within_micros) / 2;
    let mut turn = interval(every.max(Duration::from_millis(100)));
    loop {
        turn.tick().await;
        match timeout(every, handle.answers()).await {
            Ok(true) => super::tell_service_manager(&[NotifyState::Watchdog]),
            Ok(false) | Err(_) => warn!("the actors do not answer; the service manager gets no sign of life"),
        }
    }
}
