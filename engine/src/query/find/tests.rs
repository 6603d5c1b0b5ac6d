//! Searches by name, time, blob, tree and pack over several snapshots.

use super::*;
use crate::error::Error;
use crate::format::BlobKind;
use crate::query::sample::{Sample, dir, file};
use crate::repository::FileKind;

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn push(&mut self, snapshot: Id, path: &[u8]) {
        self.0.push(format!("{} {}", &snapshot.short()[..4], String::from_utf8_lossy(path)));
    }
}

impl FindSink<EntryFound<'_>> for Lines {
    fn found(&mut self, snapshot: Id, found: &EntryFound<'_>) -> Result<()> {
        self.push(snapshot, found.path);
        Ok(())
    }

    fn unreadable(&mut self, snapshot: Id, unreadable: Unreadable) -> Result<()> {
        self.push(snapshot, &[b"unreadable ", unreadable.path.as_slice()].concat());
        Ok(())
    }
}

impl FindSink<ObjectFound<'_>> for Lines {
    fn found(&mut self, snapshot: Id, found: &ObjectFound<'_>) -> Result<()> {
        self.push(snapshot, &[found.kind.name().as_bytes(), b" ", found.path].concat());
        Ok(())
    }

    fn unreadable(&mut self, snapshot: Id, unreadable: Unreadable) -> Result<()> {
        self.push(snapshot, &[b"unreadable ", unreadable.path.as_slice()].concat());
        Ok(())
    }
}

struct Found {
    sample: Sample,
    snapshots: Vec<(Id, Snapshot)>,
    shared: Id,
    blob: Id,
}

impl Found {
    /// `/a/{one.txt,Two.TXT}` in both snapshots, `/b/deep/one.txt` in the second.
    fn new(name: &str) -> Self {
        let sample = Sample::new(name);
        let blob = sample.hundred(1);
        let other = sample.hundred(2);
        let mut two = file("Two.TXT", &[other]);
        two.mtime = Timestamp::from_unix(500, 0);
        let shared = sample.tree(&[two, file("one.txt", &[blob, blob])]);
        let deep = sample.tree(&[file("one.txt", &[other])]);
        let b = sample.tree(&[dir("deep", deep)]);
        let first = sample.tree(&[dir("a", shared)]);
        let second = sample.tree(&[dir("a", shared), dir("b", b), dir("c", shared)]);
        let snapshots = vec![sample.snapshot(first, 1), sample.snapshot(second, 2)];
        Self { sample, snapshots, shared, blob }
    }

    fn expected(&self, lines: &[(usize, &str)]) -> Vec<String> {
        let line =
            |(number, path): &(usize, &str)| format!("{} {path}", &self.snapshots[*number].0.short()[..4]);
        lines.iter().map(line).collect()
    }

    fn names(&self, query: &NameQuery) -> Vec<String> {
        let mut lines = Lines::default();
        let repository = self.sample.repository();
        find_names(repository, &self.snapshots, query, &Control::new(), &mut lines).unwrap();
        lines.0
    }

    fn objects(&self, wanted: &WantedObjects) -> Vec<String> {
        let mut lines = Lines::default();
        let repository = self.sample.repository();
        find_objects(repository, &self.snapshots, wanted, &Control::new(), &mut lines).unwrap();
        lines.0
    }
}

#[test]
fn names_are_found_in_every_snapshot_that_has_them() {
    let found = Found::new("find-names");
    let time = |seconds| Some(Timestamp::from_unix(seconds, 0));
    for (pattern, any_case, oldest, newest, expected) in [
        (
            "one.txt",
            false,
            None,
            None,
            &[(0, "/a/one.txt"), (1, "/a/one.txt"), (1, "/b/deep/one.txt"), (1, "/c/one.txt")][..],
        ),
        ("two.*", false, None, None, &[]),
        ("two.*", true, None, None, &[(0, "/a/Two.TXT"), (1, "/a/Two.TXT"), (1, "/c/Two.TXT")]),
        ("/b/*/one.???", false, None, None, &[(1, "/b/deep/one.txt")]),
        ("/b/**/one.txt", false, None, None, &[(1, "/b/deep/one.txt")]),
        ("deep", false, None, None, &[(1, "/b/deep"), (1, "/b/deep/one.txt")]),
        ("/a/*", false, time(500), None, &[(0, "/a/Two.TXT"), (1, "/a/Two.TXT")]),
        ("/a/*", false, time(501), None, &[]),
        ("/a/*", false, None, time(499), &[(0, "/a/one.txt"), (1, "/a/one.txt")]),
        ("nothing", false, None, None, &[]),
    ] {
        let make = if any_case { Patterns::case_insensitive } else { Patterns::new };
        let query = NameQuery { patterns: make(&[pattern]).unwrap(), oldest, newest };
        assert_eq!(found.names(&query), found.expected(expected), "{pattern}");
    }
}

