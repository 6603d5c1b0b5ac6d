//! Zones: their names, and the instant at which one's clocks show a civil time.
//!
//! A civil time stands for *the first instant at which the zone's clock shows
//! it or a later time*. Where clocks go forward over it, that is the first
//! instant after the gap; where they show it twice, the first of the two. By
//! that definition later civil times never come before earlier ones.

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};

use super::error::ScheduleError;

/// Longer than any name in the database.
const NAME_BYTES_MAX: usize = 64;
/// One letter in so many may be wrong in a name that is still recognised.
const LETTERS_PER_TYPO: usize = 3;
/// Shorter words are near to each other by chance: `PST` to `EST`.
const TYPO_BYTES_MIN: usize = 5;

/// The zone of this IANA name.
pub(super) fn find(name: &str) -> Result<Tz, ScheduleError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ScheduleError::TimeZoneEmpty);
    }
    if name.len() > NAME_BYTES_MAX {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(ScheduleError::TimeZoneUnknown { name: format!("{shown}…"), nearest: None });
    }
    name.parse().map_err(|_| ScheduleError::TimeZoneUnknown { name: name.into(), nearest: nearest_to(name) })
}

/// The zone that was probably meant: the same name in other letters, else the same city, else the fewest
/// typos. The zones named `Etc/…` are never suggested: in `Etc/GMT+2` clocks are two hours *behind* UTC.
fn nearest_to(name: &str) -> Option<&'static str> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let wanted_city = city_of(&wanted);
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| !name.starts_with("Etc/"));
    let places = || names().filter(|name| name.contains('/'));
    let typos = |name: &&'static str| {
        let name = name.to_lowercase();
        if wanted.contains('/') {
            strsim::levenshtein(&wanted, &name)
        } else {
            strsim::levenshtein(&wanted, city_of(&name))
        }
    };
    names()
        .find(|name| name.to_lowercase() == wanted)
        .or_else(|| places().find(|name| city_of(&name.to_lowercase()) == wanted_city))
        .or_else(|| {
            let near = |name: &&'static str| {
                wanted.len() >= TYPO_BYTES_MIN && typos(name) <= wanted.len() / LETTERS_PER_TYPO
            };
            places().filter(near).min_by_key(typos)
        })
}

fn city_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The first instant at which the zone's clock shows `civil` or a later time; none at the calendar's very
/// end.
pub(super) fn first_instant_showing(zone: Tz, civil: NaiveDateTime) -> Option<DateTime<Utc>> {
    let instant = match zone.from_local_datetime(&civil).earliest() {
        Some(shown) => shown,
        None => GapInfo::new(&civil, &zone)?.end?,
    };
    Some(instant.to_utc())
}
