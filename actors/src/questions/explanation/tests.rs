//! The sentences, by what is known: one line of the table for each thing that can be so.

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_messages::{
    BackedUp, CancelReason, DueOutcome, ErrorClass, Failure, Item, ItemNow, ItemOwner, ItemSource, LatestEnd,
    PendingReason, Retry, ScheduleOutcome, ScheduleText, Task, TaskEnd, TaskId, TaskKind, TaskState, Trigger,
};
use uuid::Uuid;

use super::*;
use crate::board::QueuePlace;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn id(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(number))
}

/// An enabled item that is due in an hour, of which nothing ever ran.
fn facts() -> Facts {
    let item = Item {
        id: "photos".into(),
        source: ItemSource::Named("photos".into()),
        repository: "cellar".into(),
        schedule: Some(ScheduleText {
            spec: "daily 02:00".into(),
            time_zone: "UTC".into(),
            jitter_seconds: None,
        }),
        enabled: true,
        tags: Vec::new(),
    };
    let item =
        ItemNow { item, owner: ItemOwner::Journal, next_due: Some(at(60)), active_task: None, latest: None };
    Facts { now: at(0), item, standing: ItemStanding::default(), outcomes: Vec::new(), history: Vec::new() }
}

fn task(number: u128, state: TaskState, pending: Option<PendingReason>) -> Task {
    Task {
        id: id(number),
        kind: TaskKind::Backup("photos".into()),
        trigger: Trigger::Due(at(-10)),
        state,
        pending,
        attempt: 1,
        attempts_max: 4,
        created: at(-10),
        changed: at(-5),
        end: None,
        progress: None,
    }
}

fn ended(number: u128, trigger: Trigger, end: TaskEnd) -> Task {
    Task { trigger, end: Some(end.clone()), ..task(number, end.state(), None) }
}

fn place(task: Task) -> QueuePlace {
    QueuePlace {
        task,
        ahead: 2,
        running: 3,
        running_max: 3,
        running_in_repository: 1,
        running_in_repository_max: None,
        repository: "cellar".into(),
    }
}

fn active(state: TaskState, pending: Option<PendingReason>) -> Facts {
    with_place(place(task(1, state, pending)))
}

fn with_place(place: QueuePlace) -> Facts {
    let standing = ItemStanding { globally_paused: false, active: Some(place) };
    Facts { standing, ..facts() }
}

fn paused(facts: Facts) -> Facts {
    Facts { standing: ItemStanding { globally_paused: true, ..facts.standing }, ..facts }
}

fn retry(minutes: i64) -> Option<PendingReason> {
    let (class, why) = (ErrorClass::Network, "cannot reach the store".into());
    Some(PendingReason::Retry(Retry { attempt: 2, attempts_max: 4, at: at(minutes), class, why }))
}

fn outcome(outcome: DueOutcome) -> Facts {
    let outcomes = vec![ScheduleOutcome { since: at(-10), due: at(-10), decided: at(-9), outcome }];
    Facts { outcomes, ..facts() }
}

fn ran(end: TaskEnd) -> Facts {
    let history = vec![ended(1, Trigger::Due(at(-10)), end)];
    Facts { history, ..outcome(DueOutcome::Ran(id(1))) }
}

fn backed_up(errors: u64) -> TaskEnd {
    let snapshot = "ab".repeat(32);
    TaskEnd::BackedUp(BackedUp { snapshot, files: 1, bytes: 2, bytes_new: 3, bytes_stored: 4, errors })
}

fn failed(class: ErrorClass) -> TaskEnd {
    TaskEnd::Failed(Failure { class, why: "it did not work".into() })
}

/// As a person reads it: `[+MINUTES] text => advice`, one line for each reason.
fn told(facts: Facts) -> String {
    let now = facts.now;
    let line = |reason: &Reason| {
        let at = reason.at.map_or(String::new(), |at| format!("[{:+}] ", (at - now).num_minutes()));
        let advice = reason.advice.as_ref().map_or(String::new(), |advice| format!(" => {advice}"));
        format!("{at}{}{advice}", reason.text)
    };
    explain(facts).reasons.iter().map(line).collect::<Vec<_>>().join("\n")
}

const NEXT: &str = "[+60] it is due next then";
const NEXT_RUN: &str = "[+60] it is due next then => `keepwell run photos` backs it up now";
const RESUME: &str = "`keepwell resume 00000000-0000-0000-0000-000000000001` lets it go on";
const RESUME_ALL: &str = "`keepwell resume-all` lets everything go on";
const LISTS: &str = "`keepwell tasks` lists what runs and what waits";

