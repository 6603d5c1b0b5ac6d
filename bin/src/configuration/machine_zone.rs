//! The zone of the machine's clock.

use chrono_tz::Tz;

/// What `TZ` names, else what the machine is set to; UTC if neither is a zone that is known.
pub fn machine_zone() -> Tz {
    match std::env::var("TZ") {
        Ok(name) => named(name.trim_start_matches(':')),
        Err(_) => iana_time_zone::get_timezone().map_or(Tz::UTC, |name| named(&name)),
    }
}

fn named(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}
