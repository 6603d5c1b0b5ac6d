//! What one index file says, as records of fixed size: the form that the cache keeps and the index takes in.
//!
//! A version byte, the index file's id, the number of packs, the packs' ids; then, to the end, a record for each
//! blob: its id, its pack's position among those ids with [`TREE_BIT`] for a tree, offset, length, length of the
//! plaintext. Numbers are four bytes, the lowest first. Records stand by the part of the index that they belong to,
//! and within one in the order of the index file, so that each part takes in what is its own at one go.

use std::ops::Range;

use crate::format::{BlobKind, IndexFile, PackedBlob};
use crate::id::Id;

/// Version of this form. 1 was another one.
const VERSION: u8 = 2;
/// Version, id, number of packs.
const HEAD_BYTES: usize = 1 + 32 + 4;
/// Set in a record's pack for a tree.
pub const TREE_BIT: u32 = 1 << 31;
/// Parts of the index, by an id's first bits. So many that what is inserted into one at a time stays near the
/// processor: of ten million blobs the hash table of a part takes 1.3 MB.
pub const PARTS: usize = 64;

/// Bytes of a record.
pub const RECORD_BYTES: usize = 48;
/// One blob.
pub type Record = [u8; RECORD_BYTES];

/// The records of one index file.
pub struct IndexRecords {
    /// Holds the text, and maybe what it was sealed with around it.
    buffer: Vec<u8>,
    packs: Range<usize>,
    /// Where each part's records begin, and where the last one's end.
    starts: [usize; PARTS + 1],
}

/// The part of the index that a blob belongs to.
pub fn part_of(id: &[u8; 32]) -> usize {
    usize::from(id[0]) * PARTS / 256
}

impl IndexRecords {
    /// The records of the index file `name`.
    pub fn of(name: Id, file: &IndexFile) -> Self {
        let mut counts = [0; PARTS];
        for blob in file.packs.iter().flat_map(|pack| &pack.blobs) {
            counts[part_of(&blob.id.0)] += 1;
        }
        let blobs: usize = counts.iter().sum();
        let head = HEAD_BYTES + file.packs.len() * 32;
        let mut buffer = Vec::with_capacity(head + blobs * RECORD_BYTES);
        buffer.push(VERSION);
        buffer.extend_from_slice(&name.0);
        buffer.extend_from_slice(&(file.packs.len() as u32).to_le_bytes());
        file.packs.iter().for_each(|pack| buffer.extend_from_slice(&pack.id.0));
        let mut nexts = starts_of(head, &counts);
        let starts = nexts;
        buffer.resize(head + blobs * RECORD_BYTES, 0);
        for (number, pack) in file.packs.iter().enumerate() {
            for blob in &pack.blobs {
                let next = &mut nexts[part_of(&blob.id.0)];
                buffer[*next..*next + RECORD_BYTES].copy_from_slice(&record(blob, number as u32));
                *next += RECORD_BYTES;
            }
        }
        Self { buffer, packs: HEAD_BYTES..head, starts }
    }

    /// Finds in `buffer` what [`IndexRecords::text`] gave for the index file `name`. `None` if it is anything else.
    pub fn within(buffer: Vec<u8>, text: Range<usize>, name: Id) -> Option<Self> {
        let (head, rest) = buffer.get(text.clone())?.split_at_checked(HEAD_BYTES)?;
        // A file that was given another one's name is not that one.
        if head[0] != VERSION || head[1..33] != name.0 {
            return None;
        }
        let pack_count = u32::from_le_bytes(head[33..].try_into().ok()?);
        let (packs, records) = rest.split_at_checked((pack_count as usize).checked_mul(32)?)?;
        let (records, []) = records.as_chunks::<RECORD_BYTES>() else { return None };
        let mut counts = [0; PARTS];
        let mut part_before = 0;
        for record in records {
            let (id, numbers) = split(record);
            let part = part_of(id);
            if part < part_before || numbers[0] & !TREE_BIT >= pack_count {
                return None;
            }
            counts[part] += 1;
            part_before = part;
        }
        let packs = text.start + HEAD_BYTES..text.start + HEAD_BYTES + packs.len();
        Some(Self { starts: starts_of(packs.end, &counts), packs, buffer })
    }

    /// What is kept: [`IndexRecords::within`] finds it again.
    pub fn text(&self) -> &[u8] {
        &self.buffer[self.packs.start - HEAD_BYTES..self.starts[PARTS]]
    }

    /// The index file's id.
    pub fn name(&self) -> Id {
        let mut name = [0; 32];
        name.copy_from_slice(&self.text()[1..33]);
        Id(name)
    }

