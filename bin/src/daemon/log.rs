//! The daemon's log: lines on standard error with time, level and fields, as text or as JSON.
//!
//! Every durable event is one line, so that what happened can be read there without the journal.

use std::io;

use keepwell_actors::Told;
use keepwell_messages::{BackedUp, Event, NumberedEvent, Restored, TaskEnd, TaskKind};
use tracing::{info, warn};
use tracing_subscriber::filter::EnvFilter;

use crate::configuration::LogFormat;
use crate::doors::Listening;

/// Starts logging, more of it with each `verbose`.
pub fn start(format: LogFormat, verbose: u8, quiet: bool) {
    let filter = match (quiet, verbose) {
        (true, _) => "warn",
        (false, 0) => "warn,keepwell=info,keepwell_actors=info,keepwell_engine=info",
        (false, 1) => "info,keepwell=debug,keepwell_actors=debug,keepwell_engine=debug",
        (false, _) => "debug",
    };
    let logger = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    // Only fails if one is installed already, which happens once in a process.
    let _ = match format {
        LogFormat::Text => logger.with_ansi(false).try_init(),
        LogFormat::Json => logger.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// Writes down what happens, until the system has shut down.
pub async fn narrate(mut listening: Listening) {
    while let Some(told) = listening.next().await {
        match told {
            Told::Event(event) => tell(&event),
            Told::Progress(_) => {}
            Told::Missed { after } => warn!(after, "events were missed by the log"),
        }
    }
}

fn tell(NumberedEvent { number, event, .. }: &NumberedEvent) {
    let name = event.name();
    match event {
        Event::TaskCreated(told) => {
            let (task, trigger) = (told.task, told.trigger);
            match &told.kind {
                TaskKind::Backup(item) => info!(number, %task, %item, ?trigger, "{name}"),
                TaskKind::Restore(restore) => {
                    let (repository, snapshot) = (&restore.repository, &restore.snapshot);
                    info!(number, %task, repository, snapshot, target = ?restore.target, "{name}");
                }
            }
        }
        Event::TaskQueued(told) => info!(number, task = %told.task, reason = ?told.reason, "{name}"),
        Event::TaskStatusUpdate(told) => {
            info!(number, task = %told.task, from = %told.from, to = %told.to, attempt = told.attempt, "{name}");
        }
        Event::TaskRetry(told) => {
            let retry = &told.retry;
            warn!(number, task = %told.task, attempt = retry.attempt, of = retry.attempts_max, at = %retry.at, why = retry.why, "{name}");
        }
        Event::TaskCompleted(told) | Event::TaskFailed(told) | Event::TaskCancelled(told) => {
            let task = told.task;
            match &told.end {
                TaskEnd::BackedUp(BackedUp { snapshot, files, bytes, bytes_stored, errors, .. }) => {
                    info!(number, %task, snapshot, files, bytes, bytes_stored, errors, "{name}");
                }
                TaskEnd::Restored(Restored { files_restored, bytes_written, errors, .. }) => {
                    info!(number, %task, files_restored, bytes_written, errors, "{name}");
                }
                TaskEnd::Failed(failure) => {
                    warn!(number, %task, class = ?failure.class, why = failure.why, "{name}");
                }
                TaskEnd::Cancelled(reason) => info!(number, %task, reason = ?reason, "{name}"),
            }
        }
        Event::TaskPaused(told) | Event::TaskResumed(told) => info!(number, task = %told.task, "{name}"),
        Event::GlobalPause(told) => info!(number, paused = told.paused, "{name}"),
        Event::ItemChanged(told) | Event::ItemRemoved(told) => info!(number, item = %told.item, "{name}"),
        Event::ActorCrashed(told) => {
            warn!(number, actor = ?told.actor, why = told.failure.why, "{name}");
        }
        Event::ActorRestarted(actor) => info!(number, actor = ?actor, "{name}"),
    }
}
