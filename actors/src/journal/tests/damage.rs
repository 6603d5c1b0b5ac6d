//! A damaged journal is moved aside, said, and followed by a new one with its items.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;

/// A journal with an item of its own, one of the configuration's, tasks and events, closed.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let items = [("home", ItemOwner::Journal), ("etc", ItemOwner::ConfigurationFile)];
    let mut changes: Vec<_> = items.map(|(name, owner)| Write::PutItem(item_record(name, owner))).into();
    changes.extend((0..200).map(|number| put_task(waiting_task(number))));
    journal.commit_and_wait(Batch { writes: changes, ..events(500) }).unwrap();
    drop(journal);
    folder
}

fn journal_file(folder: &Path) -> PathBuf {
    folder.join("journal.sqlite")
}

fn sql(folder: &Path, statements: &str) {
    rusqlite::Connection::open(journal_file(folder)).unwrap().execute_batch(statements).unwrap();
}

/// Opens a journal that is to be found damaged, and gives what was said of it.
fn open_damaged(folder: &Path, case: &str) -> Damage {
    let before = fs::read(journal_file(folder)).ok();
    let (journal, opened) = open(folder);
    let Found::Damaged(damage) = opened.found else { panic!("{case}: {:?}", opened.found) };
    assert_eq!(damage.moved_to, folder.join("journal-damaged-20261123T000000Z.sqlite"), "{case}");
    assert_eq!(fs::read(&damage.moved_to).ok(), before, "{case}: kept as it was");
    assert_eq!(opened.items_file, ItemsFile::Read(1), "{case}");
    assert_eq!(item_ids(&opened.kept), ["home"], "{case}: the journal's own");
    assert_eq!((opened.kept.tasks, opened.kept.last_event), (vec![], 0), "{case}");
    assert_eq!(numbers(&journal.commit_and_wait(events(1)).unwrap()), [1], "{case}");
    drop(journal);
    let (_, opened) = open(folder);
    assert_eq!(opened.found, Found::Whole, "{case}");
    assert_eq!(item_ids(&opened.kept), ["home"], "{case}");
    damage
}

#[test]
fn every_kind_of_damage_is_noticed_and_survived() {
    type Harm = fn(&Path);
    let cases: [(&str, Harm); 14] = [
        ("not a database", |folder| fs::write(journal_file(folder), "not a database at all").unwrap()),
        ("a header of zeros", |folder| {
            let file = OpenOptions::new().write(true).open(journal_file(folder)).unwrap();
            file.write_all_at(&[0; 100], 0).unwrap();
        }),
        ("cut within a page", |folder| {
            let file = OpenOptions::new().write(true).open(journal_file(folder)).unwrap();
            file.set_len(10_000).unwrap();
        }),
        ("cut between pages", |folder| {
            let file = OpenOptions::new().write(true).open(journal_file(folder)).unwrap();
            file.set_len(5 * 4096).unwrap();
        }),
        ("pages of other bytes", |folder| {
            let file = OpenOptions::new().write(true).open(journal_file(folder)).unwrap();
            let pages = file.metadata().unwrap().len() / 4096;
            for page in 1..pages {
                file.write_all_at(&[0xa5; 64], page * 4096).unwrap();
            }
        }),
        ("a page that no start reads", |folder| {
            let connection = rusqlite::Connection::open(journal_file(folder)).unwrap();
            let query = "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' LIMIT 1";
            let page: u32 = connection.query_row(query, (), |row| row.get(0)).unwrap();
            drop(connection);
            let file = OpenOptions::new().write(true).open(journal_file(folder)).unwrap();
            file.write_all_at(&[0xa5; 64], (u64::from(page) - 1) * 4096).unwrap();
        }),
        ("another program's database", |folder| {
            fs::remove_file(journal_file(folder)).unwrap();
            sql(folder, "CREATE TABLE theirs (x); PRAGMA user_version = 1;");
        }),
        ("a version before the first release", |folder| sql(folder, "PRAGMA user_version = 1")),
        ("a table is gone", |folder| sql(folder, "DROP TABLE served")),
        ("a value is cut", |folder| sql(folder, "UPDATE tasks SET record = substr(record, 1, 20)")),
        ("a value of an unknown version", |folder| {
            sql(folder, "UPDATE items SET record = CAST(x'09' || substr(record, 2) AS BLOB)");
        }),
        ("a value of another type", |folder| sql(folder, "UPDATE tasks SET record = 5")),
        ("the settings are gone", |folder| sql(folder, "DELETE FROM standing")),
        ("a negative count", |folder| sql(folder, "UPDATE standing SET completed = -1")),
    ];
    for (case, harm) in cases {
        let folder = filled();
        harm(folder.path());
        let damage = open_damaged(folder.path(), case);
        assert!(!damage.why.is_empty(), "{case}");
    }
}

