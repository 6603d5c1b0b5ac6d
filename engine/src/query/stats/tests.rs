//! The four ways of counting, on a repository small enough to count by hand.

use super::*;
use crate::query::sample::{Sample, dir, file};

fn no_trouble(_: Id, unreadable: Unreadable) -> Result<()> {
    Err(unreadable.error)
}

#[test]
fn each_mode_counts_its_own() {
    let sample = Sample::new("stats");
    let [one, two, three] = [1, 2, 3].map(|byte| sample.hundred(byte));
    let linked = |name: &str| Node { inode: 7, device_id: 1, links: 2, ..file(name, &[three]) };
    let inner = sample.tree(&[file("copy", &[one]), linked("link1"), linked("link2")]);
    let first = sample.tree(&[file("a", &[one]), dir("d", inner), file("empty", &[])]);
    let second = sample.tree(&[file("a", &[one, two, two]), dir("d", inner)]);
    let snapshots = [sample.snapshot(first, 1), sample.snapshot(second, 2)];
    let repository = sample.repository();
    let counted = |mode| count(repository, &snapshots, mode, &Control::new(), &mut no_trouble).unwrap();
    let figures = |mode| {
        let statistics = counted(mode);
        (statistics.snapshots, statistics.files, statistics.blobs, statistics.bytes)
    };
    // a, d, copy, link1, link2, empty; then a, d, copy, link1, link2. A hard link's bytes count once a snapshot.
    assert_eq!(figures(StatsMode::RestoreSize), (2, 11, 0, 100 + 100 + 100 + 300 + 100 + 100));
    // one; nothing; three; one, two, two.
    assert_eq!(figures(StatsMode::FilesByContents), (2, 4, 0, 100 + 100 + 300));
    // /a: one, two; /d/link1: three. A content that was seen under another path does not count again.
    assert_eq!(figures(StatsMode::BlobsPerFile), (2, 2, 3, 300));
    let raw = counted(StatsMode::RawData);
    let places: Vec<_> = repository.index().blobs().collect();
    let stored: u64 = places.iter().map(|place| u64::from(place.blob.length_bytes)).sum();
    let plain: u64 = places.iter().map(|place| u64::from(place.blob.plaintext_bytes()) + 32).sum();
    assert_eq!((raw.blobs, raw.bytes, raw.uncompressed_bytes), (6, stored, plain));
    assert_eq!(raw.compression_ratio(), Some(plain as f64 / stored as f64));
    assert_eq!(raw.compression_progress_percent(), Some(100.0));
    assert!(raw.compression_saving_percent().is_some_and(|percent| percent > 0.0 && percent < 100.0));
}

#[test]
fn what_is_lost_is_told_and_the_rest_is_counted() {
    let sample = Sample::new("stats-lost");
    let one = sample.hundred(1);
    let tree = sample.tree(&[file("a", &[Id([8; 32])]), file("b", &[one]), dir("c", Id([9; 32]))]);
    let snapshots = [sample.snapshot(tree, 1)];
    for (mode, lost, blobs) in
        [(StatsMode::RestoreSize, 1, 0), (StatsMode::BlobsPerFile, 2, 1), (StatsMode::RawData, 3, 2)]
    {
        let mut told = 0;
        let mut tell = |_, _| {
            told += 1;
            Ok(())
        };
        let counted = count(sample.repository(), &snapshots, mode, &Control::new(), &mut tell).unwrap();
        assert_eq!((told, counted.blobs), (lost, blobs), "{mode:?}");
    }
}