#[test]
fn blobs_trees_and_packs_are_found_where_they_are_used() {
    let found = Found::new("find-ids");
    let prefix =
        |id: Id, digits: usize| vec![IdPrefix::parse(&id.to_hex()[..digits].to_uppercase()).unwrap()];
    let in_files = [(0, "data /a/one.txt"), (1, "data /a/one.txt"), (1, "data /c/one.txt")];
    for digits in [8, 64] {
        let wanted = WantedObjects::data_blobs(prefix(found.blob, digits));
        assert_eq!(found.objects(&wanted), found.expected(&in_files));
        let wanted = WantedObjects::trees(prefix(found.shared, digits));
        assert_eq!(found.objects(&wanted), found.expected(&[(0, "tree /a"), (1, "tree /a"), (1, "tree /c")]));
    }
    let root = found.snapshots[1].1.tree;
    assert_eq!(found.objects(&WantedObjects::trees(prefix(root, 64))), found.expected(&[(1, "tree /")]));
    assert_eq!(found.objects(&WantedObjects::data_blobs(prefix(Id([0; 32]), 64))), [""; 0]);
    for bad in ["", "1234567", "123456789x", &"a".repeat(65)] {
        assert!(IdPrefix::parse(bad).is_err());
    }
}

#[test]
fn a_packs_blobs_are_found_even_if_only_the_index_knows_them() {
    let found = Found::new("find-packs");
    let repository = found.sample.repository();
    let place = repository.index().find(BlobKind::Data, &found.blob).unwrap();
    let prefix = [IdPrefix::parse(&place.pack.short()).unwrap()];
    let of_packs = || WantedObjects::blobs_of_packs(repository, &prefix, &Control::new());
    let by_header = found.objects(&of_packs().unwrap());
    // The pack holds both data blobs.
    assert_eq!(
        by_header,
        found.expected(&[
            (0, "data /a/Two.TXT"),
            (0, "data /a/one.txt"),
            (1, "data /a/Two.TXT"),
            (1, "data /a/one.txt"),
            (1, "data /b/deep/one.txt"),
            (1, "data /c/Two.TXT"),
            (1, "data /c/one.txt"),
        ])
    );
    repository.files().delete(FileKind::Pack, place.pack).unwrap();
    assert_eq!(found.objects(&of_packs().unwrap()), by_header);
    let none = WantedObjects::blobs_of_packs(
        repository,
        &[IdPrefix::parse(&"0".repeat(64)).unwrap()],
        &Control::new(),
    );
    assert!(matches!(none, Err(Error::NotFound { .. })));
}

#[test]
fn a_lost_tree_is_told_for_every_snapshot_that_has_it() {
    let found = Found::new("find-lost");
    let lost = found.sample.tree(&[dir("x", Id([4; 32]))]);
    let snapshots = [found.sample.snapshot(lost, 3), found.sample.snapshot(lost, 4)];
    let query = NameQuery { patterns: Patterns::new(&["y"]).unwrap(), ..NameQuery::default() };
    let mut lines = Lines::default();
    find_names(found.sample.repository(), &snapshots, &query, &Control::new(), &mut lines).unwrap();
    let expected: Vec<_> =
        snapshots.iter().map(|(id, _)| format!("{} unreadable /x", &id.short()[..4])).collect();
    assert_eq!(lines.0, expected);
}
