//! The index in memory: where every blob lies.
//!
//! At most 64 bytes a blob: 48 in a slot, the rest in hash tables of slot numbers. It is kept in parts, by the
//! first bits of blobs' ids, so that several threads fill it without sharing anything. A blob that lies in several
//! packs is found in the one that was inserted first; `check` reads index files itself.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

use crate::format::{BlobKind, PackedBlob};
use crate::id::Id;
use crate::repository::index_part::{Part, Slot};
use crate::repository::index_records::{IndexRecords, PARTS, part_of};

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPlace {
    /// The pack that holds it.
    pub pack: Id,
    /// Its entry there.
    pub blob: PackedBlob,
}

/// All blobs of a repository, by kind and id.
pub struct Index {
    packs: Vec<Id>,
    /// Positions in `packs`.
    pack_numbers: HashTable<u32>,
    parts: [Part; PARTS],
}

impl Default for Index {
    fn default() -> Self {
        let parts = std::array::from_fn(|_| Part::default());
        Self { packs: Vec::new(), pack_numbers: HashTable::new(), parts }
    }
}

impl Index {
    /// Adds a pack's blobs. Blobs that are known already keep their place.
    pub fn insert_pack(&mut self, pack: Id, blobs: &[PackedBlob]) {
        let number = self.number_of(pack);
        for blob in blobs {
            self.parts[part_of(&blob.id.0)].insert(Slot::new(blob, number));
        }
    }

    /// Adds what index files say, on so many threads, as if they were inserted one after the other.
    pub(super) fn insert_files(&mut self, files: &[IndexRecords], threads: usize) {
        let numbered: Vec<(&IndexRecords, Vec<u32>)> = files
            .iter()
            .map(|file| (file, file.packs().map(|pack| self.number_of(pack)).collect()))
            .collect();
        let parts = Mutex::new(self.parts.iter_mut().enumerate());
        let insert = || {
            loop {
                let Some((number, part)) = parts.lock().next() else { break };
                for (file, packs) in &numbered {
                    part.insert_records(file.part(number), packs);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(insert);
            }
            insert();
        });
    }

    /// Makes room for `additional` blobs, so that loading grows the tables once.
    pub fn reserve(&mut self, additional: usize) {
        self.parts.iter_mut().for_each(|part| part.reserve(additional.div_ceil(PARTS)));
    }

    fn number_of(&mut self, pack: Id) -> u32 {
        let packs = &mut self.packs;
        let entry = self.pack_numbers.entry(
            hash(&pack),
            |&number| packs[number as usize] == pack,
            |&number| hash(&packs[number as usize]),
        );
        match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let number = packs.len() as u32;
                vacant.insert(number);
                packs.push(pack);
                number
            }
        }
    }

    fn place(&self, slot: &Slot) -> BlobPlace {
        BlobPlace { pack: self.packs[slot.pack()], blob: slot.blob() }
    }

    /// Where the blob lies.
    pub fn find(&self, kind: BlobKind, id: &Id) -> Option<BlobPlace> {
        self.parts[part_of(&id.0)].find(kind, id).map(|slot| self.place(slot))
    }

    /// Whether the blob is there.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        self.parts[part_of(&id.0)].find(kind, id).is_some()
    }

    /// Whether some index file names the pack.
    pub fn contains_pack(&self, pack: &Id) -> bool {
        self.pack_numbers.find(hash(pack), |&number| self.packs[number as usize] == *pack).is_some()
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        self.parts.iter().map(Part::blob_count).sum()
    }

    /// How many packs there are.
    pub fn pack_count(&self) -> usize {
        self.packs.len()
    }

    /// Every blob, each once, in no particular order.
    pub fn blobs(&self) -> impl Iterator<Item = BlobPlace> + '_ {
        self.parts.iter().flat_map(Part::slots).map(|slot| self.place(slot))
    }

    /// Bytes held for blobs. Packs are some 45 bytes each beside it.
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(Part::memory_bytes).sum()
    }
}

