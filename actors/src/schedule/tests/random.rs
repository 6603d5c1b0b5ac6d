//! Random schedules: nothing panics, and every answer fits every other.

use chrono::{DateTime, Utc};
use chrono_tz::TZ_VARIANTS;
use croner::Cron;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{parse, schedule, seconds};

/// The same cases at every run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
fn config(cases: u32) -> ProptestConfig {
    let seed = match std::env::var("PROPTEST_RNG_SEED") {
        Ok(_) => ProptestConfig::default().rng_seed,
        Err(_) => RngSeed::Fixed(20_260_329),
    };
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { ProptestConfig::default().cases } else { cases };
    ProptestConfig { cases, rng_seed: seed, failure_persistence: None, ..ProptestConfig::default() }
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let number = min..=max;
    prop_oneof![
        3 => Just("*".to_string()),
        2 => number.clone().prop_map(|number| number.to_string()),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => prop::collection::vec(number, 1..4)
            .prop_map(|list| list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

fn cron_line() -> impl Strategy<Value = String> {
    let day = prop_oneof![
        6 => field(1, 31),
        1 => Just("L".to_string()),
        1 => Just("LW".to_string()),
        1 => (1..=31_u32).prop_map(|day| format!("{day}W")),
    ];
    let weekday = prop_oneof![
        6 => field(0, 7),
        1 => field(0, 7).prop_map(|days| format!("+{days}")),
        1 => (0..=7_u32, 1..=5_u32).prop_map(|(day, nth)| format!("{day}#{nth}")),
        1 => (0..=6_u32).prop_map(|day| format!("{day}L")),
    ];
    (field(0, 59), field(0, 23), day, field(1, 12), weekday)
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    // 1970 to 2100, in milliseconds.
    (0..4_102_444_800_000_i64).prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap())
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TZ_VARIANTS.map(|zone| zone.name()).to_vec())
}

fn form() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => cron_line(),
        1 => (1..10_000_u32).prop_map(|minutes| format!("every {minutes}m")),
        1 => (0..24_u32, 0..60_u32).prop_map(|(hour, minute)| format!("daily {hour}:{minute:02}")),
        1 => (0..24_u32, 0..60_u32).prop_map(|(hour, minute)| format!("weekly wed {hour}:{minute:02}")),
        1 => (1..=31_u32, 0..24_u32).prop_map(|(day, hour)| format!("monthly {day} {hour}:30")),
    ]
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn no_words_make_the_parser_panic(spec in "\\PC{0,40}", zone in "\\PC{0,20}") {
        let _ = parse(&spec, &zone);
        let _ = parse(&spec, "UTC").map_err(|error| error.to_string());
    }

    #[test]
    fn no_words_of_known_forms_make_the_parser_panic(
        spec in "(every|daily|weekly|monthly)?([ 0-9:smhdw]{0,12}|( ?[-0-9*/,LW#+?@a-fmosu]{0,6}){5})",
    ) {
        let _ = parse(&spec, "Europe/Berlin").map_err(|error| error.to_string());
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn next_and_latest_due_time_fit_each_other(
        spec in form(), zone in zone(), after in instant(), anchor in instant(),
    ) {
        let Ok(schedule) = parse(&spec, zone) else { return Ok(()) };
        let next = schedule.next_due(after, anchor).expect("a valid schedule always fires again");
        prop_assert!(next > after, "{next} is not after {after}");
        prop_assert_eq!(next.timestamp_subsec_nanos(), 0);
        prop_assert_eq!(schedule.latest_due(next, anchor), Some(next));
        prop_assert_eq!(schedule.next_due(next - seconds(1), anchor), Some(next));
        let before = schedule.latest_due(next - seconds(1), anchor);
        prop_assert!(before <= Some(after), "{before:?} lies between {after} and {next}");
        if let Some(before) = before {
            prop_assert_eq!(schedule.next_due(before, anchor), Some(next));
        }
    }

    #[test]
    fn cron_lines_mean_in_utc_what_croner_says(line in cron_line(), after in instant()) {
        let cron: Cron = line.parse().unwrap();
        let Ok(schedule) = parse(&line, "UTC") else {
            // Whatever is refused does not fire within any four centuries either.
            prop_assert!(cron.find_next_occurrence(&after, false).is_err(), "{line} was refused");
            return Ok(());
        };
        let mut due = after;
        for _ in 0..20 {
            let expected = cron.find_next_occurrence(&due, false).unwrap();
            let expected = DateTime::from_timestamp(expected.timestamp(), 0).unwrap();
            prop_assert_eq!(schedule.next_due(due, after), Some(expected), "{} after {}", line, due);
            due = expected;
        }
    }
}

#[test]
fn search_from_any_second_of_a_change_finds_the_same_due_time() {
    // 45 minutes around the end of summer time, second by second.
    let half_hourly = schedule("*/30 * * * *", "Australia/Lord_Howe");
    let change = super::utc("2026-04-04T15:00:00Z");
    for second in -2_700..2_700 {
        let after = change + seconds(second);
        let next = half_hourly.next_due(after, after).unwrap();
        assert!(next > after, "{next} is not after {after}");
        assert_eq!(half_hourly.next_due(next - seconds(1), after), Some(next), "after {after}");
        assert!(half_hourly.latest_due(next - seconds(1), after) <= Some(after), "after {after}");
    }
}
