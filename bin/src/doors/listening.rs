//! Events for one listener without a gap: one that is too slow for the hub reads what it missed from the journal,
//! and only what the journal does not keep any more is told as missed.

use std::time::Duration;

use keepwell_actors::{AskError, Handle, Subscription, Told};
use keepwell_messages::{GetEvents, Refusal};
use tokio::time::{Instant, sleep_until};

use super::BackOff;

/// The first wait before the journal is asked again about a gap.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
/// The longest: a stop waits as long for who waits in it.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// One listener's place.
pub struct Listening {
    handle: Handle,
    subscription: Subscription,
    /// The number that it began from; what is missed before it is of another journal.
    from: Option<u64>,
    gap: Option<Gap>,
}

/// Events that were not told, kept or not.
struct Gap {
    after: u64,
    /// The journal is asked then.
    ask_at: Instant,
    waits: BackOff,
    /// Whether the log has it already that it cannot be asked.
    is_told_of: bool,
}

impl Listening {
    /// From number `after` on; from now on if it is `None`. `None` once the system has shut down.
    pub fn new(handle: &Handle, after: Option<u64>) -> Option<Self> {
        let subscription = handle.subscribe(after)?;
        Some(Self { handle: handle.clone(), subscription, from: after, gap: None })
    }

    /// What comes next; `None` once the system has shut down. What was not told by then for want of a journal that
    /// can be read is told to who asks by number after the next start.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(gap) = &mut self.gap {
                // Dropped and called again, this goes on where it was.
                sleep_until(gap.ask_at).await;
                match self.handle.ask(GetEvents { after: gap.after, limit: 1 }).await {
                    Ok(page) => {
                        let after = gap.after;
                        self.gap = None;
                        if page.events.first().is_none_or(|event| event.number != after + 1) {
                            return Some(Told::Missed { after });
                        }
                        self.subscription = self.handle.subscribe(Some(after))?;
                    }
                    Err(AskError::Refused(Refusal::ShuttingDown)) => return None,
                    Err(error) => {
                        if !gap.is_told_of {
                            tracing::warn!(%error, after = gap.after, "events cannot be read; it is tried again");
                        }
                        gap.is_told_of = true;
                        gap.ask_at = Instant::now() + gap.waits.next();
                    }
                }
                continue;
            }
            match self.subscription.next().await? {
                Told::Missed { after } if self.from.is_some_and(|from| after < from) => {
                    self.from = Some(after);
                    return Some(Told::Missed { after });
                }
                Told::Missed { after } => {
                    let waits = BackOff::new(AGAIN_FIRST, AGAIN_MAX);
                    self.gap = Some(Gap { after, ask_at: Instant::now(), waits, is_told_of: false });
                }
                told => return Some(told),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keepwell_actors::runner::{Attempt, Runner};
    use keepwell_actors::{EVENTS_BEHIND_MAX, Keepwell, Reconfiguration, Settings};
    use keepwell_engine::control::Control;
    use keepwell_engine::error::Error;
    use keepwell_engine::job::{JobOutcome, JobSink};
    use keepwell_messages::{FilesItem, Item, ItemSource, TaskKind};
    use tokio::time::timeout;

    use super::*;

    struct Nothing;

    impl Runner for Nothing {
        fn accepts(&self, _: &TaskKind, _: Option<&Item>) -> Result<(), String> {
            Ok(())
        }

        fn start(&self, _: Attempt, _: Control, sink: Arc<dyn JobSink>) {
            sink.ended(JobOutcome::Failed(Error::Invalid("nothing is done here".into())));
        }
    }

    fn items(count: usize) -> Vec<Item> {
        let source = ItemSource::Files(FilesItem { paths: vec!["/data".into()], excludes: Vec::new() });
        let item = |number: usize| Item {
            id: format!("item{number}").as_str().into(),
            source: source.clone(),
            repository: "none".into(),
            schedule: None,
            enabled: true,
            tags: Vec::new(),
        };
        (0..count).map(item).collect()
    }

    #[test]
    fn what_came_too_fast_is_read_from_the_journal_also_right_behind_the_number_it_began_from() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new(folder.path(), Arc::new(Nothing));
        actix_rt::System::new().block_on(async {
            let handle = Keepwell::start(settings.clone()).await.unwrap();
            let mut listening = Listening::new(&handle, Some(0)).unwrap();
            // It reads that there is nothing yet, and waits.
            assert!(timeout(Duration::from_millis(300), listening.next()).await.is_err());
            let count = EVENTS_BEHIND_MAX + 100;
            let new = Reconfiguration { items: items(count), ..Reconfiguration::from(&settings) };
            handle.reconfigure(new).await.unwrap();
            for expected in 1..=count as u64 {
                match listening.next().await {
                    Some(Told::Event(event)) => assert_eq!(event.number, expected),
                    other => panic!("event {expected} was expected, not {other:?}"),
                }
            }
            handle.shutdown().await;
            assert_eq!(listening.next().await, None);
        });
    }
}
