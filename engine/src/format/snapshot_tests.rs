//! Snapshot files of restic and rustic, read, changed and written again.

use super::{Snapshot, SnapshotSummary, Timestamp};
use crate::id::Id;

/// Written by restic 0.14.
const OF_RESTIC: &str = include_str!("vectors/snapshot.json");

const TREE: &str = r#""tree":"1111111111111111111111111111111111111111111111111111111111111111""#;

fn encoded(snapshot: &Snapshot) -> String {
    String::from_utf8(snapshot.encode()).unwrap()
}

#[test]
fn a_snapshot_of_restic_is_written_again_byte_for_byte() {
    let snapshot = Snapshot::decode(OF_RESTIC.as_bytes()).unwrap();
    assert_eq!(snapshot.tags, ["a<b", "t2"]);
    assert_eq!(snapshot.time.offset_seconds, 19_800);
    assert_eq!(encoded(&snapshot), OF_RESTIC);
}

#[test]
fn every_field_stands_where_go_puts_it() {
    let id = |digit: &str| digit.repeat(64);
    let text = format!(
        concat!(
            r#"{{"time":"2024-05-06T07:08:09.1+02:00","parent":"{}","tree":"{}","paths":["/a\u0026b"],"#,
            r#""hostname":"h","username":"u","uid":1,"gid":2,"excludes":["*.o"],"tags":["t"],"#,
            r#""original":"{}","program_version":"restic 0.18.0","summary":{{"#,
            r#""backup_start":"2024-05-06T07:08:09.1+02:00","backup_end":"2024-05-06T07:08:10Z","#,
            r#""files_new":1,"files_changed":0,"files_unmodified":3,"dirs_new":4,"dirs_changed":5,"#,
            r#""dirs_unmodified":6,"data_blobs":7,"tree_blobs":8,"data_added":9,"data_added_packed":10,"#,
            r#""total_files_processed":11,"total_bytes_processed":18446744073709551615}}}}"#,
        ),
        id("a"),
        id("b"),
        id("c")
    );
    let snapshot = Snapshot::decode(text.as_bytes()).unwrap();
    assert_eq!(snapshot.summary.as_ref().map(|summary| summary.dirs_unmodified), Some(6));
    assert_eq!(encoded(&snapshot), text);
}

#[test]
fn a_snapshot_with_nothing_but_a_tree_has_the_fields_that_go_always_writes() {
    let mut snapshot = Snapshot::new(Timestamp::from_unix(0, 0), Id([0x11; 32]), Vec::new());
    assert_eq!(encoded(&snapshot), format!(r#"{{"time":"1970-01-01T00:00:00Z",{TREE},"paths":[]}}"#));
    snapshot.summary = Some(SnapshotSummary::default());
    assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
}

#[test]
fn fields_that_restic_does_not_know_outlive_a_change_of_tags() {
    let text = format!(
        concat!(
            r#"{{"time":"2024-05-06T07:08:09Z","program_version":"rustic 0.9","parents":[],{},"label":"l","#,
            r#""paths":["/a"],"uid":0,"tags":["old"],"delete":{{"After": "2025-01-01T00:00:00Z"}},"#,
            r#""summary":{{"files_new":2,"command":"rustic <b>","backup_duration":0.1000,"#,
            r#""big":123456789012345678901234567890}},"description":"d\u00e9"}}"#,
        ),
        TREE
    );
    let mut snapshot = Snapshot::decode(text.as_bytes()).unwrap();
    snapshot.tags = vec!["new".to_owned()];
    let written = encoded(&snapshot);
    assert!(written.contains(r#""tags":["new"]"#), "{written}");
    let back = Snapshot::decode(written.as_bytes()).unwrap();
    assert_eq!(back, snapshot);
    for (key, value) in [
        ("label", r#""l""#),
        ("parents", "[]"),
        ("delete", r#"{"After": "2025-01-01T00:00:00Z"}"#),
        ("description", r#""d\u00e9""#),
        ("absent", ""),
    ] {
        assert_eq!(back.unknown.get(key).unwrap_or_default(), value, "{key}");
    }
    let unknown = back.summary.unwrap().unknown;
    assert_eq!(unknown.get("command"), Some(r#""rustic <b>""#));
    assert_eq!(unknown.get("backup_duration"), Some("0.1000"));
    assert_eq!(unknown.get("big"), Some("123456789012345678901234567890"));
}

#[test]
fn null_fields_are_empty() {
    let text = format!(
        r#"{{"time":null,"parent":null,{TREE},"paths":null,"hostname":null,"tags":null,"summary":null}}"#
    );
    let expected = Snapshot::new(Timestamp::GO_ZERO, Id([0x11; 32]), Vec::new());
    assert_eq!(Snapshot::decode(text.as_bytes()), Ok(expected));
}

#[test]
fn what_is_no_snapshot_is_an_error_that_names_the_field() {
    for (text, part) in [
        (String::new(), "EOF"),
        ("[]".to_owned(), "an object"),
        ("{}".to_owned(), "no tree"),
        (r#"{"tree":null}"#.to_owned(), "no tree"),
        (r#"{"tree":"12"}"#.to_owned(), "tree:"),
        (format!(r#"{{{TREE},"uid":-1}}"#), "uid:"),
        (format!(r#"{{{TREE},"time":"now"}}"#), "time:"),
        (format!(r#"{{{TREE},"tags":[1]}}"#), "tags:"),
        (format!(r#"{{{TREE},"summary":{{"files_new":"x"}}}}"#), "summary: files_new:"),
        (format!(r#"{{{TREE},"paths":{}"#, "[".repeat(100_000)), "EOF"),
        (format!(r#"{{{TREE}}}{{"#), "trailing"),
    ] {
        let error = Snapshot::decode(text.as_bytes()).unwrap_err();
        assert!(error.why.contains(part), "{part}: {error}");
    }
}
