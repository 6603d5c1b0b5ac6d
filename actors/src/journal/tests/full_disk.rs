//! A disk that is really full, and has room again.

use std::fs;
use std::process::Command;

use keepwell_messages::ErrorClass;

use super::*;

/// A file system of 4 MiB, unmounted with the test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// An item of so many bytes, which the configuration file owns, so that `items.json` stays small.
fn item_of(name: &str, bytes: usize) -> Write {
    let mut record = item_record(name, ItemOwner::ConfigurationFile);
    record.item.tags = vec!["x".repeat(bytes)];
    Write::PutItem(record)
}

#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn mount(path: &Path) -> Option<Mounted<'_>> {
    let disk = Mounted::new(path);
    if disk.is_none() {
        eprintln!("skipped: file systems cannot be mounted here");
    }
    disk
}

#[test]
fn a_full_disk_fails_the_batch_that_does_not_fit_and_later_ones_go_on() {
    let outer = tempfile::tempdir().unwrap();
    let Some(disk) = mount(outer.path()) else { return };
    let ballast = disk.0.join("ballast");
    let (journal, _) = open(&disk.0.join("journal"));
    journal.commit_and_wait(events(1)).unwrap();
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let (mut items, mut refused) = (Vec::new(), None);
    for number in 0..40 {
        let name = format!("item-{number:02}");
        match journal.commit_and_wait(Batch { writes: vec![item_of(&name, 200_000)], ..events(1) }) {
            Ok(_) => items.push(name),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let error = refused.expect("40 items of 200 KB do not fit into 4 MiB");
    assert_eq!(error.class(), ErrorClass::Space, "{error:?}");
    assert!(!items.is_empty());
    let events_kept = |journal: &Journal| journal.events(0, 1000).unwrap().events.len();
    assert_eq!(events_kept(&journal), items.len() + 1, "nothing of the refused batch is there");

    fs::remove_file(&ballast).unwrap();
    let committed = journal.commit_and_wait(events(1)).expect("there is room again");
    assert_eq!(numbers(&committed), [items.len() as u64 + 2], "no number was used up");
    drop(journal);
    let (journal, opened) = open(&disk.0.join("journal"));
    assert_eq!(opened.found, Found::Whole);
    assert_eq!(item_ids(&opened.kept), items);
    drop(journal);
}

#[test]
fn a_batch_that_does_not_fit_leaves_those_of_its_group_alone_that_do() {
    let outer = tempfile::tempdir().unwrap();
    let Some(disk) = mount(outer.path()) else { return };
    let (journal, _) = open(&disk.0.join("journal"));
    journal.commit_and_wait(events(1)).unwrap();
    let large = Batch { writes: vec![item_of("large", 3 << 20)], ..events(1) };
    let before = journal.transactions();
    fs::write(disk.0.join("ballast"), vec![1; 2 << 20]).unwrap();
    let fates: Vec<_> = groups::commit_as_group(&journal, [events(1), large, events(1)]).iter().collect();
    let [(0, Ok(first)), (1, Err(error)), (2, Ok(last))] = &fates[..] else { panic!("{fates:?}") };
    assert_eq!(error.class(), ErrorClass::Space, "{error:?}");
    assert_eq!((numbers(first), numbers(last)), (vec![2], vec![3]));
    assert_eq!(journal.transactions(), before + 3, "one held the writer, two were made alone");
    drop(journal);
    assert_eq!(open(&disk.0.join("journal")).1.kept.last_event, 3);
}
