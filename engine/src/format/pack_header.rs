//! The header at the end of a pack: which blobs it holds, in order.

use serde::{Deserialize, Serialize};

use crate::crypto::OVERHEAD_BYTES;
use crate::id::Id;

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BlobKind {
    /// A piece of a file.
    Data,
    /// A folder's entries.
    Tree,
}

impl BlobKind {
    /// As index files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Tree => "tree",
        }
    }
}

/// One blob inside a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedBlob {
    /// Digest of the plaintext.
    pub id: Id,
    /// What it is.
    pub kind: BlobKind,
    /// Where its sealed bytes begin.
    pub offset_bytes: u32,
    /// How many sealed bytes there are.
    pub length_bytes: u32,
    /// Length of the plaintext if it is compressed, else zero.
    pub uncompressed_bytes: u32,
}

impl PackedBlob {
    /// Length of the plaintext.
    pub fn plaintext_bytes(&self) -> u32 {
        match self.uncompressed_bytes {
            0 => self.length_bytes.saturating_sub(OVERHEAD_BYTES as u32),
            length => length,
        }
    }

    /// What its entry takes in the header.
    pub fn header_entry_bytes(&self) -> usize {
        if self.uncompressed_bytes == 0 { PLAIN_ENTRY_BYTES } else { COMPRESSED_ENTRY_BYTES }
    }
}

/// Kind, sealed length, id.
const PLAIN_ENTRY_BYTES: usize = 1 + 4 + 32;
/// Kind, sealed length, plaintext length, id.
const COMPRESSED_ENTRY_BYTES: usize = 1 + 4 + 4 + 32;
/// The length field that ends a pack.
pub const LENGTH_FIELD_BYTES: usize = 4;
/// Sealed headers are at most this long (restic: `MaxHeaderSize`, 16 MiB with its length field).
pub const HEADER_BYTES_MAX: usize = 16 * 1024 * 1024 - LENGTH_FIELD_BYTES;

/// A header that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackHeaderError {
    /// The last four bytes ask for more than the pack, or the bound, holds.
    #[error("the header claims {claimed} bytes where at most {available} can be")]
    Length {
        /// From the last four bytes.
        claimed: u64,
        /// What can be.
        available: u64,
    },
    /// The header breaks off in the middle of an entry, or is empty.
    #[error("the header breaks off")]
    Truncated,
    /// An entry begins with a byte that names no kind.
    #[error("the header has an entry of unknown kind {0}")]
    UnknownKind(u8),
    /// The blobs do not fill the pack from its beginning to the header.
    #[error("the header describes {described} bytes of blobs where the pack has {present}")]
    Size {
        /// Sum of the entries.
        described: u64,
        /// Bytes before the header.
        present: u64,
    },
}

/// Writes the plaintext of a header. The blobs stand in order, without gaps.
pub fn encode(blobs: &[PackedBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY_BYTES);
    for blob in blobs {
        let compressed = blob.uncompressed_bytes != 0;
        let kind = match (blob.kind, compressed) {
            (BlobKind::Data, false) => 0,
            (BlobKind::Tree, false) => 1,
            (BlobKind::Data, true) => 2,
            (BlobKind::Tree, true) => 3,
        };
        header.push(kind);
        header.extend_from_slice(&blob.length_bytes.to_le_bytes());
        if compressed {
            header.extend_from_slice(&blob.uncompressed_bytes.to_le_bytes());
        }
        header.extend_from_slice(&blob.id.0);
    }
    header
}

/// Reads the plaintext of a header. `blobs_bytes` is what the pack holds before its header.
pub fn decode(header: &[u8], blobs_bytes: u64) -> Result<Vec<PackedBlob>, PackHeaderError> {
    let mut blobs = Vec::with_capacity(header.len() / COMPRESSED_ENTRY_BYTES + 1);
    let mut rest = header;
    let mut offset: u64 = 0;
    while let Some((&kind, _)) = rest.split_first() {
        let (kind, compressed) = match kind {
            0 => (BlobKind::Data, false),
            1 => (BlobKind::Tree, false),
            2 => (BlobKind::Data, true),
            3 => (BlobKind::Tree, true),
            other => return Err(PackHeaderError::UnknownKind(other)),
        };
        let entry_bytes = if compressed { COMPRESSED_ENTRY_BYTES } else { PLAIN_ENTRY_BYTES };
        let (entry, after) = rest.split_at_checked(entry_bytes).ok_or(PackHeaderError::Truncated)?;
        let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let length_bytes = number(1);
        let uncompressed_bytes = if compressed { number(5) } else { 0 };
        let mut id = [0; 32];
        id.copy_from_slice(&entry[entry_bytes - 32..]);
        let offset_bytes = u32::try_from(offset)
            .map_err(|_| PackHeaderError::Size { described: offset, present: blobs_bytes })?;
        blobs.push(PackedBlob { id: Id(id), kind, offset_bytes, length_bytes, uncompressed_bytes });
        offset += u64::from(length_bytes);
        rest = after;
    }
    if offset != blobs_bytes {
        return Err(PackHeaderError::Size { described: offset, present: blobs_bytes });
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_say_what_is_wrong() {
        let blob = |n: u8, kind, offset_bytes, uncompressed_bytes| PackedBlob {
            id: Id([n; 32]),
            kind,
            offset_bytes,
            length_bytes: 100,
            uncompressed_bytes,
        };
        let blobs = [
            blob(1, BlobKind::Data, 0, 0),
            blob(2, BlobKind::Data, 100, 333),
            blob(3, BlobKind::Tree, 200, 0),
            blob(4, BlobKind::Tree, 300, 444),
        ];
        let header = encode(&blobs);
        assert_eq!(header.len(), blobs.iter().map(PackedBlob::header_entry_bytes).sum::<usize>());
        assert_eq!(decode(&header, 400), Ok(blobs.to_vec()));
        assert_eq!(decode(&header, 401), Err(PackHeaderError::Size { described: 400, present: 401 }));
        assert_eq!(decode(&header[..header.len() - 1], 400), Err(PackHeaderError::Truncated));
        assert_eq!(decode(&[4; 41], 100), Err(PackHeaderError::UnknownKind(4)));
    }
}
