//! What a subscriber reads: durable events from any number that is still kept, and progress as it comes.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use keepwell_messages::{BackupProgress, NumberedEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use crate::hub::Listening;
use crate::journal::{Journal, JournalError};
use crate::retry::Backoff;

/// Events read from the journal at once while a subscriber catches up.
const PAGE: u32 = 256;
/// The waits before a page that could not be read is read again. Whoever listens is behind by the longest at most
/// once the journal can be read again.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(15) };

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A durable event; their numbers rise without a gap, unless `Missed` came before.
    Event(Arc<NumberedEvent>),
    /// The newest progress of a task.
    Progress(Arc<BackupProgress>),
    /// The events after this number and before the next one were missed: the subscriber was too slow, or
    /// asked for what is not kept any more. What is kept can be asked for again by number. Who asked from a number
    /// that no event has had yet knows another journal: he is told from the newest number on.
    Missed {
        /// The last number that was told, or asked from; less than that if it is of another journal.
        after: u64,
    },
}

impl std::fmt::Display for Told {
    /// One line for a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event(told) => write!(f, "{} {} {:?}", told.at.format("%F %T"), told.number, told.event),
            Self::Progress(told) => write!(f, "{} {}% {}", told.task, told.percent, told.message),
            Self::Missed { after } => write!(f, "events after {after} were missed"),
        }
    }
}

/// One subscriber's place. See the module.
pub struct Subscription {
    listening: Listening,
    /// The number told last; `None` before the first of a subscriber that asked for none.
    seen: Option<u64>,
    /// Events that were told to others and lost to this subscriber before its first.
    lost_before_first: u64,
    /// Set while older events are read from the journal.
    catching_up: Option<Journal>,
    /// Set while they cannot be read: when that is tried again, and how often it failed.
    again: Option<(Instant, u32)>,
    waiting: VecDeque<Arc<NumberedEvent>>,
    progress_ended: bool,
}

impl Subscription {
    /// From `after` on: what is in the journal first, then what comes.
    pub(crate) fn new(listening: Listening, after: Option<u64>, journal: Journal) -> Self {
        let catching_up = after.map(|_| journal);
        Self {
            listening,
            seen: after,
            lost_before_first: 0,
            catching_up,
            again: None,
            waiting: VecDeque::new(),
            progress_ended: false,
        }
    }

    /// What comes next; `None` once the system has shut down and all was told, except for what the journal does not
    /// give then. While it runs, older events that cannot be read are read again until they can be.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(event) = self.waiting.front() {
                let told = self.take_note(event.number);
                match told {
                    Note::Old => drop(self.waiting.pop_front()),
                    Note::Next => return self.waiting.pop_front().map(Told::Event),
                    Note::Gap(after) => return Some(Told::Missed { after }),
                }
                continue;
            }
            let has_ended = self.listening.events.is_closed();
            if let Some((at, _)) = self.again
                && !has_ended
                && Instant::now() < at
            {
                // Dropped and called again, this still ends at that instant; progress ends with the system.
                tokio::select! {
                    biased;
                    () = sleep_until(at) => {}
                    progress = self.listening.progress.recv(), if !self.progress_ended => {
                        if let Some(told) = self.progress(progress) {
                            return Some(told);
                        }
                    }
                }
                continue;
            }
            if self.catching_up.is_some() {
                if let Some(missed) = self.read_page().await {
                    return Some(missed);
                }
                if self.again.is_some() && has_ended {
                    return None;
                }
                continue;
            }
            tokio::select! {
                biased;
                event = self.listening.events.recv() => match event {
                    Ok(event) => self.waiting.push_back(event),
                    // The number of the next event shows the gap, unless it is the first.
                    Err(RecvError::Lagged(count)) if self.seen.is_none() => self.lost_before_first += count,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                progress = self.listening.progress.recv(), if !self.progress_ended => {
                    if let Some(told) = self.progress(progress) {
                        return Some(told);
                    }
                }
            }
        }
    }

    fn progress(&mut self, received: Result<Arc<BackupProgress>, RecvError>) -> Option<Told> {
        match received {
            Ok(progress) => Some(Told::Progress(progress)),
            // Only the newest values count.
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => {
                self.progress_ended = true;
                None
            }
        }
    }

    /// The same as a stream.
    pub fn stream(self) -> impl futures::Stream<Item = Told> {
        futures::stream::unfold(self, |mut subscription| async move {
            subscription.next().await.map(|told| (told, subscription))
        })
    }

    fn take_note(&mut self, number: u64) -> Note {
        let lost = std::mem::take(&mut self.lost_before_first);
        if lost > 0 {
            self.seen = Some(number.saturating_sub(lost + 1));
        }
        match self.seen {
            Some(seen) if number <= seen => Note::Old,
            Some(seen) if number > seen + 1 => {
                self.seen = Some(number - 1);
                Note::Gap(seen)
            }
            _ => {
                self.seen = Some(number);
                Note::Next
            }
        }
    }

    /// Reads on in the journal; what is missed, if the number it was to read from is of another journal.
    async fn read_page(&mut self) -> Option<Told> {
        let journal = self.catching_up.clone()?;
        let after = self.seen.unwrap_or(0);
        let read = tokio::task::spawn_blocking(move || {
            let page = journal.events(after, PAGE)?;
            let newest = if page.events.is_empty() { journal.newest_event()? } else { after };
            Ok::<_, JournalError>((page.events, newest))
        });
        let read = read.await.map_err(|error| error.to_string());
        match read.and_then(|read| read.map_err(|error| error.to_string())) {
            Ok((events, newest)) => {
                self.again = None;
                if newest < after {
                    // Else nothing would be told until the numbers are as high as that.
                    self.seen = Some(newest);
                    return Some(Told::Missed { after: newest });
                }
                // What is live follows on what was read.
                if events.is_empty() {
                    self.catching_up = None;
                }
                self.waiting.extend(events.into_iter().map(Arc::new));
            }
            Err(why) => {
                // Nobody is told of a gap that may be none.
                if self.again.is_none() {
                    tracing::warn!(%why, after, "older events cannot be read; it is tried again");
                }
                let failures = self.again.map_or(0, |(_, failures)| failures).saturating_add(1);
                self.again = Some((Instant::now() + AGAIN.delay(failures), failures));
            }
        }
        None
    }
}

/// Progress alone, for who has no use for events. Who is too slow loses the oldest values.
pub struct ProgressSubscription(pub(crate) Receiver<Arc<BackupProgress>>);

impl ProgressSubscription {
    /// The next value; `None` once the system has shut down.
    pub async fn next(&mut self) -> Option<Arc<BackupProgress>> {
        loop {
            match self.0.recv().await {
                Ok(progress) => return Some(progress),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

enum Note {
    /// It was told already.
    Old,
    /// It is the next one.
    Next,
    /// Some between this number and it were not told.
    Gap(u64),
}
