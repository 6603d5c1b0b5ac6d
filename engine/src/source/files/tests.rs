//! Trees in temporary folders, listed as the pipeline lists them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::format::go_mode;
use crate::source::{Entry, EntryContent, list_all};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Problems for Told {
    fn unreadable(&self, path: &str, why: &str) {
        self.0.lock().push(format!("unreadable {path}: {why}"));
    }
    fn not_stored(&self, path: &str, why: &str) {
        self.0.lock().push(format!("not stored {path}: {why}"));
    }
}

fn source(paths: &[&Path], excludes: Excludes) -> FilesSource {
    let paths = paths.iter().map(|path| path.to_path_buf()).collect();
    FilesSource::new(paths, FilesOptions { excludes, ..FilesOptions::default() }, Arc::new(SystemClock))
        .unwrap()
}

/// Everything in a folder: paths below `top` with a slash after folders and contents after files.
fn walk(folder: &dyn Folder, told: &Told, below: &str, lines: &mut Vec<String>) {
    let entries = match list_all(folder, told) {
        Ok(entries) => entries,
        Err(error) => return told.unreadable(&folder.display_path(), &error.to_string()),
    };
    for Entry { node, content } in entries {
        let path = format!("{below}/{}", String::from_utf8_lossy(&node.name));
        match content {
            EntryContent::Folder(folder) => {
                lines.push(format!("{path}/"));
                walk(&*folder, told, &path, lines);
            }
            EntryContent::File(file) => {
                let mut text = String::new();
                file.open().unwrap().read_to_string(&mut text).unwrap();
                lines.push(format!("{path}={text}"));
            }
            EntryContent::Nothing => lines.push(path),
        }
    }
}

/// What a source gives, without what leads to `top`, and what it told.
fn walked(source: &FilesSource, top: &Path) -> (Vec<String>, Vec<String>) {
    let (told, mut lines) = (Told::default(), Vec::new());
    source.prepare(&Control::new(), &told).unwrap();
    walk(&*source.root().unwrap(), &told, "", &mut lines);
    let top = top.to_str().unwrap();
    let short = |line: String| line.strip_prefix(top).map(str::to_owned);
    let told = told.0.into_inner().iter().map(|line| line.replace(top, "")).collect();
    (lines.into_iter().filter_map(short).collect(), told)
}

fn files(names: &[&str]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    for name in names {
        let path = top.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name.rsplit('/').next().unwrap()).unwrap();
    }
    top
}

fn listed(top: &Path) -> (Vec<Entry>, Vec<String>) {
    let source = source(&[top], Excludes::default());
    let told = Told::default();
    source.prepare(&Control::new(), &told).unwrap();
    let devices = source.prepared().unwrap();
    let entries = list_all(&source.whole(&devices, top.to_str().unwrap().as_bytes()), &told).unwrap();
    (entries, told.0.into_inner())
}

#[test]
fn every_kind_of_entry_has_its_metadata() {
    let top = files(&["file", "zero"]);
    let at = |name: &str| top.path().join(name);
    fs::set_permissions(at("file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(at("zero"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::hard_link(at("file"), at("hard")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    fs::set_permissions(at("dir"), fs::Permissions::from_mode(0o1770)).unwrap();
    symlink("\u{fffd}/nowhere", at("link")).unwrap();
    let make = |name, kind, device| mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o600), device);
    make("fifo", FileType::Fifo, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let device = make("tty", FileType::CharacterDevice, rustix::fs::makedev(4, 300)).is_ok();
    if !device {
        eprintln_once("no right to make devices: they are not tested");
    }
    let attribute =
        rustix::fs::lsetxattr(at("dir"), "user.note", b"\0value", rustix::fs::XattrFlags::empty()).is_ok();
    if !attribute {
        eprintln_once("no extended attributes here: they are not tested");
    }
    let odd = std::ffi::OsStr::from_bytes(b"\xff\n odd");
    fs::write(top.path().join(odd), b"").unwrap();

    let (entries, told) = listed(top.path());
    assert_eq!(told, [format!("not stored {}: it is a socket", at("socket").display())]);
    let names: Vec<&[u8]> = entries.iter().map(|entry| entry.node.name.as_slice()).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 7 + usize::from(device));
    assert!(names.contains(&b"\xff\n odd".as_slice()));
    let node = |name: &str| &entries.iter().find(|entry| entry.node.name == name.as_bytes()).unwrap().node;
    let file = node("file");
    assert_eq!(
        (file.kind, file.mode, file.links, file.size),
        (NodeKind::File, go_mode::SETUID | 0o751, 2, 4)
    );
    assert_eq!((file.inode, file.mtime, file.atime), (node("hard").inode, node("hard").mtime, file.mtime));
    assert_ne!(file.device_id, 0);
    assert_eq!((node("zero").mode, node("zero").links), (0, 1));
    let dir = node("dir");
    assert_eq!((dir.mode, dir.links, dir.size), (go_mode::DIR | go_mode::STICKY | 0o770, 0, 0));
    if attribute {
        let noted = &dir.extended_attributes;
        assert!(noted.iter().any(|a| a.name == "user.note" && a.value == b"\0value"), "{noted:?}");
    }
    let link = node("link");
    assert_eq!(
        (link.mode, link.link_target.as_slice()),
        (go_mode::SYMLINK | 0o777, "\u{fffd}/nowhere".as_bytes())
    );
    assert_eq!((node("fifo").mode, node("fifo").links), (go_mode::NAMED_PIPE | 0o600, 0));
    if device {
        let tty = node("tty");
        let modes = go_mode::DEVICE | go_mode::CHAR_DEVICE | 0o600;
        assert_eq!(
            (tty.kind, tty.mode, tty.device),
            (NodeKind::CharDevice, modes, rustix::fs::makedev(4, 300))
        );
    }
}

