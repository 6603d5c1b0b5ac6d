//! `run` where a daemon serves: the daemon backs the item up, and its task is followed here to its end.

use std::time::Duration;

use keepwell_messages::{
    CancelReason, CancelTask, Event, GetActiveTasks, GetTask, ItemId, PendingReason, PerformBackup, Task,
    TaskEnd, TaskId, TaskKind, TaskState,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::run::ending_of;
use super::run_words::RunWords;
use crate::cli::Context;
use crate::client::{Client, Heard, Stream};
use crate::exit::{Ending, Failure};

/// How soon an interrupt is noticed.
const SIGNALS_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);
/// A daemon that is started again is back within this many looks, a second apart.
const LOOKS_FOR_DAEMON_MAX: u32 = 60;
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// Has the item backed up. `None` if the daemon went before it answered: a task that it made all the same stands in the
/// journal, for who opens that next.
pub async fn run(client: &Client, id: &ItemId, context: &Context) -> Result<Option<Ending>, Failure> {
    // Before the question: the end of what it starts cannot be missed.
    let Some(stream) = begin(client).await? else { return Ok(None) };
    let task = match client.ask(PerformBackup { item: id.clone() }).await {
        Ok(made) => Followed { task: made.task, attempt: 1 },
        Err(error) if error.code.as_deref() == Some("duplicate-task") => {
            let task = active_task(client, id).await?;
            let is_paused = task.state == TaskState::Paused || task.pending == Some(PendingReason::Paused);
            let words = if is_paused { "is paused; `keepwell resume` lets it go on" } else { "is under way" };
            context.output.notice(&format!("a backup of {id} {words}; it is followed"));
            Followed { task: task.id, attempt: task.attempt }
        }
        Err(_) if client.is_gone() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let words = RunWords::new(&context.output, id.clone());
    let ended = follow(client, stream, task, &words, context).await;
    let elapsed = words.elapsed();
    words.end();
    let (end, attempt) = ended?;
    match end {
        TaskEnd::BackedUp(backed_up) => {
            words.tell_summary(task.task, attempt, &backed_up, elapsed)?;
            Ok(Some(ending_of(&backed_up)))
        }
        TaskEnd::Failed(failure) => Err(Failure::of_class(failure.class, failure.why)),
        TaskEnd::Cancelled(_) if context.control.is_cancelled() => {
            Err(keepwell_engine::error::Error::Cancelled.into())
        }
        TaskEnd::Cancelled(reason) => Err(cancelled_elsewhere(id, reason)),
        TaskEnd::Restored(_) => {
            Err(Failure::usage("the daemon tells of a restore where a backup was asked for"))
        }
    }
}

/// Somebody else ended it: that is no interrupt of ours.
fn cancelled_elsewhere(id: &ItemId, reason: CancelReason) -> Failure {
    let (why, hint) = match reason {
        CancelReason::Requested => ("somebody cancelled it", "`keepwell why` tells more"),
        CancelReason::Shutdown => ("the daemon was shut down", "run it again once the daemon serves"),
        CancelReason::ItemRemoved => ("the item was removed", "`keepwell items` lists those that there are"),
    };
    Failure::usage(format!("the backup of {id} was cancelled: {why}"))
        .hint(format!("what was stored until then is kept; {hint}"))
}

/// What happens from now on. `None` if the daemon is gone: it ended a moment ago.
async fn begin(client: &Client) -> Result<Option<Stream>, Failure> {
    let mut looks = 0;
    loop {
        match client.listen(None).await {
            Ok(stream) => return Ok(Some(stream)),
            Err(_) if client.is_gone() => return Ok(None),
            // It says itself that it begins or ends.
            Err(error) if error.code.is_some() && error.passes() && looks < LOOKS_FOR_DAEMON_MAX => {
                looks += 1
            }
            Err(error) => return Err(error.into()),
        }
        sleep(LOOKED_FOR_EVERY).await;
    }
}

async fn active_task(client: &Client, id: &ItemId) -> Result<Task, Failure> {
    let tasks = client.ask(GetActiveTasks {}).await?.tasks;
    let of_item = tasks.into_iter().find(|task| task.kind == TaskKind::Backup(id.clone()));
    of_item.ok_or_else(|| Failure::usage(format!("the backup of {id} has just ended")))
}

/// A task that is followed.
#[derive(Clone, Copy)]
struct Followed {
    task: TaskId,
    attempt: u32,
}

/// Until the task has ended: how, and in which attempt.
async fn follow(
    client: &Client,
    mut stream: Stream,
    Followed { task, mut attempt }: Followed,
    words: &RunWords,
    context: &Context,
) -> Result<(TaskEnd, u32), Failure> {
    let mut look = interval(SIGNALS_LOOKED_AT_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut cancelled, mut seen, mut away) = (false, None, 0);
    // Set when an answer did not come.
    let mut ask_at: Option<Instant> = None;
    loop {
        let may_have_ended = tokio::select! {
            heard = stream.next() => match heard? {
                Some(Heard::Event(event)) => {
                    seen = Some(event.number);
                    words.event(&event, task)?;
                    match &event.event {
                        Event::TaskStatusUpdate(update) if update.task == task => attempt = update.attempt,
                        // A daemon that ends answers no more questions.
                        Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended)
                            if ended.task == task => return Ok((ended.end.clone(), attempt)),
                        _ => {}
                    }
                    matches!(event.event, Event::ActorRestarted(_))
                }
                Some(Heard::Progress(progress)) => {
                    words.progress(&progress, task)?;
                    false
                }
                Some(Heard::Missed(_)) => true,
                None => {
                    stream = listen_again(client, seen, &mut away).await?;
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
                    ask_at.is_some_and(|at| at <= Instant::now())
                }
            }
        };
        if !may_have_ended {
            continue;
        }
        match client.ask(GetTask { task }).await {
            Ok(now) => {
                (attempt, away, ask_at) = (now.attempt, 0, None);
                if let Some(end) = now.end {
                    return Ok((end, attempt));
                }
            }
            // What it tells until it goes is heard.
            Err(error) if error.passes() => ask_at = Some(Instant::now() + LOOKED_FOR_EVERY),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The daemon may be started again: what happened meanwhile is told from the number that was seen. `away` counts how
/// often it was looked for since it answered last.
async fn listen_again(client: &Client, seen: Option<u64>, away: &mut u32) -> Result<Stream, Failure> {
    loop {
        *away += 1;
        match client.listen(seen).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.passes() && *away <= LOOKS_FOR_DAEMON_MAX => {}
            Err(error) => return Err(error.into()),
        }
        sleep(LOOKED_FOR_EVERY).await;
    }
}
