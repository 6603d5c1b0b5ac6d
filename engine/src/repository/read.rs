//! Reading blobs: fetched, opened, decompressed, and checked against their names.

use bytes::Bytes;

use crate::compress::{self, FrameReader};
use crate::error::{Error, Result};
use crate::format::{BlobKind, PackedBlob, Tree};
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::files::FileKind;
use crate::repository::read_entries::STREAMED_BYTES_MIN;

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
        self.open_blob(place.pack, &place.blob, &mut sealed.to_vec(), out)
    }

    /// Reads and decodes a tree.
    pub fn read_tree(&self, id: Id) -> Result<Tree> {
        let mut json = Vec::new();
        self.read_blob(BlobKind::Tree, id, &mut json)?;
        Tree::decode(&json).map_err(|error| Error::damaged(format!("tree {id}"), error.to_string()))
    }

    /// Opens one blob's sealed bytes, in place, into `out`; checks length and digest.
    pub fn open_blob(&self, pack: Id, blob: &PackedBlob, sealed: &mut [u8], out: &mut Vec<u8>) -> Result<()> {
        if let Some(plain) = self.open_plain(pack, blob, sealed, out)? {
            out.clear();
            out.extend_from_slice(plain);
        }
        Ok(())
    }

    /// Opens one blob's sealed bytes as [`Repository::open_blob`] does, without keeping the plaintext.
    pub fn verify_blob(
        &self,
        pack: Id,
        blob: &PackedBlob,
        sealed: &mut [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        if blob.uncompressed_bytes < STREAMED_BYTES_MIN || !self.is_sound_stream(blob, sealed) {
            // What is not sound is opened the other way, which says why.
            self.open_plain(pack, blob, sealed, scratch)?;
        }
        Ok(())
    }

    /// Whether a long blob is sound, found out without holding its plaintext.
    fn is_sound_stream(&self, blob: &PackedBlob, sealed: &[u8]) -> bool {
        if blob.uncompressed_bytes > plaintext_bytes_max(blob.kind) {
            return false;
        }
        let Ok(frame) = self.files.key().open(sealed) else { return false };
        let length = u64::from(blob.uncompressed_bytes);
        let Ok(mut reader) = FrameReader::new(frame.into(), length) else { return false };
        std::io::copy(&mut reader, &mut std::io::sink()).is_ok() && reader.seen() == (blob.id, length)
    }

    /// The checked plaintext: within `sealed` where it is not compressed, else `None` and in `out`.
    fn open_plain<'a>(
        &self,
        pack: Id,
        blob: &PackedBlob,
        sealed: &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>> {
        let damaged = |why: String| {
            let name = format!("{} {} in pack {}", blob.kind.name(), blob.id, FileKind::Pack.path(pack));
            Error::damaged(name, why)
        };
        let opened = self.files.key().open_in_place(sealed).map_err(|error| damaged(error.to_string()))?;
        let plain = if blob.uncompressed_bytes == 0 {
            Some(&*opened)
        } else {
            if blob.uncompressed_bytes > plaintext_bytes_max(blob.kind) {
                return Err(damaged(format!("it claims {} bytes", blob.uncompressed_bytes)));
            }
            compress::decompress_exact(opened, blob.uncompressed_bytes as usize, out)
                .ok_or_else(|| damaged("it does not decompress to its length".into()))?;
            None
        };
        if Id::of(plain.unwrap_or(out)) != blob.id {
            return Err(damaged("its content does not match its name".into()));
        }
        Ok(plain)
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

fn plaintext_bytes_max(kind: BlobKind) -> u32 {
    match kind {
        BlobKind::Data => DATA_BYTES_MAX,
        BlobKind::Tree => BLOB_BYTES_MAX,
    }
}
