//! Two trees with every kind of difference, and what is said of them.

use super::*;
use crate::format::Timestamp;
use crate::query::sample::{Sample, dir, file};

#[derive(Default)]
struct Lines(Vec<String>);

impl DiffSink for Lines {
    fn difference(&mut self, found: &Difference<'_>) -> Result<()> {
        let slash = if found.is_folder { "/" } else { "" };
        self.0.push(format!("{} {}{slash}", found.change.marks(), String::from_utf8_lossy(found.path)));
        Ok(())
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.0.push(format!("unreadable {}", String::from_utf8_lossy(&unreadable.path)));
        Ok(())
    }
}

fn at(mut node: Node, seconds: i64) -> Node {
    node.mtime = Timestamp::from_unix(seconds, 0);
    node
}

fn link(name: &str) -> Node {
    Node { kind: NodeKind::Symlink, content: None, ..file(name, &[]) }
}

fn compare(sample: &Sample, before: Id, after: Id, metadata: bool) -> (Vec<String>, DiffFigures) {
    let mut lines = Lines::default();
    let figures =
        diff(sample.repository(), before, after, metadata, &Control::new(), &mut lines).expect("readable");
    (lines.0, figures)
}

#[test]
fn every_kind_of_difference_is_told_and_counted() {
    let sample = Sample::new("diff");
    let [one, two, three] = [1, 2, 3].map(|byte| sample.hundred(byte));
    let same = sample.tree(&[file("kept", &[three])]);
    let gone = sample.tree(&[file("x", &[one]), link("y")]);
    let before = sample.tree(&[
        file("bitrot", &[one]),
        dir("gone", gone),
        at(file("modified", &[one]), 1),
        dir("same", same),
        at(file("touched", &[two]), 1),
        link("turned"),
    ]);
    let new = sample.tree(&[file("n", &[two, three])]);
    let after = sample.tree(&[
        file("bitrot", &[two]),
        at(file("modified", &[one, two]), 2),
        dir("new", new),
        dir("same", same),
        at(file("touched", &[two]), 2),
        dir("turned", same),
    ]);
    sample.session.flush().unwrap();
    let quiet = ["M? /bitrot", "- /gone/", "- /gone/x", "- /gone/y", "M /modified", "+ /new/", "+ /new/n"];
    let (lines, figures) = compare(&sample, before, after, false);
    assert_eq!(lines, [&quiet[..], &["T /turned/"]].concat());
    let (lines, with_metadata) = compare(&sample, before, after, true);
    assert_eq!(lines, [&quiet[..], &["U /touched", "TU /turned/"]].concat());
    assert_eq!(with_metadata, figures);
    assert_eq!(figures.changed_files, 2);
    // `one`, `two` and `same` stand on both sides; the roots and a folder's tree do not.
    let tree_bytes = |ids: &[Id]| -> u64 {
        let index = sample.repository().index();
        ids.iter().map(|id| u64::from(index.find(BlobKind::Tree, id).unwrap().blob.plaintext_bytes())).sum()
    };
    let removed = SideFigures {
        files: 1,
        dirs: 1,
        others: 1,
        data_blobs: 0,
        tree_blobs: 2,
        bytes: tree_bytes(&[before, gone]),
    };
    let added = SideFigures {
        files: 1,
        dirs: 1,
        others: 0,
        data_blobs: 0,
        tree_blobs: 2,
        bytes: tree_bytes(&[after, new]),
    };
    assert_eq!((figures.removed, figures.added), (removed, added));
    let (lines, figures) = compare(&sample, after, after, true);
    assert_eq!((lines, figures), (Vec::new(), DiffFigures::default()));
}

#[test]
fn a_tree_that_is_lost_is_told_and_nothing_is_made_up_of_it() {
    let sample = Sample::new("diff-lost");
    let inner = sample.tree(&[file("x", &[])]);
    let before = sample.tree(&[dir("a", inner), file("z", &[])]);
    let after = sample.tree(&[dir("a", Id([5; 32]))]);
    sample.session.flush().unwrap();
    let (lines, figures) = compare(&sample, before, after, false);
    // Once as a tree to read, once as a blob to measure.
    assert_eq!(lines, ["unreadable /a", "- /z", "unreadable /"]);
    assert_eq!((figures.removed.files, figures.added.files), (1, 0));
}
