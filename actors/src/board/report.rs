//! What workers report: reached, sealed, ended, lost.

use chrono::{DateTime, Utc};
use keepwell_messages::{
    ErrorClass, Event, Failure, PendingReason, Retry, TaskEnd, TaskId, TaskRetry, TaskState,
};

use super::{Board, Decision, Generation};
use crate::retry::RetryDecision;
use crate::transition::Step;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Well.
    Done(TaskEnd),
    /// Not well. A worker that vanished has class [`ErrorClass::Crash`].
    Failed(Failure),
    /// Not well, and not for the repository's sake: its source failed, or the place of a restore. That says nothing
    /// of whether the repository can be reached.
    FailedElsewhere(Failure),
}

impl AttemptOutcome {
    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Done(_) => None,
            Self::Failed(failure) | Self::FailedElsewhere(failure) => Some(failure),
        }
    }
}

impl Board {
    /// A worker is no more: it told its end, or was found dead. Its slot is free; if its task still
    /// counts on it, the task ends or gets its next attempt.
    pub fn attempt_ended(
        &mut self,
        id: TaskId,
        generation: Generation,
        outcome: AttemptOutcome,
        now: DateTime<Utc>,
    ) -> Decision {
        self.decide(now, |board, decision| {
            if let Some(held) = board.winding_down.remove(&generation) {
                if let Some(slot) = held {
                    board.running.free(&slot);
                }
                return;
            }
            if !board.counts_on(id, generation) {
                return;
            }
            if let Some(entry) = board.tasks.get_mut(&id) {
                entry.worker = None;
                board.turns.remove(entry);
            }
            match outcome {
                AttemptOutcome::Done(end) => {
                    board.end_outage_of(id, decision);
                    board.end(id, end, now, decision);
                }
                AttemptOutcome::Failed(failure) => board.failed(id, failure, now, decision),
                AttemptOutcome::FailedElsewhere(failure) => board.try_again(id, failure, now, decision),
            }
        })
    }

    /// The worker has reached its destination.
    pub fn reached(&mut self, id: TaskId, generation: Generation, now: DateTime<Utc>) -> Decision {
        self.decide(now, |board, decision| {
            if board.counts_on(id, generation) {
                board.end_outage_of(id, decision);
            }
        })
    }

    /// The worker has sealed a snapshot and stores it once this is in the journal.
    /// `None` if nothing counts on this worker any more: then it must not store it.
    pub fn sealed(
        &mut self,
        id: TaskId,
        generation: Generation,
        snapshot: String,
        now: DateTime<Utc>,
    ) -> Option<Decision> {
        if !self.counts_on(id, generation) {
            return None;
        }
        Some(self.decide(now, |board, decision| {
            if let Some(entry) = board.tasks.get_mut(&id) {
                entry.sealed = Some(snapshot);
                decision.changed.insert(id);
            }
        }))
    }

    /// The clock was set back: retries wait from now on, not for the time that the clock showed before.
    pub fn clock_set_back(&mut self, now: DateTime<Utc>) -> Decision {
        let too_late: Vec<(TaskId, DateTime<Utc>)> = self
            .tasks
            .values()
            .filter_map(|entry| {
                let Some(PendingReason::Retry(retry)) = &entry.task.pending else { return None };
                let delay = self.retries.of(&entry.task.kind).delay_max();
                let delay = chrono::TimeDelta::from_std(delay).unwrap_or(chrono::TimeDelta::MAX);
                let at_most = now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
                (retry.at > at_most).then_some((entry.task.id, at_most))
            })
            .collect();
        self.decide(now, |board, decision| {
            for (id, at_most) in too_late {
                let Some(mut retry) = board.tasks.get(&id).and_then(|entry| entry.retry.clone()) else {
                    continue;
                };
                retry.at = at_most;
                if let Some(entry) = board.tasks.get_mut(&id) {
                    entry.retry = Some(retry.clone());
                }
                decision.events.push(Event::TaskRetry(TaskRetry { task: id, retry: retry.clone() }));
                board.wait(id, PendingReason::Retry(retry), decision);
            }
        })
    }

    pub(super) fn counts_on(&self, id: TaskId, generation: Generation) -> bool {
        self.tasks.get(&id).is_some_and(|entry| entry.worker == Some(generation))
    }

    fn end_outage_of(&mut self, id: TaskId, decision: &mut Decision) {
        if let Some(repository) = self.tasks.get(&id).map(|entry| entry.repository.clone()) {
            self.end_outage(&repository, decision);
        }
    }

    /// An attempt failed, for what is known of the repository's sake.
    pub(super) fn failed(
        &mut self,
        id: TaskId,
        failure: Failure,
        now: DateTime<Utc>,
        decision: &mut Decision,
    ) {
        let Some(repository) = self.tasks.get(&id).map(|entry| entry.repository.clone()) else { return };
        let answered = matches!(
            failure.class,
            ErrorClass::Server | ErrorClass::Repository | ErrorClass::Credentials | ErrorClass::Space
        );
        if answered {
            self.end_outage(&repository, decision);
        }
        if failure.class == ErrorClass::Network && self.outages.note_failure(&repository, id) {
            return self.wait_for_network(id, now, decision);
        }
        self.try_again(id, failure, now, decision);
    }

    /// Another attempt, or the end.
    fn try_again(&mut self, id: TaskId, failure: Failure, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(entry) = self.tasks.get(&id) else { return };
        let policy = self.retries.of(&entry.task.kind);
        match policy.decide(failure.class, entry.task.attempt) {
            RetryDecision::Retry { delay, attempt } => {
                let delay = chrono::TimeDelta::from_std(delay).unwrap_or(chrono::TimeDelta::MAX);
                let at = now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
                let attempts_max = policy.retries_max.saturating_add(1);
                let Failure { class, why } = failure;
                self.retry(id, Retry { attempt, attempts_max, at, class, why }, now, decision);
            }
            RetryDecision::GiveUp(_) => self.end(id, TaskEnd::Failed(failure), now, decision),
        }
    }

    fn retry(&mut self, id: TaskId, retry: Retry, now: DateTime<Utc>, decision: &mut Decision) {
        let is_paused = self.is_paused(id);
        if self.step(id, Step::Retry, now, decision).is_err() {
            return;
        }
        if let Some(entry) = self.tasks.get_mut(&id) {
            entry.retry = Some(retry.clone());
        }
        decision.events.push(Event::TaskRetry(TaskRetry { task: id, retry: retry.clone() }));
        // Who paused it did not ask for a new attempt: that begins when the task is resumed.
        let reason = if is_paused { PendingReason::Paused } else { PendingReason::Retry(retry) };
        self.wait(id, reason, decision);
        if is_paused {
            let repository = self.tasks.get(&id).map(|entry| entry.repository.clone());
            self.hand_probe_on(id, &repository.unwrap_or_default(), decision);
        }
    }

    /// Another task looks for the network; this one's attempt does not count.
    fn wait_for_network(&mut self, id: TaskId, now: DateTime<Utc>, decision: &mut Decision) {
        let is_paused = self.is_paused(id);
        if self.step(id, Step::Retry, now, decision).is_err() {
            return;
        }
        if let Some(entry) = self.tasks.get_mut(&id) {
            entry.task.attempt = entry.task.attempt.saturating_sub(1);
        }
        let reason = if is_paused { PendingReason::Paused } else { PendingReason::WaitingForNetwork };
        self.wait(id, reason, decision);
    }

    fn is_paused(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|entry| entry.task.state == TaskState::Paused)
    }
}
