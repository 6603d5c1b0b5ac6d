//! The same questions to restic, on the same repository: the same answers.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::diff::{DiffSink, Difference, diff};
use super::find::{EntryFound, FindSink, NameQuery, find_names};
use super::sample::{PASSWORD, Sample, dir, file};
use super::stats::{StatsMode, count};
use super::*;
use crate::control::Control;
use crate::error::Result;
use crate::format::{Node, Snapshot};
use crate::id::Id;
use crate::repository::InitOptions;
use crate::source::filter::Patterns;
use crate::store::Location;

#[derive(Default)]
struct Lines(Vec<String>);

impl DiffSink for Lines {
    fn difference(&mut self, found: &Difference<'_>) -> Result<()> {
        let slash = if found.is_folder { "/" } else { "" };
        self.0.push(format!("{} {}{slash}", found.change.marks(), String::from_utf8_lossy(found.path)));
        Ok(())
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        Err(unreadable.error)
    }
}

impl FindSink<EntryFound<'_>> for Lines {
    fn found(&mut self, snapshot: Id, found: &EntryFound<'_>) -> Result<()> {
        self.0.push(format!("{snapshot} {}", String::from_utf8_lossy(found.path)));
        Ok(())
    }

    fn unreadable(&mut self, _: Id, unreadable: Unreadable) -> Result<()> {
        Err(unreadable.error)
    }
}

/// What restic answers, line by line; `None` if there is no restic.
fn restic(repository: &Path, arguments: &[&str]) -> Option<Vec<Value>> {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "--no-lock", "--json", "-r"]).arg(repository).args(arguments);
    let run = command.env("RESTIC_PASSWORD", PASSWORD).output().ok()?;
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    let lines = serde_json::Deserializer::from_slice(&run.stdout).into_iter();
    Some(lines.map(|line| line.expect("restic writes JSON")).collect())
}

fn two_snapshots(sample: &Sample) -> [(Id, Snapshot); 2] {
    let blobs: Vec<Id> = (0..6u8).map(|byte| sample.blob(&vec![byte; 5000])).collect();
    let sized =
        |name: &str, content: &[Id]| Node { size: 5000 * content.len() as u64, ..file(name, content) };
    let shared = sample.tree(&[sized("one.txt", &blobs[..2]), sized("two.txt", &blobs[..1])]);
    let gone = sample.tree(&[sized("x", &blobs[3..4])]);
    let before = sample.tree(&[dir("gone", gone), dir("shared", shared), sized("z", &blobs[..1])]);
    let inner = sample.tree(&[sized("one.txt", &blobs[4..])]);
    let after = sample.tree(&[dir("new", inner), dir("shared", shared), sized("z", &blobs[4..5])]);
    [sample.snapshot(before, 1_600_000_000), sample.snapshot(after, 1_600_000_100)]
}

#[test]
#[expect(clippy::print_stdout, reason = "what a machine lacks is said on one line")]
fn diff_stats_and_find_answer_as_restic_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    let sample = Sample::at(&Location::folder(&path), &InitOptions::default());
    let snapshots = two_snapshots(&sample);
    let [(first, before), (second, after)] = &snapshots;
    let (first_hex, second_hex) = (first.to_hex(), second.to_hex());
    let Some(answer) = restic(&path, &["diff", &first_hex, &second_hex]) else {
        println!("skipped: there is no restic on this machine");
        return;
    };
    let (repository, control) = (sample.repository(), Control::new());
    let mut lines = Lines::default();
    let figures = diff(repository, before.tree, after.tree, false, &control, &mut lines).unwrap();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, field: &str| value[field].as_u64().unwrap_or_default();
    let (statistics, changes) = answer.split_last().unwrap();
    let changes: Vec<String> = changes
        .iter()
        .map(|change| format!("{} {}", text(change, "modifier"), text(change, "path")))
        .collect();
    // Versions before 0.15 do not tell bitrot.
    assert_eq!(
        lines.0.iter().map(|line| line.replace('?', "")).collect::<Vec<_>>(),
        changes.iter().map(|line| line.replace('?', "")).collect::<Vec<_>>()
    );
    assert_eq!(number(statistics, "changed_files"), figures.changed_files);
    for (side, ours) in [("added", figures.added), ("removed", figures.removed)] {
        let theirs = |field: &str| number(&statistics[side], field);
        assert_eq!((theirs("files"), theirs("dirs"), theirs("others")), (ours.files, ours.dirs, ours.others));
        assert_eq!(
            (theirs("data_blobs"), theirs("tree_blobs")),
            (ours.data_blobs, ours.tree_blobs),
            "{side}"
        );
        assert_eq!(theirs("bytes"), ours.bytes, "{side}");
    }
    for (name, mode) in StatsMode::ALL {
        let answer = restic(&path, &["stats", "--mode", name]).unwrap();
        let mut no_trouble = |_, unreadable: Unreadable| Err(unreadable.error);
        let ours = count(repository, &snapshots, mode, &control, &mut no_trouble).unwrap();
        let theirs = |field: &str| number(&answer[0], field);
        assert_eq!(theirs("total_size"), ours.bytes, "{name}");
        assert_eq!(
            (theirs("total_file_count"), theirs("total_blob_count")),
            (ours.files, ours.blobs),
            "{name}"
        );
    }
    for pattern in ["one.txt", "/shared/*", "new", "nothing"] {
        let answer = restic(&path, &["find", pattern]).unwrap();
        let mut theirs: Vec<String> = answer[0]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|found| {
                let matches = found["matches"].as_array().cloned().unwrap_or_default();
                matches
                    .into_iter()
                    .map(|entry| format!("{} {}", text(found, "snapshot"), text(&entry, "path")))
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut ours = Lines::default();
        let query = NameQuery { patterns: Patterns::new(&[pattern]).unwrap(), ..NameQuery::default() };
        find_names(repository, &snapshots, &query, &control, &mut ours).unwrap();
        theirs.sort();
        ours.0.sort();
        assert_eq!(ours.0, theirs, "{pattern}");
    }
}
