//! What is shown while a job runs: a bar on a terminal, status lines in JSON, or
//! nothing; and every entry that cannot be read, always.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_messages::{Progress, Stage};
use serde::Serialize;

use crate::output::Output;
use crate::quantities::{shown_bytes, shown_duration};

/// Shows one job. Dropped, it takes its bar away.
pub struct Watch {
    output: Arc<Output>,
    bar: Option<ProgressBar>,
    during: &'static str,
    wants_totals: bool,
    started: Instant,
}

/// A job's counters, in restic's words where it has them.
#[derive(Serialize)]
struct Status {
    seconds_elapsed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_remaining: Option<u64>,
    /// Absent until the total is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent_done: Option<f64>,
    stage: Stage,
    total_files: u64,
    files_done: u64,
    total_bytes: u64,
    bytes_done: u64,
    bytes_new: u64,
    bytes_stored: u64,
    bytes_per_second: u64,
    error_count: u64,
}

#[derive(Serialize)]
struct NotStored<'a> {
    item: &'a str,
    message: &'a str,
}

impl Watch {
    /// Watches a job; `during` is what restic's error lines call it: `archival`, `restore`, `check`.
    pub fn new(output: &Arc<Output>, during: &'static str) -> Self {
        let bar = output.wants_bar().then(|| {
            let bar = ProgressBar::no_length();
            bar.set_style(plain_style());
            output.show_bar(Some(bar.clone()));
            bar
        });
        Self {
            output: output.clone(),
            wants_totals: bar.is_some() && during == "archival",
            bar,
            during,
            started: Instant::now(),
        }
    }

    /// Time since the job began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn move_bar(&self, bar: &ProgressBar, progress: &Progress) {
        let totals = progress.totals_final && progress.bytes_total > 0;
        if totals && bar.length().is_none() {
            bar.set_style(measured_style());
        }
        if totals {
            bar.set_length(progress.bytes_total);
        }
        bar.set_position(progress.bytes_done);
        bar.set_message(bar_text(progress, self.elapsed()));
    }
}

impl ReportSink for Watch {
    fn progress(&self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            self.move_bar(bar, progress);
        } else if self.output.wants_status() {
            // A reader that went away does not end a job.
            let _ = self.output.message("status", &Status::new(progress, self.elapsed()));
        }
    }

    fn problem(&self, problem: &Problem) {
        tell_problem(&self.output, self.during, problem);
    }

    fn wants_totals(&self) -> bool {
        self.wants_totals
    }
}

/// Names an entry that could not be read or written, or is not stored; `during` is what restic calls the work.
pub fn tell_problem(output: &Output, during: &str, problem: &Problem) {
    if problem.is_error {
        output.item_error(during, &problem.path, &problem.why);
    } else if output.is_json() {
        output.error_message("not_stored", &NotStored { item: &problem.path, message: &problem.why });
    } else {
        output.notice(&format!("not stored: {}: {}", problem.path, problem.why));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.output.show_bar(None);
        }
    }
}

impl Status {
    fn new(progress: &Progress, elapsed: Duration) -> Self {
        let total = progress.bytes_total;
        let known = progress.totals_final && total > 0;
        Self {
            seconds_elapsed: elapsed.as_secs(),
            seconds_remaining: progress.seconds_left,
            percent_done: known.then(|| progress.bytes_done as f64 / total as f64),
            stage: progress.stage,
            total_files: progress.files_total,
            files_done: progress.files_done,
            total_bytes: total,
            bytes_done: progress.bytes_done,
            bytes_new: progress.bytes_new,
            bytes_stored: progress.bytes_stored,
            bytes_per_second: progress.bytes_per_second,
            error_count: progress.errors,
        }
    }
}

fn plain_style() -> ProgressStyle {
    style("{spinner} {wide_msg}")
}

/// For a bar whose length is known.
pub fn measured_style() -> ProgressStyle {
    style("[{bar:20}] {percent:>3}% {wide_msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn bar_text(progress: &Progress, elapsed: Duration) -> String {
    let stage = match progress.stage {
        Stage::Preparing => "preparing",
        Stage::Compressing => "reading",
        Stage::Uploading => "uploading",
        Stage::Restoring => "restoring",
        Stage::Verifying => "verifying",
    };
    let things = if progress.stage == Stage::Verifying { "objects" } else { "files" };
    let mut text = format!(
        "{} {stage}: {} {things}, {}, {}/s",
        shown_duration(elapsed),
        progress.files_done,
        shown_bytes(progress.bytes_done),
        shown_bytes(progress.bytes_per_second),
    );
    if let Some(left) = progress.seconds_left {
        text.push_str(&format!(", {} left", shown_duration(Duration::from_secs(left))));
    }
    if progress.errors > 0 {
        text.push_str(&format!(", {} errors", progress.errors));
    }
    text
}