fn eprintln_once(line: &str) {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "{line}");
}

#[test]
fn device_ids_are_kept_for_hard_links_only_where_asked_for() {
    let top = files(&["one", "two"]);
    fs::hard_link(top.path().join("two"), top.path().join("three")).unwrap();
    let options = FilesOptions { device_ids: DeviceIds::HardLinks, ..FilesOptions::default() };
    let source = FilesSource::new(vec![top.path().into()], options, Arc::new(SystemClock)).unwrap();
    source.prepare(&Control::new(), &Told::default()).unwrap();
    let whole = source.whole(&source.prepared().unwrap(), top.path().to_str().unwrap().as_bytes());
    let kept: Vec<bool> =
        list_all(&whole, &Told::default()).unwrap().iter().map(|entry| entry.node.device_id != 0).collect();
    assert_eq!(kept, [false, true, true]);
}

#[test]
fn several_paths_make_one_tree_and_missing_ones_are_told() {
    let top = files(&["home/x/a", "home/y/b", "etc/c", "rest/d"]);
    let at = |name: &str| top.path().join(name);
    let (x, x_again, etc, deep, missing) =
        (at("home/x"), at("home/y/../x/."), at("etc"), at("etc/c"), at("gone/e"));
    let source = source(&[&x, &etc, &missing, &x_again, &deep], Excludes::default());
    let (lines, told) = walked(&source, top.path());
    assert_eq!(lines, ["/", "/etc/", "/etc/c=c", "/home/", "/home/x/", "/home/x/a=a"]);
    assert_eq!(told, ["unreadable /gone/e: it does not exist"]);
    assert_eq!(source.paths(), [x, etc, deep].map(|path| path.display().to_string()));
    let counted = Mutex::new(Totals::default());
    let add = |more: Totals| {
        let mut sum = counted.lock();
        *sum = Totals { files: sum.files + more.files, bytes: sum.bytes + more.bytes };
    };
    source.count(&Control::new(), &add).unwrap();
    assert_eq!(*counted.lock(), Totals { files: 2, bytes: 2 });
}

#[test]
fn no_existing_path_is_an_error() {
    let top = files(&[]);
    let source = source(&[&top.path().join("a"), &top.path().join("b")], Excludes::default());
    let told = Told::default();
    assert!(matches!(source.prepare(&Control::new(), &told), Err(Error::Source { .. })));
    assert_eq!(told.0.into_inner().len(), 2);
    assert!(source.root().is_err());
}

#[test]
fn paths_that_cannot_be_meant_are_refused() {
    for path in ["", "relative", "/nul\0byte"] {
        let made = FilesSource::new(vec![path.into()], FilesOptions::default(), Arc::new(SystemClock));
        assert!(matches!(made.err(), Some(Error::Invalid(_))), "{path:?}");
    }
    let options = FilesOptions { working_folder: "/w".into(), ..FilesOptions::default() };
    let source =
        FilesSource::new(vec!["a/../b".into(), "/c".into()], options, Arc::new(SystemClock)).unwrap();
    assert_eq!(source.paths(), ["/w/b", "/c"]);
}

