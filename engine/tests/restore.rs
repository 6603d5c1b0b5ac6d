//! What a restore keeps its word on: everything comes back, nothing outside is touched, what is
//! right is left alone, and what is not whole is named.

#![allow(clippy::unwrap_used, reason = "what a test sets up has to work")]

mod restoring;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use keepwell_engine::error::Error;
use keepwell_engine::format::{BlobKind, ExtendedAttribute, Node, NodeKind, Timestamp, go_mode};
use keepwell_engine::restore::{Overwrite, RestoreOptions, find_subtree};
use keepwell_engine::source::filter::Patterns;
use restoring::{Stand, mode_of, mtime_of, node};

fn plain() -> RestoreOptions {
    RestoreOptions::default()
}

fn link(name: &str, target: &str) -> Node {
    let mut link = node(name, NodeKind::Symlink, go_mode::SYMLINK | 0o777);
    link.link_target = target.into();
    link
}

#[test]
fn every_kind_of_entry_comes_back_with_its_metadata() {
    let stand = Stand::new();
    let mut tool = stand.file("tool", &[b"#!", b"/bin/sh"]);
    tool.mode = go_mode::SETUID | 0o755;
    tool.extended_attributes = vec![ExtendedAttribute { name: "user.note".into(), value: b"kept".to_vec() }];
    let mut closed = stand.dir("closed", vec![stand.file("inside", &[b"x"])]);
    closed.mode = go_mode::DIR;
    let mut sealed = stand.file("sealed", &[b"y"]);
    sealed.mode = 0;
    let odd = "odd\n\"\\ name";
    let mut raw = stand.file("raw", &[b"z"]);
    raw.name = vec![0xff, 0xfe, b'!'];
    let tree = stand.tree(vec![
        tool,
        closed,
        sealed,
        raw,
        stand.file(odd, &[]),
        link("link", "/nowhere/at all"),
        node("pipe", NodeKind::Fifo, go_mode::NAMED_PIPE | 0o640),
        node("socket", NodeKind::Socket, go_mode::SOCKET | 0o755),
    ]);
    let (outcome, problems) = stand.restore(tree, &RestoreOptions { verify: true, ..plain() });
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!problems[0].is_error && problems[0].path == "/socket");
    assert_eq!((outcome.files_restored, outcome.files_verified), (5, 5));
    assert_eq!((outcome.folders, outcome.others, outcome.errors), (1, 2, 0));
    let at = |name: &str| stand.target().join(name);
    assert_eq!((mode_of(&at("tool")), mode_of(&at("sealed")), mode_of(&at("closed"))), (0o4755, 0, 0));
    assert!(at("pipe").symlink_metadata().unwrap().file_type().is_fifo());
    assert!(stand.target().join(std::ffi::OsStr::from_bytes(&[0xff, 0xfe, b'!'])).exists());
    for name in ["tool", "closed", "link", "pipe", odd] {
        assert_eq!(mtime_of(&at(name)), (-86_401, 123_456_789), "{name:?}");
        let found = at(name).symlink_metadata().unwrap();
        assert_eq!((found.atime(), found.atime_nsec()), (-5, 7), "{name:?}");
    }
    assert_eq!((mode_of(&at("pipe")), fs::read_link(at("link")).unwrap()), (0o640, "/nowhere/at all".into()));
    assert_eq!(fs::read(at("tool")).unwrap(), b"#!/bin/sh");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(at("tool"), "user.note", &mut value).unwrap();
    assert_eq!(&value[..length], b"kept");
    // Again, over what is there: nothing is written, and nothing is in the way.
    let (again, _) = stand.restore(tree, &plain());
    // Who may not read a file cannot compare it: then it is written anew.
    let unreadable = u64::from(!rustix::process::geteuid().is_root());
    assert_eq!((again.files_unchanged, again.bytes_written, again.errors), (5 - unreadable, unreadable, 0));
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn paths_longer_than_the_system_allows_come_back() {
    let stand = Stand::new();
    let name = "n".repeat(200);
    let mut nodes = vec![stand.file("bottom", &[b"deep", b"down"])];
    for _ in 0..300 {
        nodes = vec![stand.dir(&name, nodes)];
    }
    let tree = stand.tree(nodes);
    let outcome = stand.restore_cleanly(tree, &RestoreOptions { verify: true, ..plain() });
    assert_eq!((outcome.folders, outcome.files_verified), (300, 1));
    let again = stand.restore_cleanly(tree, &plain());
    assert_eq!((again.files_unchanged, again.bytes_written), (1, 0));
}

