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

/// An item of some 200 KB, so that the disk is full soon.
fn large_item(name: &str) -> Write {
    let mut record = item_record(name, ItemOwner::ConfigurationFile);
    record.item.tags = vec!["x".repeat(200_000)];
    Write::PutItem(record)
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn a_full_disk_fails_the_batch_that_does_not_fit_and_later_ones_go_on() {
    let outer = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(outer.path()) else {
        eprintln!("skipped: file systems cannot be mounted here");
        return;
    };
    let ballast = disk.0.join("ballast");
    let (journal, _) = open(&disk.0.join("journal"));
    journal.commit_and_wait(events(1)).unwrap();
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let (mut items, mut refused) = (Vec::new(), None);
    for number in 0..40 {
        let name = format!("item-{number:02}");
        match journal.commit_and_wait(Batch { writes: vec![large_item(&name)], ..events(1) }) {
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
