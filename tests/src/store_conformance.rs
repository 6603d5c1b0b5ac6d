//! What every store must do, whatever holds its objects: each method, its answers and its errors.
//!
//! A store is given empty and left empty. What only some stores promise is asked for by [`Promises`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::id::Id;
use keepwell_engine::store::Store;

use crate::random_data::Random;

/// More than one page of any server: theirs have 1,000 objects, Azure's 5,000.
pub const PAGED_OBJECTS: u32 = 1_100;
/// More than any pack that Keepwell makes by default.
const LARGE_BYTES: usize = 20 << 20;
/// Of objects that are written, read and deleted by several at once.
const THREADS: usize = 8;

/// What not every store does.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
    /// Of several who create one object at once exactly one is told that it did.
    pub creates_exclusively: bool,
}

/// Every method on an empty store, in some hundred requests.
pub fn conforms(store: &Store, promises: Promises) {
    store.prepare_layout().unwrap_or_else(|error| panic!("{}: {error}", store.location()));
    reads_are_what_was_written(store);
    what_is_not_there_is_told_apart(store);
    sizes_and_ranges_are_held_to(store);
    create_leaves_what_is_there(store);
    if promises.creates_exclusively {
        one_of_many_creators_wins(store);
    }
    overwrites_are_seen_at_once(store);
    listing_finds_every_id_and_nothing_else(store);
}

/// What takes time: an object of 20 MiB read by many at once, and more objects than fit on a page.
pub fn conforms_in_size(store: &Store) {
    store.prepare_layout().unwrap_or_else(|error| panic!("{}: {error}", store.location()));
    a_large_object_is_read_by_many_at_once(store);
    every_page_of_a_listing_is_read(store);
}

fn pack_path(id: Id) -> String {
    format!("data/{}/{id}", &id.to_hex()[..2])
}

/// The value, or the end of the test at the caller's line.
#[track_caller]
fn ok<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error} ({error:?})"))
}

/// The error, or the end of the test at the caller's line.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>) -> Error {
    result.expect_err("it must be refused")
}

fn reads_are_what_was_written(store: &Store) {
    let large = Bytes::from((0..3_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    for bytes in [Bytes::from_static(b"one"), Bytes::new(), large] {
        ok(store.write("index/a", bytes.clone()));
        assert_eq!(ok(store.read("index/a", bytes.len() as u64)), bytes, "the last write counts");
        assert_eq!(ok(store.size("index/a")), Some(bytes.len() as u64));
    }
    assert!(ok(store.delete("index/a")));
}

fn what_is_not_there_is_told_apart(store: &Store) {
    assert_eq!(ok(store.size("config")), None);
    for path in ["config", "data/ab/nothing", "snapshots/nothing"] {
        // Some say whether there was any; twice is as fine as once.
        store.delete(path).expect("deleting what is not there is fine");
    }
    for error in [
        refused(store.read("config", 10)),
        refused(store.read_range("config", 0..10)),
        refused(store.read_tail("config", 10)),
    ] {
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("config in "), "{error}");
        assert!(error.to_string().contains("not found"), "{error}");
    }
    ok(store.list("snapshots", |object| panic!("{object:?} in an empty folder")));
    assert!(matches!(store.read("a//b", 1), Err(Error::Invalid(_))));
    assert!(matches!(store.write("../a", Bytes::new()), Err(Error::Invalid(_))));
}

fn sizes_and_ranges_are_held_to(store: &Store) {
    let damaged = |result: Result<Bytes>| match result {
        Err(Error::Damaged { why, .. }) => why,
        other => panic!("{other:?} is no damage"),
    };
    ok(store.write("index/a", Bytes::from_static(b"0123456789")));
    assert!(damaged(store.read("index/a", 9)).contains("10 bytes"));
    for (range, found) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (4..4, "")] {
        assert_eq!(ok(store.read_range("index/a", range)), found);
    }
    for range in [5..11, 10..12, 100..200] {
        assert!(damaged(store.read_range("index/a", range)).contains("ends after"));
    }
    for (bytes, tail) in [(3, "789"), (10, "0123456789"), (99, "0123456789")] {
        assert_eq!(ok(store.read_tail("index/a", bytes)), (Bytes::from(tail), 10));
    }
    ok(store.write("index/a", Bytes::new()));
    assert_eq!(ok(store.read_tail("index/a", 5)), (Bytes::new(), 0));
    ok(store.delete("index/a"));
}

fn create_leaves_what_is_there(store: &Store) {
    assert!(ok(store.create("config", Bytes::from_static(b"first"))));
    assert!(!ok(store.create("config", Bytes::from_static(b"other"))), "same size, other bytes");
    assert!(!ok(store.create("config", Bytes::from_static(b"longer than it"))));
    assert_eq!(ok(store.read("config", 100)), "first");
    ok(store.delete("config"));
    assert_eq!(ok(store.size("config")), None);
}

