//! The index in memory: where every blob lies.
//!
//! At most 64 bytes a blob: 48 in a slot, the rest in a hash table of slot
//! numbers. Slots stand in segments of fixed size, so that growing copies
//! nothing but the table. A blob that lies in several packs is found in the
//! one that was inserted first; `check` reads index files itself.

use hashbrown::{HashMap, HashTable};

use crate::format::{BlobKind, PackedBlob};
use crate::id::Id;

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPlace {
    /// The pack that holds it.
    pub pack: Id,
    /// Its entry there.
    pub blob: PackedBlob,
}

#[derive(Clone, Copy)]
struct Slot {
    id: Id,
    /// Position in `packs`; the top bit says that the blob is a tree.
    pack: u32,
    offset_bytes: u32,
    length_bytes: u32,
    uncompressed_bytes: u32,
}

const TREE_BIT: u32 = 1 << 31;
/// Slots a segment: 192 KiB, so that no more than that is reserved in advance.
const SEGMENT_SLOTS: usize = 1 << 12;

/// All blobs of a repository, by kind and id.
#[derive(Default)]
pub struct Index {
    packs: Vec<Id>,
    pack_numbers: HashMap<Id, u32>,
    segments: Vec<Vec<Slot>>,
    slot_count: u32,
    table: HashTable<u32>,
}

impl Index {
    /// Adds a pack's blobs. Blobs that are known already keep their place.
    pub fn insert_pack(&mut self, pack: Id, blobs: &[PackedBlob]) {
        let number = *self.pack_numbers.entry(pack).or_insert_with(|| {
            self.packs.push(pack);
            (self.packs.len() - 1) as u32
        });
        for blob in blobs {
            self.insert(number, blob);
        }
    }

    /// Makes room for `additional` blobs, so that loading grows the table once.
    pub fn reserve(&mut self, additional: usize) {
        let segments = &self.segments;
        self.table.reserve(additional, |&position| hash(&slot(segments, position).id));
    }

    fn insert(&mut self, pack: u32, blob: &PackedBlob) {
        let tree = if blob.kind == BlobKind::Tree { TREE_BIT } else { 0 };
        let segments = &self.segments;
        let entry = self.table.entry(
            hash(&blob.id),
            |&position| same(slot(segments, position), blob.kind, &blob.id),
            |&position| hash(&slot(segments, position).id),
        );
        if let hashbrown::hash_table::Entry::Vacant(vacant) = entry {
            vacant.insert(self.slot_count);
            if (self.slot_count as usize).is_multiple_of(SEGMENT_SLOTS) {
                self.segments.push(Vec::with_capacity(SEGMENT_SLOTS));
            }
            self.slot_count += 1;
            let segment = self.segments.last_mut().expect("a segment is pushed before its first slot");
            segment.push(Slot {
                id: blob.id,
                pack: pack | tree,
                offset_bytes: blob.offset_bytes,
                length_bytes: blob.length_bytes,
                uncompressed_bytes: blob.uncompressed_bytes,
            });
        }
    }

    /// Where the blob lies.
    pub fn find(&self, kind: BlobKind, id: &Id) -> Option<BlobPlace> {
        let position =
            self.table.find(hash(id), |&position| same(slot(&self.segments, position), kind, id))?;
        let slot = slot(&self.segments, *position);
        Some(BlobPlace {
            pack: self.packs[(slot.pack & !TREE_BIT) as usize],
            blob: PackedBlob {
                id: slot.id,
                kind,
                offset_bytes: slot.offset_bytes,
                length_bytes: slot.length_bytes,
                uncompressed_bytes: slot.uncompressed_bytes,
            },
        })
    }

    /// Whether the blob is there.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        self.table.find(hash(id), |&position| same(slot(&self.segments, position), kind, id)).is_some()
    }

    /// Whether some index file names the pack.
    pub fn contains_pack(&self, pack: &Id) -> bool {
        self.pack_numbers.contains_key(pack)
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        self.table.len()
    }

    /// How many packs there are.
    pub fn pack_count(&self) -> usize {
        self.packs.len()
    }

    /// Every blob, each once, in the order of insertion.
    pub fn blobs(&self) -> impl Iterator<Item = BlobPlace> + '_ {
        self.segments.iter().flatten().map(|slot| BlobPlace {
            pack: self.packs[(slot.pack & !TREE_BIT) as usize],
            blob: PackedBlob {
                id: slot.id,
                kind: if slot.pack & TREE_BIT == 0 { BlobKind::Data } else { BlobKind::Tree },
                offset_bytes: slot.offset_bytes,
                length_bytes: slot.length_bytes,
                uncompressed_bytes: slot.uncompressed_bytes,
            },
        })
    }

    /// Bytes held for blobs: segments and table. Packs are some 70 bytes each beside it.
    pub fn memory_bytes(&self) -> usize {
        self.segments.len() * SEGMENT_SLOTS * size_of::<Slot>() + self.table.allocation_size()
    }
}

/// Ids are digests: any eight bytes are as good a hash as there is.
fn hash(id: &Id) -> u64 {
    u64::from_le_bytes(id.0[..8].try_into().expect("eight bytes of thirty-two"))
}

fn slot(segments: &[Vec<Slot>], position: u32) -> &Slot {
    &segments[position as usize / SEGMENT_SLOTS][position as usize % SEGMENT_SLOTS]
}

fn same(slot: &Slot, kind: BlobKind, id: &Id) -> bool {
    (slot.pack & TREE_BIT != 0) == (kind == BlobKind::Tree) && slot.id == *id
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Just after a doubling the table is emptiest: the worst case.
        for count in [458_753_u64, 917_505, 1_000_000] {
            for n in index.blob_count() as u64..count {
                index.insert_pack(Id::of(b"pack"), &[blob(n, BlobKind::Data)]);
            }
            let bytes = index.memory_bytes() as f64 / index.blob_count() as f64;
            assert!(bytes <= 64.0, "{bytes} bytes a blob at {count}");
        }
    }
}
