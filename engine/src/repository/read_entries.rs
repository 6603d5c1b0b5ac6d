//! Reading the trees of huge folders: what is held is the compressed tree, never its text.
//!
//! The text is read twice as a stream: once to prove it by its digest and its entries by their
//! soundness, and once to give the entries. Text that cannot be taken so is read whole.

use bytes::Bytes;

use crate::compress::FrameReader;
use crate::crypto::{MAC_BYTES, NONCE_BYTES};
use crate::error::Result;
use crate::format::{BlobKind, NodeStream, TreeEntries};
use crate::id::Id;
use crate::repository::read::BLOB_BYTES_MAX;
use crate::repository::{BlobPlace, Repository};

/// Text from here on is not held whole: some 10,000 entries.
pub(crate) const STREAMED_BYTES_MIN: u32 = 4 << 20;

impl Repository {
    /// Reads a tree whose entries are wanted one after the other. Memory is bounded by the stored
    /// size of the tree where it is one of a known writer, and by a few times its text else.
    pub fn read_tree_entries(&self, id: Id) -> Result<TreeEntries> {
        let place = self.index().find(BlobKind::Tree, &id);
        if let Some(place) = place
            && (STREAMED_BYTES_MIN..=BLOB_BYTES_MAX).contains(&place.blob.uncompressed_bytes)
            && let Some(entries) = self.stream_entries(&place)?
        {
            return Ok(entries);
        }
        Ok(self.read_tree(id)?.into())
    }

    /// `None` if the tree is not fit to be streamed, for whatever reason.
    fn stream_entries(&self, place: &BlobPlace) -> Result<Option<TreeEntries>> {
        let mut sealed = self.read_from_tree_pack(place.pack, &place.blob)?.to_vec();
        if self.files().key().open_in_place(&mut sealed).is_err() {
            return Ok(None);
        }
        let end = sealed.len() - MAC_BYTES;
        let frame = Bytes::from(sealed).slice(NONCE_BYTES..end);
        let length = u64::from(place.blob.uncompressed_bytes);
        let Ok(reader) = FrameReader::new(frame.clone(), length) else { return Ok(None) };
        let mut proof = NodeStream::new(reader);
        while let Ok(node) = proof.next_node() {
            if node.is_some() {
                continue;
            }
            if proof.into_text().seen() != (place.blob.id, length) {
                return Ok(None);
            }
            let again = FrameReader::new(frame, length);
            return Ok(again.ok().map(|reader| TreeEntries::streamed(NodeStream::new(reader))));
        }
        Ok(None)
    }
}
