//! `tasks`, `pause`, `resume`, `cancel`, `pause-all`, `resume-all`: the daemon's tasks, listed and steered.

use clap::Args;
use keepwell_messages::{
    CancelTask, GetActiveTasks, PauseAllBackups, PauseBackup, ResumeAllBackups, ResumeBackup, Task, TaskId,
    TaskKind, TaskNow,
};

use super::task_words;
use crate::cli::Context;
use crate::client::{Client, ClientArguments, talk};
use crate::exit::{Ended, Ending, Failure};
use crate::table::Table;

/// Options of verbs that are about all.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    client: ClientArguments,
}

/// Options of `pause` and `resume`.
#[derive(Debug, Args)]
pub struct MaybeOne {
    /// A task by its id or the beginning of it, or by its item's name [default: the only active one]
    #[arg(value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub struct One {
    /// A task by its id or the beginning of it, or by its item's name
    #[arg(value_name = "TASK")]
    task: String,
    #[command(flatten)]
    client: ClientArguments,
}

/// Lists tasks that have not ended.
pub fn tasks(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let tasks = client.ask(GetActiveTasks {}).await?.tasks;
        print(&tasks, context)?;
        Ok(Ending::Done)
    })
}

/// Prints tasks, as lines of JSON or as a table.
pub fn print(tasks: &[Task], context: &Context) -> Result<(), Failure> {
    if context.output.is_json() {
        for task in tasks {
            context.output.message("task", task)?;
        }
        return Ok(());
    }
    if tasks.is_empty() {
        return Ok(context.output.line("no task is active")?);
    }
    let mut table = Table::new(["Item", "State", "Attempt", "Progress", "Why", "Task"]);
    table.rows.extend(tasks.iter().map(|task| {
        [
            task_words::subject(&task.kind),
            task_words::state(task),
            task_words::attempt(task),
            task_words::progress(task),
            task_words::trigger(task),
            task.id.to_string(),
        ]
    }));
    table.print(&context.output)
}

/// Pauses a task.
pub fn pause(arguments: &MaybeOne, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let task = find(&client, arguments.task.as_deref()).await?;
        tell_now(&client.ask(PauseBackup { task }).await?, context)
    })
}

/// Lets it go on.
pub fn resume(arguments: &MaybeOne, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let task = find(&client, arguments.task.as_deref()).await?;
        tell_now(&client.ask(ResumeBackup { task }).await?, context)
    })
}

/// Ends it.
pub fn cancel(arguments: &One, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let Some(task) = find(&client, Some(&arguments.task)).await? else {
            return Err(Failure::usage("name a task"));
        };
        tell_now(&client.ask(CancelTask { task }).await?, context)
    })
}

/// Pauses everything.
pub fn pause_all(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let paused = client.ask(PauseAllBackups {}).await?;
        let words = format!("everything is paused, {} of them running until now", count(paused.tasks));
        tell(&paused, "paused_all", &words, context)
    })
}

/// Lets everything go on.
pub fn resume_all(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let paused = client.ask(ResumeAllBackups {}).await?;
        tell(&paused, "paused_all", &format!("everything goes on, {}", count(paused.tasks)), context)
    })
}

fn count(tasks: u32) -> String {
    format!("{tasks} task{}", if tasks == 1 { "" } else { "s" })
}

fn tell_now(now: &TaskNow, context: &Context) -> Ended {
    tell(now, "task_now", &format!("task {} is {}", now.task, now.state), context)
}

fn tell(reply: &impl serde::Serialize, message_type: &str, words: &str, context: &Context) -> Ended {
    match context.output.is_json() {
        true => context.output.message(message_type, reply)?,
        false => context.output.remark(words)?,
    }
    Ok(Ending::Done)
}

/// The task that somebody means; none if he names none.
async fn find(client: &Client, named: Option<&str>) -> Result<Option<TaskId>, Failure> {
    let Some(named) = named else { return Ok(None) };
    // An id that is whole needs no list; what it is the id of is the daemon's to say.
    if let Ok(id) = named.parse() {
        return Ok(Some(id));
    }
    let tasks = client.ask(GetActiveTasks {}).await?.tasks;
    meant(named, &tasks).map(Some)
}

fn meant(named: &str, tasks: &[Task]) -> Result<TaskId, Failure> {
    let is_of_item = |task: &&Task| matches!(&task.kind, TaskKind::Backup(item) if item.0 == named);
    if let Some(task) = tasks.iter().find(is_of_item) {
        return Ok(task.id);
    }
    let mut begin_so = tasks.iter().filter(|task| task.id.to_string().starts_with(named)).map(|task| task.id);
    match (begin_so.next(), begin_so.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several tasks begin with {named}"))
            .hint("name more of it; `keepwell tasks` lists them")),
        (None, _) => {
            Err(Failure::usage(format!("no active task is {named}, nor is one of an item of this name"))
                .hint("`keepwell tasks` lists them"))
        }
    }
}
