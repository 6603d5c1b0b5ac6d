//! Copies between repositories of different keys, versions and polynomials.

use std::path::Path;

use super::*;
use crate::format::Timestamp;
use crate::query::sample::{Sample, dir, file};
use crate::query::write_content;
use crate::report::Silent;
use crate::repository::{FileKind, InitOptions};
use crate::store::Location;

fn copy(from: &Sample, to: &Sample, snapshots: &[(Id, Snapshot)]) -> Result<Vec<Copied>> {
    let mut outcomes = Vec::new();
    let mut ended = |_, outcome| outcomes.push(outcome);
    let (options, control) = (CopyOptions::default(), Control::new());
    copy_snapshots(&from.session, &to.session, snapshots, &options, &control, &Silent, &mut ended)?;
    Ok(outcomes)
}

fn content(sample: &Sample, node: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    write_content(sample.repository(), node, b"/f", &mut out, &Control::new()).unwrap();
    out
}

/// A tree of folders with files that share some blobs, and a snapshot of it.
fn source(name: &str) -> (Sample, (Id, Snapshot), Node) {
    let sample = Sample::new(name);
    let blobs: Vec<Id> = (0..50u8).map(|byte| sample.blob(&vec![byte; 1000 * usize::from(byte)])).collect();
    let node = file("f", &blobs);
    let inner = sample.tree(&[node.clone(), file("g", &blobs[..3])]);
    let root = sample.tree(&[dir("a", inner), dir("b", inner)]);
    let snapshot = sample.snapshot(root, 1);
    (sample, snapshot, node)
}

#[test]
fn a_copy_has_the_same_tree_and_content_in_either_version() {
    for (version, name) in [(2, "two"), (1, "one")] {
        let (from, snapshot, node) = source(&format!("copy-from-{name}"));
        let init = InitOptions { version: Some(version), ..InitOptions::default() };
        let location = Location::parse(&format!("memory://copy-to-{name}"), Path::new("/")).unwrap();
        let to = Sample::at(&location, &init);
        let outcomes = copy(&from, &to, std::slice::from_ref(&snapshot)).unwrap();
        let [Copied::New(id)] = outcomes[..] else { panic!("{outcomes:?}") };
        let copied = to.repository().read_snapshot(id).unwrap();
        assert_eq!(copied, Snapshot { original: Some(snapshot.0), ..snapshot.1 });
        assert_eq!(content(&to, &node), content(&from, &node));
        assert_eq!(to.repository().index().blob_count(), from.repository().index().blob_count());
        assert!(!cuts_alike(from.repository(), to.repository()));
        assert!(cuts_alike(from.repository(), from.repository()));
    }
}

#[test]
fn what_is_there_is_not_copied_again() {
    let (from, snapshot, _) = source("copy-again-from");
    let to = Sample::new("copy-again-to");
    let (id, plain) = snapshot.clone();
    let first = copy(&from, &to, std::slice::from_ref(&snapshot)).unwrap();
    let [Copied::New(copied)] = first[..] else { panic!("{first:?}") };
    let packs = to.repository().files().ids(FileKind::Pack).unwrap();
    assert_eq!(copy(&from, &to, &[snapshot]).unwrap(), [Copied::Known(copied)]);
    // Back where it came from: the original is known there.
    let back = to.repository().read_snapshot(copied).unwrap();
    assert_eq!(copy(&to, &from, &[(copied, back)]).unwrap(), [Copied::Known(id)]);
    // Another snapshot of the same tree costs a snapshot file only.
    let later = Snapshot { time: Timestamp::from_unix(2, 0), parent: Some(id), ..plain.clone() };
    let tagged = Snapshot { tags: vec!["t".into()], original: Some(id), ..plain };
    let others = [from.put(later), from.put(tagged)];
    let outcomes = copy(&from, &to, &others).unwrap();
    let [Copied::New(later), Copied::New(tagged)] = outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(to.repository().read_snapshot(later).unwrap().parent, None);
    assert_eq!(to.repository().read_snapshot(tagged).unwrap().original, Some(id));
    assert_eq!(to.repository().files().ids(FileKind::Pack).unwrap(), packs);
}

#[test]
fn a_damaged_source_gives_no_snapshot_and_names_the_pack() {
    let (from, snapshot, node) = source("copy-damaged-from");
    let to = Sample::new("copy-damaged-to");
    let place = from.repository().index().find(BlobKind::Data, &node.content.unwrap()[20]).unwrap();
    let path = FileKind::Pack.path(place.pack);
    let mut pack = from.repository().files().read_stored(FileKind::Pack, place.pack).unwrap().to_vec();
    pack[place.blob.offset_bytes as usize + 3] ^= 1;
    from.repository().files().store().write(&path, pack.into()).unwrap();
    let error = copy(&from, &to, std::slice::from_ref(&snapshot)).unwrap_err();
    assert!(error.to_string().contains(&path), "{error}");
    from.repository().files().delete(FileKind::Pack, place.pack).unwrap();
    let error = copy(&from, &to, &[snapshot]).unwrap_err();
    assert!(error.to_string().contains(&place.pack.to_hex()), "{error}");
    assert_eq!(to.repository().files().ids(FileKind::Snapshot).unwrap(), []);
}

#[test]
fn a_session_without_a_lock_cannot_be_copied_to() {
    let (from, snapshot, _) = source("copy-unlocked-from");
    let to = Sample::new("copy-unlocked-to");
    let reading = Sample { session: to.repository().begin_unlocked() };
    assert!(matches!(copy(&from, &reading, &[snapshot]), Err(Error::Invalid(_))));
}
