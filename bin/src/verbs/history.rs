//! `history`: tasks that have ended, the newest first.

use clap::Args;
use keepwell_messages::{GetHistory, ItemId, PAGE_MAX};

use super::task_words::{self, shown_instant};
use crate::cli::Context;
use crate::client::{ClientArguments, talk};
use crate::exit::{Ended, Ending};
use crate::table::Table;

/// Options of `history`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only of this item
    #[arg(value_name = "ITEM")]
    item: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_MAX)))]
    limit: u32,
    #[command(flatten)]
    client: ClientArguments,
}

/// Lists them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let item = arguments.item.clone().map(ItemId);
        let tasks = client.ask(GetHistory { item, before: None, limit: arguments.limit }).await?.tasks;
        if context.output.is_json() {
            for task in &tasks {
                context.output.message("task", task)?;
            }
            return Ok(Ending::Done);
        }
        if tasks.is_empty() {
            context.output.line("no task has ended yet")?;
            return Ok(Ending::Done);
        }
        let mut table = Table::new(["Ended", "Item", "State", "Attempts", "Why", "How it ended"]);
        table.rows.extend(tasks.iter().map(|task| {
            [
                shown_instant(task.changed),
                task_words::subject(&task.kind),
                task.state.to_string(),
                task_words::attempt(task),
                task_words::trigger(task),
                task.end.as_ref().map(task_words::end).unwrap_or_default(),
            ]
        }));
        table.print(&context.output)?;
        Ok(Ending::Done)
    })
}