#[test]
fn what_is_so_now_is_told_first() {
    let with = |change: fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        facts
    };
    let placed = |change: fn(&mut QueuePlace)| {
        let mut place = place(task(1, TaskState::Pending, Some(PendingReason::Queued)));
        change(&mut place);
        with_place(place)
    };
    let network = "check the network and the repository's address in the configuration";
    let cases = [
        // Nothing is wrong: its time has not come.
        (facts(), NEXT_RUN.to_owned()),
        (
            with(|facts| facts.item.next_due = Some(at(-1))),
            "[-1] it has been due since then, and begins in a moment".into(),
        ),
        (
            with(|facts| facts.item.next_due = None),
            "its schedule names no time that is still to come, or is not one that this version knows => write \
             another schedule, as `daily 02:00`"
                .into(),
        ),
        (
            with(|facts| facts.item.item.schedule = None),
            "it has no schedule, so that it is backed up only when somebody asks for it => `keepwell run photos` \
             backs it up now"
                .into(),
        ),
        (
            with(|facts| facts.item.item.enabled = false),
            "it is disabled, so that its schedule does not count => `keepwell command enable-item \
             '{\"item\":\"photos\",\"enabled\":true}'` lets its schedule count; `keepwell run photos` backs it up now"
                .into(),
        ),
        (
            with(|facts| {
                facts.item.item.enabled = false;
                facts.item.owner = ItemOwner::ConfigurationFile;
            }),
            "it is disabled, so that its schedule does not count => write `enabled = true` into the configuration \
             file, and the item itself if it was taken out"
                .into(),
        ),
        (
            paused(facts()),
            format!("everything is paused: what falls due meanwhile is skipped => {RESUME_ALL}\n{NEXT_RUN}"),
        ),
        // It has a task.
        (active(TaskState::Running, None), format!("its backup runs now: attempt 1 of 4\n{NEXT}")),
        (
            active(TaskState::Paused, None),
            format!("its backup stands still: somebody paused it => {RESUME}\n{NEXT}"),
        ),
        (
            paused(active(TaskState::Paused, None)),
            format!("its backup stands still: everything is paused => {RESUME_ALL}\n{NEXT}"),
        ),
        (
            active(TaskState::Pending, Some(PendingReason::Paused)),
            format!("its backup does not begin: somebody paused it before it ran => {RESUME}\n{NEXT}"),
        ),
        (
            placed(|_| {}),
            format!(
                "its backup waits for its turn: 3 of 3 backups that may run at once do, and 2 others are before it \
                 => {LISTS}\n{NEXT}"
            ),
        ),
        (
            placed(|place| place.ahead = 1),
            format!(
                "its backup waits for its turn: 3 of 3 backups that may run at once do, and 1 other is before it \
                 => {LISTS}\n{NEXT}"
            ),
        ),
        (
            placed(|place| {
                place.ahead = 0;
                place.running_in_repository_max = Some(1);
            }),
            format!(
                "its backup waits for its turn: 1 backup into cellar runs at once at most, and it is next => {LISTS}\n\
                 {NEXT}"
            ),
        ),
        (
            paused(placed(|_| {})),
            format!("its backup waits: everything is paused, and nothing starts => {RESUME_ALL}\n{NEXT}"),
        ),
        (
            active(TaskState::Pending, Some(PendingReason::Resuming)),
            format!("its backup is to go on, and waits for one of 3 slots; it comes first\n{NEXT}"),
        ),
        (
            active(TaskState::Pending, retry(2)),
            format!(
                "[+2] attempt 1 of 4 failed: cannot reach the store; attempt 2 begins then => {network}; `keepwell \
                 run photos` tries again\n{NEXT}"
            ),
        ),
        (
            active(TaskState::Pending, retry(-2)),
            format!(
                "attempt 1 of 4 failed: cannot reach the store; attempt 2 waits for its turn: 3 of 3 backups that \
                 may run at once do, and 2 others are before it => {network}; `keepwell run photos` tries again\n{NEXT}"
            ),
        ),
        (
            paused(active(TaskState::Pending, retry(2))),
            format!(
                "attempt 1 of 4 failed: cannot reach the store; attempt 2 waits, as everything is paused => \
                 {RESUME_ALL}\n{NEXT}"
            ),
        ),
        (
            active(TaskState::Pending, Some(PendingReason::WaitingForNetwork)),
            format!(
                "its backup waits for the network: the repository cellar cannot be reached; another task looks \
                 when it can be, and this one goes on then => {network}\n{NEXT}"
            ),
        ),
    ];
    for (facts, expected) in cases {
        assert_eq!(told(facts.clone()), expected, "{facts:#?}");
    }
}

