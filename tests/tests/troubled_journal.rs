//! A journal that is damaged, newer than the program, in use, or on a full disk: a typed error or a stated
//! recovery, and nothing that was promised is lost.

use std::fs;

use chrono::TimeDelta;
use keepwell_actors::journal::JournalError;
use keepwell_actors::{Settings, StartError};
use keepwell_messages::{EnableItem, ErrorClass, GetItems, Refusal, SetItem, TaskState};
use keepwell_tests::mounting::{is_inside_namespace, mount};
use keepwell_tests::simulated::{World, item, takes};

#[test]
fn a_damaged_journal_is_moved_aside_and_named_and_all_items_are_kept() {
    let world = World::at("2026-03-01 01:00");
    let configured = || vec![item("of the file", Some("daily 05:00"))];
    let with_file = |settings| Settings { items: configured(), ..settings };
    world.life_with(with_file, async |life| {
        life.set_item("of a command", Some("daily 02:00")).await;
        life.pass_until("2026-03-01 06:00").await;
        assert_eq!(life.stats().await.completed, 2);
    });
    let journal = world.folder().join("journal.sqlite");
    let mut bytes = fs::read(&journal).expect("a journal");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&journal, &bytes).expect("damage");

    world.off_for(TimeDelta::hours(24));
    world.life_with(with_file, async |life| {
        let damage = life.handle.repairs().journal.clone().expect("it is said");
        assert_eq!(fs::read(&damage.moved_to).expect("it is kept").len(), bytes.len());
        let items = life.ask(GetItems {}).await.items;
        let names: Vec<&str> = items.iter().map(|item| item.item.id.0.as_str()).collect();
        assert_eq!(names, ["of a command", "of the file"]);
        // What was missed since is caught up; no task of before is known.
        life.pass(300).await;
        assert_eq!(life.created("of a command").len(), 1);
    });
}

#[test]
fn a_journal_of_a_newer_program_is_left_as_it_is() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| drop(life.set_item("papers", None).await));
    let journal = world.folder().join("journal.sqlite");
    let mut bytes = fs::read(&journal).expect("a journal");
    // SQLite keeps the version of the user's tables here.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&journal, &bytes).expect("a newer version");
    let refused = world.refused_start();
    assert!(
        matches!(refused, StartError::Journal(JournalError::NewerVersion { found: 99, .. })),
        "{refused}"
    );
    assert_eq!(fs::read(&journal).expect("a journal"), bytes);
}

#[test]
fn two_systems_do_not_share_a_journal() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| {
        let again = keepwell_actors::journal::Journal::open(world.folder(), life.now());
        assert!(matches!(again, Err(JournalError::InUse { .. })), "{again:?}");
    });
}

#[test]
fn an_invalid_item_of_the_configuration_is_named_before_anything_starts() {
    let world = World::at("2026-03-01 01:00");
    let wrong = item("papers", Some("0 3 30 2 *"));
    let refused = world.refused_start_with(|settings| Settings { items: vec![wrong], ..settings });
    let said = refused.to_string();
    assert!(said.starts_with("item papers: ") && said.contains("never"), "{said}");
    assert!(!world.folder().join("journal.sqlite").exists());
}

#[test]
fn on_a_full_disk_commands_are_refused_with_the_reason_and_all_goes_on_once_there_is_room() {
    if !is_inside_namespace(
        "on_a_full_disk_commands_are_refused_with_the_reason_and_all_goes_on_once_there_is_room",
    ) {
        return;
    }
    let outer = tempfile::tempdir().expect("a folder");
    mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], outer.path());
    let world = World::in_folder("2026-03-01 01:00", &outer.path().join("journal"));
    let ballast = outer.path().join("ballast");
    world.lay_down("long", [takes(3600)]);
    world.life(async |life| {
        life.set_item("long", None).await;
        life.set_item("papers", Some("daily 02:00")).await;
        let long = life.back_up("long").await;
        let room = rustix::fs::statvfs(outer.path()).expect("a file system");
        fs::write(&ballast, vec![1; (room.f_bavail * room.f_frsize) as usize]).expect("all the room");
        let large = || SetItem {
            item: keepwell_messages::Item { tags: vec!["x".repeat(1 << 20)], ..item("large", None) },
        };
        let refused = life.refused(large()).await;
        assert!(
            matches!(&refused, Refusal::Journal(failure) if failure.class == ErrorClass::Space),
            "{refused}"
        );
        assert!(life.handle.lives().await, "a refusal is no hang: nobody has to start it again");
        // Due while nothing can be written, and a backup that ends meanwhile.
        life.pass_until("2026-03-01 02:10").await;
        fs::remove_file(&ballast).expect("room again");
        life.pass(300).await;
        assert_eq!(life.state(long).await, TaskState::Completed);
        assert_eq!(life.created("papers").len(), 1);
        assert_eq!(life.outcomes("papers").await.len(), 1);
        assert_eq!(life.ask(GetItems {}).await.items.len(), 2, "what was refused is not there");
        life.ask(large()).await;
        life.ask(EnableItem { item: "papers".into(), enabled: false }).await;
        let numbers: Vec<u64> = life.events().iter().map(|event| event.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    });
    drop(world);
    let _ = std::process::Command::new("umount").arg(outer.path()).status();
}
