//! What becomes of due times.

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_messages::{FilesItem, ItemSource, TaskId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-{text}:00Z").parse().expect("a time")
}

fn item(id: &str, spec: &str) -> Item {
    Item {
        id: id.into(),
        source: ItemSource::Files(FilesItem { paths: vec!["/data".into()], excludes: Vec::new() }),
        repository: "main".into(),
        schedule: Some(ScheduleText { spec: spec.into(), time_zone: "UTC".into(), jitter_seconds: None }),
        enabled: true,
        tags: Vec::new(),
    }
}

fn task() -> TaskId {
    TaskId(Uuid::from_u128(7))
}

fn calendar(now: DateTime<Utc>) -> Calendar {
    let mut calendar = Calendar::default();
    calendar.set(item("photos", "daily 02:00"), ItemOwner::Journal, now).expect("set");
    calendar
}

/// The trigger of the one task that is asked for.
fn asked(due: Vec<Due>) -> Trigger {
    match <[Due; 1]>::try_from(due).expect("one due time") {
        [Due::Ask(wanted)] => wanted.trigger,
        [Due::Skip(_, outcome)] => panic!("it was skipped: {outcome:?}"),
    }
}

fn missed(since: &str, due: &str) -> Trigger {
    Trigger::CatchUp(Missed { since: at(since), due: at(due) })
}

fn skipped(due: Vec<Due>) -> DueOutcome {
    match <[Due; 1]>::try_from(due).expect("one due time") {
        [Due::Skip(_, outcome)] => outcome.outcome,
        [Due::Ask(wanted)] => panic!("it was asked for: {wanted:?}"),
    }
}

#[test]
fn a_due_time_asks_for_a_task_once_and_the_next_is_waited_for() {
    let mut calendar = calendar(at("03-01T12:00"));
    assert_eq!(calendar.next_wake(), Some(at("03-02T02:00")));
    assert_eq!(calendar.due(at("03-02T01:59")), []);
    let due = calendar.due(at("03-02T02:00"));
    assert_eq!(asked(due), Trigger::Due(at("03-02T02:00")));
    assert_eq!(calendar.due(at("03-02T02:00")), []);
    assert_eq!(calendar.next_wake(), Some(at("03-03T02:00")));
}

#[test]
fn up_to_a_minute_late_it_simply_runs_and_later_it_is_caught_up_once() {
    for (now, trigger) in [
        ("03-02T02:01", Trigger::Due(at("03-02T02:00"))),
        ("03-02T02:02", missed("03-02T02:00", "03-02T02:00")),
        ("03-20T00:00", missed("03-02T02:00", "03-19T02:00")),
    ] {
        let mut kept = calendar(at("03-01T12:00"));
        assert_eq!(asked(kept.due(at(now))), trigger, "{now}");
        assert!(kept.next_wake().expect("more to come") > at(now), "normal scheduling goes on");
    }
}

#[test]
fn what_the_manager_answers_is_what_became_of_the_due_times() {
    let (since, due, now) = (at("03-02T02:00"), at("03-04T02:00"), at("03-04T12:00"));
    let caught_up = Trigger::CatchUp(Missed { since, due });
    for (trigger, answer, outcome) in [
        (Trigger::Due(due), Ok(TaskMade { task: task() }), None),
        (Trigger::Due(due), Err(Refusal::DuplicateTask(task())), Some(DueOutcome::Duplicate(task()))),
        (caught_up, Err(Refusal::DuplicateTask(task())), Some(DueOutcome::CoveredBy(task()))),
        (caught_up, Err(Refusal::GloballyPaused), Some(DueOutcome::GloballyPaused)),
        (
            Trigger::Due(due),
            Err(Refusal::QueueFull(9)),
            Some(DueOutcome::Refused("9 wait already; ask again later".into())),
        ),
        (Trigger::Manual, Err(Refusal::GloballyPaused), None),
    ] {
        let wanted = Wanted { command: CommandId(Uuid::nil()), item: item("photos", "daily 02:00"), trigger };
        let found = wanted.outcome(&answer, now);
        assert_eq!(found.as_ref().map(|found| found.outcome.clone()), outcome, "{trigger:?} {answer:?}");
        if let Some(found) = found {
            assert_eq!(Some(Missed { since: found.since, due: found.due }), trigger.due_times());
        }
    }
}