#[test]
fn what_became_of_due_times_is_told_after_it() {
    let cases = [
        (ran(backed_up(0)), "[-10] it was due: it ran, and made a snapshot".to_owned()),
        (
            ran(backed_up(2)),
            "[-10] it was due: it ran, and made a snapshot that lacks 2 entries, which could not be read => make \
             them readable for the user that Keepwell runs as, or exclude them; `keepwell run photos` names them"
                .into(),
        ),
        (
            ran(failed(ErrorClass::Repository)),
            "[-10] it was due: it failed: it did not work => `keepwell check` tells what is wrong; `keepwell unlock` \
             removes locks whose holder is gone"
                .into(),
        ),
        (
            ran(TaskEnd::Cancelled(CancelReason::Requested)),
            "[-10] it was due: somebody cancelled it => `keepwell run photos` backs it up now".into(),
        ),
        (
            ran(TaskEnd::Cancelled(CancelReason::Shutdown)),
            "[-10] it was due: it was ended by a shutdown; what was due then is made up for after the next start"
                .into(),
        ),
        (
            outcome(DueOutcome::Ran(id(1))),
            "[-10] it was due: it ran, and how it ended is no longer kept".into(),
        ),
        (outcome(DueOutcome::Disabled), "[-10] it was due, and skipped: it was disabled".into()),
        (
            outcome(DueOutcome::Duplicate(id(9))),
            "[-10] it was due, and skipped: its backup before had not ended => if this happens often, let it be due \
             less often"
                .into(),
        ),
        (outcome(DueOutcome::GloballyPaused), "[-10] it was due, and skipped: everything was paused".into()),
        (
            Facts { outcomes: outcome(DueOutcome::CoveredBy(id(1))).outcomes, ..ran(backed_up(0)) },
            "[-10] it was due while nothing ran here, and one backup made up for it: it ran, and made a snapshot"
                .into(),
        ),
        (
            outcome(DueOutcome::Refused("200000 wait already; ask again later".into())),
            "[-10] it was due, and could not be begun: 200000 wait already; ask again later => correct the item or \
             the configuration; it is tried again when it is due next"
                .into(),
        ),
    ];
    for (facts, expected) in cases {
        assert_eq!(told(facts), format!("{NEXT_RUN}\n{expected}"));
    }
}

#[test]
fn a_failure_is_told_with_what_to_do_about_it() {
    for class in [
        ErrorClass::Network,
        ErrorClass::Server,
        ErrorClass::Source,
        ErrorClass::Repository,
        ErrorClass::Credentials,
        ErrorClass::Space,
        ErrorClass::Settings,
        ErrorClass::Crash,
    ] {
        let last = explain(ran(failed(class))).reasons.pop().unwrap();
        let advice = last.advice.unwrap_or_else(|| panic!("{class:?} has no advice"));
        assert!(!advice.ends_with('.') && !last.text.ends_with('.'), "{advice}");
    }
    assert_eq!(explain(ran(failed(ErrorClass::Cancelled))).reasons.pop().unwrap().advice, None);
}

#[test]
fn the_newest_of_the_past_comes_first_and_what_is_not_past_is_left_out() {
    let mut facts = active(TaskState::Running, None);
    let due = |minutes, outcome| ScheduleOutcome {
        since: at(minutes),
        due: at(minutes),
        decided: at(minutes),
        outcome,
    };
    facts.outcomes = vec![
        // Of the task that runs.
        due(-1, DueOutcome::Ran(id(1))),
        due(-2, DueOutcome::Duplicate(id(1))),
        ScheduleOutcome { since: at(-90), ..due(-60, DueOutcome::CoveredBy(id(2))) },
        due(-120, DueOutcome::Disabled),
        due(-180, DueOutcome::Disabled),
        due(-240, DueOutcome::Disabled),
    ];
    facts.history = vec![
        Task { changed: at(-30), ..ended(3, Trigger::Manual, backed_up(0)) },
        ended(2, Trigger::CatchUp(keepwell_messages::Missed { since: at(-90), due: at(-60) }), backed_up(0)),
    ];
    facts.item.latest = Some(LatestEnd { task: id(3), at: at(-30), end: backed_up(0) });
    let since = at(-90).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let expected = [
        "its backup runs now: attempt 1 of 4".to_owned(),
        NEXT.into(),
        "[-2] it was due, and skipped: its backup before had not ended => `keepwell cancel \
         00000000-0000-0000-0000-000000000001` ends that one"
            .into(),
        "[-30] somebody had asked for a backup: it ran, and made a snapshot".into(),
        format!(
            "[-60] it was due while nothing ran here, and one backup made up for it: it ran, and made a snapshot \
             (since {since})"
        ),
        "[-120] it was due, and skipped: it was disabled".into(),
        "[-180] it was due, and skipped: it was disabled".into(),
    ];
    assert_eq!(told(facts.clone()), expected.join("\n"));
    assert_eq!(explain(facts).item.active_task, Some(id(1)));
}

#[test]
fn a_task_that_ended_meanwhile_is_no_longer_active() {
    let mut facts = facts();
    facts.item.active_task = Some(id(7));
    assert_eq!(explain(facts).item.active_task, None);
}
