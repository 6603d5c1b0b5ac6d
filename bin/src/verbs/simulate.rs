//! `simulate`: the timetable that the user's own configuration would give, from the real actors on simulated time.

use std::cell::Cell;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::Args;
use keepwell_messages::{ErrorClass, ItemId, TaskEnd, Trigger};
use serde::Serialize;

use crate::cli::Context;
use crate::configuration::{Configuration, ConfigurationArguments, machine_zone, refuse_repository_options};
use crate::exit::{Ended, Ending, Failure};
use crate::forecast::{
    Attempts, FailRate, Line, Plan, SkipReason, SkippedLine, SleepHours, SleepTimes, Tally, TaskLine,
    forecast,
};
use crate::quantities::{parse_duration, parse_time, shown_duration};

/// A seed that nobody chose: the same command shows the same.
const SEED: u64 = 1;
/// Ten years. A daily item has 3650 lines by then.
const PERIOD_MAX: Duration = Duration::from_secs(3660 * 86_400);
/// Far beyond what a schedule could keep up with.
const DURATION_MAX: Duration = Duration::from_secs(31 * 86_400);

/// Options of `simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Items, schedules, limits and retries are those of the configuration file. No repository is touched and no password \
is read; a month takes seconds. Times are those of this machine's zone (TZ names another one).

Each line is a task: when it began, its item, why it was made, how long it waited for its turn, its attempts, how \
long it took, and how it ended; or a due time without a task of its own, and why.")]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// When the simulation begins, as 2026-03-28 or 2026-03-28 18:00 [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<FixedOffset>>,
    /// How long it lasts, as 12h or 30d
    #[arg(long = "for", value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    period: Duration,
    /// The machine sleeps every day between these times
    #[arg(long, value_name = "HH:MM-HH:MM")]
    sleep: Option<SleepHours>,
    /// This part of all attempts fails, for different reasons
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    fail: FailRate,
    /// Which attempts fail, and why: the same number, the same failures
    #[arg(long, value_name = "NUMBER", default_value_t = SEED)]
    seed: u64,
    /// How long a backup takes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    duration: Duration,
}

/// What is simulated.
#[derive(Serialize)]
struct Simulation<'a> {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    time_zone: &'a str,
    seed: u64,
}

/// A task's line.
#[derive(Serialize)]
struct TaskMessage<'a> {
    item: &'a ItemId,
    trigger: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<DateTime<Utc>>,
    due_times: u64,
    created: DateTime<Utc>,
    started: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
    waited_seconds: Option<i64>,
    attempts: u32,
    end: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ErrorClass>,
}

/// The line of due times without a task.
#[derive(Serialize)]
struct SkippedMessage<'a> {
    item: &'a ItemId,
    since: DateTime<Utc>,
    due: DateTime<Utc>,
    due_times: u64,
    decided: DateTime<Utc>,
    reason: &'a SkipReason,
}

/// Shows it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    refuse_repository_options(&context.global, "simulate")?;
    let configuration = Configuration::read(&arguments.configuration)?;
    if !configuration.items.iter().any(|item| item.schedule.is_some()) {
        let file = configuration.file.display();
        return Err(Failure::usage(format!(
            "no item in {file} has a schedule, so nothing would run by itself"
        ))
        .hint("write one: [items.NAME] with paths = [\"/path\"] and schedule = \"daily 02:00\""));
    }
    let zone = machine_zone();
    let plan = plan(arguments, zone)?;
    let words = Words { zone, context, has_title: Cell::new(false) };
    if context.output.is_json() {
        let (from, until, seed) = (plan.from, plan.until, plan.seed);
        context.output.message("simulation", &Simulation { from, until, time_zone: zone.name(), seed })?;
    }
    let tallies = forecast(&configuration, plan, &mut |line| {
        context.control.checkpoint()?;
        words.line(line)
    })?;
    words.tallies(&tallies)?;
    Ok(Ending::Done)
}

fn plan(arguments: &Arguments, zone: Tz) -> Result<Plan, Failure> {
    if arguments.period.is_zero() || arguments.period > PERIOD_MAX {
        return Err(Failure::usage("--for takes up to ten years, and more than nothing: write 30d"));
    }
    if arguments.duration > DURATION_MAX {
        return Err(Failure::usage("--duration takes up to 31d"));
    }
    let from = arguments.from.map_or_else(Utc::now, |from| from.to_utc());
    let period = TimeDelta::from_std(arguments.period).ok();
    let until = period.and_then(|period| from.checked_add_signed(period));
    let sleep = arguments.sleep.as_ref().map(|hours| SleepTimes::new(hours, zone)).transpose()?;
    Ok(Plan {
        from,
        until: until.ok_or_else(|| Failure::usage("--from and --for lead beyond what calendars have"))?,
        sleep,
        attempts: Attempts::new(arguments.duration, arguments.fail, arguments.seed),
        seed: arguments.seed,
    })
}

struct Words<'a> {
    zone: Tz,
    context: &'a Context,
    has_title: Cell<bool>,
}

