//! `items.json` follows every change of the journal's own items, and only those.

use std::fs;

use super::*;

fn items_in_file(folder: &Path) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("items.json")).unwrap()).unwrap();
    let items = json["items"].as_array().unwrap();
    items.iter().map(|record| record["item"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_change_is_in_the_file_before_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let steps: [(Write, &[&str]); 5] = [
        (Write::PutItem(item_record("b", ItemOwner::Journal)), &["b"]),
        (Write::PutItem(item_record("a", ItemOwner::Journal)), &["a", "b"]),
        (Write::PutItem(item_record("c", ItemOwner::ConfigurationFile)), &["a", "b"]),
        (Write::PutItem(item_record("b", ItemOwner::ConfigurationFile)), &["a"]),
        (Write::RemoveItem("a".into()), &[]),
    ];
    for (write, expected) in steps {
        journal.commit_and_wait(writes([write])).unwrap();
        assert_eq!(items_in_file(folder.path()), expected);
    }
}

#[test]
fn a_change_that_the_file_missed_is_in_it_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.commit_and_wait(writes([Write::PutItem(item_record("a", ItemOwner::Journal))])).unwrap();
    drop(journal);
    fs::write(folder.path().join("items.json"), "an old or damaged one").unwrap();
    let (journal, opened) = open(folder.path());
    assert_eq!(opened.items_file, ItemsFile::NotNeeded);
    drop(journal);
    assert_eq!(items_in_file(folder.path()), ["a"]);
}

#[test]
fn a_lost_journal_begins_with_the_items_of_the_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let record = item_record("a", ItemOwner::Journal);
    journal.commit_and_wait(writes([Write::PutItem(record.clone())])).unwrap();
    drop(journal);
    fs::remove_file(folder.path().join("journal.sqlite")).unwrap();
    let (_, opened) = open(folder.path());
    assert_eq!((opened.found, opened.items_file), (Found::Nothing, ItemsFile::Read(1)));
    assert_eq!(opened.kept.items, [record]);
}

#[test]
fn a_damaged_file_is_said_and_kept_and_does_not_keep_the_journal_from_beginning() {
    let cases = [
        ("cut", r#"{"about":"","version":1,"items":[{"#),
        ("not JSON", "\u{0}\u{1}\u{2}"),
        ("newer", r#"{"about":"","version":2,"items":[]}"#),
        ("another's", r#"{"theirs":1}"#),
        ("empty", ""),
    ];
    for (case, content) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.json");
        fs::write(&path, content).unwrap();
        let (journal, opened) = open(folder.path());
        let ItemsFile::Damaged(damage) = opened.items_file else { panic!("{case}: {:?}", opened.items_file) };
        assert_eq!(damage.moved_to, folder.path().join("items-damaged-20261123T000000Z.json"), "{case}");
        assert_eq!(fs::read_to_string(&damage.moved_to).unwrap(), content, "{case}");
        assert!(!damage.why.is_empty(), "{case}");
        assert_eq!(opened.found, Found::Nothing, "{case}");
        journal.commit_and_wait(writes([Write::PutItem(item_record("a", ItemOwner::Journal))])).unwrap();
        assert_eq!(items_in_file(folder.path()), ["a"], "{case}");
    }
}

#[test]
fn a_file_that_cannot_be_written_fails_no_change_and_follows_later() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let in_the_way = folder.path().join("items.json.new");
    journal.commit_and_wait(Batch::new(now())).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    journal.commit_and_wait(writes([Write::PutItem(item_record("a", ItemOwner::Journal))])).unwrap();
    assert_eq!(items_in_file(folder.path()), <[&str; 0]>::default());
    fs::remove_dir(&in_the_way).unwrap();
    journal.commit_and_wait(events(1)).unwrap();
    assert_eq!(items_in_file(folder.path()), ["a"]);
}