#[test]
fn only_what_differs_is_written() {
    let stand = Stand::new();
    let blobs: Vec<Vec<u8>> = (0..8_u8).map(|n| vec![n; 100_000]).collect();
    let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let tree = stand.tree(vec![stand.file("file", &blobs)]);
    let path = stand.target().join("file");
    stand.restore_cleanly(tree, &plain());
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole, blobs.concat());
    let inode = path.metadata().unwrap().ino();
    type Change = fn(&mut Vec<u8>);
    let spoil: [(&str, Change, u64); 4] = [
        ("a byte in the third blob", |bytes| bytes[250_000] ^= 1, 100_000),
        ("cut in the seventh", |bytes| bytes.truncate(650_000), 200_000),
        ("too long", |bytes| bytes.extend_from_slice(b"tail"), 0),
        ("nothing but its times", |_| {}, 0),
    ];
    for (what, change, written) in spoil {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let outcome = stand.restore_cleanly(tree, &plain());
        assert_eq!(outcome.bytes_written, written, "{what}");
        assert_eq!(fs::read(&path).unwrap(), whole, "{what}");
        assert_eq!(path.metadata().unwrap().ino(), inode, "{what}");
        assert_eq!(mtime_of(&path), (-86_401, 123_456_789), "{what}");
    }
}

