//! A folder with every kind of entry that a backup meets, and some that it hopes not to.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use crate::random_data::{Random, write_file};

/// Names that have broken programs before.
const NAMES: [&[u8]; 20] = [
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\tand\rreturn",
    b"bell\x07escape\x1b[31m",
    b"del\x7f",
    b"quote\"and'single",
    b"back\\slash",
    b"back\\",
    b"\\x41 is not A",
    b"<html>&amp;",
    b"latin1-\xe9\xe8",
    b"broken-utf8-\xf0\x28\x8c\x28",
    b"\xff\xfe",
    "line\u{2028}and paragraph\u{2029}separators".as_bytes(),
    "emoji-\u{1f980}".as_bytes(),
    "combining-e\u{301}".as_bytes(),
    "right-to-left-\u{202e}override".as_bytes(),
    b"-dash",
    b"*[glob]?",
];

/// Makes the tree at `top`, which must not exist. Says what this machine could not make.
pub fn make(top: &Path) {
    fs::create_dir_all(top).expect("a folder");
    make_names(&top.join("names"));
    make_kinds(&top.join("kinds"));
    make_metadata(&top.join("metadata"));
    make_contents(&top.join("contents"));
    make_deep(&top.join("deep"));
    fs::create_dir(top.join("empty folder")).expect("a folder");
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn make_names(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    for (number, bytes) in NAMES.into_iter().enumerate() {
        fs::write(folder.join(name(bytes)), format!("file {number}")).expect("a file");
        let mut sub = OsString::from("folder ");
        sub.push(name(bytes));
        fs::create_dir(folder.join(&sub)).expect("a folder");
        fs::write(folder.join(&sub).join(name(bytes)), []).expect("a file");
    }
    fs::write(folder.join("n".repeat(255)), "the longest name").expect("a file");
    fs::write(folder.join(".hidden"), "hidden").expect("a file");
}

fn make_kinds(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    fs::write(folder.join("file"), "a file").expect("a file");
    fs::hard_link(folder.join("file"), folder.join("hard link")).expect("a hard link");
    fs::create_dir(folder.join("other")).expect("a folder");
    fs::hard_link(folder.join("file"), folder.join("other/hard link elsewhere")).expect("a hard link");
    symlink("file", folder.join("symlink")).expect("a symlink");
    symlink("../nowhere/at all", folder.join("dangling symlink")).expect("a symlink");
    symlink(name(b"target-\xff-not-utf8"), folder.join("symlink to other bytes")).expect("a symlink");
    symlink("/etc", folder.join("symlink to a folder outside")).expect("a symlink");
    make_node(&folder.join("fifo"), FileType::Fifo, 0);
    if rustix::process::geteuid().is_root() {
        make_node(&folder.join("null device"), FileType::CharacterDevice, makedev(1, 3));
        make_node(&folder.join("loop device"), FileType::BlockDevice, makedev(7, 300));
    } else {
        crate::programs::say("skipped: device nodes (only root makes them)");
    }
}

fn make_node(path: &Path, kind: FileType, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).expect("a node");
}

fn make_metadata(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    for mode in [0o000, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o1777, 0o6711] {
        let path = folder.join(format!("mode {mode:04o}"));
        fs::write(&path, format!("{mode:o}")).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    }
    let sticky = folder.join("sticky folder");
    fs::create_dir(&sticky).expect("a folder");
    fs::set_permissions(&sticky, Permissions::from_mode(0o3775)).expect("a mode");
    for (what, seconds, nanoseconds) in [
        ("before 1970", -86_400 * 365 * 3, 123_456_789),
        ("one nanosecond", 1_000_000_000, 1),
        ("trailing zeros", 1_000_000_000, 120_000_000),
        ("the epoch", 0, 0),
        ("after 2038", 4_000_000_000, 999_999_999),
    ] {
        let path = folder.join(what);
        fs::write(&path, what).expect("a file");
        set_mtime(&path, seconds, nanoseconds);
    }
    make_attributes(folder);
    if rustix::process::geteuid().is_root() {
        for (owner, group) in [(1, 2), (12_345, 54_321)] {
            let path = folder.join(format!("owner {owner} group {group}"));
            fs::write(&path, "owned").expect("a file");
            std::os::unix::fs::chown(&path, Some(owner), Some(group)).expect("an owner");
        }
    }
    let read_only = folder.join("folder of mode 0555");
    fs::create_dir(&read_only).expect("a folder");
    fs::write(read_only.join("inside"), "inside").expect("a file");
    set_mtime(&read_only.join("inside"), 1_234_567_890, 5);
    fs::set_permissions(&read_only, Permissions::from_mode(0o555)).expect("a mode");
}

