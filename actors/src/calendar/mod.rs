//! The calendar: every item, when it is due, and what is to become of each due time.
//!
//! Pure, as the board is: it reads no clock and sends nothing. A due time has exactly one outcome.
//! The calendar asks for a task, or says why there is none; it goes on from the last due time that it
//! dealt with, never from the clock, so a clock that is set back makes nothing due twice and one that
//! jumps forward is the same as a start: what was missed is caught up once.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use keepwell_messages::{
    CommandId, DueOutcome, Item, ItemId, ItemOwner, Missed, Refusal, ScheduleOutcome, ScheduleText, TaskMade,
    Trigger,
};
use sha2::{Digest, Sha256};

use crate::schedule::{DueTime, MissedDueTimes, Schedule, ScheduleError, Timetable, believed};

/// Items at most: each takes about 1 KiB.
pub const ITEMS_MAX: usize = 200_000;

/// An item as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptItem {
    /// The item.
    pub item: Item,
    /// Whose it is.
    pub owner: ItemOwner,
    /// When its schedule was set: nothing was due before.
    pub anchor: DateTime<Utc>,
    /// The last due time that has an outcome, or the anchor.
    pub covered_until: DateTime<Utc>,
}

/// What becomes of due times that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// A task is asked for.
    Ask(Wanted),
    /// There is none, and this is the outcome.
    Skip(ItemId, ScheduleOutcome),
}

/// A task that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The same for the same due time of the same item, also after a crash: asked twice, it is made once.
    pub command: CommandId,
    /// The item as it is now.
    pub item: Item,
    /// The due time, or those that were missed.
    pub trigger: Trigger,
}

impl Wanted {
    /// What became of its due times, from what the manager answered. `None` if a task was made: then
    /// its end tells.
    pub fn outcome(
        &self,
        answer: &Result<TaskMade, Refusal>,
        decided: DateTime<Utc>,
    ) -> Option<ScheduleOutcome> {
        let Missed { since, due } = self.trigger.due_times()?;
        let outcome = match (answer, self.trigger) {
            (Ok(_), _) => return None,
            // A task that lived through a crash, or through the machine's sleep, makes up for what was missed.
            (Err(Refusal::DuplicateTask(task)), Trigger::CatchUp(_)) => DueOutcome::CoveredBy(*task),
            (Err(Refusal::DuplicateTask(task)), _) => DueOutcome::Duplicate(*task),
            (Err(Refusal::GloballyPaused), _) => DueOutcome::GloballyPaused,
            (Err(refusal), _) => DueOutcome::Refused(refusal.to_string()),
        };
        Some(ScheduleOutcome { since, due, decided, outcome })
    }
}

/// All items.
#[derive(Default)]
pub struct Calendar {
    items: HashMap<ItemId, Entry>,
    wakes: BTreeSet<(DateTime<Utc>, ItemId)>,
    /// Many items have the same schedule; a cron line takes some 50 µs to parse.
    parsed: HashMap<ScheduleText, Schedule>,
}

struct Entry {
    kept: KeptItem,
    timetable: Option<Timetable>,
    next: Option<DueTime>,
}