/// Ids are digests: any eight bytes are as good a hash as there is.
fn hash(id: &Id) -> u64 {
    u64::from_le_bytes(id.0[..8].try_into().expect("eight bytes of thirty-two"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::format::{IndexFile, IndexedPack};

    fn blob(n: u64, kind: BlobKind) -> PackedBlob {
        PackedBlob {
            id: Id::of(&n.to_le_bytes()),
            kind,
            offset_bytes: n as u32,
            length_bytes: 100,
            uncompressed_bytes: 200,
        }
    }

    #[test]
    fn finds_every_blob_by_kind_and_keeps_the_first_place() {
        let mut index = Index::default();
        let data: Vec<_> = (0..200_000).map(|n| blob(n, BlobKind::Data)).collect();
        let first = Id::of(b"first");
        index.insert_pack(first, &data);
        index.insert_pack(Id::of(b"second"), &data[..10]);
        index.insert_pack(Id::of(b"trees"), &[blob(3, BlobKind::Tree)]);
        assert_eq!((index.blob_count(), index.pack_count()), (200_001, 3));
        for blob in &data {
            assert_eq!(index.find(BlobKind::Data, &blob.id), Some(BlobPlace { pack: first, blob: *blob }));
        }
        assert!(index.contains(BlobKind::Tree, &data[3].id));
        assert!(!index.contains(BlobKind::Tree, &data[4].id));
        assert_eq!(index.blobs().count(), 200_001);
    }

    #[test]
    fn a_blob_takes_at_most_64_bytes() {
        let mut index = Index::default();
        // Just after a doubling the tables are emptiest: the worst case. They double at somewhat different times.
        for n in 0..1_000_000 {
            index.insert_pack(Id::of(b"pack"), &[blob(n, BlobKind::Data)]);
            if n >= 300_000 && n.is_multiple_of(500) {
                let bytes = index.memory_bytes() as f64 / index.blob_count() as f64;
                assert!(bytes <= 64.0, "{bytes} bytes a blob at {n}");
            }
        }
    }

    /// Index files with packs that are named twice, blobs that lie in several, and both kinds under one id.
    fn index_files() -> impl Strategy<Value = Vec<IndexFile>> {
        let blob = (0..400_u64, any::<bool>(), any::<u32>()).prop_map(|(n, tree, offset_bytes)| {
            let kind = if tree { BlobKind::Tree } else { BlobKind::Data };
            PackedBlob { offset_bytes, ..blob(n, kind) }
        });
        let pack = (0..20_u8, prop::collection::vec(blob, 0..40))
            .prop_map(|(n, blobs)| IndexedPack { id: Id::of(&[n]), blobs });
        let file = prop::collection::vec(pack, 0..5).prop_map(|packs| IndexFile { packs });
        prop::collection::vec(file, 0..8)
    }

    proptest! {
        #[test]
        fn files_inserted_together_are_found_like_packs_inserted_one_by_one(
            files in index_files(),
            threads in 1..5_usize,
            split in 0..8_usize,
        ) {
            let mut plain: HashMap<(BlobKind, Id), BlobPlace> = HashMap::new();
            let mut one_by_one = Index::default();
            for pack in files.iter().flat_map(|file| &file.packs) {
                one_by_one.insert_pack(pack.id, &pack.blobs);
                for blob in &pack.blobs {
                    plain.entry((blob.kind, blob.id)).or_insert(BlobPlace { pack: pack.id, blob: *blob });
                }
            }
            let records: Vec<_> = files.iter().map(|file| IndexRecords::of(Id::of(b"name"), file)).collect();
            let mut together = Index::default();
            let (first, second) = records.split_at(split.min(records.len()));
            together.insert_files(first, threads);
            together.insert_files(second, threads);
            for index in [&one_by_one, &together] {
                prop_assert_eq!(index.blob_count(), plain.len());
                prop_assert_eq!(index.blobs().count(), plain.len());
                for ((kind, id), place) in &plain {
                    prop_assert_eq!(index.find(*kind, id), Some(*place));
                }
                for n in 0..20 {
                    let pack = Id::of(&[n]);
                    let named = files.iter().flat_map(|file| &file.packs).any(|named| named.id == pack);
                    prop_assert_eq!(index.contains_pack(&pack), named);
                }
            }
        }
    }
}