fn make_attributes(folder: &Path) {
    let path = folder.join("extended attributes");
    fs::write(&path, "attributes").expect("a file");
    let long = vec![0xa5; 1000];
    for (attribute, value) in [
        ("user.comment", b"a comment".as_slice()),
        ("user.empty", b""),
        ("user.bytes", b"\x00\xff<>&\n"),
        ("user.long", &long),
    ] {
        if let Err(error) = lsetxattr(&path, attribute, value, XattrFlags::empty()) {
            crate::programs::say(&format!("skipped: extended attributes ({error})"));
            return;
        }
    }
    let on_folder = folder.join("attributes of a folder");
    fs::create_dir(&on_folder).expect("a folder");
    lsetxattr(&on_folder, "user.folder", b"yes", XattrFlags::empty()).expect("as on the file");
}

/// Sets a time before or after 1970.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: u32) {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    let time = base + Duration::from_nanos(nanoseconds.into());
    let file = File::open(path).expect("opens");
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time)).expect("a time");
}

fn make_contents(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    fs::write(folder.join("empty"), []).expect("a file");
    fs::write(folder.join("one byte"), b"x").expect("a file");
    const MIN: u64 = 512 << 10;
    for length in [MIN - 1, MIN, MIN + 1, 3 * MIN] {
        write_file(&folder.join(format!("random {length}")), length, length).expect("a file");
    }
    write_file(&folder.join("several chunks"), 9 << 20, 9).expect("a file");
    fs::write(folder.join("zeros"), vec![0; 9 << 20]).expect("a file");
    fs::write(folder.join("text"), "all work and no play\n".repeat(100_000)).expect("a file");
    let sparse = File::create(folder.join("sparse")).expect("a file");
    sparse.set_len(20 << 20).expect("a length");
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 10 << 20).expect("written");
    let many = folder.join("many");
    fs::create_dir(&many).expect("a folder");
    let mut random = Random(7);
    for number in 0..500 {
        let length = random.below(3000) as usize;
        fs::write(many.join(format!("{number:03}")), random.bytes(length)).expect("a file");
    }
}

/// Sixty folders, one in the other, with names long enough to pass what one path may hold.
fn make_deep(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    let mut parent = rustix::fs::open(folder, rustix::fs::OFlags::DIRECTORY, Mode::empty()).expect("opens");
    for level in 0..60 {
        let name = format!("{level:02}-{}", "d".repeat(37));
        rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o755)).expect("a folder");
        parent =
            rustix::fs::openat(&parent, &name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).expect("opens");
    }
    let file = rustix::fs::openat(
        &parent,
        "at the bottom",
        rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
        Mode::from_raw_mode(0o644),
    )
    .expect("a file");
    rustix::io::write(&file, b"deep").expect("written");
}

/// Binds a socket at `path`; it is there as long as the listener lives.
pub fn make_socket(path: &Path) -> std::os::unix::net::UnixListener {
    std::os::unix::net::UnixListener::bind(path).expect("a socket")
}

/// Everything below `top`, `top` included, in name order.
pub fn entries(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_path_buf()];
    let mut next = 0;
    while next < found.len() {
        let path = found[next].clone();
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            let mut children: Vec<PathBuf> = fs::read_dir(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
                .map(|entry| entry.expect("an entry").path())
                .collect();
            children.sort();
            found.extend(children);
        }
        next += 1;
    }
    found
}

/// Bytes below `top` as the file system counts them.
pub fn size_bytes(top: &Path) -> u64 {
    entries(top)
        .iter()
        .filter_map(|path| fs::symlink_metadata(path).ok())
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.size())
        .sum()
}
