//! What the indexes say of each pack, in few bytes, and what the store's listing says.
//!
//! The index in memory keeps one place for each blob, so it cannot tell what all of a pack's
//! entries are. Here they are summed: lengths, for the pack's exact size, and a digest that
//! does not depend on their order, for comparing them with another index or the pack's header.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::crypto::OVERHEAD_BYTES;
use crate::format::{BlobKind, PackedBlob, pack_header};
use crate::id::Id;

/// All entries of one pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntrySums {
    pub(super) entries: u64,
    blobs_bytes: u64,
    header_bytes: u64,
    digest: u64,
}

impl EntrySums {
    pub(super) fn of(blobs: &[PackedBlob]) -> Self {
        let mut sums = Self::default();
        for blob in blobs {
            sums.entries += 1;
            sums.blobs_bytes += u64::from(blob.length_bytes);
            sums.header_bytes += blob.header_entry_bytes() as u64;
            sums.digest = sums.digest.wrapping_add(digest(blob));
        }
        sums
    }

    /// How long a pack of these entries is: blobs, sealed header, length of the header.
    pub(super) fn pack_bytes(&self) -> u64 {
        self.blobs_bytes + self.header_bytes + OVERHEAD_BYTES as u64 + pack_header::LENGTH_FIELD_BYTES as u64
    }
}

