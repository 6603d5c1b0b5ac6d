//! Packs read range by range, their blobs opened and handed to the files that want them.
//!
//! A range that cannot be read whole is tried blob by blob, so that a pack cut short gives
//! what it still has. What is missing or damaged fails the files that want it and no others.

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::id::Id;
use crate::report::Counters;
use crate::repository::{BLOB_BYTES_MAX, FileKind};
use crate::restore::Restorer;
use crate::restore::batch::Scratch;
use crate::restore::plan::{Batch, Fetch, FetchPlan};

/// Blobs beyond this are unusual, and buffers of such size are not kept for the next blob.
const LARGE_BYTES: usize = 16 << 20;

impl Restorer<'_> {
    /// Reads one range and writes all that is wanted of it.
    pub(super) fn fetch(
        &self,
        batch: &Batch,
        plan: &FetchPlan,
        fetch: &Fetch,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let wanted = &plan.order[fetch.wanted.clone()];
        let pack = batch.packs[fetch.pack as usize];
        let same_blob = |left: &u32, right: &u32| {
            batch.references[*left as usize].blob() == batch.references[*right as usize].blob()
        };
        let blobs =
            || wanted.chunk_by(same_blob).map(|users| (batch.references[users[0] as usize].blob(), users));
        // Chunkers make no such blobs: whoever did, they are in memory one at a time.
        let is_large =
            blobs().any(|(blob, _)| blob.plaintext_bytes().max(blob.length_bytes) as usize > LARGE_BYTES);
        let _large = is_large.then(|| self.large_blob.lock());
        let mut sealed = match self.read_range(pack, fetch.start_bytes, fetch.end_bytes) {
            Ok(sealed) => Some(sealed),
            Err(error) if self.ends_all(&error) => return Err(error),
            Err(error) if error.is_not_found() || blobs().nth(1).is_none() => {
                for &user in wanted {
                    self.fail_reference(batch, user, &error)?;
                }
                return Ok(());
            }
            Err(_) => None,
        };
        for (blob, users) in blobs() {
            self.checkpoint()?;
            let start = u64::from(blob.offset_bytes);
            let opened = match &mut sealed {
                Some(range) => {
                    let start = (start - fetch.start_bytes) as usize;
                    let bytes = &mut range[start..start + blob.length_bytes as usize];
                    self.open(pack, &blob, bytes, scratch)
                }
                None => self
                    .read_range(pack, start, start + u64::from(blob.length_bytes))
                    .and_then(|mut bytes| self.open(pack, &blob, &mut bytes, scratch)),
            };
            match opened {
                Ok(()) => {
                    for &user in users {
                        self.checkpoint()?;
                        self.write_blob(batch, user, &scratch.bytes)?;
                    }
                }
                Err(error) if self.ends_all(&error) => return Err(error),
                Err(error) => {
                    for &user in users {
                        self.fail_reference(batch, user, &error)?;
                    }
                }
            }
        }
        if scratch.bytes.capacity() > LARGE_BYTES {
            scratch.bytes = Vec::new();
        }
        Ok(())
    }

    fn open(&self, pack: Id, blob: &PackedBlob, sealed: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let _slot = self.compute.take();
        self.repository.open_blob(pack, blob, sealed, &mut scratch.bytes)
    }

    fn read_range(&self, pack: Id, start: u64, end: u64) -> Result<BytesMut> {
        let path = FileKind::Pack.path(pack);
        if end - start > BLOB_BYTES_MAX.into() {
            return Err(Error::damaged(path, "an index claims an impossible blob in it"));
        }
        let bytes = self.repository.files().store().read_range(&path, start..end)?;
        // Blobs are opened in place; only a store that keeps a share of the bytes makes a copy necessary.
        Ok(bytes.try_into_mut().unwrap_or_else(|shared: Bytes| BytesMut::from(&shared[..])))
    }

    /// A file cannot have one of its blobs.
    fn fail_reference(&self, batch: &Batch, reference: u32, error: &Error) -> Result<()> {
        let reference = &batch.references[reference as usize];
        let file = &batch.files[reference.file as usize];
        self.fail_file(file, &format!("it is not whole: {error}"));
        Counters::add(&self.counters.bytes_done, reference.plaintext_bytes());
        self.count_down(file)
    }
}
