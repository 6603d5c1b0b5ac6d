//! Damage: whatever is done to a repository's files, check names the file, and nothing panics.
//! restic, where it is installed, is asked for a second opinion.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of test functions")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test tells what it measured or skipped")]

mod handmade;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use handmade::{Handmade, HandmadeBlob, PASSWORD, tree_text};
use keepwell_engine::check::{FindingKind, PackSubset, ReadData, Severity};
use keepwell_engine::error::Error;
use keepwell_engine::format::BlobKind;
use keepwell_engine::id::Id;
use keepwell_engine::repository::FileKind;
use proptest::prelude::*;

/// Whether `restic check` finds the repository sound; `None` without a restic.
fn restic_finds_it_sound(repository: &Handmade, read_data: bool) -> Option<bool> {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "--no-lock", "check", "-r"]).arg(repository.path());
    if read_data {
        command.arg("--read-data");
    }
    let status =
        command.env("RESTIC_PASSWORD", PASSWORD).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) => Some(status.success()),
        Err(_) => {
            eprintln!("restic is not installed: its second opinion is skipped");
            None
        }
    }
}

#[test]
fn a_sound_repository_has_no_findings() {
    let made = Handmade::sound();
    for read_data in [ReadData::Nothing, ReadData::All] {
        let (outcome, findings) = made.check(read_data).unwrap();
        assert_eq!(findings, []);
        assert!(outcome.is_sound());
        assert_eq!(
            (outcome.snapshots, outcome.index_files, outcome.packs, outcome.trees),
            (2, 2, 4, 4),
            "{outcome:?}"
        );
        let packs: usize = made.files(FileKind::Pack).iter().map(|path| made.size(path)).sum();
        let expected = if read_data == ReadData::All { (4, packs as u64) } else { (0, 0) };
        assert_eq!((outcome.packs_read, outcome.bytes_read), expected);
    }
    assert_ne!(restic_finds_it_sound(&made, true), Some(false));
}

#[test]
fn an_empty_repository_has_no_findings() {
    let (outcome, findings) = Handmade::empty().check(ReadData::All).unwrap();
    assert_eq!((findings.len(), outcome.packs), (0, 0));
}

#[test]
fn the_parts_of_a_subset_read_every_pack_once() {
    let mut read = 0;
    for number in 1..=3 {
        let subset = ReadData::Subset(PackSubset::Part { number, of: 3 });
        read += Handmade::sound().check(subset).unwrap().0.packs_read;
    }
    assert_eq!(read, 4);
    let half = ReadData::Subset(PackSubset::Percent(50.0));
    assert_eq!(Handmade::sound().check(half).unwrap().0.packs_read, 2);
}

/// Does the damage; returns the object that a finding must name.
type Damage = fn(&Handmade) -> String;

