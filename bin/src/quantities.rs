//! Sizes, durations and times as people write and read them.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, TimeZone};
use keepwell_engine::format::Timestamp;

/// Reads a number of bytes: digits, and b, k, m, g or t (powers of 1024), also as KiB, MiB, GiB or TiB.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write digits, and k, m, g or t for a unit");
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

/// Reads bytes per second: a size, with or without `/s`.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    parse_size(text.strip_suffix("/s").unwrap_or(text))
}

/// Reads a duration: `90s`, `5m`, `1h30m`, `2d`, `500ms`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 90s, 5m, 2h or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut millis: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        millis =
            number.checked_mul(unit_millis).and_then(|more| millis.checked_add(more)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(millis)) }
}

/// Reads a time: RFC 3339, or `2026-01-31 22:08:41`, `2026-01-31 22:08`, `2026-01-31` in the local zone.
pub fn parse_time(text: &str) -> Result<DateTime<FixedOffset>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time);
    }
    let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    local
        .and_then(|local| Local.from_local_datetime(&local).earliest())
        .map(|time| time.fixed_offset())
        .ok_or_else(|| format!("{text:?} is no time: write it as 2026-01-31 22:08:41"))
}

/// Bytes as lower-case hexadecimal digits, two a byte.
pub fn shown_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number of bytes for people, as restic shows it.
pub fn shown_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >= 1 << shift) {
        Some((shift, unit)) => format!("{:.3} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes} B"),
    }
}

/// A duration for people: `1:05`, `2:00:10`.
pub fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A time for people, in the local zone; to the second.
pub fn shown_time(time: Timestamp) -> String {
    match Local.timestamp_opt(time.seconds, 0).single() {
        Some(local) => local.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("12b", 12),
            ("3k", 3 << 10),
            ("2M", 2 << 20),
            ("1g", 1 << 30),
            ("4T", 4 << 40),
            ("2 MiB", 2 << 20),
            ("500KiB", 500 << 10),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_rate("2 MiB/s"), Ok(2 << 20));
        assert_eq!(parse_rate("2 MiB"), Ok(2 << 20));
        for text in ["", "k", "-1", "1.5m", "12x", "99999999999t", "1é", "2 MB", "2 MiB/s"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("0", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1s500ms"), Ok(Duration::from_millis(1500)));
        for text in ["", "5", "m", "5x", "-5m", "99999999999999999999s", "5é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        assert_eq!(parse_time("2026-01-31T22:08:41+02:00").unwrap().timestamp(), 1_769_890_121);
        for text in ["2012-11-01 22:08:41", "2012-11-01 22:08", "2012-11-01"] {
            assert!(parse_time(text).is_ok(), "{text}");
        }
        for text in ["", "yesterday", "2012-13-01", "2012-11-01 25:00:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn figures_are_shown_as_restic_does() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(shown_bytes), ["0 B", "1023 B", "1.500 KiB", "5.000 GiB"]);
        assert_eq!(
            [5, 65, 7210].map(|s| shown_duration(Duration::from_secs(s))),
            ["0:05", "1:05", "2:00:10"]
        );
    }
}
