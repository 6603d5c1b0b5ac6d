//! One process a folder, for the owner's eyes only, and never a newer version's journal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::super::schema::SCHEMA_VERSION;
use super::*;

/// Names the folder for the copy of this program that only opens it.
const OPENS: &str = "KEEPWELL_TEST_JOURNAL_OPENS";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_owner_may_look_even_where_it_was_open_before() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("data/journal");
    for round in 0..2 {
        let (journal, _) = open(&folder);
        journal.commit_and_wait(writes([Write::PutItem(item_record("a", ItemOwner::Journal))])).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for name in names(&folder) {
            assert_eq!(mode(&folder.join(&name)), 0o600, "{name} in round {round}");
        }
        drop(journal);
        fs::set_permissions(folder.join("journal.sqlite"), fs::Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn a_second_journal_in_the_same_process_is_refused_until_the_first_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path());
    let second = first.clone();
    drop(first);
    let in_use = JournalError::InUse { folder: folder.path().into(), holder: Some(std::process::id()) };
    assert_eq!(Journal::open(folder.path(), now()).err(), Some(in_use));
    drop(second);
    open(folder.path());
}

#[test]
fn a_process_holds_a_folder_from_its_opening_to_its_end_and_no_other_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let own = std::process::id();
    assert!(!Journal::is_held_by(folder.path(), own), "there is no journal");
    let (journal, _) = open(folder.path());
    assert!(Journal::is_held_by(folder.path(), own));
    assert!(!Journal::is_held_by(folder.path(), own + 1));
    drop(journal);
    // Its name is left, as it is when a process is killed.
    assert_eq!(fs::read_to_string(folder.path().join("lock")).unwrap(), own.to_string());
    assert!(!Journal::is_held_by(folder.path(), own));
}

#[test]
fn another_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let opens = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "journal::tests::folder::opens_a_folder_for_another_test"]);
        command.env(OPENS, folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    let (journal, _) = open(folder.path());
    assert!(!opens());
    drop(journal);
    assert!(opens());
}

/// Nothing by itself: run by [`another_process_is_refused`], with the folder in the environment.
#[test]
fn opens_a_folder_for_another_test() {
    if let Some(folder) = std::env::var_os(OPENS) {
        open(Path::new(&folder));
    }
}

#[test]
fn a_newer_journal_is_left_as_it_is_and_both_versions_are_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("journal.sqlite");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    drop(newer);
    let (bytes, found) = (fs::read(&path).unwrap(), names(folder.path()));
    let error = Journal::open(folder.path(), now()).err().unwrap();
    assert_eq!(error, JournalError::NewerVersion { found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION });
    assert_eq!(error.to_string(), "the journal is of version 3, this program knows up to 2");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let left: Vec<_> =
        names(folder.path()).into_iter().filter(|name| !name.starts_with("journal.sqlite-")).collect();
    assert_eq!(left, found);
}

#[test]
fn a_newer_journal_is_known_even_if_its_version_stands_in_the_log_only() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("journal.sqlite");
    let (main_before, newer) = (fs::read(&path).unwrap(), rusqlite::Connection::open(&path).unwrap());
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    // As after a crash: the log was not folded in.
    newer.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    drop(newer);
    let log = fs::read(folder.path().join("journal.sqlite-wal")).unwrap();
    let error = Journal::open(folder.path(), now()).err().unwrap();
    assert!(matches!(error, JournalError::NewerVersion { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), main_before);
    assert_eq!(fs::read(folder.path().join("journal.sqlite-wal")).unwrap(), log);
}

#[test]
fn a_folder_that_cannot_be_one_is_an_error_that_names_it() {
    let outer = tempfile::tempdir().unwrap();
    let file = outer.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(&file, now()).err().unwrap();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}
