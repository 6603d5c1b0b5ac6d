//! Repositories that stay open for a while after a question, so that who browses does not wait for the key derivation
//! and the index at every click.
//!
//! Only the open repository stays: the lock goes with each question, so that nobody outside is kept from pruning, and
//! a paused backup is not taken for one that works. They are the [`Repositories`] of the jobs, too.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::query::known_snapshots::KnownSnapshots;
use crate::query::reading::Reading;
use crate::repository::{Repositories, Repository, RepositoryAddress};

/// How long a repository stays open after the last question: longer than a person looks at one folder.
pub const KEPT_FOR: Duration = Duration::from_secs(60);
/// Repositories kept at once; the one that was asked longest ago goes first. An index takes some 60 bytes for each
/// blob: for a repository of 1 TiB some 100 MiB.
pub const KEPT_MAX: usize = 4;

/// See the module. Dropped, it closes all that nobody reads in.
pub struct KeptOpen {
    shared: Arc<Shared>,
    kept_for: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is nothing to be kept any more.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    kept: Vec<Arc<KeptRepository>>,
    closer_runs: bool,
    is_over: bool,
}

/// A repository that is open.
pub(super) struct KeptRepository {
    address: RepositoryAddress,
    pub(super) repository: Arc<Repository>,
    pub(super) snapshots: KnownSnapshots,
    /// When the loading of its index began that was the last to succeed.
    pub(super) index_loaded: Mutex<Option<Instant>>,
    used: Mutex<Instant>,
}

impl KeptRepository {
    /// It is asked now.
    pub(super) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    fn is_at(&self, address: &RepositoryAddress) -> bool {
        // Another password, too, is another address: whoever reads it is asked.
        Arc::ptr_eq(&self.address.password, &address.password)
            && self.address.location.to_string() == address.location.to_string()
            && self.address.settings.reaches_the_same_as(&address.settings)
    }
}

impl Default for KeptOpen {
    fn default() -> Self {
        Self::for_so_long(KEPT_FOR)
    }
}

impl KeptOpen {
    /// Keeps each repository for `kept_for` after its last question.
    pub fn for_so_long(kept_for: Duration) -> Self {
        Self { shared: Arc::default(), kept_for }
    }

    /// Begins to read in the repository at `address`: the one that is kept, else it is opened among `repositories`.
    /// Takes the repository's lock, or shares that of the jobs; goes without one where none can be written.
    ///
    /// # Errors
    /// As [`Repositories::open`]; [`Error::Locked`] if another process has the repository for itself;
    /// [`Error::Cancelled`].
    pub fn begin(
        &self,
        repositories: &Repositories,
        address: &RepositoryAddress,
        control: &Control,
    ) -> Result<Reading> {
        control.checkpoint()?;
        let found = self.shared.state.lock().kept.iter().find(|kept| kept.is_at(address)).cloned();
        let kept = match found {
            Some(kept) => kept,
            None => self.keep(address, repositories.open(address)?)?,
        };
        kept.touch();
        let session = match kept.repository.begin(false, control) {
            Err(error) if error.is_unwritable() => {
                tracing::debug!(%error, "reading without a lock");
                kept.repository.begin_unlocked()
            }
            session => session?,
        };
        Ok(Reading::new(kept, session, control.clone()))
    }