/// Mixes one entry into 64 bits. Nobody who could forge a repository gains by colliding here:
/// it finds mistakes and damage, and each blob is checked against its own digest anyway.
fn digest(blob: &PackedBlob) -> u64 {
    // Odd numbers without pattern: the fractions of the golden ratio and of square roots.
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xbb67_ae85_84ca_a73b;
    let word = |at: usize| blob.id.0[at..at + 8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let place = u64::from(blob.offset_bytes) << 32 | u64::from(blob.length_bytes);
    let kind = u64::from(blob.uncompressed_bytes) << 1 | u64::from(blob.kind == BlobKind::Tree);
    let mut mixed = word(0) ^ word(8).rotate_left(17) ^ word(16).rotate_left(31) ^ word(24).rotate_left(47);
    for part in [place, kind] {
        mixed = (mixed ^ part).wrapping_mul(FIRST);
        mixed = (mixed ^ mixed >> 32).wrapping_mul(SECOND);
    }
    mixed ^ mixed >> 29
}

/// Whether the blobs lie one after the other from the pack's beginning, in any order of entries.
pub(super) fn are_contiguous(blobs: &[PackedBlob]) -> bool {
    let follows = |end: &mut u64, (offset, length): (u32, u32)| {
        let follows = u64::from(offset) == *end;
        *end += u64::from(length);
        follows
    };
    let places = || blobs.iter().map(|blob| (blob.offset_bytes, blob.length_bytes));
    let mut end = 0;
    if places().all(|place| follows(&mut end, place)) {
        return true;
    }
    let mut sorted: Vec<(u32, u32)> = places().collect();
    sorted.sort_unstable();
    let mut end = 0;
    sorted.into_iter().all(|place| follows(&mut end, place))
}

#[derive(Clone, Copy)]
struct PackRecord {
    sums: EntrySums,
    index: u32,
    stored_bytes: Option<u64>,
}

/// What happened when an index named a pack.
pub(super) enum Named {
    First,
    /// The index given had named it before, with the same entries.
    AgainBy(Id),
    /// The index given had named it before, with other entries.
    OtherwiseBy(Id),
}

/// A pack that an index names and the store has.
#[derive(Clone, Copy)]
pub(super) struct StoredPack {
    pub(super) id: Id,
    pub(super) sums: EntrySums,
    pub(super) index: Id,
    pub(super) stored_bytes: u64,
}

/// All packs that indexes name.
#[derive(Default)]
pub(super) struct PackTable {
    packs: HashMap<Id, PackRecord>,
    indexes: Vec<Id>,
}

impl PackTable {
    /// Notes an index file and returns its number for [`PackTable::name`].
    pub(super) fn add_index(&mut self, id: Id) -> u32 {
        self.indexes.push(id);
        (self.indexes.len() - 1) as u32
    }

    pub(super) fn name(&mut self, pack: Id, sums: EntrySums, index: u32) -> Named {
        match self.packs.entry(pack) {
            Entry::Vacant(vacant) => {
                vacant.insert(PackRecord { sums, index, stored_bytes: None });
                Named::First
            }
            Entry::Occupied(known) => {
                let before = self.indexes[known.get().index as usize];
                if known.get().sums == sums { Named::AgainBy(before) } else { Named::OtherwiseBy(before) }
            }
        }
    }

    /// Notes that the store has a pack; returns the size that it should have, if an index names it.
    pub(super) fn note_stored(&mut self, pack: &Id, stored_bytes: u64) -> Option<(u64, Id)> {
        let record = self.packs.get_mut(pack)?;
        record.stored_bytes = Some(stored_bytes);
        Some((record.sums.pack_bytes(), self.indexes[record.index as usize]))
    }

    /// Packs that were not noted as stored, each with an index that names it, sorted.
    pub(super) fn missing(&self) -> Vec<(Id, Id)> {
        let mut missing: Vec<(Id, Id)> = self
            .packs
            .iter()
            .filter(|(_, record)| record.stored_bytes.is_none())
            .map(|(id, record)| (*id, self.indexes[record.index as usize]))
            .collect();
        missing.sort_unstable();
        missing
    }

    /// Packs that were noted as stored, sorted.
    pub(super) fn stored_packs(&self) -> Vec<StoredPack> {
        let mut stored: Vec<StoredPack> = self
            .packs
            .iter()
            .filter_map(|(&id, record)| {
                let index = self.indexes[record.index as usize];
                Some(StoredPack { id, sums: record.sums, index, stored_bytes: record.stored_bytes? })
            })
            .collect();
        stored.sort_unstable_by_key(|pack| pack.id);
        stored
    }

    pub(super) fn len(&self) -> usize {
        self.packs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n: u8, offset_bytes: u32, length_bytes: u32) -> PackedBlob {
        PackedBlob {
            id: Id::of(&[n]),
            kind: BlobKind::Data,
            offset_bytes,
            length_bytes,
            uncompressed_bytes: 0,
        }
    }

    #[test]
    fn sums_depend_on_every_field_and_not_on_the_order() {
        let (one, two) = (blob(1, 0, 100), blob(2, 100, 50));
        let sums = EntrySums::of(&[one, two]);
        assert_eq!(sums, EntrySums::of(&[two, one]));
        assert_eq!(sums.pack_bytes(), 150 + 2 * 37 + 36);
        for other in [
            PackedBlob { id: Id::of(b"other"), ..two },
            PackedBlob { kind: BlobKind::Tree, ..two },
            PackedBlob { offset_bytes: 101, ..two },
            PackedBlob { length_bytes: 51, ..two },
            PackedBlob { uncompressed_bytes: 1, ..two },
        ] {
            assert_ne!(EntrySums::of(&[one, other]), sums, "{other:?}");
        }
        let swapped = [blob(1, 100, 50), blob(2, 0, 100)];
        assert_ne!(EntrySums::of(&swapped), sums);
    }

    #[test]
    fn only_blobs_without_gaps_or_overlaps_are_contiguous() {
        for (blobs, expected) in [
            (vec![], true),
            (vec![blob(1, 0, 100), blob(2, 100, 50)], true),
            (vec![blob(2, 100, 50), blob(1, 0, 100)], true),
            (vec![blob(1, 1, 100)], false),
            (vec![blob(1, 0, 100), blob(2, 99, 50)], false),
            (vec![blob(1, 0, 100), blob(2, 101, 50)], false),
            (vec![blob(1, 0, u32::MAX), blob(2, u32::MAX, u32::MAX)], true),
            (vec![blob(1, 0, 10), blob(2, 0, 10)], false),
        ] {
            assert_eq!(are_contiguous(&blobs), expected, "{blobs:?}");
        }
    }
}