fn one_of_many_creators_wins(store: &Store) {
    let winners = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..THREADS as u8 {
            let winners = &winners;
            scope.spawn(move || {
                if ok(store.create("config", Bytes::from(vec![writer; 100]))) {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(winners.into_inner(), 1);
    ok(store.delete("config"));
}

/// What is there, is overwritten or gone shows in the next call of any kind.
fn overwrites_are_seen_at_once(store: &Store) {
    let path = pack_path(Id::of(b"overwritten"));
    let listed = || {
        let mut sizes = Vec::new();
        ok(store.list("data", |object| {
            sizes.push(object.size_bytes);
            Ok(())
        }));
        sizes
    };
    for round in 1..=10u8 {
        let bytes = Bytes::from(vec![round; usize::from(round) * 100]);
        ok(store.write(&path, bytes.clone()));
        assert_eq!(ok(store.read(&path, 2000)), bytes);
        assert_eq!(ok(store.read_range(&path, 50..60)), bytes.slice(50..60));
        assert_eq!(listed(), [bytes.len() as u64]);
    }
    ok(store.delete(&path));
    assert_eq!((listed(), ok(store.size(&path))), (Vec::new(), None));
}

fn listing_finds_every_id_and_nothing_else(store: &Store) {
    let mut ids: Vec<Id> = (0..40u8).map(|n| Id::of(&[n])).collect();
    ids.sort();
    std::thread::scope(|scope| {
        for part in ids.chunks(10) {
            scope.spawn(move || {
                for id in part {
                    ok(store.write(&pack_path(*id), Bytes::from(id.to_hex())));
                }
            });
        }
    });
    ok(store.write("data/README", Bytes::from_static(b"foreign")));
    let mut found = Vec::new();
    ok(store.list("data", |object| {
        assert_eq!((object.path.clone(), object.size_bytes), (pack_path(object.id), 64));
        // A callback may use the store.
        assert_eq!(store.read(&object.path, 64)?, object.id.to_hex());
        let age = object.modified.elapsed().unwrap_or_default();
        assert!(age < Duration::from_secs(3600), "{object:?}");
        found.push(object.id);
        Ok(())
    }));
    found.sort();
    assert_eq!(found, ids);
    let mut calls = 0;
    let stopped = store.list("data", |_| {
        calls += 1;
        Err(Error::Cancelled)
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(calls, 1, "an error of the callback ends the listing");
    for id in ids {
        ok(store.delete(&pack_path(id)));
    }
    ok(store.delete("data/README"));
    ok(store.list("data", |object| panic!("{object:?} was deleted")));
}

fn a_large_object_is_read_by_many_at_once(store: &Store) {
    let bytes = Bytes::from(Random(20).bytes(LARGE_BYTES));
    let path = pack_path(Id::of(b"large"));
    ok(store.write(&path, bytes.clone()));
    let size = LARGE_BYTES as u64;
    std::thread::scope(|scope| {
        for reader in 0..THREADS as u64 {
            let (path, bytes) = (&path, &bytes);
            scope.spawn(move || {
                let mut random = Random(reader);
                for _ in 0..4 {
                    let start = random.below(size);
                    let end = start + random.below(size - start) + 1;
                    let part = bytes.slice(start as usize..end as usize);
                    assert!(ok(store.read_range(path, start..end)) == part, "{start}..{end} is other bytes");
                }
                if reader % 4 == 0 {
                    assert!(ok(store.read(path, size)) == *bytes, "all of it is other bytes");
                }
            });
        }
    });
    let (tail, told) = ok(store.read_tail(&path, 1 << 20));
    assert!(told == size && tail == bytes.slice(LARGE_BYTES - (1 << 20)..), "its end is other bytes");
    ok(store.delete(&path));
}

fn every_page_of_a_listing_is_read(store: &Store) {
    let ids: BTreeSet<Id> = (0..PAGED_OBJECTS).map(|number| Id::of(&number.to_le_bytes())).collect();
    let all: Vec<Id> = ids.iter().copied().collect();
    let each = |work: &(dyn Fn(Id) + Sync)| {
        std::thread::scope(|scope| {
            for part in all.chunks(all.len().div_ceil(THREADS)) {
                scope.spawn(move || part.iter().for_each(|id| work(*id)));
            }
        });
    };
    // In one folder, so that the folder alone is longer than a page.
    let path = |id: Id| format!("index/{id}");
    each(&|id| ok(store.write(&path(id), Bytes::from_static(b"one of many"))));
    let mut found = BTreeSet::new();
    ok(store.list("index", |object| {
        assert!(found.insert(object.id), "{object:?} is told twice");
        Ok(())
    }));
    assert_eq!(found.len(), ids.len());
    assert_eq!(found, ids);
    each(&|id| {
        ok(store.delete(&path(id)));
    });
    ok(store.list("index", |object| panic!("{object:?} was deleted")));
}
