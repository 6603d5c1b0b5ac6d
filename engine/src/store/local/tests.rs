//! What only a folder has: modes, staging files, links, a full disk.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use bytes::Bytes;
use keepwell_messages::ErrorClass;

use super::*;
use crate::id::Id;
use crate::store::{Location, Store, StoreSettings};

fn store_in(folder: &Path) -> Store {
    let store = Store::open(&Location::folder(folder), &StoreSettings::default()).unwrap();
    store.prepare_layout().unwrap();
    store
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn listed(store: &Store, prefix: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    store
        .list(prefix, |object| {
            ids.push(object.id);
            Ok(())
        })
        .unwrap();
    ids
}

#[test]
fn the_layout_is_restics_and_only_the_owner_may_look() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("new/repository");
    let store = store_in(&root);
    store.prepare_layout().expect("what exists is left as it is");
    store.write("config", Bytes::from_static(b"x")).unwrap();
    assert!(store.create("keys/one", Bytes::from_static(b"x")).unwrap());
    let names: BTreeMap<_, _> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path())))
        .collect();
    let expected = ["data", "index", "keys", "locks", "snapshots"].map(|name| (name.to_owned(), 0o700));
    assert_eq!(names, expected.into_iter().chain([("config".to_owned(), 0o600)]).collect());
    assert_eq!(fs::read_dir(root.join("data")).unwrap().count(), 256);
    for (path, expected) in [("", 0o700), ("data/ff", 0o700), ("keys/one", 0o600)] {
        assert_eq!(mode(&root.join(path)), expected, "{path}");
    }
}

#[test]
fn files_that_killed_writers_left_are_found_and_are_not_objects() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    let id = Id::of(b"pack");
    let pack = format!("data/{}/{id}", &id.to_hex()[..2]);
    store.write(&pack, Bytes::from_static(b"pack")).unwrap();
    let left = [format!("{pack}#12"), "config#1".into(), format!("index/{id}#77")];
    for name in &left {
        fs::write(folder.path().join(name), b"half").unwrap();
    }
    fs::write(folder.path().join("data/note#one"), b"foreign").unwrap();
    assert_eq!(listed(&store, "data"), [id]);
    assert!(listed(&store, "index").is_empty());
    let mut found: Vec<_> = store.staging_files().unwrap().into_iter().map(|(path, _)| path).collect();
    found.sort();
    let mut expected = left.map(|name| folder.path().join(name));
    expected.sort();
    assert_eq!(found, expected);
    for path in &found {
        store.remove_staging(path).unwrap();
        store.remove_staging(path).expect("gone already is fine");
    }
    assert!(store.staging_files().unwrap().is_empty());
    for path in [folder.path().join(&pack), folder.path().join("data/note#one"), "/elsewhere#1".into()] {
        assert!(store.remove_staging(&path).is_err(), "{} is not for removal", path.display());
    }
}

#[test]
fn links_are_followed_alike_when_listing_and_reading() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = store_in(folder.path());
    let id = Id::of(b"pack");
    let place = format!("data/{}", &id.to_hex()[..2]);
    fs::remove_dir(folder.path().join(&place)).unwrap();
    symlink(other.path(), folder.path().join(&place)).unwrap();
    symlink("nowhere", folder.path().join("data/dangling")).unwrap();
    symlink("..", folder.path().join("data/loop")).unwrap();
    store.write(&format!("{place}/{id}"), Bytes::from_static(b"pack")).unwrap();
    assert!(other.path().join(id.to_hex()).exists());
    assert!(listed(&store, "data").contains(&id));
}

#[test]
fn a_name_that_is_not_utf8_does_not_break_a_listing() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    let id = Id::of(b"snapshot");
    store.write(&format!("snapshots/{id}"), Bytes::new()).unwrap();
    fs::write(folder.path().join("snapshots").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"").unwrap();
    assert_eq!(listed(&store, "snapshots"), [id]);
}

#[test]
fn what_the_operating_system_refuses_has_its_class_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    fs::write(folder.path().join("index/file"), b"").unwrap();
    let error = store.write("index/file/below", Bytes::new()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Settings, "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot write index/file/below in {}: Not a dir", folder.path().display())),
        "{text}"
    );
    let error = store.read("index", 10).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Settings, "{error}");
}

/// A file system of 1 MiB, unmounted with the test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(path: &'a Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn a_full_disk_and_a_read_only_one_are_told_apart_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(folder.path(), "size=1m") else {
        eprintln!("skipped: file systems cannot be mounted here");
        return;
    };
    let store = store_in(disk.0);
    let error = store.write("index/large", vec![1u8; 2 << 20].into()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Space, "{error:?}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(store.staging_files().unwrap().is_empty(), "the staging file is removed");
    assert_eq!(store.size("index/large").unwrap(), None);
    store.write("index/small", Bytes::from_static(b"fits")).expect("there is room again");

    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0).status().unwrap();
    assert!(remount.success());
    for result in [store.write("index/b", Bytes::new()), store.delete("index/small").map(drop)] {
        let error = result.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Settings, "{error:?}");
        assert!(error.to_string().contains("Read-only file system"), "{error}");
    }
    assert_eq!(store.read("index/small", 4).unwrap(), "fits");
}
