//! How a child came to its end, and the text of a panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

/// The longest text of a panic or a failed start that is kept: enough for what an assertion prints, and
/// little enough for a journal and a log.
pub const DEATH_TEXT_BYTES_MAX: usize = 1000;

/// How a child came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Death {
    /// It stopped by itself: its context was stopped or terminated by its own code.
    #[error("it stopped")]
    Stopped,
    /// Its code panicked. The text is the panic's own, at most [`DEATH_TEXT_BYTES_MAX`] long, without the
    /// place in the source, which only the process's panic hook is told.
    #[error("it panicked: {0}")]
    Crashed(String),
    /// Its factory failed or panicked, for this reason; there never was a child.
    #[error("it could not be started: {0}")]
    NotStarted(String),
    /// It was dropped alive: killed by its guardian, or its arbiter stopped.
    #[error("it was killed")]
    Killed,
}

impl Death {
    pub(super) fn not_started(why: &str) -> Self {
        Self::NotStarted(bounded(why))
    }
}

/// Runs `code` and gives the text of its panic, if it panics.
///
/// For code whose state is dropped, and not looked at, after a panic: that is what makes it unwind safe.
pub(super) fn caught<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| text_of(payload.as_ref()))
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    bounded(text.unwrap_or("a panic without a text"))
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(DEATH_TEXT_BYTES_MAX)].to_owned()
}