#[test]
fn paths_longer_than_the_system_takes_are_read() {
    let top = files(&[]);
    let mut folder = rustix::fs::open(top.path(), rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    let name = "n".repeat(200);
    for _ in 0..60 {
        rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
        folder = rustix::fs::openat(&folder, &name, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&folder, "deep", flags, Mode::RUSR).unwrap();
    rustix::io::write(file, b"content").unwrap();
    let (lines, told) = walked(&source(&[top.path()], Excludes::default()), top.path());
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(lines.len(), 62);
    assert!(lines[61].ends_with("/deep=content"));
    let deepest = top.path().join(vec![name; 60].join("/")).join("deep");
    let (lines, _) = walked(&source(&[&deepest], Excludes::default()), top.path());
    assert!(lines[61].ends_with("/deep=content"));
}

#[test]
fn a_folder_that_vanished_cannot_be_listed_and_a_pipe_in_a_files_place_is_refused() {
    let top = files(&["dir/a", "file"]);
    let (entries, _) = listed(top.path());
    fs::remove_dir_all(top.path().join("dir")).unwrap();
    fs::remove_file(top.path().join("file")).unwrap();
    mknodat(CWD, top.path().join("file"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    for Entry { content, .. } in entries {
        match content {
            EntryContent::Folder(folder) => {
                assert!(matches!(list_all(&*folder, &Told::default()), Err(Error::Source { .. })));
            }
            EntryContent::File(file) => assert!(matches!(file.open().err(), Some(Error::Source { .. }))),
            EntryContent::Nothing => panic!("neither a file nor a folder"),
        }
    }
}

#[test]
fn excludes_leave_out_what_they_say() {
    let top = files(&[
        "a.go",
        "b.c",
        "keep/no/x.go",
        "cache/data",
        "cache/sub/data",
        "fake/data",
        "tagged/z",
        "big",
    ]);
    let at = |name: &str| top.path().join(name);
    fs::write(at("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    fs::write(at("fake/CACHEDIR.TAG"), "x").unwrap();
    fs::write(at("tagged/.nobackup"), "yes").unwrap();
    fs::write(at("big"), "12345678").unwrap();
    let excludes = Excludes {
        patterns: ["*.go", "keep/no", "!a.go"].map(OsString::from).to_vec(),
        patterns_any_case: vec!["*.C".into()],
        caches: true,
        if_present: vec![".nobackup:ye".into(), ".absent".into()],
        larger_than_bytes: Some(48),
        one_file_system: true,
    };
    let (lines, told) = walked(&source(&[top.path()], excludes.clone()), top.path());
    assert_eq!(told, Vec::<String>::new());
    let signature = "/cache/CACHEDIR.TAG=Signature: 8a477f597d28d172789f06886806bc55\n";
    let expected = [
        "/",
        "/a.go=a.go",
        "/big=12345678",
        "/cache/",
        signature,
        "/fake/",
        "/fake/CACHEDIR.TAG=x",
        "/fake/data=data",
        "/keep/",
        "/tagged/",
        "/tagged/.nobackup=yes",
    ];
    assert_eq!(lines, expected);
    let small = Excludes { larger_than_bytes: Some(4), ..Excludes::default() };
    let (lines, _) = walked(&source(&[&at("big"), &at("tagged")], small), top.path());
    assert_eq!(lines, ["/", "/big=12345678", "/tagged/", "/tagged/.nobackup=yes", "/tagged/z=z"]);
    for bad in [":header", "", "a/b"] {
        let excludes = Excludes { if_present: vec![bad.into()], ..Excludes::default() };
        let options = FilesOptions { excludes, ..FilesOptions::default() };
        assert!(FilesSource::new(vec!["/a".into()], options, Arc::new(SystemClock)).is_err(), "{bad:?}");
    }
}

#[test]
fn mount_points_stay_as_empty_folders_on_one_file_system() {
    let excludes = Excludes { one_file_system: true, ..Excludes::default() };
    let source = source(&[Path::new("/")], excludes);
    source.prepare(&Control::new(), &Told::default()).unwrap();
    let mut entries = list_all(&*source.root().unwrap(), &Told::default()).unwrap();
    let proc = entries.iter().position(|entry| entry.node.name == b"proc").unwrap();
    let EntryContent::Folder(folder) = entries.swap_remove(proc).content else { panic!("/proc is a folder") };
    assert_eq!(list_all(&*folder, &Told::default()).unwrap().len(), 0);
}

#[test]
fn a_cancelled_count_ends() {
    let top = files(&["a"]);
    let source = source(&[top.path()], Excludes::default());
    source.prepare(&Control::new(), &Told::default()).unwrap();
    let control = Control::new();
    control.cancel();
    assert!(matches!(source.count(&control, &|_| ()), Err(Error::Cancelled)));
}

/// Run by hand: `cargo test … listing_is_quick -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn listing_is_quick() {
    let top = files(&[]);
    for folder in 0..79 {
        let path = top.path().join(folder.to_string());
        fs::create_dir(&path).unwrap();
        (0..1_000).for_each(|file| fs::write(path.join(file.to_string()), b"x").unwrap());
    }
    let source = source(&[top.path()], Excludes::default());
    source.prepare(&Control::new(), &Told::default()).unwrap();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let mut folders = vec![source.root().unwrap()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in list_all(&*folder, &Told::default()).unwrap() {
                count += 1;
                if let EntryContent::Folder(folder) = entry.content {
                    folders.push(folder);
                }
            }
        }
        let listed = begun.elapsed();
        source.count(&Control::new(), &|_| ()).unwrap();
        eprintln_once(&format!("{count} entries: listed {listed:?}, counted {:?}", begun.elapsed() - listed));
    }
}