impl Calendar {
    /// Puts an item back that the journal holds. One whose schedule this program does not understand is
    /// put back all the same, is never due, and its error is returned.
    pub fn put_back(&mut self, kept: KeptItem) -> Result<(), ScheduleError> {
        let timetable = self.timetable(&kept);
        let (timetable, error) = match timetable {
            Ok(timetable) => (timetable, Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.insert(kept, timetable);
        error
    }

    /// Adds an item, or replaces it. A schedule that changed counts from now on.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with what is wrong and what to write instead; [`Refusal::QueueFull`] beyond
    /// [`ITEMS_MAX`]; [`Refusal::ItemOfConfigurationFile`] if it is the file's and `owner` is not;
    /// [`Refusal::Invalid`] the other way round, unless both say the same: what is backed up goes on being backed up.
    pub fn set(&mut self, item: Item, owner: ItemOwner, now: DateTime<Utc>) -> Result<&KeptItem, Refusal> {
        ensure_valid(&item)?;
        let before = self.items.get(&item.id).map(|entry| &entry.kept);
        if before.is_none() && self.items.len() >= ITEMS_MAX {
            return Err(Refusal::Invalid(format!(
                "there are {ITEMS_MAX} items already, and no more are kept"
            )));
        }
        if owner == ItemOwner::Journal
            && before.is_some_and(|kept| kept.owner == ItemOwner::ConfigurationFile)
        {
            return Err(Refusal::ItemOfConfigurationFile(item.id));
        }
        if owner == ItemOwner::ConfigurationFile
            && before.is_some_and(|kept| kept.owner == ItemOwner::Journal && kept.item != item)
        {
            return Err(Refusal::Invalid(format!(
                "another item {} was made by a command, on the page or over a door, and goes on as it is; give the \
                 configuration file's another name, or remove that one (remove-item) and have the file read again",
                item.id
            )));
        }
        let same_schedule = before.filter(|kept| kept.item.schedule == item.schedule);
        let (anchor, covered_until) =
            same_schedule.map_or((now, now), |kept| (kept.anchor, kept.covered_until));
        let id = item.id.clone();
        let kept = KeptItem { item, owner, anchor, covered_until };
        let timetable = self.timetable(&kept).map_err(|error| Refusal::Invalid(error.to_string()))?;
        self.insert(kept, timetable);
        self.items.get(&id).map(|entry| &entry.kept).ok_or(Refusal::UnknownItem(id))
    }

    /// Lets an item's schedule count, or not. Due times go by all the same; each is noted as skipped.
    pub fn enable(&mut self, id: &ItemId, enabled: bool) -> Result<&KeptItem, Refusal> {
        let entry = self.items.get_mut(id).ok_or_else(|| Refusal::UnknownItem(id.clone()))?;
        if entry.kept.owner == ItemOwner::ConfigurationFile {
            return Err(Refusal::ItemOfConfigurationFile(id.clone()));
        }
        entry.kept.item.enabled = enabled;
        Ok(&entry.kept)
    }

    /// The configuration file names this item no more: it is disabled, and its history stays. False if it
    /// is not the file's, or is disabled already.
    pub fn withdraw(&mut self, id: &ItemId) -> bool {
        let of_file = |entry: &&mut Entry| entry.kept.owner == ItemOwner::ConfigurationFile;
        match self.items.get_mut(id).filter(of_file) {
            Some(entry) => std::mem::replace(&mut entry.kept.item.enabled, false),
            None => false,
        }
    }

    /// Takes an item out.
    pub fn remove(&mut self, id: &ItemId) -> Result<KeptItem, Refusal> {
        match self.items.get(id) {
            None => return Err(Refusal::UnknownItem(id.clone())),
            Some(entry) if entry.kept.owner == ItemOwner::ConfigurationFile => {
                return Err(Refusal::ItemOfConfigurationFile(id.clone()));
            }
            Some(_) => {}
        }
        self.take_out(id).ok_or_else(|| Refusal::UnknownItem(id.clone()))
    }

    /// An item.
    pub fn item(&self, id: &ItemId) -> Option<&KeptItem> {
        self.items.get(id).map(|entry| &entry.kept)
    }

    /// All items, in no order.
    pub fn items(&self) -> impl Iterator<Item = &KeptItem> {
        self.items.values().map(|entry| &entry.kept)
    }

    /// When an item's next task would start by itself; `None` for a disabled one.
    pub fn next_start(&self, id: &ItemId) -> Option<DateTime<Utc>> {
        let entry = self.items.get(id).filter(|entry| entry.kept.item.enabled)?;
        entry.next.map(|next| next.starts_at)
    }

    /// Items whose due times count as covered far into the future, because a wrong clock showed it, count from
    /// `now` on; these are they. Otherwise nothing of theirs would be due until then.
    pub fn disbelieve_the_future(&mut self, now: DateTime<Utc>) -> Vec<ItemId> {
        let ahead = |entry: &&Entry| believed(entry.kept.covered_until, now) != entry.kept.covered_until;
        let ids: Vec<ItemId> =
            self.items.values().filter(ahead).map(|entry| entry.kept.item.id.clone()).collect();
        for id in &ids {
            let Some(kept) = self.take_out(id) else { continue };
            let (anchor, covered_until) = (believed(kept.anchor, now), now);
            // It was understood when it was put in.
            let _ = self.put_back(KeptItem { anchor, covered_until, ..kept });
        }
        ids
    }

    /// When the calendar wants to be looked at again.
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Deals with every due time that has come. At a start and after a jump of the clock this is the
    /// same: what is more than a minute late is caught up.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.wakes.first().cloned().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, id.clone()));
            let Some(entry) = self.items.get_mut(&id) else { continue };
            let covered_until = entry.kept.covered_until;
            let missed = entry.timetable.as_ref().and_then(|timetable| timetable.missed(covered_until, now));
            if let Some(missed) = missed {
                entry.kept.covered_until = missed.last.due;
                due.push(decide(&entry.kept.item, &missed, now));
            }
            self.wait_for_next(&id);
        }
        due
    }