#[test]
fn what_is_there_is_overwritten_as_asked() {
    for (overwrite, older, content, skipped) in [
        (Overwrite::Always, true, "new", 0),
        (Overwrite::Always, false, "new", 0),
        (Overwrite::IfChanged, false, "new", 0),
        (Overwrite::IfNewer, true, "new", 0),
        (Overwrite::IfNewer, false, "old", 1),
        (Overwrite::Never, true, "old", 1),
    ] {
        let stand = Stand::new();
        let mut file = stand.file("file", &[b"new"]);
        file.mtime = Timestamp::from_unix(1_000, 0);
        let tree = stand.tree(vec![file]);
        fs::create_dir(stand.target()).unwrap();
        let path = stand.target().join("file");
        fs::write(&path, "old").unwrap();
        let seconds = if older { 999 } else { 1_001 };
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let outcome = stand.restore_cleanly(tree, &RestoreOptions { overwrite, ..plain() });
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), outcome.skipped),
            (content, skipped),
            "{overwrite:?}"
        );
    }
    // The same size and time are trusted by one mode only.
    let stand = Stand::new();
    let tree = stand.tree(vec![stand.file("file", &[b"new"])]);
    stand.restore_cleanly(tree, &plain());
    let path = stand.target().join("file");
    let time = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, "old").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    stand.restore_cleanly(tree, &RestoreOptions { overwrite: Overwrite::IfChanged, ..plain() });
    assert_eq!(fs::read(&path).unwrap(), b"old");
    stand.restore_cleanly(tree, &plain());
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn links_in_the_target_are_replaced_and_never_followed() {
    let stand = Stand::new();
    let tree = stand.tree(vec![
        stand.dir("folder", vec![stand.file("inner", &[b"inner"])]),
        stand.file("file", &[b"file", b"more"]),
        link("link", "elsewhere"),
        node("pipe", NodeKind::Fifo, go_mode::NAMED_PIPE | 0o600),
    ]);
    let outside = stand.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    fs::set_permissions(outside.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = mtime_of(&outside);
    fs::create_dir(stand.target()).unwrap();
    symlink(&outside, stand.target().join("folder")).unwrap();
    for name in ["file", "link", "pipe"] {
        symlink(outside.join("file"), stand.target().join(name)).unwrap();
    }
    stand.restore_cleanly(tree, &RestoreOptions { verify: true, ..plain() });
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
    assert_eq!((mode_of(&outside.join("file")), mtime_of(&outside)), (0o640, before));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(stand.target().join("folder").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read(stand.target().join("folder/inner")).unwrap(), b"inner");
    assert_eq!(fs::read(stand.target().join("file")).unwrap(), b"filemore");
}

#[test]
fn a_hostile_repository_writes_nothing_outside() {
    let stand = Stand::new();
    let outside = stand.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let good = stand.file("good", &[b"good"]);
    let json = |name: &str, node: &Node| {
        let mut text = Vec::new();
        node.write_json(&mut text);
        let text = String::from_utf8(text).unwrap();
        let own = format!("\"name\":\"{}\"", String::from_utf8_lossy(&node.name));
        assert!(text.contains(&own));
        text.replacen(&own, &format!("\"name\":\"{name}\""), 1)
    };
    let folder = stand.dir("dir", vec![stand.file("planted", &[b"bad"])]);
    let outside_text = outside.to_str().unwrap();
    let entries = [
        json("../escape", &good),
        json("..", &folder),
        json("/escape", &good),
        json("", &good),
        json("a/b", &good),
        json("swap", &link("l", outside_text)),
        json("swap", &folder),
        json("good", &good),
    ];
    let tree = stand.blob(BlobKind::Tree, format!("{{\"nodes\":[{}]}}\n", entries.join(",")).as_bytes());
    let (outcome, problems) = stand.restore(tree, &RestoreOptions { delete: true, ..plain() });
    assert_eq!((outcome.errors, problems.len()), (6, 6), "{problems:?}");
    assert_eq!(fs::read(stand.target().join("good")).unwrap(), b"good");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let mut names: Vec<_> =
        fs::read_dir(stand.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["outside", "repository", "target"]);
    // A link out of an earlier restore, and a folder of its name in the next snapshot.
    let first = stand.tree(vec![link("swap", outside_text)]);
    let second = stand.tree(vec![stand.dir("swap", vec![stand.file("planted", &[b"bad"])])]);
    stand.restore_cleanly(first, &plain());
    stand.restore_cleanly(second, &plain());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(stand.target().join("swap/planted").exists());
}

#[test]
fn hard_links_come_back_whichever_names_are_wanted() {
    let stand = Stand::new();
    let named = |name: &str| {
        let mut file = stand.file(name, &[b"shared ", b"content"]);
        (file.links, file.inode, file.device_id) = (3, 77, 5);
        file
    };
    let mut stranger = stand.file("stranger", &[b"another"]);
    (stranger.links, stranger.inode, stranger.device_id) = (3, 77, 5);
    let tree = stand.tree(vec![named("a"), stand.dir("d", vec![named("b")]), named("c"), stranger]);
    let exclude = Patterns::new(&["/a"]).unwrap();
    stand.restore_cleanly(tree, &RestoreOptions { exclude: Some(exclude), ..plain() });
    let inode = |name: &str| stand.target().join(name).metadata().unwrap().ino();
    assert!(!stand.target().join("a").exists());
    assert_eq!(inode("d/b"), inode("c"));
    assert_eq!(fs::read(stand.target().join("c")).unwrap(), b"shared content");
    assert_eq!(fs::read(stand.target().join("stranger")).unwrap(), b"another");
    let all = stand.restore_cleanly(tree, &plain());
    assert_eq!((inode("a"), inode("c")), (inode("d/b"), inode("a")));
    assert_eq!(all.others, 2);
    let again = stand.restore_cleanly(tree, &plain());
    assert_eq!((again.files_unchanged, again.bytes_written), (2, 0));
}

#[test]
fn a_file_with_a_name_outside_is_replaced_and_not_changed() {
    for links in [1, 2] {
        let stand = Stand::new();
        let mut file = stand.file("file", &[b"restored"]);
        file.links = links;
        let tree = stand.tree(vec![file]);
        let outside = stand.folder.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        fs::create_dir(stand.target()).unwrap();
        fs::hard_link(&outside, stand.target().join("file")).unwrap();
        let before = (mode_of(&outside), mtime_of(&outside));
        stand.restore_cleanly(tree, &plain());
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
        assert_eq!((mode_of(&outside), mtime_of(&outside)), before);
        assert_eq!(fs::read(stand.target().join("file")).unwrap(), b"restored");
    }
}

#[test]
fn zeros_become_holes_where_asked() {
    let stand = Stand::new();
    let mut mixed = vec![0; 1 << 20];
    mixed[500_000] = 1;
    let zeros = vec![0; 1 << 20];
    let tree = stand
        .tree(vec![stand.file("file", &[&zeros, &mixed, &zeros, b"end"]), stand.file("small", &[&zeros])]);
    let sparse = RestoreOptions { sparse: true, verify: true, ..plain() };
    stand.restore_cleanly(tree, &sparse);
    let path = stand.target().join("file");
    let expected = [zeros.as_slice(), &mixed, &zeros, b"end"].concat();
    assert_eq!(fs::read(&path).unwrap(), expected);
    assert!(path.metadata().unwrap().blocks() * 512 < 100_000, "{}", path.metadata().unwrap().blocks());
    assert_eq!(fs::read(stand.target().join("small")).unwrap(), zeros);
    // In place, what stood in a hole's place has to go.
    fs::write(&path, vec![7; expected.len()]).unwrap();
    stand.restore_cleanly(tree, &sparse);
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn a_missing_pack_costs_the_files_that_need_it_and_no_others() {
    let stand = Stand::new();
    let lost = stand.file("lost", &[b"begin ", b"was here"]);
    stand.session.flush().unwrap();
    let packs = |stand: &Stand| -> Vec<std::path::PathBuf> {
        let folders = fs::read_dir(stand.packs()).unwrap().map(|entry| entry.unwrap().path());
        folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
    };
    for pack in packs(&stand) {
        fs::remove_file(pack).unwrap();
    }
    let mut unknown = stand.file("unknown", &[b"kept"]);
    unknown.content = Some(vec![keepwell_engine::id::Id::of(b"never stored")]);
    let mut gone = stand.dir("gone", vec![]);
    gone.subtree = Some(keepwell_engine::id::Id::of(b"no such tree"));
    let tree = stand.tree(vec![lost, unknown, gone, stand.file("whole", &[b"whole", b" and sound"])]);
    let (outcome, problems) = stand.restore(tree, &RestoreOptions { verify: true, ..plain() });
    let mut paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/gone", "/lost", "/unknown"], "{problems:?}");
    assert_eq!((outcome.errors, outcome.files_restored, outcome.files_verified), (3, 1, 1));
    assert_eq!(fs::read(stand.target().join("whole")).unwrap(), b"whole and sound");
    assert!(!stand.target().join("unknown").exists());
}

#[test]
fn a_damaged_blob_costs_its_files_only() {
    let stand = Stand::new();
    let (first, second) = (vec![1_u8; 5000], vec![2_u8; 5000]);
    let nodes =
        vec![stand.file("a", &[&first, &second]), stand.file("b", &[&first]), stand.file("c", &[&second])];
    let tree = stand.tree(nodes);
    stand.session.flush().unwrap();
    let place = stand.repository.index().find(BlobKind::Data, &keepwell_engine::id::Id::of(&second)).unwrap();
    let hex = place.pack.to_hex();
    let pack = stand.packs().join(&hex[..2]).join(&hex);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[place.blob.offset_bytes as usize + 20] ^= 1;
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pack, bytes).unwrap();
    let (outcome, problems) = stand.restore(tree, &plain());
    let mut paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!((paths, outcome.errors), (vec!["/a", "/c"], 2));
    assert_eq!(fs::read(stand.target().join("b")).unwrap(), first);
    // What is not whole does not look finished.
    if let Ok(found) = stand.target().join("a").metadata() {
        assert_ne!(found.mtime(), -86_401);
    }
}

#[test]
fn a_rehearsal_tells_what_would_be_done_and_touches_nothing() {
    let stand = Stand::new();
    let tree = stand.tree(vec![
        stand.dir("folder", vec![stand.file("inner", &[b"inner"]), link("link", "x")]),
        stand.file("file", &[b"file"]),
    ]);
    let dry = RestoreOptions { dry_run: true, delete: true, ..plain() };
    let would = stand.restore_cleanly(tree, &dry);
    assert!(!stand.target().exists());
    let did = stand.restore_cleanly(tree, &RestoreOptions { delete: true, ..plain() });
    assert_eq!(would, did);
    fs::write(stand.target().join("file"), "FILE").unwrap();
    fs::write(stand.target().join("surplus"), "").unwrap();
    let would = stand.restore_cleanly(tree, &dry);
    assert_eq!(
        (would.files_restored, would.files_unchanged, would.bytes_written, would.deleted),
        (1, 1, 4, 1)
    );
    assert_eq!(fs::read(stand.target().join("file")).unwrap(), b"FILE");
    let did = stand.restore_cleanly(tree, &RestoreOptions { delete: true, ..plain() });
    assert_eq!(would, did);
    assert!(!stand.target().join("surplus").exists());
}

#[test]
fn surplus_is_deleted_without_following_links() {
    let stand = Stand::new();
    let outside = stand.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    let tree = stand.tree(vec![stand.dir("folder", vec![]), stand.file("kept", &[b"k"])]);
    stand.restore_cleanly(tree, &plain());
    let inside = stand.target().join("folder/extra/deeper");
    fs::create_dir_all(&inside).unwrap();
    symlink(&outside, inside.join("out")).unwrap();
    symlink(&outside, stand.target().join("out")).unwrap();
    let outcome = stand.restore_cleanly(tree, &RestoreOptions { delete: true, ..plain() });
    assert_eq!(outcome.deleted, 2);
    assert_eq!(fs::read_dir(stand.target().join("folder")).unwrap().count(), 0);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
    assert_eq!(mtime_of(&stand.target().join("folder")), (-86_401, 123_456_789));
}

#[test]
fn a_part_of_a_snapshot_is_found_by_its_path() {
    let stand = Stand::new();
    let inner = vec![stand.file("one", &[b"1"]), stand.file("two", &[b"2"])];
    let tree = stand.tree(vec![stand.dir("a", vec![stand.dir("b", inner)]), stand.file("c", &[b"3"])]);
    let subtree = |path: &str| find_subtree(&stand.repository, tree, path.as_bytes());
    stand.session.flush().unwrap();
    stand.restore_cleanly(subtree("/a/b").unwrap(), &plain());
    assert_eq!(fs::read(stand.target().join("one")).unwrap(), b"1");
    fs::remove_dir_all(stand.target()).unwrap();
    let outcome = stand.restore_cleanly(subtree("a/b/two/").unwrap(), &plain());
    assert_eq!((outcome.files_restored, fs::read_dir(stand.target()).unwrap().count()), (1, 1));
    assert_eq!(subtree("/").unwrap().tree, tree);
    assert!(matches!(subtree("/a/x"), Err(Error::NotFound { .. })));
    assert!(matches!(subtree("/c/x"), Err(Error::Invalid(_))));
    assert!(matches!(subtree("/a/../c"), Err(Error::Invalid(_))));
}

#[test]
fn patterns_take_files_and_the_folders_that_lead_there() {
    let stand = Stand::new();
    let tree = stand.tree(vec![
        stand.dir("a", vec![stand.dir("b", vec![stand.file("x.txt", &[b"1"]), stand.file("y", &[b"2"])])]),
        stand.dir("empty", vec![stand.file("y", &[b"2"])]),
    ]);
    let include = Some(Patterns::new(&["*.txt"]).unwrap());
    let outcome = stand.restore_cleanly(tree, &RestoreOptions { include, ..plain() });
    assert_eq!((outcome.files_restored, outcome.folders), (1, 2));
    assert!(stand.target().join("a/b/x.txt").exists() && !stand.target().join("a/b/y").exists());
    assert!(!stand.target().join("empty").exists());
    assert_eq!(mtime_of(&stand.target().join("a")), (-86_401, 123_456_789));
}

#[test]
fn a_folder_that_is_not_empty_is_not_replaced_by_a_file() {
    let stand = Stand::new();
    let tree = stand.tree(vec![stand.file("name", &[b"content"]), stand.file("other", &[b"other"])]);
    fs::create_dir_all(stand.target().join("name/full")).unwrap();
    let (outcome, problems) = stand.restore(tree, &plain());
    assert_eq!((outcome.errors, outcome.files_restored), (1, 1));
    assert!(problems[0].path == "/name" && problems[0].why.contains("not empty"), "{problems:?}");
    assert!(stand.target().join("name/full").is_dir());
}
