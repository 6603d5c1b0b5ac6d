//! What is so now.

use keepwell_messages::{ItemOwner, PendingReason, Reason, Retry, TaskState};

use super::{Facts, advice, reason};
use crate::board::QueuePlace;

/// At least one.
pub(super) fn reasons(facts: &Facts) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        facts.standing.active.iter().map(|place| of_active_task(place, facts)).collect();
    reasons.extend(of_schedule(facts));
    reasons
}

fn of_active_task(place: &QueuePlace, facts: &Facts) -> Reason {
    let task = &place.task;
    let attempt = format!("attempt {} of {}", task.attempt.max(1), task.attempts_max);
    let resume = Some(format!("`keepwell resume {}` lets it go on", task.id));
    match (task.state, &task.pending) {
        (TaskState::Running, _) => reason(None, format!("its backup runs now: {attempt}"), None),
        (TaskState::Paused, _) if facts.standing.globally_paused => {
            reason(None, "its backup stands still: everything is paused", resume_all())
        }
        (TaskState::Paused, _) => reason(None, "its backup stands still: somebody paused it", resume),
        (_, Some(PendingReason::Paused)) => {
            reason(None, "its backup does not begin: somebody paused it before it ran", resume)
        }
        (_, Some(PendingReason::Retry(retry))) => of_retry(retry, place, facts),
        (_, Some(PendingReason::WaitingForNetwork)) => {
            let repository = &place.repository;
            let text = format!(
                "its backup waits for the network: the repository {repository} cannot be reached; another task \
                 looks when it can be, and this one goes on then"
            );
            let advice = "check the network and the repository's address in the configuration";
            reason(None, text, Some(advice.into()))
        }
        _ if facts.standing.globally_paused => {
            reason(None, "its backup waits: everything is paused, and nothing starts", resume_all())
        }
        (_, Some(PendingReason::Resuming)) => {
            let text = format!("its backup is to go on, and waits for one of {} slots", place.running_max);
            reason(None, format!("{text}; it comes first"), None)
        }
        _ => {
            let text = format!("its backup waits for its turn: {}", turn(place));
            reason(None, text, Some("`keepwell tasks` lists what runs and what waits".into()))
        }
    }
}

fn of_retry(retry: &Retry, place: &QueuePlace, facts: &Facts) -> Reason {
    let Retry { attempt, attempts_max, at, class, why } = retry;
    let failed = format!("attempt {} of {attempts_max} failed: {why}", attempt.saturating_sub(1));
    let advice = advice::for_class(*class, &facts.item.item.id);
    if facts.standing.globally_paused {
        let text = format!("{failed}; attempt {attempt} waits, as everything is paused");
        return reason(None, text, resume_all());
    }
    if *at <= facts.now {
        return reason(
            None,
            format!("{failed}; attempt {attempt} waits for its turn: {}", turn(place)),
            advice,
        );
    }
    reason(Some(*at), format!("{failed}; attempt {attempt} begins then"), advice)
}

/// What has to happen before its turn comes.
fn turn(place: &QueuePlace) -> String {
    let repository_is_full =
        place.running_in_repository_max.filter(|max| place.running_in_repository >= *max);
    let runs = match repository_is_full {
        Some(1) => format!("1 backup into {} runs at once at most", place.repository),
        Some(max) => format!("{max} backups into {} run at once at most", place.repository),
        None => format!("{} of {} backups that may run at once do", place.running, place.running_max),
    };
    match place.ahead {
        0 => format!("{runs}, and it is next"),
        1 => format!("{runs}, and 1 other is before it"),
        ahead => format!("{runs}, and {ahead} others are before it"),
    }
}

fn resume_all() -> Option<String> {
    Some("`keepwell resume-all` lets everything go on".into())
}

/// What its schedule says.
fn of_schedule(facts: &Facts) -> Vec<Reason> {
    let item = &facts.item.item;
    let run = format!("`keepwell run {}` backs it up now", item.id);
    let is_active = facts.standing.active.is_some();
    if item.schedule.is_none() {
        let text = "it has no schedule, so that it is backed up only when somebody asks for it";
        return if is_active { Vec::new() } else { vec![reason(None, text, Some(run))] };
    }
    if !item.enabled {
        let advice = match facts.item.owner {
            ItemOwner::ConfigurationFile => {
                "write `enabled = true` into the configuration file, and the item itself if it was taken out"
                    .into()
            }
            ItemOwner::Journal => {
                let fields = format!(r#"{{"item":"{}","enabled":true}}"#, item.id);
                format!("`keepwell command enable-item '{fields}'` lets its schedule count; {run}")
            }
        };
        return vec![reason(None, "it is disabled, so that its schedule does not count", Some(advice))];
    }
    let mut reasons = Vec::new();
    if facts.standing.globally_paused && !is_active {
        let text = "everything is paused: what falls due meanwhile is skipped";
        reasons.push(reason(None, text, resume_all()));
    }
    reasons.push(match facts.item.next_due {
        Some(due) if due > facts.now => reason(Some(due), "it is due next then", (!is_active).then_some(run)),
        Some(due) => reason(Some(due), "it has been due since then, and begins in a moment", None),
        None => {
            let text =
                "its schedule names no time that is still to come, or is not one that this version knows";
            reason(None, text, Some("write another schedule, as `daily 02:00`".into()))
        }
    });
    reasons
}