    fn insert(&mut self, kept: KeptItem, timetable: Option<Timetable>) {
        let id = kept.item.id.clone();
        self.take_out(&id);
        self.items.insert(id.clone(), Entry { kept, timetable, next: None });
        self.wait_for_next(&id);
    }

    fn take_out(&mut self, id: &ItemId) -> Option<KeptItem> {
        let entry = self.items.remove(id)?;
        if let Some(next) = entry.next {
            self.wakes.remove(&(next.starts_at, id.clone()));
        }
        Some(entry.kept)
    }

    fn wait_for_next(&mut self, id: &ItemId) {
        let Some(entry) = self.items.get_mut(id) else { return };
        let covered_until = entry.kept.covered_until;
        entry.next = entry.timetable.as_ref().and_then(|timetable| timetable.next(covered_until));
        if let Some(next) = entry.next {
            self.wakes.insert((next.starts_at, id.clone()));
        }
    }

    fn timetable(&mut self, kept: &KeptItem) -> Result<Option<Timetable>, ScheduleError> {
        let Some(text) = &kept.item.schedule else { return Ok(None) };
        let schedule = match self.parsed.get(text) {
            Some(schedule) => schedule.clone(),
            None => {
                let schedule = Schedule::parse(text)?;
                // Texts that nothing uses any more go at last, together.
                if self.parsed.len() > 2 * self.items.len() + PARSED_SPARE {
                    self.parsed.clear();
                }
                self.parsed.insert(text.clone(), schedule.clone());
                schedule
            }
        };
        Ok(Some(Timetable { schedule, anchor: kept.anchor, item_id: kept.item.id.0.clone() }))
    }
}

/// What an item may take as JSON: the journal keeps it, and each of its tasks with it, in values of twice that.
pub const ITEM_BYTES_MAX: usize = 2 << 20;

/// Parsed schedules kept beyond those of the items.
const PARSED_SPARE: usize = 1000;

fn decide(item: &Item, missed: &MissedDueTimes, now: DateTime<Utc>) -> Due {
    let (since, due) = (missed.first.due, missed.last.due);
    if !item.enabled {
        let outcome = DueOutcome::Disabled;
        return Due::Skip(item.id.clone(), ScheduleOutcome { since, due, decided: now, outcome });
    }
    let trigger = if missed.overdue { Trigger::CatchUp(Missed { since, due }) } else { Trigger::Due(due) };
    Due::Ask(Wanted { command: due_command(&item.id, due), item: item.clone(), trigger })
}

/// The command that asks for a task for a due time, or for several of which this is the last: the same for the
/// same due time of the same item.
pub fn due_command(item: &ItemId, due: DateTime<Utc>) -> CommandId {
    let mut hash = Sha256::new();
    hash.update(due.timestamp().to_le_bytes());
    hash.update(due.timestamp_subsec_nanos().to_le_bytes());
    hash.update(item.0.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    CommandId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Whether an item can be what it is to be, its schedule and the meaning of its names left out.
///
/// # Errors
/// [`Refusal::Invalid`] with what is wrong.
pub fn ensure_valid(item: &Item) -> Result<(), Refusal> {
    let id = &item.id.0;
    let refuse = |why: String| Err(Refusal::Invalid(why));
    if id.is_empty() || id.len() > ItemId::BYTES_MAX {
        return refuse(format!("an item's id has 1 to {} bytes, not {}", ItemId::BYTES_MAX, id.len()));
    }
    if let Some(character) = id.chars().find(|character| character.is_control() || *character == '/') {
        return refuse(format!("an item's id holds no {character:?}"));
    }
    let bytes = serde_json::to_vec(item).map_or(usize::MAX, |json| json.len());
    if bytes > ITEM_BYTES_MAX {
        return refuse(format!("item {id} takes {bytes} bytes, more than {ITEM_BYTES_MAX}"));
    }
    if item.repository.is_empty() {
        return refuse(format!("item {id} names no repository"));
    }
    if let keepwell_messages::ItemSource::Files(files) = &item.source {
        if files.paths.is_empty() {
            return refuse(format!("item {id} names no path"));
        }
        if let Some(path) = files.paths.iter().find(|path| !path.starts_with('/')) {
            return refuse(format!("item {id} has the path {path}; write it from / on"));
        }
    }
    Ok(())
}
