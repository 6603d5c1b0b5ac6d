//! How long something took, without the waits that are our own: for the pace, or for a pause to end.
//!
//! A server is not to blame for those, so its time does not run meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::TransferLimit;

/// Runs from its making on.
#[derive(Debug)]
pub(in crate::store) struct Stopwatch {
    begun: Instant,
    state: Mutex<State>,
    /// A wait of our own has ended.
    resumed: Notify,
}

#[derive(Debug)]
struct State {
    own_waits: usize,
    stopped_at: Instant,
    waited: Duration,
    moved_bytes: u64,
}

impl Stopwatch {
    pub(in crate::store) fn start() -> Arc<Self> {
        let begun = Instant::now();
        let state = State { own_waits: 0, stopped_at: begun, waited: Duration::ZERO, moved_bytes: 0 };
        Arc::new(Self { begun, state: Mutex::new(state), resumed: Notify::new() })
    }

    /// Notes bytes that were sent or received.
    pub(super) fn moved(&self, bytes: u64) {
        self.state.lock().moved_bytes += bytes;
    }

    /// The time that counts.
    pub(super) fn elapsed(&self) -> Duration {
        let state = self.state.lock();
        let until = if state.own_waits > 0 { state.stopped_at } else { Instant::now() };
        until.duration_since(self.begun).saturating_sub(state.waited)
    }

    /// Stops it until what is returned is dropped. Several waits at once are one.
    pub(in crate::store) fn own_wait(self: &Arc<Self>) -> OwnWait {
        let mut state = self.state.lock();
        if state.own_waits == 0 {
            state.stopped_at = Instant::now();
        }
        state.own_waits += 1;
        OwnWait(Arc::clone(self))
    }

    /// What `future` gives, unless the time that counts goes beyond `limit` for what was moved until then: then
    /// that limit.
    pub(super) async fn within<T>(
        &self,
        limit: TransferLimit,
        future: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let (future, expiry) = (pin!(future), pin!(self.expiry(limit)));
        match select(future, expiry).await {
            Either::Left((result, _)) => Ok(result),
            Either::Right((limit, _)) => Err(limit),
        }
    }

    async fn expiry(&self, limit: TransferLimit) -> Duration {
        loop {
            let mut resumed = pin!(self.resumed.notified());
            resumed.as_mut().enable();
            let (is_stopped, allowed) = {
                let state = self.state.lock();
                (state.own_waits > 0, limit.for_bytes(state.moved_bytes))
            };
            if is_stopped {
                resumed.await;
                continue;
            }
            let left = allowed.saturating_sub(self.elapsed());
            if left.is_zero() {
                return allowed;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// A wait of our own; it ends when this is dropped.
#[derive(Debug)]
pub(in crate::store) struct OwnWait(Arc<Stopwatch>);

impl Drop for OwnWait {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.own_waits -= 1;
        if state.own_waits == 0 {
            let waited = state.stopped_at.elapsed();
            state.waited += waited;
            drop(state);
            self.0.resumed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: TransferLimit = TransferLimit { base: Duration::from_secs(10), bytes_per_second_min: 100 };

    fn paused_clock() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    #[test]
    fn own_waits_do_not_count_and_moved_bytes_give_time() {
        paused_clock().block_on(async {
            let (watch, begun) = (Stopwatch::start(), Instant::now());
            let other = Arc::clone(&watch);
            let work = async {
                tokio::time::sleep(Duration::from_secs(6)).await;
                other.moved(500);
                let waits = (other.own_wait(), other.own_wait());
                tokio::time::sleep(Duration::from_secs(3600)).await;
                drop(waits.0);
                assert_eq!(other.elapsed(), Duration::from_secs(6));
                drop(waits.1);
                std::future::pending::<()>().await;
            };
            assert_eq!(watch.within(LIMIT, work).await, Err(Duration::from_secs(15)));
            assert_eq!(begun.elapsed().as_secs(), 3600 + 15);
        });
    }

    #[test]
    fn what_is_done_in_time_is_given() {
        paused_clock().block_on(async {
            let watch = Stopwatch::start();
            let work = async {
                tokio::time::sleep(Duration::from_secs(9)).await;
                7
            };
            assert_eq!(watch.within(LIMIT, work).await, Ok(7));
        });
    }
}
