//! Cron lines: five fields, read by croner, kept as a [`CivilTable`].
//!
//! croner decides what a line means: lists, ranges, steps, names, `L`, `W`, `#`,
//! `+`, and that a day matches if either day field does once both are given.
//! Searching is ours, because croner runs a line with wildcards on both passes
//! of an overlap and drops what falls into a gap. What croner would overlook is
//! refused here: an empty place in a list, a step that never takes a second one.

use chrono::Datelike;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::civil_table::CivilTable;
use super::error::{CronField, ScheduleError};

/// The table of a line; it may be one that never fires.
pub(super) fn read(line: &str) -> Result<CivilTable, ScheduleError> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if line.starts_with('@') {
        return parse(line)
            .map(|cron| tabulate(&cron))
            .ok_or_else(|| ScheduleError::CronNicknameUnknown { spec: line.into() });
    }
    if fields.len() != CronField::ALL.len() {
        return Err(ScheduleError::CronFieldCount { spec: line.into(), count: fields.len() });
    }
    let invalid =
        |field: CronField| ScheduleError::CronFieldInvalid { field, text: fields[field as usize].into() };
    if let Some(field) =
        CronField::ALL.into_iter().find(|&field| is_overlooked(fields[field as usize], field))
    {
        return Err(invalid(field));
    }
    match parse(line) {
        Some(cron) => Ok(tabulate(&cron)),
        None => Err(invalid(field_at_fault(&fields))),
    }
}

fn parse(line: &str) -> Option<Cron> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(line).ok()
}

/// The field that is refused even where all others are `*`.
fn field_at_fault(fields: &[&str]) -> CronField {
    let refused = |field: &CronField| {
        let mut alone = ["*"; CronField::ALL.len()];
        alone[*field as usize] = fields[*field as usize];
        parse(&alone.join(" ")).is_none()
    };
    CronField::ALL.into_iter().find(refused).unwrap_or(CronField::DayOfWeek)
}

/// Whether croner would accept something in the field that it then ignores.
fn is_overlooked(text: &str, field: CronField) -> bool {
    text.split(',').any(|part| {
        let step = part.split_once('/').map(|(_, step)| step.parse::<u32>());
        part.is_empty() || step.is_some_and(|step| step.is_ok_and(|step| step > field.max()))
    })
}

fn tabulate(cron: &Cron) -> CivilTable {
    let pattern = &cron.pattern;
    CivilTable::new(
        |minute| pattern.minute_match(minute).unwrap_or(false),
        |hour| pattern.hour_match(hour).unwrap_or(false),
        |month| pattern.month_match(month).unwrap_or(false),
        |date| {
            let weekday = croner::Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
            pattern.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false)
        },
    )
}