    fn keep(&self, address: &RepositoryAddress, repository: Arc<Repository>) -> Result<Arc<KeptRepository>> {
        let mut state = self.shared.state.lock();
        // Somebody may have asked for the same one meanwhile.
        if let Some(kept) = state.kept.iter().find(|kept| kept.is_at(address)) {
            return Ok(kept.clone());
        }
        if state.kept.len() >= KEPT_MAX
            && let Some(oldest) = (0..state.kept.len()).min_by_key(|place| *state.kept[*place].used.lock())
        {
            state.kept.swap_remove(oldest);
        }
        let kept = Arc::new(KeptRepository {
            address: address.clone(),
            repository,
            snapshots: KnownSnapshots::default(),
            index_loaded: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        state.kept.push(kept.clone());
        if !state.closer_runs {
            let (shared, kept_for) = (Arc::downgrade(&self.shared), self.kept_for);
            let thread = std::thread::Builder::new().name("keepwell-closer".into());
            let began = thread.spawn(move || close_in_time(&shared, kept_for));
            began.map_err(|error| Error::Crashed(format!("no thread for closing repositories: {error}")))?;
            state.closer_runs = true;
        }
        Ok(kept)
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_over = true;
        state.kept.clear();
        self.shared.ended.notify_all();
    }
}

/// Closes what was not asked for `kept_for`, until nothing is kept.
fn close_in_time(shared: &Weak<Shared>, kept_for: Duration) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let mut state = shared.state.lock();
        let now = Instant::now();
        // One that is being read in has another user.
        state.kept.retain(|kept| Arc::strong_count(kept) > 1 || *kept.used.lock() + kept_for > now);
        if state.kept.is_empty() || state.is_over {
            state.closer_runs = false;
            return;
        }
        let next = state.kept.iter().map(|kept| *kept.used.lock() + kept_for).min().unwrap_or(now);
        // One that is being read in for long may be over its time: it is looked at again after as long.
        let until = if next > now { next } else { now + kept_for };
        shared.ended.wait_until(&mut state, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{PASSWORD, Sample};
    use crate::repository::{InitOptions, RepositoryOptions};
    use crate::store::{Location, StoreSettings};

    fn address(location: &Location, password: &'static str) -> RepositoryAddress {
        let password = Arc::new(move || Ok(password.into()));
        RepositoryAddress { location: location.clone(), settings: StoreSettings::default(), password }
    }

    fn place(name: &str) -> Location {
        let location = Location::parse(&format!("memory://kept-{name}"), std::path::Path::new("/")).unwrap();
        drop(Sample::at(&location, &InitOptions::default()));
        location
    }

    #[test]
    fn a_repository_is_opened_once_and_closed_in_time_and_not_while_it_is_read_in() {
        let repositories = Repositories::new(RepositoryOptions::default());
        let kept = KeptOpen::for_so_long(Duration::from_millis(300));
        let (address, control) = (address(&place("once"), PASSWORD), Control::new());
        let first = kept.begin(&repositories, &address, &control).unwrap();
        let open = Arc::downgrade(first.repository());
        drop(first);
        let second = kept.begin(&repositories, &address, &control).unwrap();
        assert!(Arc::ptr_eq(&open.upgrade().unwrap(), second.repository()), "the same is open still");
        std::thread::sleep(Duration::from_millis(700));
        assert!(open.strong_count() > 0, "it is read in");
        drop(second);
        let patience = Instant::now() + Duration::from_secs(20);
        while open.strong_count() > 0 {
            assert!(Instant::now() < patience, "it is kept for ever");
            std::thread::sleep(Duration::from_millis(10));
        }
        let third = kept.begin(&repositories, &address, &control).unwrap();
        let open = Arc::downgrade(third.repository());
        drop(third);
        drop(kept);
        assert_eq!(open.strong_count(), 0);
    }

    #[test]
    fn who_does_not_know_the_password_gets_nothing_and_a_few_are_kept() {
        let repositories = Repositories::new(RepositoryOptions::default());
        let (kept, control) = (KeptOpen::default(), Control::new());
        let places: Vec<Location> = (0..=KEPT_MAX).map(|number| place(&format!("few-{number}"))).collect();
        let right: Vec<_> = places.iter().map(|place| address(place, PASSWORD)).collect();
        for address in &right {
            kept.begin(&repositories, address, &control).unwrap();
        }
        assert_eq!(kept.shared.state.lock().kept.len(), KEPT_MAX);
        let wrong = kept.begin(&repositories, &address(&places[KEPT_MAX], "wrong"), &control).map(drop);
        assert!(matches!(wrong, Err(Error::WrongPassword { .. })), "{wrong:?}");
        let cancelled = Control::new();
        cancelled.cancel();
        let outcome = kept.begin(&repositories, &right[0], &cancelled).map(drop);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    }
}