#[test]
fn flipped_bytes_never_panic_and_are_damage_or_harmless() {
    let model = filled();
    let length = fs::metadata(journal_file(model.path())).unwrap().len();
    let mut damaged = 0;
    // Steps without a common factor with the page size reach every part of pages.
    for offset in (0..length).step_by(1_777) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["journal.sqlite", "items.json"] {
            fs::copy(model.path().join(name), folder.path().join(name)).unwrap();
        }
        let file = OpenOptions::new().read(true).write(true).open(journal_file(folder.path())).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
        let (journal, opened) = open(folder.path());
        assert!(item_ids(&opened.kept).contains(&"home"), "byte {offset}: {:?}", opened.found);
        damaged += u32::from(matches!(opened.found, Found::Damaged(_)));
        let _ = journal.events(0, 1000);
        let _ = journal.task(task_id(7));
        let fate = journal.commit_and_wait(events(1));
        assert!(matches!(fate, Ok(_) | Err(JournalError::Damaged(_))), "byte {offset}: {fate:?}");
    }
    assert!(damaged > 0);
}

#[test]
fn a_log_without_its_journal_is_moved_aside() {
    let folder = filled();
    fs::rename(journal_file(folder.path()), folder.path().join("journal.sqlite-wal")).unwrap();
    let damage = open_damaged(folder.path(), "only the log");
    assert_eq!(damage.why, "only its write-ahead log is there");
    assert!(folder.path().join("journal-damaged-20261123T000000Z.sqlite-wal").exists());
}

#[test]
fn damage_in_the_same_second_overwrites_nothing() {
    let folder = filled();
    let moved: Vec<_> = (0..3)
        .map(|round| {
            fs::write(journal_file(folder.path()), format!("damage number {round}")).unwrap();
            let (_, opened) = open(folder.path());
            let Found::Damaged(damage) = opened.found else { panic!("{:?}", opened.found) };
            fs::read_to_string(&damage.moved_to).unwrap()
        })
        .collect();
    assert_eq!(moved, ["damage number 0", "damage number 1", "damage number 2"]);
}

#[test]
fn a_damaged_value_in_history_fails_its_question_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let home_item = Write::PutItem(item_record("home", ItemOwner::Journal));
    let made = vec![put_outcome("home", now()), home_item, put_task(completed_task(1))];
    journal.commit_and_wait(Batch { writes: made, ..events(3) }).unwrap();
    drop(journal);
    sql(folder.path(), "UPDATE outcomes SET outcome = x'01ff'; UPDATE tasks SET record = x'01ff'");
    let (journal, opened) = open(folder.path());
    assert_eq!(opened.found, Found::Whole);
    assert!(opened.kept.latest_ends.is_empty());
    let damaged = |what: &str| JournalError::Damaged(format!("a value does not decode: {what}"));
    assert_eq!(journal.outcomes(&home(), 5), Err(damaged("an outcome")));
    assert_eq!(journal.history(None, None, 5), Err(damaged("a task")));
    assert_eq!(journal.task(task_id(1)), Err(damaged("a task")));
    assert_eq!(journal.events(0, 5).unwrap().events.len(), 3);
}

#[test]
fn an_empty_file_is_a_journal_that_never_began() {
    let folder = filled();
    fs::write(journal_file(folder.path()), "").unwrap();
    let (_, opened) = open(folder.path());
    assert_eq!((opened.found, opened.items_file), (Found::Nothing, ItemsFile::Read(1)));
}
