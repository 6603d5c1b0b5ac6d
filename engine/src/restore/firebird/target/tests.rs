//! Places of databases, with plain files in the role of databases.

use std::fs::{read, symlink_metadata, write};
use std::os::unix::fs::symlink;

use super::*;
use crate::firebird::FirebirdAccess;

fn target(path: &Path, replace: bool) -> FirebirdTarget {
    let access = FirebirdAccess::new(path.to_str().unwrap().parse().unwrap());
    FirebirdTarget { access, replace, beneath: None }
}

fn refusal(target: &FirebirdTarget) -> String {
    match Target::claim(target) {
        Ok(_) => panic!("{target:?} is claimed"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_new_database_gets_its_name_and_a_dropped_claim_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.fdb");
    let claimed = Target::claim(&target(&path, false)).unwrap();
    let temporary = PathBuf::from(claimed.temporary_path().unwrap());
    write(&temporary, "half").unwrap();
    drop(claimed);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    // What a killed restore left is removed by the next.
    write(&temporary, "left").unwrap();
    let claimed = Target::claim(&target(&path, false)).unwrap();
    assert!(!temporary.exists());
    write(&temporary, "new").unwrap();
    claimed.publish().unwrap();
    assert_eq!(read(&path).unwrap(), b"new");
    assert!(!temporary.exists());
}

#[test]
fn what_is_there_stays_unless_it_is_replaced_and_then_keeps_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.fdb");
    write(&path, "old").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(refusal(&target(&path, false)).contains("is there already"));
    let claimed = Target::claim(&target(&path, true)).unwrap();
    write(claimed.temporary_path().unwrap(), "new").unwrap();
    assert_eq!(read(&path).unwrap(), b"old", "until the new one is whole");
    claimed.publish().unwrap();
    assert_eq!(read(&path).unwrap(), b"new");
    if rustix::process::geteuid().is_root() {
        assert_eq!(symlink_metadata(&path).unwrap().mode() & 0o777, 0o640);
    }
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.fdb");
    write(&path, "old").unwrap();
    let server = File::open(&path).unwrap();
    rustix::fs::flock(&server, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(refusal(&target(&path, true)).contains("is in use"));
    drop(server);
    let claimed = Target::claim(&target(&path, true)).unwrap();
    write(claimed.temporary_path().unwrap(), "new").unwrap();
    // Opened while the restore was under way.
    let server = File::open(&path).unwrap();
    rustix::fs::flock(&server, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(claimed.publish().unwrap_err().to_string().contains("is in use"));
    assert_eq!(read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_was_made_by_others_meanwhile_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.fdb");
    let claimed = Target::claim(&target(&path, true)).unwrap();
    assert!(refusal(&target(&path, true)).contains("another restore works in"));
    write(claimed.temporary_path().unwrap(), "new").unwrap();
    write(&path, "theirs").unwrap();
    assert!(claimed.publish().unwrap_err().to_string().contains("somebody else"));
    assert_eq!(read(&path).unwrap(), b"theirs");
}

#[test]
fn places_that_cannot_take_a_database_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (root, outside) = (scratch.path().join("root"), scratch.path().join("outside"));
    for folder in [&root, &outside] {
        std::fs::create_dir_all(folder.join("inner")).unwrap();
    }
    symlink(&outside, root.join("link")).unwrap();
    symlink(outside.join("b.fdb"), root.join("l.fdb")).unwrap();
    let beneath = |path: &str| {
        let path = scratch.path().join(path);
        FirebirdTarget { beneath: Some(root.clone()), ..target(&path, true) }
    };
    for (path, said) in [
        ("root/none/b.fdb", "cannot find the folder"),
        ("root/inner", "is no file"),
        ("root/l.fdb", "is no file"),
        ("root/link/b.fdb", "leads through a link"),
        ("root/link/inner/b.fdb", "leads through a link"),
        ("outside/b.fdb", "is not below"),
    ] {
        let text = refusal(&beneath(path));
        assert!(text.contains(said), "{path}: {text}");
    }
    Target::claim(&beneath("root/inner/b.fdb")).unwrap();
}
