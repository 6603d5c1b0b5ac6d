//! Makes an index large: `many_blobs FOLDER BLOBS` adds index files to a repository, whose password is in
//! `KEEPWELL_PASSWORD`, for so many blobs that lie nowhere. For tests/bench/index, which measures how programs
//! load it; nothing that looks for the packs works afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a maker of data stops at errors")]

use keepwell_engine::format::{BlobKind, IndexFile, IndexedPack, PackedBlob};
use keepwell_engine::id::Id;
use keepwell_engine::repository::{FileKind, Repository, RepositoryOptions};
use keepwell_engine::store::{Location, StoreSettings};
use secrecy::SecretString;

/// Blobs of an index file: with as many keepwell, restic and rustic begin another.
const BLOBS_PER_INDEX: u64 = 50_000;
/// Blobs of a pack: chunks of 160 KiB in packs of 16 MiB; large files have fewer, small ones more.
const BLOBS_PER_PACK: u64 = 100;
/// One pack of so many holds trees.
const PACKS_PER_TREE_PACK: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, blobs] = arguments.as_slice() else { panic!("many_blobs FOLDER BLOBS") };
    let blobs: u64 = blobs.parse().expect("a number of blobs");
    let password = SecretString::from(std::env::var("KEEPWELL_PASSWORD").expect("a password"));
    let (location, settings) = (Location::folder(folder), StoreSettings::default());
    let repository = Repository::open(&location, &settings, &password, RepositoryOptions::default()).unwrap();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let repository = &repository;
            scope.spawn(move || {
                for number in (0..blobs.div_ceil(BLOBS_PER_INDEX)).skip(thread).step_by(threads) {
                    let count = BLOBS_PER_INDEX.min(blobs - number * BLOBS_PER_INDEX);
                    let json = index_file(number, count).to_json();
                    repository.files().write(FileKind::Index, &json).unwrap();
                }
            });
        }
    });
}

fn index_file(number: u64, blobs: u64) -> IndexFile {
    let mut random = number << 32;
    let packs = (0..blobs.div_ceil(BLOBS_PER_PACK)).map(|pack| {
        let kind = if pack % PACKS_PER_TREE_PACK == 0 { BlobKind::Tree } else { BlobKind::Data };
        let mut offset_bytes = 0;
        let blobs = (0..BLOBS_PER_PACK.min(blobs - pack * BLOBS_PER_PACK)).map(|_| {
            let length_bytes = 20_000 + (next(&mut random) % 300_000) as u32;
            let blob = PackedBlob {
                id: id(&mut random),
                kind,
                offset_bytes,
                length_bytes,
                uncompressed_bytes: length_bytes * 2,
            };
            offset_bytes += length_bytes;
            blob
        });
        let blobs = blobs.collect();
        IndexedPack { id: id(&mut random), blobs }
    });
    IndexFile { packs: packs.collect() }
}

fn id(random: &mut u64) -> Id {
    let mut id = Id([0; 32]);
    for eight in id.0.as_chunks_mut::<8>().0 {
        *eight = next(random).to_le_bytes();
    }
    id
}

/// SplitMix64: quick, and no two numbers alike.
fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
