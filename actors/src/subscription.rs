//! What a subscriber reads: durable events from any number that is still kept, and progress as it comes.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use keepwell_messages::{BackupProgress, NumberedEvent};
use tokio::sync::broadcast::error::RecvError;

use crate::hub::Listening;
use crate::journal::{Journal, JournalError};

/// Events read from the journal at once while a subscriber catches up.
const PAGE: u32 = 256;

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
            waiting: VecDeque::new(),
            progress_ended: false,
        }
    }

    /// What comes next; `None` once the system has shut down and all was told.
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
            if self.catching_up.is_some() {
                match self.read_page().await {
                    Some(missed) => return Some(missed),
                    None => continue,
                }
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
                progress = self.listening.progress.recv(), if !self.progress_ended => match progress {
                    Ok(progress) => return Some(Told::Progress(progress)),
                    // Only the newest values count.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => self.progress_ended = true,
                },
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
        let page = tokio::task::spawn_blocking(move || {
            let page = journal.events(after, PAGE)?;
            let newest = if page.events.is_empty() { journal.newest_event()? } else { after };
            Ok::<_, JournalError>((page, newest))
        });
        match page.await {
            Ok(Ok((page, _))) if !page.events.is_empty() => {
                self.waiting.extend(page.events.into_iter().map(Arc::new));
            }
            // Else nothing would be told until the numbers are as high as that.
            Ok(Ok((_, newest))) if newest < after => {
                self.seen = Some(newest);
                return Some(Told::Missed { after: newest });
            }
            // What is live follows on what was read; if reading failed, the gap is told.
            Ok(Ok(_)) => self.catching_up = None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "older events cannot be read");
                self.catching_up = None;
            }
            Err(_) => self.catching_up = None,
        }
        None
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
