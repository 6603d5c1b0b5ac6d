//! Hostile repositories: written under the right keys, so that every authentication code is
//! right, by somebody who wants to crash, exhaust or mislead whoever reads them. Reading ends in
//! a clear error, in bounded memory, without a panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of test functions")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test tells what it measured or skipped")]

mod handmade;

use std::fs;
use std::path::Path;
use std::time::Instant;

use handmade::{Handmade, HandmadeBlob, file_node, folder_node, tree_text};
use keepwell_engine::check::{Finding, FindingKind, ReadData};
use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::format::BlobKind;
use keepwell_engine::id::Id;
use keepwell_engine::repository::{FileKind, SnapshotChoice};

/// What no reading of a hostile repository may take beyond what the process had before.
const GROWTH_BYTES_MAX: u64 = 400 << 20;

/// A zstd frame (RFC 8878) of zeros, written as blocks of one repeated byte: 4 bytes for each 128 KiB.
fn bomb(plaintext_bytes: u64, named_bytes: Option<u64>) -> Vec<u8> {
    const BLOCK: u64 = 128 << 10;
    let mut frame = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    // A window of 1 MiB, and the length in 8 bytes if it is named.
    frame.extend_from_slice(&[if named_bytes.is_some() { 0xc0 } else { 0 }, 10 << 3]);
    frame.extend(named_bytes.into_iter().flat_map(u64::to_le_bytes));
    let blocks = plaintext_bytes.div_ceil(BLOCK);
    for block in 0..blocks {
        let is_last = u32::from(block + 1 == blocks);
        let header = (BLOCK as u32) << 3 | 1 << 1 | is_last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

fn compressed(frame: Vec<u8>) -> Vec<u8> {
    [vec![2], frame].concat()
}

/// Reads everything there is to read, as list, restore and check would. Errors are fine, panics are not.
fn read_everything(made: &Handmade) -> Result<Vec<Finding>, String> {
    let repository = made.open().map_err(|error| error.to_string())?;
    let mut unreadable = Vec::new();
    let snapshots =
        repository.snapshots(&SnapshotChoice::default(), &mut |id, _| unreadable.push(id)).unwrap();
    let _ = repository.find_snapshot("latest", &SnapshotChoice::default());
    if repository.load_index(&Control::new()).is_ok() {
        let mut out = Vec::new();
        for (_, snapshot) in snapshots {
            let Ok(tree) = repository.read_tree(snapshot.tree) else { continue };
            for id in tree.nodes().iter().flat_map(|node| node.content.iter().flatten()) {
                let _ = repository.read_blob(BlobKind::Data, *id, &mut out);
            }
        }
    }
    drop(repository);
    Ok(made.check(ReadData::All).map_err(|error| error.to_string())?.1)
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A hostile blob in a pack and an index, and a snapshot of a file that needs it.
fn with_data_blob(blob: HandmadeBlob) -> Handmade {
    let made = Handmade::empty();
    let tree = HandmadeBlob::plain(BlobKind::Tree, &tree_text(&[file_node("f", vec![blob.id], 1)]));
    made.put_snapshot(tree.id);
    made.put_index(vec![made.put_pack(&[blob]), made.put_pack(&[tree])]);
    made
}

fn with_tree_blob(blob: HandmadeBlob) -> Handmade {
    let made = Handmade::empty();
    made.put_snapshot(blob.id);
    made.put_index(vec![made.put_pack(&[blob])]);
    made
}

fn bomb_blob(kind: BlobKind, claimed: u32, frame: Vec<u8>) -> HandmadeBlob {
    HandmadeBlob { kind, id: Id::of(b"bomb"), stored: frame, uncompressed_bytes: claimed }
}

fn with_file(kind: FileKind, text: &[u8]) -> Handmade {
    let made = Handmade::sound();
    made.put(kind, text);
    made
}

fn with_tree(text: &str) -> Handmade {
    let made = Handmade::empty();
    made.put_tree_and_snapshot(text.as_bytes());
    made
}

fn with_config(text: &[u8]) -> Handmade {
    let made = Handmade::empty();
    fs::write(made.path().join("config"), made.key.seal(text).unwrap()).unwrap();
    made
}

fn nested(open: &str, close: &str) -> String {
    open.repeat(100_000) + &close.repeat(100_000)
}

fn with_header_length(length: u32) -> Handmade {
    let made = Handmade::empty();
    let pack = made.put_pack(&[HandmadeBlob::plain(BlobKind::Data, &[1; 1000])]);
    let mut bytes = fs::read(made.path().join(FileKind::Pack.path(pack.id))).unwrap();
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&length.to_le_bytes());
    made.remove(&FileKind::Pack.path(pack.id));
    let id = made.put_pack_bytes(&bytes);
    made.put_index(vec![keepwell_engine::format::IndexedPack { id, blobs: pack.blobs }]);
    made
}

fn with_index_blob(blob: &str) -> Handmade {
    let pack = Id::of(b"pack");
    with_file(FileKind::Index, format!("{{\"packs\":[{{\"id\":\"{pack}\",\"blobs\":[{blob}]}}]}}").as_bytes())
}

/// What is written, and what check says of it; `None`: the repository does not open.
type Case = (&'static str, fn() -> Handmade, Option<FindingKind>);

const CASES: &[Case] = &[
    (
        "a data blob that claims 4 GiB and holds 10",
        || with_data_blob(bomb_blob(BlobKind::Data, u32::MAX, bomb(10 << 30, None))),
        Some(FindingKind::BlobDamaged),
    ),
    (
        "a data blob that claims 100 MiB and holds 10 GiB",
        || with_data_blob(bomb_blob(BlobKind::Data, 100 << 20, bomb(10 << 30, None))),
        Some(FindingKind::BlobDamaged),
    ),
    (
        "a tree that claims 1 GiB and holds a little",
        || with_tree_blob(bomb_blob(BlobKind::Tree, 1 << 30, bomb(1 << 20, None))),
        Some(FindingKind::TreeDamaged),
    ),
    (
        "a tree that claims 1 GiB, names 10 and holds 10",
        || with_tree_blob(bomb_blob(BlobKind::Tree, 1 << 30, bomb(10 << 30, Some(10 << 30)))),
        Some(FindingKind::TreeDamaged),
    ),
    (
        "a bomb as an index",
        || with_file(FileKind::Index, &compressed(bomb(10 << 30, None))),
        Some(FindingKind::IndexDamaged),
    ),
    (
        "a bomb as a snapshot",
        || with_file(FileKind::Snapshot, &compressed(bomb(10 << 30, None))),
        Some(FindingKind::SnapshotDamaged),
    ),
    (
        "a bomb that names its length as a snapshot",
        || with_file(FileKind::Snapshot, &compressed(bomb(10 << 30, Some(10 << 30)))),
        Some(FindingKind::SnapshotDamaged),
    ),
    ("a nested tree", || with_tree(&nested("{\"nodes\":[", "]}")), Some(FindingKind::NodeDamaged)),
    (
        "a tree with a nested unknown field and no end",
        || with_tree(&format!("{{\"x\":{},\"nodes\":[}}", nested("[", "]"))),
        Some(FindingKind::TreeDamaged),
    ),
    (
        "a nested index",
        || with_file(FileKind::Index, nested("{\"packs\":[", "]}").as_bytes()),
        Some(FindingKind::IndexDamaged),
    ),
    (
        "a nested snapshot",
        || with_file(FileKind::Snapshot, nested("{\"tree\":", "}").as_bytes()),
        Some(FindingKind::SnapshotDamaged),
    ),
    ("a nested config", || with_config(nested("{\"version\":", "}").as_bytes()), None),
    ("a config that is no object", || with_config(b"[]"), None),
    (
        "an index with a place beyond every pack",
        || {
            let id = Id::of(b"blob");
            with_index_blob(&format!(
                "{{\"id\":\"{id}\",\"type\":\"tree\",\"offset\":4294967295,\"length\":4294967295}}"
            ))
        },
        Some(FindingKind::IndexDamaged),
    ),
    (
        "an index with an offset that is no u32",
        || {
            let id = Id::of(b"blob");
            with_index_blob(&format!(
                "{{\"id\":\"{id}\",\"type\":\"tree\",\"offset\":4294967296,\"length\":1}}"
            ))
        },
        Some(FindingKind::IndexDamaged),
    ),
    (
        "an index with a short id",
        || with_index_blob("{\"id\":\"abcd\",\"type\":\"data\",\"offset\":0,\"length\":1}"),
        Some(FindingKind::IndexDamaged),
    ),
    ("a header of 4 GiB", || with_header_length(u32::MAX), Some(FindingKind::PackHeaderDamaged)),
    ("a header of no bytes", || with_header_length(0), Some(FindingKind::PackHeaderDamaged)),
    (
        "a tree that holds itself",
        || {
            // Its id would have to be its own digest: only an index can say so.
            let id = Id::of(b"cycle");
            let text = tree_text(&[folder_node("again", id)]);
            with_tree_blob(HandmadeBlob { id, ..HandmadeBlob::plain(BlobKind::Tree, &text) })
        },
        Some(FindingKind::TreeDamaged),
    ),
    (
        "a snapshot of a data blob",
        || {
            let made = Handmade::empty();
            let blob = HandmadeBlob::plain(BlobKind::Data, b"data");
            made.put_snapshot(blob.id);
            made.put_index(vec![made.put_pack(&[blob])]);
            made
        },
        Some(FindingKind::SnapshotTreeMissing),
    ),
];

#[test]
fn hostile_repositories_are_refused_in_bounded_memory() {
    for (name, write, expected) in CASES {
        let made = write();
        // Sets the peak back to what is used now (proc(5), clear_refs).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status_bytes("VmRSS");
        let started = Instant::now();
        match (read_everything(&made), expected) {
            (Ok(findings), Some(kind)) => {
                assert!(
                    findings.iter().any(|finding| finding.what == *kind),
                    "{name}: no {kind:?} in {findings:#?}"
                );
            }
            (Err(why), None) => assert!(why.contains("config is damaged"), "{name}: {why}"),
            (outcome, expected) => panic!("{name}: {outcome:?} instead of {expected:?}"),
        }
        let growth = status_bytes("VmHWM").saturating_sub(before);
        println!("{name}: {} MiB more, {:?}", growth >> 20, started.elapsed());
        assert!(growth < GROWTH_BYTES_MAX, "{name} took {growth} bytes");
    }
}

#[test]
fn names_that_lead_out_of_their_folder_are_findings() {
    let node = |name: &str| {
        format!("{{\"name\":\"{name}\",\"type\":\"file\",\"content\":[],\"mode\":420,\"links\":1}}")
    };
    for name in ["../x", "..", ".", "/etc/passwd", "", "a/b", "a\\\\x00b", "a\\u0000b"] {
        let made = with_tree(&format!("{{\"nodes\":[{},{}]}}\n", node(name), node("zz")));
        let findings = read_everything(&made).unwrap();
        let [finding] = findings.as_slice() else { panic!("{name:?}: {findings:#?}") };
        assert_eq!(finding.what, FindingKind::NodeDamaged, "{name:?}");
    }
    let made = with_tree(&format!("{{\"nodes\":[{},{}]}}\n", node("same"), node("same")));
    let kinds: Vec<_> = read_everything(&made).unwrap().iter().map(|finding| finding.what).collect();
    assert_eq!(kinds, [FindingKind::TreeUnordered, FindingKind::NodeDamaged]);
}

#[test]
fn ten_thousand_folders_in_each_other_do_not_exhaust_the_stack() {
    let made = Handmade::empty();
    let mut blobs = vec![HandmadeBlob::plain(BlobKind::Tree, &tree_text(&[]))];
    for _ in 0..10_000 {
        let below = blobs[blobs.len() - 1].id;
        blobs.push(HandmadeBlob::plain(BlobKind::Tree, &tree_text(&[folder_node("deeper", below)])));
    }
    made.put_snapshot(blobs[blobs.len() - 1].id);
    made.put_index(vec![made.put_pack(&blobs)]);
    let (outcome, findings) = made.check(ReadData::All).unwrap();
    assert_eq!(findings, []);
    assert_eq!(outcome.trees, 10_001);
}

#[test]
fn bombs_are_what_they_claim() {
    // Else the table above would prove nothing: a small one opens.
    let text = [0u8; 256 << 10];
    let frame = bomb(256 << 10, None);
    let blob = HandmadeBlob { id: Id::of(&text), ..bomb_blob(BlobKind::Data, text.len() as u32, frame) };
    let made = with_data_blob(blob);
    assert!(Path::new(made.path()).is_dir());
    let (outcome, _) = made.check(ReadData::All).unwrap();
    assert_eq!(outcome.errors, 0);
}

#[test]
fn an_index_file_of_absurd_size_is_refused_unread_and_the_sound_ones_are_noted() {
    let made = Handmade::sound();
    let sound = made.files(FileKind::Index);
    // It comes last, so that what it claims is reckoned from the sound one's blobs.
    let absurd = made.path().join(FileKind::Index.path(Id([0xff; 32])));
    fs::File::create(&absurd).unwrap().set_len(1 << 40).unwrap();
    let repository = made.open().unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status_bytes("VmRSS");
    let error = repository.load_index(&Control::new()).unwrap_err();
    assert!(matches!(&error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("ffffffff"), "{error}");
    let grown = status_bytes("VmHWM").saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes for an index that was not read");

    // What was loaded before the error is known to be loaded: its removal is noticed.
    assert!(repository.has_index() && repository.index().blob_count() > 0);
    fs::remove_file(&absurd).unwrap();
    sound.iter().for_each(|path| made.remove(path));
    repository.load_index(&Control::new()).unwrap();
    assert_eq!(repository.index().blob_count(), 0);
}
