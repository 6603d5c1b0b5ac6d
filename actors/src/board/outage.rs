//! A destination that cannot be reached: one task looks for all.
//!
//! The first task that fails for the network becomes the probe: it goes on with its ordinary
//! retries. All others for that destination wait without spending any, until the probe reaches
//! it. A probe that gives up hands on to the next.

use std::collections::HashMap;

use keepwell_messages::{PendingReason, TaskId};

use super::{Board, Decision};

/// Destinations that cannot be reached, and who looks.
#[derive(Default)]
pub(super) struct Outages {
    probes: HashMap<String, TaskId>,
}

impl Outages {
    /// Whether a destination is known to be out of reach.
    pub(super) fn is_out(&self, repository: &str) -> bool {
        self.probes.contains_key(repository)
    }

    /// Whether `id` is the one that looks.
    pub(super) fn is_probe(&self, repository: &str, id: TaskId) -> bool {
        self.probes.get(repository) == Some(&id)
    }

    /// Notes a network failure of `id`; true if another task looks already.
    pub(super) fn note_failure(&mut self, repository: &str, id: TaskId) -> bool {
        *self.probes.entry(repository.to_owned()).or_insert(id) != id
    }
}

impl Board {
    /// The destination was reached: whoever waits for it may go on.
    pub(super) fn end_outage(&mut self, repository: &str, decision: &mut Decision) {
        if self.outages.probes.remove(repository).is_none() {
            return;
        }
        for id in self.waiting_for(repository) {
            self.wait(id, PendingReason::Queued, decision);
        }
    }

    /// If `id` was the probe and can be it no more, the next one that waits looks at once.
    pub(super) fn hand_probe_on(&mut self, id: TaskId, repository: &str, decision: &mut Decision) {
        if !self.outages.is_probe(repository, id) {
            return;
        }
        match self.waiting_for(repository).into_iter().find(|next| *next != id) {
            Some(next) => {
                self.outages.probes.insert(repository.to_owned(), next);
                self.wait(next, PendingReason::Queued, decision);
            }
            None => drop(self.outages.probes.remove(repository)),
        }
    }

    /// In the order of their turns.
    fn waiting_for(&self, repository: &str) -> Vec<TaskId> {
        let waits = |entry: &&super::BoardTask| {
            entry.repository == repository && entry.task.pending == Some(PendingReason::WaitingForNetwork)
        };
        let mut waiting: Vec<_> =
            self.tasks.values().filter(waits).map(|entry| (entry.turn, entry.task.id)).collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, id)| id).collect()
    }
}
