//! Every command, reply, refusal and event goes through JSON and bincode and comes back the same,
//! under the names that doors know.

#[allow(dead_code, reason = "each suite needs its part")]
mod samples;

use chrono::DateTime;
use keepwell_messages::*;
use samples::{commands, events, progress_event, refusals, replies};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("JSON");
    assert_eq!(&serde_json::from_str::<T>(&json).expect("its own JSON"), value, "{json}");
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(value, config).expect("bincode");
    let (again, read) = bincode::serde::decode_from_slice::<T, _>(&bytes, config).expect("its own bytes");
    assert_eq!((&again, read), (value, bytes.len()));
    json
}

/// The name under which a value stands in its JSON.
fn name_in(json: &str) -> &str {
    json.trim_start_matches(['{', '"']).split('"').next().unwrap_or_default()
}

#[test]
fn every_command_and_its_reply_survive_under_the_same_name() {
    let names = |jsons: Vec<String>| -> Vec<String> {
        let mut names: Vec<String> = jsons.iter().map(|json| name_in(json).to_owned()).collect();
        names.dedup();
        names
    };
    let known: Vec<String> = Command::NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(commands().iter().map(survives).collect()), known);
    assert_eq!(names(replies().iter().map(survives).collect()), known);
    assert!(commands().iter().all(|command| name_in(&survives(command)) == command.name()));
    assert!(replies().iter().all(|reply| name_in(&survives(reply)) == reply.name()));
    assert!(events().iter().all(|told| name_in(&survives(&told.event)) == told.event.name()));
}

#[test]
fn the_users_names_are_the_names_of_commands() {
    let known: Vec<String> = Command::NAMES.iter().map(|name| (*name).to_owned()).collect();
    for name in [
        "perform-backup",
        "perform-firebird-backup",
        "pause-backup",
        "resume-backup",
        "pause-all-backups",
        "resume-all-backups",
        "get-active-tasks",
        "get-task-manager-stats",
        "cancel-task",
    ] {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn every_event_survives_under_the_users_name() {
    let events = events();
    let jsons: Vec<String> = events.iter().map(survives).collect();
    for name in [
        "task-created",
        "task-queued",
        "task-status-update",
        "task-completed",
        "task-failed",
        "task-cancelled",
        "task-retry",
        "task-paused",
        "task-resumed",
        "global-pause",
        "item-changed",
        "item-removed",
        "actor-crashed",
        "actor-restarted",
    ] {
        let key = format!("\"event\":{{\"{name}\":");
        assert!(jsons.iter().any(|json| json.contains(&key)), "{name}");
    }
}

#[test]
fn progress_and_refusals_survive() {
    survives(&progress_event());
    for refusal in refusals() {
        survives(&refusal);
        let told = refusal.to_string();
        assert!(!told.contains("Refusal") && !told.ends_with('.'), "{told}");
    }
}

#[test]
fn extremes_survive() {
    let at = DateTime::from_timestamp(9, 123_456_789).expect("a time");
    let target =
        FirebirdTarget { source: "books".into(), database: "/restored/books.fdb".into(), replace: true };
    let restore = |target| RestoreRequest {
        repository: "main".into(),
        snapshot: "latest".into(),
        path: String::new(),
        target,
        verify: false,
    };
    for target in [RestoreTarget::Folder("/restored".into()), RestoreTarget::Firebird(target)] {
        let created = TaskCreated {
            task: TaskId(uuid::Uuid::max()),
            kind: TaskKind::Restore(restore(target.clone())),
            trigger: Trigger::CatchUp(Missed { since: at, due: at }),
        };
        survives(&NumberedEvent { number: u64::MAX, at, event: Event::TaskCreated(created) });
        survives(&Command::from(PerformRestore { restore: restore(target) }));
    }
    survives(&Command::from(GetEvents { after: u64::MAX, limit: PAGE_MAX }));
    survives(&Reply::PerformBackup(TaskMade { task: TaskId(uuid::Uuid::nil()) }));
    survives(&Reply::GetActiveTasks(Tasks { tasks: Vec::new() }));
    let failed = Failed { code: "invalid".into(), message: "no such zone".into(), hint: None };
    for answer in [Err(failed), Ok(Reply::GetItems(Items { items: Vec::new() }))] {
        survives::<Answer>(&answer);
    }
    for actor in [ActorRef::Scheduler, ActorRef::Manager] {
        survives(&Event::ActorRestarted(actor));
    }
}

#[test]
fn every_refusal_has_a_sample() {
    let place = |refusal: &Refusal| match refusal {
        Refusal::DuplicateTask(_) => 0,
        Refusal::UnknownItem(_) => 1,
        Refusal::UnknownTask(_) => 2,
        Refusal::WhichTask(_) => 3,
        Refusal::WrongState(..) => 4,
        Refusal::ItemOfConfigurationFile(_) => 5,
        Refusal::Invalid(_) => 6,
        Refusal::QueueFull(_) => 7,
        Refusal::GloballyPaused => 8,
        Refusal::ShuttingDown => 9,
        Refusal::Journal(_) => 10,
        Refusal::Failed(_) => 11,
    };
    assert!(refusals().iter().map(place).eq(0..=11));
}

#[test]
fn a_misspelt_field_is_refused() {
    let misspelt = r#"{"perform-backup":{"itme":"photos"}}"#;
    let error = serde_json::from_str::<Command>(misspelt).expect_err("misspelt").to_string();
    assert!(error.contains("itme") && error.contains("item"), "{error}");
}
