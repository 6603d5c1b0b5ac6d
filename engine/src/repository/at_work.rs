//! Whether anybody works on a repository right now. While every session is paused, its store is too.
//!
//! Sessions share packs and connections, so a single paused one stops at its own checkpoints only. Whoever uses
//! the store outside a session visits it meanwhile: it must not wait for the end of a pause that is not its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::control::{Control, Watch};
use crate::store::Store;

/// The sessions of a repository, and visitors.
pub(super) struct AtWork {
    store: Store,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    next: u64,
    sessions: BTreeMap<u64, Control>,
    visitors: usize,
}

impl Users {
    fn are_all_paused(&self) -> bool {
        self.visitors == 0 && !self.sessions.is_empty() && self.sessions.values().all(Control::is_paused)
    }
}

impl AtWork {
    /// Nobody yet.
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, users: Mutex::default() })
    }

    /// A session is here, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>, control: &Control) -> Presence {
        let number = {
            let mut users = self.users.lock();
            users.next += 1;
            let number = users.next;
            users.sessions.insert(number, control.clone());
            number
        };
        let told = Arc::clone(self);
        let watch = control.watch(move || told.look());
        self.look();
        Presence { at_work: Arc::clone(self), number, _watch: watch }
    }

    /// Somebody without a session uses the store, until what is returned is dropped.
    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        self.users.lock().visitors += 1;
        self.look();
        Visit(Arc::clone(self))
    }

    fn look(&self) {
        // Told under the lock, so that of two changes the later one holds.
        let users = self.users.lock();
        self.store.set_paused(users.are_all_paused());
    }
}

/// A session's being there.
pub(super) struct Presence {
    at_work: Arc<AtWork>,
    number: u64,
    _watch: Watch,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.at_work.users.lock().sessions.remove(&self.number);
        self.at_work.look();
    }
}

/// A visitor's being there.
pub(super) struct Visit(Arc<AtWork>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.users.lock().visitors -= 1;
        self.0.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, StoreSettings};

    #[test]
    fn the_store_is_paused_while_every_session_is_and_nobody_visits() {
        let location = Location::parse("memory://at-work", std::path::Path::new("/")).unwrap();
        let store = Store::open(&location, &StoreSettings::default()).unwrap();
        let at_work = AtWork::new(store.clone());
        let (one, two) = (Control::new(), Control::new());
        let first = at_work.enter(&one);
        assert!(!store.is_paused());
        one.pause();
        assert!(store.is_paused());
        let second = at_work.enter(&two);
        assert!(!store.is_paused(), "one works");
        two.pause();
        assert!(store.is_paused());
        let visit = at_work.visit();
        assert!(!store.is_paused(), "a visitor is no part of the pause");
        drop(visit);
        assert!(store.is_paused());
        one.cancel();
        assert!(!store.is_paused(), "whoever is cancelled goes on to its end");
        drop(first);
        assert!(store.is_paused());
        drop(second);
        assert!(!store.is_paused(), "nobody is there");
        two.resume();
        two.pause();
        assert!(!store.is_paused(), "who has gone does not count");
    }
}
