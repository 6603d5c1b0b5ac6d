//! `items` and `why`: what the daemon backs up, and why it does so now or did not.

use clap::Args;
use keepwell_messages::{GetItemExplanation, GetItems, ItemId, ItemNow, TaskState};

use super::task_words::{self, shown_from_now, shown_instant};
use crate::cli::Context;
use crate::client::{ClientArguments, talk};
use crate::exit::{Ended, Ending, Failure};
use crate::table::Table;

/// Options of `items`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
}

/// Options of `why`.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// Name of an item
    #[arg(value_name = "ITEM")]
    item: String,
    #[command(flatten)]
    client: ClientArguments,
}

/// Lists items.
pub fn items(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let items = client.ask(GetItems {}).await?.items;
        print(&items, context)?;
        Ok(Ending::Done)
    })
}

fn print(items: &[ItemNow], context: &Context) -> Result<(), Failure> {
    if context.output.is_json() {
        for item in items {
            context.output.message("item", item)?;
        }
        return Ok(());
    }
    if items.is_empty() {
        return Ok(context.output.line(
            "there are no items yet: write [items.NAME] into the configuration, or make one on the web page",
        )?);
    }
    let mut table = Table::new(["Item", "Repository", "Schedule", "Next", "Latest", "How it ended"]);
    table.rows.extend(items.iter().map(row));
    table.print(&context.output)
}

fn row(now: &ItemNow) -> [String; 6] {
    let item = &now.item;
    let schedule = match (&item.schedule, item.enabled) {
        (_, false) => "disabled".into(),
        (Some(schedule), true) => schedule.spec.clone(),
        (None, true) => "when asked".into(),
    };
    let next = match (now.active_task, now.next_due) {
        (Some(_), _) => "now".into(),
        (None, Some(due)) => shown_from_now(due),
        (None, None) => String::new(),
    };
    let (latest, end) = match &now.latest {
        Some(latest) => {
            let words = task_words::end(&latest.end);
            let words = match latest.end.state() {
                TaskState::Failed => format!("failed: {words}"),
                _ => words,
            };
            (shown_instant(latest.at), words)
        }
        None => ("never".into(), String::new()),
    };
    [item.id.to_string(), item.repository.clone(), schedule, next, latest, end]
}

/// Says why an item's backup runs, waits, or did not run.
pub fn why(arguments: &WhyArguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let item = ItemId(arguments.item.clone());
        let explanation = client.ask(GetItemExplanation { item }).await?;
        if context.output.is_json() {
            context.output.message("explanation", &explanation)?;
            return Ok(Ending::Done);
        }
        for reason in &explanation.reasons {
            let at = reason.at.map(|at| format!("{}: ", shown_instant(at))).unwrap_or_default();
            context.output.line(&format!("{at}{}", reason.text))?;
            if let Some(advice) = &reason.advice {
                context.output.line(&format!("    {advice}"))?;
            }
        }
        Ok(Ending::Done)
    })
}
