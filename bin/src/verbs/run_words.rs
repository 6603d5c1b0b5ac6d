//! What `run` says of its task: a bar on a terminal, lines of JSON for programs, and the summary.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, Utc};
use indicatif::ProgressBar;
use keepwell_messages::{
    BackedUp, BackupProgress, Event, ItemId, NumberedEvent, PendingReason, Retry, Task, TaskId,
};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;
use crate::progress::measured_style;
use crate::quantities::{shown_bytes, shown_duration};

/// See the module. Dropped, it takes its bar away.
pub struct RunWords {
    output: Arc<Output>,
    item: ItemId,
    bar: RefCell<Option<ProgressBar>>,
    started: Instant,
}

/// What the task did, in restic's words where it has them.
#[derive(Serialize)]
struct Summary<'a> {
    item: &'a ItemId,
    task: TaskId,
    attempts: u32,
    total_files_processed: u64,
    total_bytes_processed: u64,
    data_added: u64,
    data_added_packed: u64,
    /// In seconds.
    total_duration: f64,
    snapshot_id: &'a str,
    error_count: u64,
}

impl RunWords {
    /// Of a task of this item.
    pub fn new(output: &Arc<Output>, item: ItemId) -> Self {
        let bar = output.wants_bar().then(|| {
            let bar = ProgressBar::new(100);
            bar.set_style(measured_style());
            output.show_bar(Some(bar.clone()));
            bar
        });
        Self { output: output.clone(), item, bar: RefCell::new(bar), started: Instant::now() }
    }

    /// Time since it began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
            self.output.show_bar(None);
        }
    }

    /// Something durable happened.
    pub fn event(&self, event: &NumberedEvent, task: TaskId) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(self.output.message("event", event)?);
        }
        match &event.event {
            Event::TaskRetry(told) if told.task == task => self.tell_retry(&told.retry),
            Event::TaskQueued(told)
                if told.task == task && told.reason == PendingReason::WaitingForNetwork =>
            {
                self.output.notice("waiting until the repository can be reached");
            }
            _ => {}
        }
        Ok(())
    }

    /// Why a task that was found does not run yet.
    pub fn tell_pending(&self, task: &Task) {
        if let Some(PendingReason::Retry(retry)) = &task.pending {
            self.tell_retry(retry);
        }
    }

    fn tell_retry(&self, retry: &Retry) {
        let Retry { attempt, attempts_max, at, why, .. } = retry;
        let failed = attempt.saturating_sub(1);
        let wait = (*at - Utc::now()).to_std().unwrap_or_default();
        self.output.notice(&format!(
            "attempt {failed} of {attempts_max} failed: {why}; the next begins at {} (in {})",
            civil(*at),
            shown_duration(wait)
        ));
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_message(format!("waiting for attempt {attempt} at {}", civil(*at)));
        }
    }

    /// How far it is.
    pub fn progress(&self, progress: &BackupProgress, task: TaskId) -> Result<(), Failure> {
        if self.output.wants_status() {
            return Ok(self.output.message("backup_progress", progress)?);
        }
        if let Some(bar) = self.bar.borrow().as_ref().filter(|_| progress.task == task) {
            bar.set_position(progress.percent.into());
            bar.set_message(progress.message.clone());
        }
        Ok(())
    }

    /// What it came to.
    pub fn tell_summary(
        &self,
        task: TaskId,
        attempts: u32,
        backed_up: &BackedUp,
        elapsed: Duration,
    ) -> Result<(), Failure> {
        let BackedUp { snapshot, files, bytes, bytes_new, bytes_stored, errors } = backed_up;
        if self.output.is_json() {
            let summary = Summary {
                item: &self.item,
                task,
                attempts,
                total_files_processed: *files,
                total_bytes_processed: *bytes,
                data_added: *bytes_new,
                data_added_packed: *bytes_stored,
                total_duration: elapsed.as_secs_f64(),
                snapshot_id: snapshot,
                error_count: *errors,
            };
            return Ok(self.output.message("summary", &summary)?);
        }
        let (added, stored) = (shown_bytes(*bytes_new), shown_bytes(*bytes_stored));
        self.output.remark(&format!("Added: {added} ({stored} stored)"))?;
        let (bytes, time) = (shown_bytes(*bytes), shown_duration(elapsed));
        let tries = if attempts > 1 { format!(", {attempts} attempts") } else { String::new() };
        self.output.remark(&format!("processed {files} files, {bytes} in {time}{tries}"))?;
        let short = snapshot.get(..8).unwrap_or(snapshot);
        Ok(self.output.remark(&format!("snapshot {short} of {} saved", self.item))?)
    }
}

impl Drop for RunWords {
    fn drop(&mut self) {
        self.end();
    }
}

fn civil(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}