#[test]
fn a_disabled_item_skips_with_its_reason() {
    let mut kept = calendar(at("03-01T12:00"));
    kept.enable(&"photos".into(), false).expect("disabled");
    assert_eq!(kept.next_start(&"photos".into()), None);
    assert_eq!(skipped(kept.due(at("03-03T02:00"))), DueOutcome::Disabled);
    kept.enable(&"photos".into(), true).expect("enabled");
    assert_eq!(kept.next_start(&"photos".into()), Some(at("03-04T02:00")));
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_due_twice() {
    let mut kept = calendar(at("03-01T12:00"));
    kept.due(at("03-02T02:00"));
    assert_eq!(kept.due(at("03-01T00:00")), []);
    assert_eq!(kept.due(at("03-02T02:00")), []);
}

#[test]
fn what_a_clock_far_ahead_covered_is_due_again_once_it_is_right() {
    let cases = [
        // (what the clock showed, when the item is due next)
        ("03-02T02:00", at("03-03T02:00")),
        ("03-08T02:00", at("03-02T02:00")),
        ("12-31T23:00", at("03-02T02:00")),
    ];
    for (shown, next) in cases {
        let mut kept = calendar(at("03-01T12:00"));
        kept.due(at(shown));
        kept.disbelieve_the_future(at("03-01T12:05"));
        assert_eq!(kept.next_wake(), Some(next), "after {shown}");
        assert_eq!(kept.disbelieve_the_future(at("03-01T12:05")), [], "nothing is left to disbelieve");
    }
    let mut kept = calendar(at("12-31T23:00"));
    kept.disbelieve_the_future(at("03-01T12:05"));
    assert_eq!(kept.next_wake(), Some(at("03-02T02:00")), "an item that was made under such a clock");
}

#[test]
fn asked_again_after_a_crash_it_is_the_same_command() {
    let ask = |now: &str| match &calendar(at("03-01T12:00")).due(at(now))[..] {
        [Due::Ask(wanted)] => wanted.command,
        other => panic!("{other:?}"),
    };
    assert_eq!(ask("03-02T02:00"), ask("03-02T09:00"));
    assert_ne!(ask("03-02T02:00"), ask("03-03T02:00"));
}

#[test]
fn a_changed_schedule_counts_from_now_and_an_unchanged_one_goes_on() {
    let mut kept = calendar(at("03-01T12:00"));
    let mut renamed = item("photos", "daily 02:00");
    renamed.tags = vec!["other".into()];
    kept.set(renamed, ItemOwner::Journal, at("03-04T12:00")).expect("set");
    assert_eq!(kept.next_wake(), Some(at("03-02T02:00")), "what is due stays due");
    kept.set(item("photos", "daily 03:00"), ItemOwner::Journal, at("03-04T12:00")).expect("set");
    assert_eq!(kept.next_wake(), Some(at("03-05T03:00")));
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut kept = calendar(at("03-01T12:00"));
    let mut relative = item("relative", "daily 02:00");
    relative.source = ItemSource::Files(FilesItem { paths: vec!["data".into()], excludes: Vec::new() });
    let mut nowhere = item("nowhere", "daily 02:00");
    nowhere.repository = String::new();
    for wrong in [
        item("", "daily 02:00"),
        item(&"x".repeat(129), "daily 02:00"),
        item("a/b", "daily 02:00"),
        item("never", "0 3 30 2 *"),
        item("nonsense", "sometimes"),
        relative,
        nowhere,
    ] {
        let refused = kept.set(wrong.clone(), ItemOwner::Journal, at("03-01T12:00"));
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{wrong:?}");
    }
    assert_eq!(kept.items().count(), 1);
}

#[test]
fn items_of_the_configuration_file_change_only_there() {
    let mut kept = Calendar::default();
    let now = at("03-01T12:00");
    kept.set(item("photos", "daily 02:00"), ItemOwner::ConfigurationFile, now).expect("set");
    let refusal = Refusal::ItemOfConfigurationFile("photos".into());
    assert_eq!(kept.set(item("photos", "daily 03:00"), ItemOwner::Journal, now), Err(refusal.clone()));
    assert_eq!(kept.enable(&"photos".into(), false), Err(refusal.clone()));
    assert_eq!(kept.remove(&"photos".into()), Err(refusal));
    assert!(kept.set(item("photos", "daily 03:00"), ItemOwner::ConfigurationFile, now).is_ok());
}

#[test]
fn an_item_of_the_configuration_file_does_not_take_over_another_one_that_a_command_made() {
    let mut kept = Calendar::default();
    let now = at("03-01T12:00");
    let of_command = item("photos", "daily 02:00");
    kept.set(of_command.clone(), ItemOwner::Journal, now).expect("set");
    let refused = kept.set(item("photos", "daily 03:00"), ItemOwner::ConfigurationFile, now).unwrap_err();
    let words = refused.to_string();
    assert!(words.contains("item photos") && words.contains("remove-item"), "{words}");
    let still = kept.item(&"photos".into()).expect("it is there");
    assert_eq!((still.owner, &still.item), (ItemOwner::Journal, &of_command));
    // One that says the same takes nothing away.
    let same = kept.set(of_command, ItemOwner::ConfigurationFile, now).expect("set");
    assert_eq!(same.owner, ItemOwner::ConfigurationFile);
}

#[test]
fn an_item_whose_schedule_is_not_understood_is_kept_and_never_due() {
    let mut kept = Calendar::default();
    let now = at("03-01T12:00");
    let broken = KeptItem {
        item: item("future", "when the moon is full"),
        owner: ItemOwner::Journal,
        anchor: now,
        covered_until: now,
    };
    assert!(kept.put_back(broken.clone()).is_err());
    assert_eq!(kept.item(&"future".into()), Some(&broken));
    assert_eq!(kept.next_wake(), None);
}

#[test]
fn a_removed_item_is_due_no_more() {
    let mut kept = calendar(at("03-01T12:00"));
    kept.remove(&"photos".into()).expect("removed");
    assert_eq!((kept.next_wake(), kept.items().count()), (None, 0));
    assert_eq!(kept.remove(&"photos".into()), Err(Refusal::UnknownItem("photos".into())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the clock and the looks at it go, each due time has one outcome and no more.
    #[test]
    fn every_due_time_has_exactly_one_outcome(
        steps in prop::collection::vec(-7_200..100_000i64, 1..60),
        spec in prop::sample::select(vec!["every 7h", "daily 02:00", "weekly sun 03:30", "*/30 * * * *"]),
    ) {
        let start = at("03-01T12:00");
        let mut kept = Calendar::default();
        kept.set(item("photos", spec), ItemOwner::Journal, start).expect("set");
        let (mut now, mut latest, mut covered) = (start, start, start);
        for seconds in steps {
            now += TimeDelta::seconds(seconds);
            latest = latest.max(now);
            for due in kept.due(now) {
                let (since, until) = match due {
                    Due::Ask(wanted) => {
                        let missed = wanted.trigger.due_times().expect("it was due");
                        (missed.since, missed.due)
                    }
                    Due::Skip(_, outcome) => (outcome.since, outcome.due),
                };
                let timetable = kept.items[&ItemId::from("photos")].timetable.clone().expect("a timetable");
                prop_assert_eq!(timetable.next(covered).map(|next| next.due), Some(since), "none is left out");
                prop_assert!(since <= until && until <= now && until > covered);
                covered = until;
            }
        }
        kept.due(latest);
        prop_assert!(kept.next_wake().is_some_and(|wake| wake > latest));
    }
}
