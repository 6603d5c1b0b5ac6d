//! Packs read range by range, their blobs opened and handed to the files that want them.
//!
//! A range that cannot be read whole is tried blob by blob, so that a pack cut short gives
//! what it still has. What is missing or damaged fails the files that want it and no others.

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::id::Id;
use crate::report::Counters;
use crate::repository::{BLOB_BYTES_MAX, FileKind, SealedBlob, UNUSUAL_BYTES, together};
use crate::restore::Restorer;
use crate::restore::batch::Scratch;
use crate::restore::plan::{Batch, Fetch, FetchPlan};
use crate::store::Content;

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
            blobs().any(|(blob, _)| blob.plaintext_bytes().max(blob.length_bytes) as usize > UNUSUAL_BYTES);
        let _large = is_large.then(|| self.large_blob.lock());
        let mut memory = std::mem::take(&mut scratch.sealed);
        let sealed = match self.read_range(pack, fetch.start_bytes, fetch.end_bytes, &mut memory) {
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
        let wanted: Vec<(PackedBlob, &[u32])> = blobs().collect();
        let wanted_blobs: Vec<PackedBlob> = wanted.iter().map(|(blob, _)| *blob).collect();
        let mut done = 0;
        while done < wanted.len() {
            self.checkpoint()?;
            let count = if sealed.is_some() { together(&wanted_blobs[done..]) } else { 1 };
            let group = &wanted[done..done + count];
            match &sealed {
                Some(range) => self.open_and_write(batch, pack, group, range, fetch.start_bytes, scratch)?,
                // Blob by blob, so that each gives what it has.
                None => self.fetch_alone(batch, pack, &group[0], scratch)?,
            }
            done += count;
        }
        drop(sealed);
        if memory.capacity() <= UNUSUAL_BYTES {
            scratch.sealed = memory;
        }
        scratch.opener.forget_unusual();
        Ok(())
    }

    fn fetch_alone(
        &self,
        batch: &Batch,
        pack: Id,
        wanted: &(PackedBlob, &[u32]),
        scratch: &mut Scratch,
    ) -> Result<()> {
        let (blob, users) = wanted;
        let start = u64::from(blob.offset_bytes);
        match self.read_range(pack, start, start + u64::from(blob.length_bytes), &mut Buffer::default()) {
            Ok(range) => {
                self.open_and_write(batch, pack, std::slice::from_ref(wanted), &range, start, scratch)
            }
            Err(error) => self.fail_users(batch, users, error),
        }
    }

    /// Opens blobs that lie in `range`, which begins at the pack's byte `start`, and writes them to whoever wants them.
    fn open_and_write(
        &self,
        batch: &Batch,
        pack: Id,
        wanted: &[(PackedBlob, &[u32])],
        range: &[u8],
        start: u64,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let sealed_of = |blob: &PackedBlob| {
            let from = (u64::from(blob.offset_bytes) - start) as usize;
            &range[from..from + blob.length_bytes as usize]
        };
        let sealed: Vec<SealedBlob<'_>> = wanted.iter().map(|(blob, _)| (blob, sealed_of(blob))).collect();
        let slot = self.compute.take();
        let opened = scratch.opener.open(self.repository, pack, &sealed, None);
        drop(slot);
        for ((_, users), outcome) in wanted.iter().zip(opened) {
            match outcome {
                Ok(plaintext) => {
                    for &user in *users {
                        self.checkpoint()?;
                        self.write_blob(batch, user, plaintext)?;
                    }
                }
                Err(error) => self.fail_users(batch, users, error)?,
            }
        }
        Ok(())
    }

    fn read_range<'a>(&self, pack: Id, start: u64, end: u64, memory: &'a mut Buffer) -> Result<Content<'a>> {
        let path = FileKind::Pack.path(pack);
        if end - start > BLOB_BYTES_MAX.into() {
            return Err(Error::damaged(path, "an index claims an impossible blob in it"));
        }
        self.repository.files().store().read_range_into(&path, start..end, memory)
    }

    /// Files cannot have a blob, unless the error ends everything.
    fn fail_users(&self, batch: &Batch, users: &[u32], error: Error) -> Result<()> {
        if self.ends_all(&error) {
            return Err(error);
        }
        users.iter().try_for_each(|&user| self.fail_reference(batch, user, &error))
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
