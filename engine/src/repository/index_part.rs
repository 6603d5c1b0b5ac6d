//! A part of the index: the blobs whose ids begin alike.
//!
//! Slots stand in segments of fixed size, so that growing copies nothing but the hash table, which holds
//! their numbers. What is inserted first stays.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::format::{BlobKind, PackedBlob};
use crate::id::Id;
use crate::repository::index_records::{Record, TREE_BIT, split};

/// Slots a segment: 12 KiB, so that all parts together reserve less than a MiB in advance.
const SEGMENT_SLOTS: usize = 1 << 8;

/// One blob and its pack.
#[derive(Clone, Copy)]
pub struct Slot {
    id: Id,
    /// Number of the pack; the top bit says that the blob is a tree.
    pack: u32,
    offset_bytes: u32,
    length_bytes: u32,
    uncompressed_bytes: u32,
}

impl Slot {
    /// The slot of a blob in the pack with this number.
    pub fn new(blob: &PackedBlob, pack: u32) -> Self {
        Self {
            id: blob.id,
            pack: pack | tree_bit(blob.kind),
            offset_bytes: blob.offset_bytes,
            length_bytes: blob.length_bytes,
            uncompressed_bytes: blob.uncompressed_bytes,
        }
    }

    /// The slot of a record, with the number that its pack has in `packs`.
    fn read(record: &Record, packs: &[u32]) -> Self {
        let (id, [pack, offset_bytes, length_bytes, uncompressed_bytes]) = split(record);
        let pack = packs[(pack & !TREE_BIT) as usize] | pack & TREE_BIT;
        Self { id: Id(*id), pack, offset_bytes, length_bytes, uncompressed_bytes }
    }

    /// The number of its pack.
    pub fn pack(&self) -> usize {
        (self.pack & !TREE_BIT) as usize
    }

    /// The blob's entry in its pack.
    pub fn blob(&self) -> PackedBlob {
        PackedBlob {
            id: self.id,
            kind: if self.pack & TREE_BIT == 0 { BlobKind::Data } else { BlobKind::Tree },
            offset_bytes: self.offset_bytes,
            length_bytes: self.length_bytes,
            uncompressed_bytes: self.uncompressed_bytes,
        }
    }
}

/// The blobs of one part.
#[derive(Default)]
pub struct Part {
    segments: Vec<Vec<Slot>>,
    table: HashTable<u32>,
}

impl Part {
    /// Makes room for `additional` blobs.
    pub fn reserve(&mut self, additional: usize) {
        let segments = &self.segments;
        self.table.reserve(additional, |&position| hash(&slot(segments, position).id));
    }

    /// Adds a blob, unless it is known.
    pub fn insert(&mut self, new: Slot) {
        let segments = &self.segments;
        let entry = self.table.entry(
            hash(&new.id),
            |&position| same(slot(segments, position), new.pack & TREE_BIT, &new.id),
            |&position| hash(&slot(segments, position).id),
        );
        if let Entry::Vacant(vacant) = entry {
            let full = self.segments.last().is_none_or(|last| last.len() == SEGMENT_SLOTS);
            if full {
                self.segments.push(Vec::with_capacity(SEGMENT_SLOTS));
            }
            let before = (self.segments.len() - 1) * SEGMENT_SLOTS;
            let segment = self.segments.last_mut().expect("a segment is pushed before its first slot");
            vacant.insert((before + segment.len()) as u32);
            segment.push(new);
        }
    }

    /// Adds the blobs of `records`; `packs` has the number of each of their packs.
    pub fn insert_records(&mut self, records: &[Record], packs: &[u32]) {
        self.reserve(records.len());
        for record in records {
            self.insert(Slot::read(record, packs));
        }
    }

    /// The blob's slot.
    pub fn find(&self, kind: BlobKind, id: &Id) -> Option<&Slot> {
        let tree = tree_bit(kind);
        let position =
            self.table.find(hash(id), |&position| same(slot(&self.segments, position), tree, id))?;
        Some(slot(&self.segments, *position))
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        self.table.len()
    }

    /// All slots, in the order of insertion.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.segments.iter().flatten()
    }

    /// Bytes held: segments, what names them, and the table.
    pub fn memory_bytes(&self) -> usize {
        self.segments.len() * SEGMENT_SLOTS * size_of::<Slot>()
            + self.segments.capacity() * size_of::<Vec<Slot>>()
            + self.table.allocation_size()
    }
}

/// Ids are digests: any eight bytes are as good a hash as there is. The first ones are alike in a part.
fn hash(id: &Id) -> u64 {
    u64::from_le_bytes(id.0[8..16].try_into().expect("eight bytes of thirty-two"))
}

fn slot(segments: &[Vec<Slot>], position: u32) -> &Slot {
    &segments[position as usize / SEGMENT_SLOTS][position as usize % SEGMENT_SLOTS]
}

fn tree_bit(kind: BlobKind) -> u32 {
    if kind == BlobKind::Tree { TREE_BIT } else { 0 }
}

fn same(slot: &Slot, tree: u32, id: &Id) -> bool {
    slot.pack & TREE_BIT == tree && slot.id == *id
}