struct Case {
    name: &'static str,
    damage: Damage,
    /// Found by structure alone.
    structure: &'static [FindingKind],
    /// Found besides when packs are read.
    data: &'static [FindingKind],
    /// Whether restic is asked too. What it cannot read it tries again for many minutes, so it is
    /// asked only about what is named wrongly or not there.
    ask_restic: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "a flipped bit in a data pack",
        damage: |made| flip(made, made.packs(BlobKind::Data)[0].clone(), 100),
        structure: &[],
        data: &[FindingKind::BlobDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "a flipped bit in a pack's header",
        damage: |made| {
            let pack = made.packs(BlobKind::Data)[1].clone();
            let at = made.size(&pack) - 30;
            flip(made, pack, at)
        },
        structure: &[],
        data: &[FindingKind::PackHeaderDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "a flipped bit in a pack's header length",
        damage: |made| {
            let pack = made.packs(BlobKind::Data)[1].clone();
            let at = made.size(&pack) - 1;
            flip(made, pack, at)
        },
        structure: &[],
        data: &[FindingKind::PackHeaderDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "a flipped bit in a tree pack",
        damage: |made| flip(made, made.packs(BlobKind::Tree)[0].clone(), 20),
        structure: &[FindingKind::TreeDamaged],
        data: &[FindingKind::BlobDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "a flipped bit in an index",
        damage: |made| flip(made, made.files(FileKind::Index)[0].clone(), 50),
        structure: &[FindingKind::IndexDamaged],
        data: &[],
        ask_restic: false,
    },
    Case {
        name: "a flipped bit in a snapshot",
        damage: |made| flip(made, made.files(FileKind::Snapshot)[0].clone(), 50),
        structure: &[FindingKind::SnapshotDamaged],
        data: &[],
        ask_restic: false,
    },
    Case {
        name: "a truncated data pack",
        damage: |made| {
            let pack = made.packs(BlobKind::Data)[0].clone();
            made.truncate(&pack, made.size(&pack) / 2);
            pack
        },
        structure: &[FindingKind::PackSizeWrong],
        data: &[FindingKind::PackHeaderDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "an emptied tree pack",
        damage: |made| {
            let pack = made.packs(BlobKind::Tree)[1].clone();
            made.truncate(&pack, 0);
            pack
        },
        structure: &[FindingKind::PackSizeWrong],
        data: &[FindingKind::PackHeaderDamaged, FindingKind::PackDamaged],
        ask_restic: false,
    },
    Case {
        name: "a missing data pack",
        damage: |made| {
            let pack = made.packs(BlobKind::Data)[0].clone();
            made.remove(&pack);
            pack
        },
        structure: &[FindingKind::PackMissing],
        data: &[],
        ask_restic: false,
    },
    Case {
        name: "a missing tree pack",
        damage: |made| {
            made.packs(BlobKind::Tree).iter().for_each(|pack| made.remove(pack));
            made.files(FileKind::Snapshot)[0].clone()
        },
        structure: &[FindingKind::SnapshotTreeMissing],
        data: &[],
        ask_restic: false,
    },
    Case {
        name: "all indexes missing",
        damage: |made| {
            made.files(FileKind::Index).iter().for_each(|index| made.remove(index));
            made.files(FileKind::Snapshot)[1].clone()
        },
        structure: &[FindingKind::SnapshotTreeMissing],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "an index that names a pack that is not there",
        damage: |made| {
            let index = made.files(FileKind::Index)[0].clone();
            let mut pack = made.read_index(&index).packs[0].clone();
            pack.id = Id::of(b"not there");
            for blob in &mut pack.blobs {
                blob.id = Id::of(&blob.id.0);
            }
            made.put_index(vec![pack.clone()]);
            FileKind::Pack.path(pack.id)
        },
        structure: &[FindingKind::PackMissing],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "a snapshot whose tree is gone",
        damage: |made| made.put_snapshot(Id::of(b"gone")),
        structure: &[FindingKind::SnapshotTreeMissing],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "a folder whose tree is gone",
        damage: |made| {
            let gone = Id::of(b"gone");
            made.put_tree_and_snapshot(&tree_text(&[handmade::folder_node("d", gone)]));
            format!("tree {gone}")
        },
        structure: &[FindingKind::TreeMissing],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "a file whose blob is gone",
        damage: |made| {
            let gone = Id::of(b"gone");
            made.put_tree_and_snapshot(&tree_text(&[handmade::file_node("f", vec![gone, gone], 2)]));
            format!("data {gone}")
        },
        structure: &[FindingKind::BlobMissing],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "an orphaned pack",
        damage: |made| {
            let pack = made.put_pack(&[HandmadeBlob::plain(BlobKind::Data, b"left by an unfinished backup")]);
            FileKind::Pack.path(pack.id)
        },
        structure: &[FindingKind::PackOrphaned],
        data: &[],
        ask_restic: true,
    },
    Case {
        name: "an index whose entries are not those of the pack",
        damage: |made| {
            let blob = HandmadeBlob::plain(BlobKind::Data, b"some content");
            let mut pack = made.put_pack(&[blob]);
            pack.blobs[0].id = Id::of(b"other content");
            made.put_index(vec![pack.clone()]);
            FileKind::Pack.path(pack.id)
        },
        structure: &[],
        data: &[FindingKind::PackHeaderDiffers],
        ask_restic: false,
    },
    Case {
        name: "an index with overlapping blobs",
        damage: |made| {
            let blob = |text: &[u8]| HandmadeBlob::plain(BlobKind::Data, text);
            let mut pack = made.put_pack(&[blob(b"one"), blob(b"two")]);
            pack.blobs[1].offset_bytes -= 1;
            made.put_index(vec![pack])
        },
        structure: &[FindingKind::IndexDamaged],
        data: &[],
        ask_restic: false,
    },
];

fn flip(made: &Handmade, path: String, at: usize) -> String {
    made.flip(&path, at);
    path
}

#[test]
fn check_names_what_is_damaged() {
    for case in CASES {
        let made = Handmade::sound();
        let object = (case.damage)(&made);
        for (read_data, expected) in
            [(ReadData::Nothing, vec![case.structure]), (ReadData::All, vec![case.structure, case.data])]
        {
            let (outcome, findings) = made.check(read_data).unwrap_or_else(|error| {
                panic!("{}: {error}", case.name);
            });
            let expected: Vec<FindingKind> = expected.concat();
            for kind in &expected {
                assert!(
                    findings.iter().any(|finding| finding.what == *kind && finding.object.contains(&object)),
                    "{} ({read_data:?}): no {kind:?} of {object} in {findings:#?}",
                    case.name
                );
            }
            if expected.is_empty() {
                assert_eq!(findings, [], "{} ({read_data:?})", case.name);
            }
            if case.ask_restic
                && let Some(restic) = restic_finds_it_sound(&made, read_data == ReadData::All)
            {
                assert_eq!(outcome.is_sound(), restic, "{} ({read_data:?}): {findings:#?}", case.name);
            }
        }
    }
}

#[test]
fn findings_name_the_path_and_the_snapshot_that_need_what_is_lost() {
    let made = Handmade::sound();
    let gone = Id::of(b"gone");
    made.put_tree_and_snapshot(&tree_text(&[handmade::file_node("a\nb", vec![gone], 1)]));
    let (_, findings) = made.check(ReadData::Nothing).unwrap();
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(finding.why.contains(r"/a\nb in snapshots/"), "{finding}");
}

#[test]
fn packs_named_by_two_indexes_are_a_warning_unless_the_indexes_disagree() {
    let made = Handmade::sound();
    let mut packs = made.read_index(&made.files(FileKind::Index)[0]).packs;
    made.put_index(packs.clone());
    let (outcome, findings) = made.check(ReadData::All).unwrap();
    assert_eq!((outcome.errors, outcome.warnings), (0, packs.len() as u64));
    assert!(findings.iter().all(|finding| finding.what == FindingKind::PackIndexedTwice));
    packs[0].blobs[0].uncompressed_bytes += 1;
    made.put_index(packs);
    let (_, findings) = made.check(ReadData::Nothing).unwrap();
    assert!(findings.iter().any(|finding| finding.what == FindingKind::IndexesDisagree), "{findings:#?}");
}

#[test]
fn a_damaged_key_is_named() {
    let made = Handmade::sound();
    let other = made.add_key("another password");
    let mut json = fs::read(&other).unwrap();
    json[40] ^= 1;
    fs::write(&other, json).unwrap();
    let (_, findings) = made.check(ReadData::Nothing).unwrap();
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.what, FindingKind::KeyDamaged);
    assert!(other.ends_with(&finding.object));

    let only = Handmade::sound();
    let key = only.files(FileKind::Key)[0].clone();
    only.flip(&key, 100);
    assert!(matches!(only.open(), Err(Error::Damaged { object, .. }) if object == key));
}

#[test]
fn a_damaged_config_is_named_before_and_after_opening() {
    let made = Handmade::sound();
    let session = made.open().unwrap().begin_unlocked();
    made.flip("config", 20);
    let (_, findings) = handmade::check_session(&session, ReadData::Nothing).unwrap();
    assert_eq!(findings[0].what, FindingKind::ConfigDamaged);
    assert!(matches!(made.open(), Err(Error::Damaged { object, .. }) if object == "config"));
}

#[test]
fn stale_locks_and_leftovers_are_warnings() {
    let made = Handmade::sound();
    let lock = "{\"time\":\"2001-02-03T04:05:06Z\",\"exclusive\":true,\"hostname\":\"h\",\"username\":\"u\",\"pid\":1}";
    let lock = made.put(FileKind::Lock, lock.as_bytes());
    let staging = format!("{}#1230001", made.files(FileKind::Pack)[0]);
    let file = fs::File::create(made.path().join(&staging)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let fresh = format!("{}#1230002", made.files(FileKind::Pack)[0]);
    fs::File::create(made.path().join(fresh)).unwrap();
    let (outcome, findings) = made.check(ReadData::Nothing).unwrap();
    assert_eq!(outcome.errors, 0);
    let told: Vec<_> = findings.iter().map(|finding| (finding.what, finding.object.as_str())).collect();
    assert_eq!(told, [(FindingKind::LockStale, &*lock), (FindingKind::StagingLeftover, &*staging)]);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}

#[derive(Clone, Copy, Debug)]
enum RandomDamage {
    Flip(u8),
    Truncate,
    Delete,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_is_found(
        file: prop::sample::Index,
        place: prop::sample::Index,
        damage in prop_oneof![
            (0u8..8).prop_map(RandomDamage::Flip),
            Just(RandomDamage::Truncate),
            Just(RandomDamage::Delete),
        ],
    ) {
        let made = Handmade::sound();
        let files = made.all_files();
        let path = file.get(&files);
        // Nothing else tells of a snapshot that it was there.
        let is_deleted_snapshot =
            matches!(damage, RandomDamage::Delete) && path.starts_with(FileKind::Snapshot.folder());
        prop_assume!(!is_deleted_snapshot);
        let mut bytes = fs::read(made.path().join(path)).unwrap();
        let at = place.index(bytes.len());
        made.remove(path);
        match damage {
            RandomDamage::Flip(bit) => bytes[at] ^= 1 << bit,
            RandomDamage::Truncate => bytes.truncate(at),
            RandomDamage::Delete => {}
        }
        if !matches!(damage, RandomDamage::Delete) {
            fs::write(made.path().join(path), bytes).unwrap();
        }
        if let Ok((outcome, findings)) = made.check(ReadData::All) {
            prop_assert!(outcome.errors > 0, "{damage:?} of {path} at {at}: {findings:#?}");
        }
    }
}
