//! `status`: how the daemon is doing, at a glance.

use clap::Args;
use keepwell_messages::{
    GetActiveTasks, GetItems, GetTaskManagerStats, ItemNow, Task, TaskManagerStats, TaskState,
};
use serde::Serialize;

use super::task_words::shown_from_now;
use super::tasks;
use crate::cli::Context;
use crate::client::{ClientArguments, talk};
use crate::exit::{Ended, Ending};

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
}

#[derive(Serialize)]
struct Status<'a> {
    stats: &'a TaskManagerStats,
    tasks: &'a [Task],
    /// Items whose latest task failed.
    failing: Vec<&'a str>,
}

/// Tells it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let stats = client.ask(GetTaskManagerStats {}).await?;
        let active = client.ask(GetActiveTasks {}).await?.tasks;
        let items = client.ask(GetItems {}).await?.items;
        let failing = failing(&items);
        if context.output.is_json() {
            let status = Status { stats: &stats, tasks: &active, failing };
            context.output.message("daemon_status", &status)?;
            return Ok(Ending::Done);
        }
        context.output.line(&in_words(&stats))?;
        if stats.globally_paused {
            context.output.line("everything is paused; `keepwell resume-all` lets it go on")?;
        }
        if !active.is_empty() {
            tasks::print(&active, context)?;
        }
        match items.iter().filter_map(|item| Some((item.next_due?, &item.item.id))).min() {
            Some((due, item)) => context.output.line(&format!("next: {item}, {}", shown_from_now(due)))?,
            None => context.output.line("nothing is due by itself")?,
        }
        for item in failing {
            context.output.line(&format!("{item} failed; `keepwell why {item}` says why"))?;
        }
        Ok(Ending::Done)
    })
}

fn failing(items: &[ItemNow]) -> Vec<&str> {
    let failed =
        |now: &&ItemNow| now.latest.as_ref().is_some_and(|latest| latest.end.state() == TaskState::Failed);
    items.iter().filter(failed).map(|now| now.item.id.0.as_str()).collect()
}

fn in_words(stats: &TaskManagerStats) -> String {
    let TaskManagerStats { running, restoring, queued, paused, retrying, max_concurrent_tasks, .. } = stats;
    let mut words = format!("{running} of {max_concurrent_tasks} running");
    for (count, what) in
        [(restoring, "restoring"), (queued, "queued"), (paused, "paused"), (retrying, "retrying")]
    {
        if *count > 0 {
            words += &format!(", {count} {what}");
        }
    }
    if stats.fenced_workers > 0 {
        words += &format!(", {} given up and not ended yet", stats.fenced_workers);
    }
    words
}
