//! A point in time as Go's `time.Time` is stored: an instant and the zone it was seen in.
//!
//! Written as RFC 3339 with as many digits of the second as it takes
//! (`2006-01-02T15:04:05.12+01:00`), read as strictly as Go's `UnmarshalJSON` reads. Dates are of
//! the proleptic Gregorian calendar, years 0 to 9999: another year is written as the
//! nearest of these with month, day and time kept, as restic's `fixTime` does.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub(super) const DAY_SECONDS: i64 = 86_400;
const NANOSECONDS_MAX: u32 = 999_999_999;
/// Go refuses to write an offset of a day or more.
pub(super) const OFFSET_MINUTES_MAX: i32 = 24 * 60 - 1;

/// An instant with nanoseconds, and the offset it is written with.
/// Two timestamps with equal instants and other offsets are the same moment:
/// compare with [`Timestamp::same_instant`]. Derived equality compares all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
    /// Seconds east of UTC used for writing. Go writes whole minutes.
    pub offset_seconds: i32,
}

/// The text is not a time as Go's `UnmarshalJSON` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct ParseTimestampError;

impl Timestamp {
    /// Go's zero time, which a missing or `null` time reads as: 0001-01-01T00:00:00Z.
    pub const GO_ZERO: Self = Self { seconds: -62_135_596_800, nanoseconds: 0, offset_seconds: 0 };

    /// An instant in UTC. `nanoseconds` of a whole second and more are kept as 999,999,999.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds: nanoseconds.min(NANOSECONDS_MAX), offset_seconds: 0 }
    }

    /// The same instant, written with another offset.
    pub fn with_offset(self, offset_seconds: i32) -> Self {
        Self { offset_seconds, ..self }
    }

    /// Whether both name the same moment.
    pub fn same_instant(&self, other: &Self) -> bool {
        (self.seconds, self.nanoseconds) == (other.seconds, other.nanoseconds)
    }

    /// The instant as the system's clock counts it; `None` beyond what that can hold.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second =
            if self.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }

    /// Appends the text, without quotes: 20 to 35 bytes.
    ///
    /// An offset is cut to whole minutes towards UTC and to less than a day. The time of day is cut with
    /// it, so that the instant stays (Go keeps the seconds of an odd offset in the time of day
    /// alone and so stores another instant; zones have had whole minutes since 1972).
    pub fn write_rfc3339(&self, out: &mut Vec<u8>) {
        let offset_minutes = (self.offset_seconds / 60).clamp(-OFFSET_MINUTES_MAX, OFFSET_MINUTES_MAX);
        let second = self.seconds.rem_euclid(DAY_SECONDS) + i64::from(offset_minutes) * 60;
        let days = self.seconds.div_euclid(DAY_SECONDS) + second.div_euclid(DAY_SECONDS);
        let second = second.rem_euclid(DAY_SECONDS) as u32;
        let (year, month, day) = storable_date(days);
        let mut text = *b"0000-00-00T00:00:00";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], month);
        put_digits(&mut text[8..10], day);
        put_digits(&mut text[11..13], second / 3600);
        put_digits(&mut text[14..16], second / 60 % 60);
        put_digits(&mut text[17..19], second % 60);
        out.extend_from_slice(&text);
        push_fraction(out, self.nanoseconds.min(NANOSECONDS_MAX));
        push_offset(out, offset_minutes);
    }

    /// Reads the text, without quotes, of a time of the years 0 to 9999.
    pub fn parse_rfc3339(text: &str) -> Result<Self, ParseTimestampError> {
        parse(text.as_bytes()).ok_or(ParseTimestampError)
    }
}

impl From<SystemTime> for Timestamp {
    /// In UTC; beyond the range of seconds that fit, the nearest.
    fn from(time: SystemTime) -> Self {
        let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::from_unix(whole(after), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => Self::from_unix(-whole(before), 0),
                    nanoseconds => Self::from_unix(-whole(before) - 1, 1_000_000_000 - nanoseconds),
                }
            }
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(35);
        self.write_rfc3339(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// From RFC 3339 text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse_rfc3339(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl Serialize for Timestamp {
    /// As RFC 3339 text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The date of a day since 1970, brought into the years 0 to 9999.
fn storable_date(days: i64) -> (u32, u32, u32) {
    let (year, month, day) = civil_from_days(days);
    let kept = year.clamp(0, 9999);
    // As Go's AddDate: a 29 February that the other year lacks is its 1 March.
    let (month, day) = if (month, day) == (2, 29) && !is_leap(kept) { (3, 1) } else { (month, day) };
    (kept as u32, month, day)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01 to year, month and day (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms"): years begin in March, so that the leap day is a year's last.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// The inverse of [`civil_from_days`].
pub(super) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Right-aligned, zeros before.
fn put_digits(text: &mut [u8], mut value: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn push_fraction(out: &mut Vec<u8>, nanoseconds: u32) {
    if nanoseconds == 0 {
        return;
    }
    let mut text = *b".000000000";
    put_digits(&mut text[1..], nanoseconds);
    let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
    out.extend_from_slice(&text[..text.len() - zeros]);
}

fn push_offset(out: &mut Vec<u8>, minutes: i32) {
    if minutes == 0 {
        out.push(b'Z');
        return;
    }
    let mut text = if minutes < 0 { *b"-00:00" } else { *b"+00:00" };
    put_digits(&mut text[1..3], minutes.unsigned_abs() / 60);
    put_digits(&mut text[4..6], minutes.unsigned_abs() % 60);
    out.extend_from_slice(&text);
}

/// Go's `parseRFC3339` with the strictness of `UnmarshalJSON`: two digits an hour, a point before the
/// fraction, an offset below a day. Digits beyond nanoseconds are dropped.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let (date_time, rest) = text.split_at_checked(19)?;
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if date_time[at] != separator {
            return None;
        }
    }
    let year = i64::from(number_in(&date_time[0..4], 0, 9999)?);
    let month = number_in(&date_time[5..7], 1, 12)?;
    let day = number_in(&date_time[8..10], 1, days_in_month(year, month))?;
    let hour = number_in(&date_time[11..13], 0, 23)?;
    let minute = number_in(&date_time[14..16], 0, 59)?;
    let second = number_in(&date_time[17..19], 0, 59)?;
    let (nanoseconds, rest) = parse_fraction(rest)?;
    let offset_seconds = parse_offset(rest)?;
    let local = days_from_civil(year, month, day) * DAY_SECONDS
        + i64::from(hour) * 3600
        + i64::from(minute) * 60
        + i64::from(second);
    Some(Timestamp { seconds: local - i64::from(offset_seconds), nanoseconds, offset_seconds })
}

fn number_in(digits: &[u8], lowest: u32, highest: u32) -> Option<u32> {
    let value = digits.iter().try_fold(0u32, |value, &digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })?;
    (lowest..=highest).contains(&value).then_some(value)
}

fn parse_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.', fraction)) = text.split_first() else {
        return Some((0, text));
    };
    let length = fraction.iter().take_while(|digit| digit.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let mut nanoseconds = number_in(&fraction[..length.min(9)], 0, NANOSECONDS_MAX)?;
    for _ in length..9 {
        nanoseconds *= 10;
    }
    Some((nanoseconds, &fraction[length..]))
}

fn parse_offset(text: &[u8]) -> Option<i32> {
    match *text {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours = number_in(&text[1..3], 0, 23)?;
            let minutes = number_in(&text[4..6], 0, 59)?;
            let seconds = (hours * 60 + minutes) as i32 * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}
