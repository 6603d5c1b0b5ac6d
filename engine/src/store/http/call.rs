//! What one call of the store tells the connector, and what the connector tells it.
//!
//! The store's crate between the two passes nothing through, so it goes beside it: in a task-local value, which
//! holds because that crate makes its requests in the task that called it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::answer::Answer;
use super::retry::{Decision, Effort, RetryLimits};

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// Answers of which no call says how large they may be: pages of a listing, tokens, error documents. A page has
/// 1,000 entries, 5,000 at Azure; a WebDAV folder may have more.
pub(in crate::store) const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// One call, which may take several requests, one after the other.
#[derive(Debug)]
pub(in crate::store) struct Call {
    /// Answers up to this size are read whole before they are handed on, so that one that breaks off is asked for
    /// again.
    pub(super) whole_bytes_max: u64,
    /// Whether it waits neither for the pace nor for the end of a pause.
    pub(super) is_urgent: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    effort: Effort,
    answer: Option<Box<Answer>>,
}

impl Call {
    /// A call that expects answers of at most `whole_bytes_max`.
    pub(in crate::store) fn new(whole_bytes_max: u64, is_urgent: bool) -> Arc<Self> {
        Arc::new(Self { whole_bytes_max, is_urgent, state: Mutex::default() })
    }

    /// Runs `work` as part of this call.
    pub(in crate::store) async fn run<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        CALL.scope(Arc::clone(self), work).await
    }

    /// The call that runs.
    pub(super) fn current() -> Arc<Self> {
        CALL.try_with(Arc::clone).unwrap_or_else(|_| Self::new(ANSWER_BYTES_MAX, false))
    }

    /// The refusal that the last request came to, if it was refused.
    pub(in crate::store) fn take_answer(&self) -> Option<Box<Answer>> {
        self.state.lock().answer.take()
    }

    /// The last request was answered with yes, or with a no that will stay.
    pub(super) fn settled(&self, refusal: Option<Box<Answer>>) {
        *self.state.lock() = State { effort: Effort::default(), answer: refusal };
    }

    /// The last request failed after `took`, and may succeed another time: what follows.
    pub(super) fn failed(
        &self,
        took: Duration,
        limits: RetryLimits,
        asked: Option<Duration>,
        random: f64,
    ) -> Decision {
        let mut state = self.state.lock();
        state.effort.failed(took);
        state.effort.decide(limits, asked, random)
    }

    /// Notes a wait between two tries.
    pub(super) fn waited(&self, wait: Duration) {
        self.state.lock().effort.waited(wait);
    }

    /// How many tries the request has had.
    pub(super) fn tries(&self) -> usize {
        self.state.lock().effort.tries()
    }
}
