//! What happened in a simulation: a line for every task and every due time that had none, and a tally for every item.
//!
//! Lines come out in the order of their times, while the simulation goes on: only what may still change is
//! held back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use keepwell_actors::Told;
use keepwell_actors::schedule::Schedule;
use keepwell_messages::{
    DueOutcome, Event, Item, ItemId, NumberedEvent, PAGE_MAX, ScheduleOutcome, TaskEnd, TaskEnded, TaskId,
    TaskKind, TaskState, Trigger,
};
use serde::Serialize;

/// One line of the timetable.
#[derive(Clone, Debug)]
pub enum Line {
    /// A task.
    Task(TaskLine),
    /// Due times without a task of their own.
    Skipped(SkippedLine),
}

/// A task.
#[derive(Clone, Debug)]
pub struct TaskLine {
    /// What it backed up.
    pub item: ItemId,
    /// Why it was made.
    pub trigger: Trigger,
    /// Due times that it stands for.
    pub due_times: u64,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When its first attempt began; `None` if none did.
    pub started: Option<DateTime<Utc>>,
    /// Attempts.
    pub attempts: u32,
    /// When and how it ended; `None` if it had not at the simulation's end.
    pub ended: Option<(DateTime<Utc>, TaskEnd)>,
}

/// Due times without a task of their own.
#[derive(Clone, Debug)]
pub struct SkippedLine {
    /// Of this item.
    pub item: ItemId,
    /// The first of them.
    pub since: DateTime<Utc>,
    /// The last of them.
    pub due: DateTime<Utc>,
    /// How many.
    pub due_times: u64,
    /// When it was decided.
    pub decided: DateTime<Utc>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a due time has no task of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The item is disabled.
    Disabled,
    /// The task of an earlier due time had not ended.
    StillRunning,
    /// It was missed, and a task that had begun before covers it.
    Covered,
    /// It was refused.
    Refused(String),
}

/// What became of an item's due times.
#[derive(Clone, Debug, Serialize)]
pub struct Tally {
    /// The item.
    pub item: ItemId,
    /// Whether it has a schedule.
    pub scheduled: bool,
    /// Due times that were decided: the sum of the next three.
    pub due: u64,
    /// Due times with a task of their own, in time.
    pub ran: u64,
    /// Due times that were missed and that a later task covers.
    pub caught_up: u64,
    /// Due times without any.
    pub skipped: u64,
    /// Tasks that covered missed due times.
    pub catch_ups: u64,
    /// Tasks that failed, all retries included.
    pub failed: u64,
    /// Tasks that had not ended at the simulation's end.
    pub unfinished: u64,
}

/// See the module.
pub struct Record {
    items: BTreeMap<ItemId, RecordedItem>,
    /// Tasks that have not ended.
    tasks: HashMap<TaskId, TaskLine>,
    /// Lines that are final, by their time and item. What happened in the same instant was told in an order
    /// that need not be the same the next time.
    lines: BTreeMap<(DateTime<Utc>, ItemId, u64), Line>,
    next_line: u64,
}

struct RecordedItem {
    schedule: Option<Schedule>,
    tally: Tally,
    /// Due times that are in the tally, the newest [`DECIDED_KEPT`]. An earlier one may be decided after a
    /// later one: it is when its task ends.
    decided: BTreeSet<DateTime<Utc>>,
    /// Catch-up tasks, by the last due time that each was made for, until that is in the tally.
    catch_ups: HashMap<TaskId, DateTime<Utc>>,
}

/// More than one answer lists.
const DECIDED_KEPT: usize = 2 * PAGE_MAX as usize;

impl Record {
    /// Nothing has happened yet.
    pub fn new(items: &[Item]) -> Self {
        let item = |item: &Item| {
            // The configuration was checked.
            let schedule = item.schedule.as_ref().and_then(|text| Schedule::parse(text).ok());
            let tally = Tally {
                item: item.id.clone(),
                scheduled: schedule.is_some(),
                due: 0,
                ran: 0,
                caught_up: 0,
                skipped: 0,
                catch_ups: 0,
                failed: 0,
                unfinished: 0,
            };
            (
                item.id.clone(),
                RecordedItem { schedule, tally, decided: BTreeSet::new(), catch_ups: HashMap::new() },
            )
        };
        Self {
            items: items.iter().map(item).collect(),
            tasks: HashMap::new(),
            lines: BTreeMap::new(),
            next_line: 0,
        }
    }

    /// All items.
    pub fn items(&self) -> Vec<ItemId> {
        self.items.keys().cloned().collect()
    }

