//! `run` where a daemon serves: the daemon backs the item up, and its task is followed here to its end.

use std::time::Duration;

use keepwell_messages::{
    CancelTask, Event, GetActiveTasks, GetTask, ItemId, PendingReason, PerformBackup, Task, TaskEnd, TaskId,
    TaskKind, TaskState,
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::run::{ending_of, is_end_of};
use super::run_words::RunWords;
use crate::cli::Context;
use crate::client::{Client, ClientError, Heard, Stream};
use crate::exit::{Ended, Failure};

/// How soon an interrupt is noticed.
const SIGNALS_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);
/// A daemon that is started again is back within this many looks, a second apart.
const LOOKS_FOR_DAEMON_MAX: u32 = 60;
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// Whether the daemon that announced itself is there.
pub async fn answers(client: &Client) -> Result<bool, Failure> {
    match client.ask(keepwell_messages::GetTaskManagerStats {}).await {
        Ok(_) => Ok(true),
        Err(ClientError { code: None, .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has the item backed up.
pub async fn run(client: &Client, id: &ItemId, context: &Context) -> Ended {
    // Before the question: the end of what it starts cannot be missed.
    let stream = client.listen(None).await?;
    let task = match client.ask(PerformBackup { item: id.clone() }).await {
        Ok(made) => made.task,
        Err(error) if error.code.as_deref() == Some("duplicate-task") => {
            let task = active_task(client, id).await?;
            let is_paused = task.state == TaskState::Paused || task.pending == Some(PendingReason::Paused);
            let words = if is_paused { "is paused; `keepwell resume` lets it go on" } else { "is under way" };
            context.output.notice(&format!("a backup of {id} {words}; it is followed"));
            task.id
        }
        Err(error) => return Err(error.into()),
    };
    let words = RunWords::new(&context.output, id.clone());
    let ended = follow(client, stream, task, &words, context).await;
    let elapsed = words.elapsed();
    words.end();
    let ended = ended?;
    match ended.end {
        Some(TaskEnd::BackedUp(backed_up)) => {
            words.tell_summary(ended.id, ended.attempt, &backed_up, elapsed)?;
            Ok(ending_of(&backed_up))
        }
        Some(TaskEnd::Failed(failure)) => Err(Failure::of_class(failure.class, failure.why)),
        Some(TaskEnd::Cancelled(_)) => Err(keepwell_engine::error::Error::Cancelled.into()),
        Some(TaskEnd::Restored(_)) | None => Err(Failure::usage("the daemon tells of no end of this backup")),
    }
}

async fn active_task(client: &Client, id: &ItemId) -> Result<Task, Failure> {
    let tasks = client.ask(GetActiveTasks {}).await?.tasks;
    let of_item = tasks.into_iter().find(|task| task.kind == TaskKind::Backup(id.clone()));
    of_item.ok_or_else(|| Failure::usage(format!("the backup of {id} has just ended")))
}

async fn follow(
    client: &Client,
    mut stream: Stream,
    task: TaskId,
    words: &RunWords,
    context: &Context,
) -> Result<Task, Failure> {
    let mut look = interval(SIGNALS_LOOKED_AT_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut cancelled, mut seen) = (false, None);
    loop {
        let may_have_ended = tokio::select! {
            heard = stream.next() => match heard? {
                Some(Heard::Event(event)) => {
                    seen = Some(event.number);
                    words.event(&event, task)?;
                    is_end_of(&event.event, task) || matches!(event.event, Event::ActorRestarted(_))
                }
                Some(Heard::Progress(progress)) => {
                    words.progress(&progress, task)?;
                    false
                }
                Some(Heard::Missed(_)) => true,
                None => {
                    stream = listen_again(client, seen).await?;
                    true
                }
            },
            _ = look.tick() => {
                if context.control.is_cancelled() && !cancelled {
                    cancelled = true;
                    // One that ended by itself just now is looked at below.
                    if let Err(error) = client.ask(CancelTask { task }).await
                        && error.code.is_none()
                    {
                        return Err(error.into());
                    }
                    true
                } else {
                    false
                }
            }
        };
        if may_have_ended {
            let now = client.ask(GetTask { task }).await?;
            if now.state.is_end() {
                return Ok(now);
            }
        }
    }
}

/// The daemon may be started again: what happened meanwhile is told from the number that was seen.
async fn listen_again(client: &Client, seen: Option<u64>) -> Result<Stream, Failure> {
    let mut looks = 0;
    loop {
        match client.listen(seen).await {
            Ok(stream) => return Ok(stream),
            Err(ClientError { code: None, failure }) if looks >= LOOKS_FOR_DAEMON_MAX => return Err(failure),
            Err(ClientError { code: None, .. }) => looks += 1,
            Err(error) => return Err(error.into()),
        }
        sleep(LOOKED_FOR_EVERY).await;
    }
}