impl Words<'_> {
    fn line(&self, line: &Line) -> Result<(), Failure> {
        if self.context.output.is_json() {
            return match line {
                Line::Task(task) => self.task_message(task),
                Line::Skipped(skipped) => self.skipped_message(skipped),
            };
        }
        if !self.has_title.replace(true) {
            self.columns(["start", "item", "trigger", "waited", "attempts", "took", "end"])?;
        }
        match line {
            Line::Task(task) => self.task_line(task),
            Line::Skipped(skipped) => self.skipped_line(skipped),
        }
    }

    fn columns(&self, [start, item, trigger, waited, attempts, took, end]: [&str; 7]) -> Result<(), Failure> {
        Ok(self
            .context
            .output
            .line(&format!("{start:24} {item:16} {trigger:22} {waited:>8} {attempts:>8} {took:>9}  {end}"))?)
    }

    fn task_line(&self, task: &TaskLine) -> Result<(), Failure> {
        let trigger = match task.trigger {
            Trigger::Manual => "asked for".into(),
            Trigger::Due(due) => format!("due {}", self.clock(due)),
            Trigger::CatchUp(_) if task.due_times == 1 => "catch-up of 1 missed".into(),
            Trigger::CatchUp(_) => format!("catch-up of {} missed", task.due_times),
        };
        let took = task.started.zip(task.ended.as_ref()).map(|(started, (ended, _))| span(started, *ended));
        let end = match &task.ended {
            None => "not ended yet".into(),
            Some((_, TaskEnd::BackedUp(_) | TaskEnd::Restored(_))) => "completed".into(),
            Some((_, TaskEnd::Failed(failure))) => format!("failed ({})", class_word(failure.class)),
            Some((_, TaskEnd::Cancelled(_))) => "cancelled".into(),
        };
        self.columns([
            &self.shown(task.started.unwrap_or(task.created)),
            &task.item.0,
            &trigger,
            &task.started.map(|started| span(task.created, started)).unwrap_or_default(),
            &task.attempts.to_string(),
            &took.unwrap_or_default(),
            &end,
        ])
    }

    fn skipped_line(&self, skipped: &SkippedLine) -> Result<(), Failure> {
        let due = match skipped.due_times {
            1 => format!("due {}", self.clock(skipped.due)),
            some => format!("{some} due times"),
        };
        let reason = match &skipped.reason {
            SkipReason::Disabled => "skipped: the item is disabled".into(),
            SkipReason::StillRunning => "skipped: the task before has not ended".into(),
            SkipReason::Covered => "missed; the task that runs covers it".into(),
            SkipReason::Refused(why) => format!("skipped: {why}"),
        };
        self.columns([&self.shown(skipped.decided), &skipped.item.0, &due, "", "", "", &reason])
    }

    fn task_message(&self, task: &TaskLine) -> Result<(), Failure> {
        let missed = task.trigger.due_times();
        let (end, class) = match task.ended.as_ref().map(|(_, end)| end) {
            None => ("unfinished", None),
            Some(TaskEnd::BackedUp(_) | TaskEnd::Restored(_)) => ("completed", None),
            Some(TaskEnd::Failed(failure)) => ("failed", Some(failure.class)),
            Some(TaskEnd::Cancelled(_)) => ("cancelled", None),
        };
        let message = TaskMessage {
            item: &task.item,
            trigger: match task.trigger {
                Trigger::Manual => "manual",
                Trigger::Due(_) => "due",
                Trigger::CatchUp(_) => "catch-up",
            },
            since: missed.map(|missed| missed.since),
            due: missed.map(|missed| missed.due),
            due_times: task.due_times,
            created: task.created,
            started: task.started,
            ended: task.ended.as_ref().map(|(at, _)| *at),
            waited_seconds: task.started.map(|started| (started - task.created).num_seconds()),
            attempts: task.attempts,
            end,
            class,
        };
        Ok(self.context.output.message("task", &message)?)
    }

    fn skipped_message(&self, skipped: &SkippedLine) -> Result<(), Failure> {
        let SkippedLine { item, since, due, due_times, decided, reason } = skipped;
        let message = SkippedMessage {
            item,
            since: *since,
            due: *due,
            due_times: *due_times,
            decided: *decided,
            reason,
        };
        Ok(self.context.output.message("skipped", &message)?)
    }

    fn tallies(&self, tallies: &[Tally]) -> Result<(), Failure> {
        let output = &self.context.output;
        if output.is_json() {
            return tallies.iter().try_for_each(|tally| Ok(output.message("summary", tally)?));
        }
        output.line("")?;
        output.line(&format!(
            "{:16} {:>7} {:>7} {:>10} {:>8} {:>7}",
            "item", "due", "ran", "caught up", "skipped", "failed"
        ))?;
        for tally in tallies {
            let mut line = format!(
                "{:16} {:>7} {:>7} {:>10} {:>8} {:>7}",
                tally.item.0, tally.due, tally.ran, tally.caught_up, tally.skipped, tally.failed
            );
            if !tally.scheduled {
                line.push_str("  no schedule: only when asked for");
            }
            if tally.catch_ups > 0 {
                line.push_str(&format!("  {} caught up by {} tasks", tally.caught_up, tally.catch_ups));
            }
            if tally.unfinished > 0 {
                line.push_str(&format!("  {} not ended yet", tally.unfinished));
            }
            output.line(&line)?;
        }
        Ok(())
    }

    fn shown(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    fn clock(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%m-%d %H:%M").to_string()
    }
}

fn span(from: DateTime<Utc>, until: DateTime<Utc>) -> String {
    shown_duration((until - from).to_std().unwrap_or_default())
}

fn class_word(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Network => "network",
        ErrorClass::Server => "server",
        ErrorClass::Source => "source",
        ErrorClass::Repository => "repository",
        ErrorClass::Credentials => "credentials",
        ErrorClass::Space => "space",
        ErrorClass::Settings => "settings",
        ErrorClass::Crash => "crash",
        ErrorClass::Cancelled => "cancelled",
    }
}