    /// Takes note of what happened.
    pub fn hear(&mut self, told: &Told) {
        let Told::Event(event) = told else { return };
        let NumberedEvent { at, event, .. } = &**event;
        match event {
            Event::TaskCreated(created) => {
                let TaskKind::Backup(item) = &created.kind else { return };
                if let (Trigger::CatchUp(missed), Some(item)) = (created.trigger, self.items.get_mut(item)) {
                    item.catch_ups.insert(created.task, missed.due);
                }
                let (due_times, trigger) = (self.count(item, created.trigger), created.trigger);
                let (item, created_at) = (item.clone(), *at);
                let line = TaskLine {
                    item,
                    trigger,
                    due_times,
                    created: created_at,
                    started: None,
                    attempts: 0,
                    ended: None,
                };
                self.tasks.insert(created.task, line);
            }
            Event::TaskStatusUpdate(update) if update.to == TaskState::Running => {
                if let Some(task) = self.tasks.get_mut(&update.task) {
                    task.started.get_or_insert(*at);
                    task.attempts = update.attempt;
                }
            }
            Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended) => {
                self.end_task(*at, ended);
            }
            _ => {}
        }
    }

    fn end_task(&mut self, at: DateTime<Utc>, TaskEnded { task, end }: &TaskEnded) {
        let Some(mut line) = self.tasks.remove(task) else { return };
        if let (TaskEnd::Failed(_), Some(item)) = (end, self.items.get_mut(&line.item)) {
            item.tally.failed += 1;
        }
        line.ended = Some((at, end.clone()));
        self.add(line_time(&line), Line::Task(line));
    }

    /// Takes note of what became of an item's due times: the newest of them, the newest first.
    pub fn decide(&mut self, id: &ItemId, outcomes: Vec<ScheduleOutcome>) {
        for outcome in outcomes.into_iter().rev() {
            let ScheduleOutcome { since, due, decided, outcome } = outcome;
            let due_times = self.count_between(id, since, due);
            let Some(item) = self.items.get_mut(id) else { return };
            if !item.decided.insert(due) {
                continue;
            }
            if item.decided.len() > DECIDED_KEPT {
                item.decided.pop_first();
            }
            let tally = &mut item.tally;
            tally.due += due_times;
            let reason = match outcome {
                DueOutcome::Ran(_) => {
                    tally.ran += due_times;
                    continue;
                }
                DueOutcome::CoveredBy(task) => {
                    tally.caught_up += due_times;
                    if item.catch_ups.get(&task) == Some(&due) {
                        item.catch_ups.remove(&task);
                        tally.catch_ups += 1;
                        continue;
                    }
                    SkipReason::Covered
                }
                DueOutcome::Disabled => SkipReason::Disabled,
                DueOutcome::Duplicate(_) => SkipReason::StillRunning,
                DueOutcome::GloballyPaused => SkipReason::Refused("everything is paused".into()),
                DueOutcome::Refused(why) => SkipReason::Refused(why),
            };
            if reason != SkipReason::Covered {
                tally.skipped += due_times;
            }
            let line = SkippedLine { item: id.clone(), since, due, due_times, decided, reason };
            self.add(decided, Line::Skipped(line));
        }
    }

    fn add(&mut self, at: DateTime<Utc>, line: Line) {
        let item = match &line {
            Line::Task(task) => task.item.clone(),
            Line::Skipped(skipped) => skipped.item.clone(),
        };
        self.next_line += 1;
        self.lines.insert((at, item, self.next_line), line);
    }

    /// Lines of times before `before`, but none that a task which has not ended may still come before.
    pub fn take_lines(&mut self, before: DateTime<Utc>) -> Vec<Line> {
        let unfinished = self.tasks.values().map(line_time).min();
        let before = unfinished.map_or(before, |unfinished| unfinished.min(before));
        let later = self.lines.split_off(&(before, ItemId::from(""), 0));
        std::mem::replace(&mut self.lines, later).into_values().collect()
    }

    /// The simulation is over.
    pub fn end(&mut self) {
        let unfinished: Vec<TaskLine> = self.tasks.drain().map(|(_, line)| line).collect();
        for line in unfinished {
            if let Some(item) = self.items.get_mut(&line.item) {
                item.tally.unfinished += 1;
            }
            self.add(line_time(&line), Line::Task(line));
        }
    }

    /// What became of each item's due times.
    pub fn into_tallies(self) -> Vec<Tally> {
        self.items.into_values().map(|item| item.tally).collect()
    }

    fn count(&self, item: &ItemId, trigger: Trigger) -> u64 {
        trigger.due_times().map_or(0, |missed| self.count_between(item, missed.since, missed.due))
    }

    /// How many due times there are from `since` to `due`, which both are.
    fn count_between(&self, item: &ItemId, since: DateTime<Utc>, due: DateTime<Utc>) -> u64 {
        let schedule = self.items.get(item).and_then(|item| item.schedule.as_ref());
        let Some(schedule) = schedule else { return 1 };
        // Intervals are counted from any due time alike.
        let next = |after: &DateTime<Utc>| schedule.next_due(*after, since);
        std::iter::successors(Some(since), next).take_while(|next| *next <= due).count() as u64
    }
}

/// The time that a task's line stands at.
fn line_time(line: &TaskLine) -> DateTime<Utc> {
    line.started.unwrap_or(line.created)
}
