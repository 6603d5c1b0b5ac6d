//! Archives as the system's tar reads them, and what cannot be dumped.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use super::*;
use crate::format::{ExtendedAttribute, Timestamp};
use crate::query::sample::{Sample, dir, file};

fn no_trouble(unreadable: Unreadable) -> Result<()> {
    Err(unreadable.error)
}

fn dumped(sample: &Sample, tree: Id, path: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    dump(sample.repository(), tree, path.as_bytes(), &mut out, &Control::new(), &mut no_trouble)?;
    Ok(out)
}

fn other(kind: NodeKind, name: &[u8]) -> Node {
    Node { name: name.to_vec(), mode: 0o600, ..Node::empty(kind) }
}

#[test]
#[expect(clippy::print_stdout, reason = "what a machine lacks is said on one line")]
fn tar_extracts_what_was_archived() {
    let sample = Sample::new("dump-tar");
    let blobs: Vec<Id> = (1..9u8).map(|byte| sample.blob(&vec![byte; 777])).collect();
    let long = "n".repeat(200);
    let raw = b"raw\xff\n\"name".to_vec();
    let target = format!("../{}", "t/".repeat(150));
    let mut aged = file("aged", &blobs);
    aged.mtime = Timestamp::from_unix(-5, 250_000_000);
    aged.uid = 3_000_000;
    let attribute = ExtendedAttribute { name: "user.a=b".into(), value: b"\0\xff\n".to_vec() };
    aged.extended_attributes = vec![attribute];
    let inner = sample.tree(&[
        aged,
        file(&long, &blobs[..1]),
        other(NodeKind::Fifo, b"pipe"),
        Node { name: raw.clone(), ..file("", &[]) },
        Node { link_target: target.clone().into_bytes(), ..other(NodeKind::Symlink, b"slink") },
    ]);
    let middle = sample.tree(&[dir(&"d".repeat(180), inner)]);
    let root = sample.tree(&[file("beside", &[]), dir("top", middle)]);
    sample.session.flush().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive.tar");
    std::fs::write(&archive, dumped(&sample, root, "/top/").unwrap()).unwrap();
    let mut tar = Command::new("tar");
    let tar = tar.args(["--no-same-owner", "-xf"]).arg(&archive).arg("-C").arg(folder.path());
    let Ok(run) = tar.output() else {
        println!("skipped: there is no tar on this machine");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!folder.path().join("beside").exists());
    let extracted = folder.path().join("top").join("d".repeat(180));
    let content: Vec<u8> = (1..9u8).flat_map(|byte| vec![byte; 777]).collect();
    assert_eq!(std::fs::read(extracted.join("aged")).unwrap(), content);
    assert_eq!(std::fs::read(extracted.join(&long)).unwrap(), [1; 777]);
    let metadata = std::fs::symlink_metadata(extracted.join("aged")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-5, 250_000_000));
    assert!(extracted.join(OsStr::from_bytes(&raw)).is_file());
    assert_eq!(std::fs::read_link(extracted.join("slink")).unwrap().as_os_str(), target.as_str());
    assert!(std::fs::symlink_metadata(extracted.join("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_dir(&extracted).unwrap().count(), 5);
}

#[test]
fn a_file_is_its_content_and_what_is_neither_is_refused() {
    let sample = Sample::new("dump-file");
    let blob = sample.hundred(7);
    let root = sample.tree(&[
        file("f", &[blob, blob]),
        file("lost", &[blob, Id([3; 32])]),
        other(NodeKind::Socket, b"socket"),
    ]);
    sample.session.flush().unwrap();
    assert_eq!(dumped(&sample, root, "/f").unwrap(), [7; 200]);
    assert!(matches!(dumped(&sample, root, "/socket"), Err(Error::Invalid(_))));
    assert!(matches!(dumped(&sample, root, "/none"), Err(Error::NotFound { .. })));
    let lost = dumped(&sample, root, "/lost").unwrap_err();
    assert!(matches!(&lost, Error::Damaged { object, .. } if object == "/lost"), "{lost}");
    let control = Control::new();
    for (path, archive) in [("/", true), ("/f", false)] {
        assert_eq!(is_archive(sample.repository(), root, path.as_bytes(), &control).unwrap(), archive);
    }
}
