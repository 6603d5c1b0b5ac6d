//! Events for one listener without a gap: one that is too slow for the hub reads what it missed from the journal,
//! and only what the journal does not keep any more is told as missed.

use keepwell_actors::{Handle, Subscription, Told};

/// One listener's place.
pub struct Listening {
    handle: Handle,
    subscription: Subscription,
    /// The number that it caught up from last: a gap right behind it is not kept, and one before it is another journal's.
    caught_up_from: Option<u64>,
}

impl Listening {
    /// From number `after` on; from now on if it is `None`. `None` once the system has shut down.
    pub fn new(handle: &Handle, after: Option<u64>) -> Option<Self> {
        let subscription = handle.subscribe(after)?;
        Some(Self { handle: handle.clone(), subscription, caught_up_from: after })
    }

    /// What comes next; `None` once the system has shut down and all was told.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            match self.subscription.next().await? {
                Told::Missed { after } if self.caught_up_from.is_none_or(|from| from < after) => {
                    self.caught_up_from = Some(after);
                    self.subscription = self.handle.subscribe(Some(after))?;
                }
                told => return Some(told),
            }
        }
    }
}
