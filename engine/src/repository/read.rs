//! Reading blobs: fetched, opened, decompressed, and checked against their names.

use bytes::Bytes;

use crate::compress::{self, FrameReader};
use crate::crypto::{OVERHEAD_BYTES, Unauthenticated};
use crate::error::{Error, Result};
use crate::format::{BlobKind, PackedBlob, Tree};
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::files::FileKind;

/// The largest blob that is believed: a tree of some two million entries.
pub const BLOB_BYTES_MAX: u32 = 1 << 30;
/// The largest compressed data blob that is believed: restic's chunks are at most 8 MiB, those
/// of other writers may be larger. A few bytes can claim this much, so trees alone get more.
const DATA_BYTES_MAX: u32 = 128 << 20;
/// Packs larger than this are not kept whole for reading trees.
const TREE_PACK_BYTES_MAX: u64 = 36 << 20;

impl Repository {
    /// Reads a blob's plaintext into `out`.
    pub fn read_blob(&self, kind: BlobKind, id: Id, out: &mut Vec<u8>) -> Result<()> {
        let place = self.index().find(kind, &id).ok_or_else(|| {
            Error::damaged(format!("{} {id}", kind.name()), "no index names it; its pack may be lost")
        })?;
        let sealed = match kind {
            BlobKind::Tree => self.read_from_tree_pack(place.pack, &place.blob)?,
            BlobKind::Data => self.read_range(place.pack, &place.blob)?,
        };
        self.open_blob(place.pack, &place.blob, &sealed, out)
    }

    /// Reads and decodes a tree.
    pub fn read_tree(&self, id: Id) -> Result<Tree> {
        let mut json = Vec::new();
        self.read_blob(BlobKind::Tree, id, &mut json)?;
        Tree::decode(&json).map_err(|error| Error::damaged(format!("tree {id}"), error.to_string()))
    }

    /// Opens one blob's sealed bytes into `out`; checks length and digest.
    pub fn open_blob(&self, pack: Id, blob: &PackedBlob, sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.open_unproven(pack, blob, sealed, &mut Vec::new(), |length| {
            // Only what is longer than the last plaintext is zeroed: all of it is overwritten.
            out.resize(length, 0);
            out
        })?;
        if Id::of(out) == blob.id { Ok(()) } else { Err(damaged_blob(pack, blob, OTHER_CONTENT)) }
    }

    /// Opens one blob's sealed bytes into the memory that `room` gives for its length, without looking whether its
    /// digest is its name. `frame` is working memory. After an error the room holds nothing of use.
    pub(super) fn open_unproven<'a>(
        &self,
        pack: Id,
        blob: &PackedBlob,
        sealed: &[u8],
        frame: &mut Vec<u8>,
        room: impl FnOnce(usize) -> &'a mut [u8],
    ) -> Result<()> {
        let damaged = |why: &str| damaged_blob(pack, blob, why);
        let key = self.files.key();
        let forged = |error: Unauthenticated| damaged(&error.to_string());
        let length = sealed.len().checked_sub(OVERHEAD_BYTES).ok_or_else(|| forged(Unauthenticated))?;
        if blob.uncompressed_bytes == 0 {
            return key.open_to(sealed, room(length)).map_err(forged);
        }
        if blob.uncompressed_bytes > plaintext_bytes_max(blob.kind) {
            return Err(damaged(&format!("it claims {} bytes", blob.uncompressed_bytes)));
        }
        frame.resize(length, 0);
        key.open_to(sealed, frame).map_err(forged)?;
        compress::decompress_exact(frame, blob.uncompressed_bytes as usize, room)
            .ok_or_else(|| damaged("it does not decompress to its length"))
    }

    /// Whether a long blob is sound, found out without holding its plaintext.
    pub(super) fn is_sound_stream(&self, blob: &PackedBlob, sealed: &[u8]) -> bool {
        if blob.uncompressed_bytes > plaintext_bytes_max(blob.kind) {
            return false;
        }
        let Ok(frame) = self.files.key().open(sealed) else { return false };
        let length = u64::from(blob.uncompressed_bytes);
        let Ok(mut reader) = FrameReader::new(frame.into(), length) else { return false };
        std::io::copy(&mut reader, &mut std::io::sink()).is_ok() && reader.seen() == (blob.id, length)
    }

    fn read_range(&self, pack: Id, blob: &PackedBlob) -> Result<Bytes> {
        if blob.length_bytes > BLOB_BYTES_MAX {
            return Err(Error::damaged(
                FileKind::Pack.path(pack),
                "an index claims an impossible blob in it",
            ));
        }
        let start = u64::from(blob.offset_bytes);
        self.files.store().read_range(&FileKind::Pack.path(pack), start..start + u64::from(blob.length_bytes))
    }

    /// A tree's sealed bytes.
    pub(super) fn read_from_tree_pack(&self, pack: Id, blob: &PackedBlob) -> Result<Bytes> {
        let whole = self
            .tree_packs
            .whole(pack, || self.files.store().read(&FileKind::Pack.path(pack), TREE_PACK_BYTES_MAX).ok());
        let range = blob.offset_bytes as usize..blob.offset_bytes as usize + blob.length_bytes as usize;
        match whole {
            Some(bytes) if bytes.len() >= range.end => Ok(bytes.slice(range)),
            // Too large to keep, or not readable whole: the single read says why.
            _ => self.read_range(pack, blob),
        }
    }
}

/// Why a blob that could be opened is damaged all the same.
pub(super) const OTHER_CONTENT: &str = "its content does not match its name";

pub(super) fn damaged_blob(pack: Id, blob: &PackedBlob, why: &str) -> Error {
    let name = format!("{} {} in pack {}", blob.kind.name(), blob.id, FileKind::Pack.path(pack));
    Error::damaged(name, why)
}

fn plaintext_bytes_max(kind: BlobKind) -> u32 {
    match kind {
        BlobKind::Data => DATA_BYTES_MAX,
        BlobKind::Tree => BLOB_BYTES_MAX,
    }
}
