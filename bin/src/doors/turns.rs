//! Turns on one connection over which many commands come at once.
//!
//! A question about a repository may take minutes. Such questions have turns of their own: however many of them are
//! asked, whoever pauses or cancels something does not wait behind them. Nobody waits for a turn for ever, and no
//! more than a bounded number wait.

use std::time::Duration;

use keepwell_actors::{Handle, asks_repository};
use keepwell_messages::{Command, CommandId, Reply};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{DoorError, Kind, carry_out};

/// Of one kind, carried out at once.
const AT_ONCE: usize = 32;
/// Of one kind, carried out or waiting for it; whoever comes then is told to come back.
const TAKEN_MAX: usize = 128;
/// Whoever waits longer is told so, and may ask elsewhere, or for less.
const TURN_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct Turns {
    questions: Line,
    others: Line,
}

impl Default for Turns {
    fn default() -> Self {
        Self { questions: Line::new("questions to repositories"), others: Line::new("commands") }
    }
}

impl Turns {
    /// More than this are never taken on, of all kinds together.
    pub const TAKEN_MAX: usize = 2 * TAKEN_MAX;

    /// As [`carry_out`], when it is the command's turn.
    ///
    /// # Errors
    /// [`Kind::TooMany`] if too many wait already, [`Kind::Unavailable`] if its turn does not come, or as [`carry_out`].
    pub async fn carry_out(
        &self,
        handle: &Handle,
        command: Command,
        id: Option<CommandId>,
    ) -> Result<Reply, DoorError> {
        let line = if asks_repository(&command) { &self.questions } else { &self.others };
        let _turn = line.turn().await?;
        carry_out(handle, command, id).await
    }
}

/// Those of one kind.
struct Line {
    what: &'static str,
    places: Semaphore,
    turns: Semaphore,
}

impl Line {
    fn new(what: &'static str) -> Self {
        Self { what, places: Semaphore::new(TAKEN_MAX), turns: Semaphore::new(AT_ONCE) }
    }

    /// A place and, in it, a turn. The semaphores are never closed.
    async fn turn(&self) -> Result<[SemaphorePermit<'_>; 2], DoorError> {
        let what = self.what;
        let place = self.places.try_acquire().map_err(|_| {
            DoorError::new(Kind::TooMany, format!("{TAKEN_MAX} {what} wait already; ask again later"))
        })?;
        match timeout(TURN_WITHIN, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok([place, turn]),
            Ok(Err(_)) | Err(_) => {
                let seconds = TURN_WITHIN.as_secs();
                let message =
                    format!("{AT_ONCE} {what} are under way, and none ended within {seconds} seconds");
                Err(DoorError::new(Kind::Unavailable, message).hint("ask again later"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_comes_in_time_or_not_at_all_and_so_many_wait_and_no_more() {
        let turns = Turns::default();
        let questions = &turns.questions;
        let held = join_all((0..AT_ONCE).map(|_| questions.turn())).await;
        assert!(held.iter().all(Result::is_ok));
        // Others do not wait behind them.
        assert!(timeout(Duration::ZERO, turns.others.turn()).await.expect("at once").is_ok());
        let waiting = join_all((AT_ONCE..TAKEN_MAX).map(|_| questions.turn()));
        let one_more = async {
            tokio::task::yield_now().await;
            questions.turn().await.map(drop).expect_err("there is no place").kind
        };
        let (waited, one_more) = futures::join!(waiting, one_more);
        assert_eq!(one_more, Kind::TooMany);
        for turn in waited {
            assert_eq!(turn.map(drop).expect_err("nobody went").kind, Kind::Unavailable);
        }
        drop(held);
        assert!(questions.turn().await.is_ok());
    }
}