    /// The packs, in the order that records number them by.
    pub fn packs(&self) -> impl Iterator<Item = Id> + '_ {
        self.buffer[self.packs.clone()].as_chunks::<32>().0.iter().map(|id| Id(*id))
    }

    /// The records of one part.
    pub fn part(&self, part: usize) -> &[Record] {
        self.buffer[self.starts[part]..self.starts[part + 1]].as_chunks().0
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        (self.starts[PARTS] - self.starts[0]) / RECORD_BYTES
    }
}

/// Where each part begins if the first one begins at `start`, and where the last one ends.
fn starts_of(start: usize, counts: &[usize; PARTS]) -> [usize; PARTS + 1] {
    let mut starts = [start; PARTS + 1];
    for (part, count) in counts.iter().enumerate() {
        starts[part + 1] = starts[part] + count * RECORD_BYTES;
    }
    starts
}

fn record(blob: &PackedBlob, pack: u32) -> Record {
    let tree = if blob.kind == BlobKind::Tree { TREE_BIT } else { 0 };
    let numbers = [pack | tree, blob.offset_bytes, blob.length_bytes, blob.uncompressed_bytes];
    let mut record = [0; RECORD_BYTES];
    record[..32].copy_from_slice(&blob.id.0);
    record[32..]
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(numbers)
        .for_each(|(four, number)| *four = number.to_le_bytes());
    record
}

/// A blob's id; then its pack with [`TREE_BIT`], offset, length and length of the plaintext.
pub fn split(record: &Record) -> (&[u8; 32], [u32; 4]) {
    let (id, numbers) = record.split_first_chunk().expect("a record is longer than an id");
    let numbers = numbers.as_chunks::<4>().0;
    (id, std::array::from_fn(|n| u32::from_le_bytes(numbers[n])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::IndexedPack;

    fn blob(n: u32) -> PackedBlob {
        let kind = if n.is_multiple_of(3) { BlobKind::Tree } else { BlobKind::Data };
        let id = Id::of(&n.to_le_bytes());
        PackedBlob { id, kind, offset_bytes: n, length_bytes: n + 1, uncompressed_bytes: u32::MAX - n }
    }

    fn sample() -> (Id, IndexFile) {
        let pack = |n: u32, blobs: Range<u32>| IndexedPack {
            id: Id::of(&[n as u8]),
            blobs: blobs.map(blob).collect(),
        };
        (Id::of(b"name"), IndexFile { packs: vec![pack(1, 0..100), pack(2, 0..0), pack(3, 90..300)] })
    }

    #[test]
    fn all_that_the_index_file_says_is_found_again_part_by_part() {
        let (name, file) = sample();
        let text = IndexRecords::of(name, &file).text().to_vec();
        let around = [&[9; 16][..], &text, &[9; 16]].concat();
        let records = IndexRecords::within(around, 16..16 + text.len(), name).expect("its own");
        assert_eq!((records.name(), records.blob_count()), (name, 310));
        assert_eq!(records.text(), text);
        let packs: Vec<Id> = records.packs().collect();
        assert_eq!(packs, file.packs.iter().map(|pack| pack.id).collect::<Vec<_>>());
        let mut expected: Vec<(u32, PackedBlob)> = Vec::new();
        for (number, pack) in file.packs.iter().enumerate() {
            expected.extend(pack.blobs.iter().map(|blob| (number as u32, *blob)));
        }
        expected.sort_by_key(|(_, blob)| part_of(&blob.id.0));
        let found: Vec<Record> = (0..PARTS).flat_map(|part| records.part(part)).copied().collect();
        assert_eq!(found, expected.iter().map(|(pack, blob)| record(blob, *pack)).collect::<Vec<_>>());
        assert_eq!(IndexRecords::of(name, &IndexFile::default()).blob_count(), 0);
    }

    #[test]
    fn what_is_not_wholly_right_is_not_taken() {
        let (name, file) = sample();
        let right = IndexRecords::of(name, &file).text().to_vec();
        let changed = |position: usize, byte: u8| {
            let mut text = right.clone();
            text[position] = byte;
            text
        };
        let first_record = HEAD_BYTES + 3 * 32;
        let cases = [
            ("another version", changed(0, 1)),
            ("another name", changed(1, right[1] ^ 1)),
            ("more packs than there can be", changed(36, 255)),
            ("a pack too few, so that records are shifted", changed(33, 2)),
            ("a pack that is not there", changed(first_record + 32, 3)),
            ("a blob among those of another part", changed(first_record, 255)),
            ("cut off", right[..right.len() - 1].to_vec()),
            ("too long", [&right[..], &[0]].concat()),
            ("empty", Vec::new()),
        ];
        for (what, text) in cases {
            let whole = 0..text.len();
            assert!(IndexRecords::within(text, whole, name).is_none(), "{what}");
        }
        let beyond = 0..right.len() + 1;
        assert!(IndexRecords::within(right, beyond, name).is_none(), "beyond the buffer");
    }
}
