//! `watch`: what the daemon does, live: a view that renews itself on a terminal, a line for each event elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use keepwell_messages::{Event, GetActiveTasks, NumberedEvent, Task, TaskId};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::task_words::{self, shown_instant};
use crate::cli::Context;
use crate::client::{Client, ClientArguments, Heard, talk};
use crate::exit::{Ended, Ending, Failure};

/// How soon an interrupt is noticed.
const SIGNALS_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);
/// How often a daemon that went away is looked for.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(2);

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Begin after the event of this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    #[command(flatten)]
    client: ClientArguments,
}

/// Watches until it is interrupted.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    talk(&arguments.client, context, async |client| {
        let mut view = View::new(context);
        let mut after = arguments.after;
        let mut was_there = false;
        loop {
            if let Some(stream) = listen(&client, after, was_there).await? {
                match client.ask(GetActiveTasks {}).await {
                    Ok(active) => view.begin(&active.tasks),
                    // It ends just now; what it still tells is heard.
                    Err(error) if was_there && error.passes() => {}
                    Err(error) => return Err(error.into()),
                }
                was_there = true;
                if follow(stream, &mut view, &mut after, context).await? {
                    return Ok(Ending::Done);
                }
                view.say("the daemon has gone; looking for it");
            }
            if is_interrupted_within(LOOKED_FOR_EVERY, context).await {
                return Ok(Ending::Done);
            }
        }
    })
}

/// Waits, unless it is interrupted meanwhile or was before.
async fn is_interrupted_within(time: Duration, context: &Context) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until && !context.control.is_cancelled() {
        sleep(SIGNALS_LOOKED_AT_EVERY).await;
    }
    context.control.is_cancelled()
}

/// A daemon that was there may come back; one that never was is told of at once.
async fn listen(
    client: &Client,
    after: Option<u64>,
    was_there: bool,
) -> Result<Option<crate::client::Stream>, Failure> {
    match client.listen(after).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if was_there && error.passes() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether it was interrupted; else the connection has ended.
async fn follow(
    mut stream: crate::client::Stream,
    view: &mut View<'_>,
    after: &mut Option<u64>,
    context: &Context,
) -> Result<bool, Failure> {
    let mut look = interval(SIGNALS_LOOKED_AT_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = stream.next() => match heard? {
                Some(heard) => {
                    match &heard {
                        Heard::Event(event) => *after = Some(event.number),
                        // A daemon with another journal counts from another number.
                        Heard::Missed(newest) => *after = Some(*newest),
                        Heard::Progress(_) => {}
                    }
                    view.heard(&heard)?;
                }
                None => return Ok(false),
            },
            _ = look.tick() => if context.control.is_cancelled() { return Ok(true) },
        }
    }
}

/// A bar for each task on a terminal; lines elsewhere.
struct View<'a> {
    context: &'a Context,
    bars: Option<MultiProgress>,
    tasks: BTreeMap<TaskId, ProgressBar>,
}

impl<'a> View<'a> {
    fn new(context: &'a Context) -> Self {
        let bars = context.output.wants_bar().then(MultiProgress::new);
        Self { context, bars, tasks: BTreeMap::new() }
    }

    fn begin(&mut self, tasks: &[Task]) {
        let Some(bars) = &self.bars else { return };
        for bar in std::mem::take(&mut self.tasks).into_values() {
            bar.finish_and_clear();
        }
        for task in tasks {
            let bar = bar(bars, &task_words::subject(&task.kind));
            bar.set_message(task_words::state(task));
            self.tasks.insert(task.id, bar);
        }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            // A terminal that is gone hears nothing.
            Some(bars) => drop(bars.println(crate::output::printable(text))),
            None => self.context.output.notice(text),
        }
    }

    fn heard(&mut self, heard: &Heard) -> Result<(), Failure> {
        let output = &self.context.output;
        if output.is_json() {
            match heard {
                Heard::Event(event) => output.message("event", event)?,
                Heard::Progress(progress) => output.message("backup_progress", progress)?,
                Heard::Missed(after) => output.message("missed", &serde_json::json!({"after": after}))?,
            }
            return Ok(());
        }
        match heard {
            Heard::Event(event) => self.event(event)?,
            Heard::Progress(told) => {
                if let Some(bar) = self.tasks.get(&told.task) {
                    bar.set_position(told.percent.into());
                    bar.set_message(told.message.clone());
                }
            }
            Heard::Missed(after) => self.say(&format!("events after {after} were missed")),
        }
        Ok(())
    }

    fn event(&mut self, told: &NumberedEvent) -> Result<(), Failure> {
        match &told.event {
            Event::TaskCreated(created) => {
                if let Some(bars) = &self.bars {
                    self.tasks.insert(created.task, bar(bars, &task_words::subject(&created.kind)));
                }
            }
            Event::TaskStatusUpdate(update) => {
                if let Some(bar) = self.tasks.get(&update.task) {
                    bar.set_message(update.to.to_string());
                }
            }
            Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended) => {
                if let Some(bar) = self.tasks.remove(&ended.task) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        let line = format!("{} {}", shown_instant(told.at), in_words(&told.event));
        match &self.bars {
            Some(_) => self.say(&line),
            None => self.context.output.line(&line)?,
        }
        Ok(())
    }
}

fn bar(bars: &MultiProgress, subject: &str) -> ProgressBar {
    let bar = bars.add(ProgressBar::new(100));
    let style = ProgressStyle::with_template("{prefix:20!} {bar:30} {pos:>3}% {wide_msg}");
    bar.set_style(style.expect("the template is right"));
    bar.set_prefix(crate::output::printable(subject).into_owned());
    bar
}

fn in_words(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::TaskCreated(told) => {
            format!("{name}: {} ({})", task_words::subject(&told.kind), told.task)
        }
        Event::TaskQueued(told) => format!("{name}: {}", told.task),
        Event::TaskStatusUpdate(told) => format!("{name}: {} is {}", told.task, told.to),
        Event::TaskCompleted(told) | Event::TaskFailed(told) | Event::TaskCancelled(told) => {
            format!("{name}: {}: {}", told.task, task_words::end(&told.end))
        }
        Event::TaskRetry(told) => {
            let retry = &told.retry;
            format!(
                "{name}: {}: attempt {} of {} at {}: {}",
                told.task,
                retry.attempt,
                retry.attempts_max,
                shown_instant(retry.at),
                retry.why
            )
        }
        Event::TaskPaused(told) | Event::TaskResumed(told) => format!("{name}: {}", told.task),
        Event::GlobalPause(told) => format!("{name}: {}", if told.paused { "paused" } else { "goes on" }),
        Event::ItemChanged(told) | Event::ItemRemoved(told) => format!("{name}: {}", told.item),
        Event::ActorCrashed(told) => format!("{name}: {:?}: {}", told.actor, told.failure.why),
        Event::ActorRestarted(actor) => format!("{name}: {actor:?}"),
    }
}
