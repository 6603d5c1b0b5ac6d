//! Turns of questions, or of downloads: so many at once, so many that wait, and none of them for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keepwell_messages::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::TURN_TIME_MAX;
use crate::handle::AskError;

/// The right to have a thread.
pub(super) type Turn = Vec<OwnedSemaphorePermit>;

/// See the module.
pub(super) struct Turns {
    what: &'static str,
    pub(super) turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Turns {
    pub(super) fn new(what: &'static str, at_once: usize, waiting_max: usize) -> Self {
        Self { what, turns: Arc::new(Semaphore::new(at_once)), waiting: AtomicUsize::new(0), waiting_max }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A turn, and one in this line before it.
    pub(super) async fn turn(&self, line: Option<&Arc<Semaphore>>) -> Result<Turn, AskError> {
        let _waits = Waits::begin(&self.waiting, self.waiting_max)?;
        let turn = async {
            let mut turn = Vec::new();
            // First the repository's: who waits for that keeps nobody else from a turn.
            for semaphore in line.into_iter().chain([&self.turns]) {
                turn.push(semaphore.clone().acquire_owned().await.map_err(|_| Refusal::ShuttingDown)?);
            }
            Ok(turn)
        };
        timeout(TURN_TIME_MAX, turn).await.unwrap_or_else(|_| {
            let (what, seconds) = (self.what, TURN_TIME_MAX.as_secs());
            Err(AskError::Busy(format!(
                "too many {what} are under way, and none ended within {seconds} seconds"
            )))
        })
    }
}

/// A place among those that wait.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize, waiting_max: usize) -> Result<Self, Refusal> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        if before < waiting_max { Ok(place) } else { Err(Refusal::QueueFull(before as u32)) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_that_it_is_busy_and_who_comes_then_is_served() {
        let (questions, downloads) = (Turns::new("questions", 2, 1), Turns::new("downloads", 1, 1));
        let line = Arc::new(Semaphore::new(1));
        let held = questions.turn(Some(&line)).await.expect("a turn");
        let download = downloads.turn(None).await.expect("a turn");
        let (waited, refused, beside) =
            futures::join!(questions.turn(Some(&line)), questions.turn(Some(&line)), downloads.turn(None));
        assert!(matches!(waited, Err(AskError::Busy(_))), "{waited:?}");
        assert_eq!(refused.expect_err("nobody else may wait"), Refusal::QueueFull(1).into());
        assert!(matches!(beside, Err(AskError::Busy(_))), "it has a place of its own: {beside:?}");
        assert_eq!((questions.waiting(), downloads.waiting()), (0, 0));
        drop((held, download));
        questions.turn(Some(&line)).await.expect("a turn");
    }
}
