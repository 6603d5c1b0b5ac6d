//! Packs, proven byte by byte.
//!
//! Each pack is fetched once. A few blobs at a time are opened, and their digests taken side by side with that of
//! the pack, while they are still in the processor's cache. Packs larger than any that restic
//! writes are fetched in ranges, so that memory stays bounded.

use std::cell::RefCell;

use bytes::Bytes;

use super::Checker;
use super::finding::FindingKind;
use super::pack_table::{EntrySums, StoredPack};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::report::Counters;
use crate::repository::{BLOB_BYTES_MAX, BlobOpener, FileKind, SealedBlob, read_header, together};
use crate::sha256::Sha256;

/// Packs up to here are fetched whole (restic's largest, `MaxPackSize`, and one blob more).
const WHOLE_BYTES_MAX: u64 = 144 << 20;
/// Larger ones in ranges of this size, or of one blob if that is larger.
const RANGE_BYTES: u64 = 32 << 20;

thread_local! {
    static OPENER: RefCell<BlobOpener> = RefCell::default();
    /// The pack that is looked at.
    static PACK: RefCell<Buffer> = RefCell::default();
}

impl Checker<'_> {
    /// Reads a pack whole and tells what is wrong with it; returns how many bytes were read.
    pub(super) fn check_pack(&self, pack: &StoredPack) -> Result<u64> {
        let outcome = if pack.stored_bytes <= WHOLE_BYTES_MAX {
            PACK.with_borrow_mut(|memory| self.check_whole(pack, memory))
        } else {
            self.check_in_ranges(pack)
        };
        match outcome {
            Ok(read) => Ok(read),
            Err(error) => {
                let (object, why) = self.as_damage(FileKind::Pack.path(pack.id), error)?;
                self.findings.tell(FindingKind::PackDamaged, object, why);
                Counters::add(&self.counters.bytes_done, pack.stored_bytes);
                Ok(0)
            }
        }
    }

    fn check_whole(&self, pack: &StoredPack, memory: &mut Buffer) -> Result<u64> {
        let path = FileKind::Pack.path(pack.id);
        let bytes = self.repository.files().store().read_into(&path, WHOLE_BYTES_MAX, memory)?;
        let _slot = self.compute.take();
        let length = bytes.len() as u64;
        let tail = |tail| Ok(Bytes::copy_from_slice(&bytes[(length - tail) as usize..]));
        let blobs = self.check_header(pack, length, tail)?;
        let mut digest = Sha256::new();
        let header = self.check_blobs(pack, &blobs, &bytes, &mut digest);
        digest.update(header);
        self.check_digest(pack, digest);
        Counters::add(&self.counters.bytes_done, length);
        Ok(length)
    }

    fn check_in_ranges(&self, pack: &StoredPack) -> Result<u64> {
        let path = FileKind::Pack.path(pack.id);
        let store = self.repository.files().store();
        let length = pack.stored_bytes;
        let read_tail = |tail: u64| store.read_range(&path, length - tail..length);
        let blobs = self.check_header(pack, length, read_tail)?;
        let mut digest = Sha256::new();
        let mut hashed: u64 = 0;
        let mut rest = blobs.as_slice();
        if let Some(huge) = rest.iter().position(|blob| blob.length_bytes > BLOB_BYTES_MAX) {
            let why = format!(
                "{} {} claims {} bytes",
                rest[huge].kind.name(),
                rest[huge].id,
                rest[huge].length_bytes
            );
            self.findings.tell(FindingKind::BlobDamaged, path.clone(), why);
            // From there on the pack is hashed only.
            rest = &rest[..huge];
        }
        while let Some(first) = rest.first() {
            self.control.checkpoint()?;
            let mut range_bytes = u64::from(first.length_bytes);
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && range_bytes + u64::from(next.length_bytes) <= RANGE_BYTES
            {
                range_bytes += u64::from(next.length_bytes);
                count += 1;
            }
            let bytes = store.read_range(&path, hashed..hashed + range_bytes)?;
            let _slot = self.compute.take();
            self.check_blobs(pack, &rest[..count], &bytes, &mut digest);
            rest = &rest[count..];
            hashed += range_bytes;
            Counters::add(&self.counters.bytes_done, range_bytes);
        }
        while hashed < length {
            self.control.checkpoint()?;
            let end = length.min(hashed + RANGE_BYTES);
            let bytes = store.read_range(&path, hashed..end)?;
            let _slot = self.compute.take();
            digest.update(&bytes);
            Counters::add(&self.counters.bytes_done, end - hashed);
            hashed = end;
        }
        self.check_digest(pack, digest);
        Ok(length)
    }

    /// The header's entries, which fill the pack from its beginning; none if it cannot be read.
    fn check_header(
        &self,
        pack: &StoredPack,
        length: u64,
        read_tail: impl FnMut(u64) -> Result<Bytes>,
    ) -> Result<Vec<PackedBlob>> {
        let path = FileKind::Pack.path(pack.id);
        match read_header(&path, length, self.repository.files().key(), read_tail) {
            Ok(blobs) => {
                if EntrySums::of(&blobs) != pack.sums {
                    let (index, entries) = (FileKind::Index.path(pack.index), pack.sums.entries);
                    let why = format!(
                        "the {} blobs of its header are not the {entries} that {index} names",
                        blobs.len()
                    );
                    self.findings.tell(FindingKind::PackHeaderDiffers, path, why);
                }
                Ok(blobs)
            }
            Err(Error::Damaged { object, why }) => {
                self.findings.tell(FindingKind::PackHeaderDamaged, object, why);
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Proves blobs that lie one after the other from the beginning of `bytes` on, and takes their sealed bytes into the
    /// pack's digest. Returns what comes after them.
    fn check_blobs<'a>(
        &self,
        pack: &StoredPack,
        blobs: &[PackedBlob],
        mut bytes: &'a [u8],
        digest: &mut Sha256,
    ) -> &'a [u8] {
        let mut rest = blobs;
        while !rest.is_empty() {
            let (group, others) = rest.split_at(together(rest));
            let start = bytes;
            let mut sealed: Vec<SealedBlob<'_>> = Vec::with_capacity(group.len());
            for blob in group {
                let (of_blob, after) = bytes.split_at(blob.length_bytes as usize);
                sealed.push((blob, of_blob));
                bytes = after;
            }
            let all = &start[..start.len() - bytes.len()];
            OPENER.with_borrow_mut(|opener| {
                let proven = opener.prove(self.repository, pack.id, &sealed, (digest, all));
                for (blob, outcome) in group.iter().zip(proven) {
                    if let Err(error) = outcome {
                        self.tell_damaged(pack, blob, error);
                    }
                }
            });
            rest = others;
        }
        bytes
    }

    fn tell_damaged(&self, pack: &StoredPack, blob: &PackedBlob, error: Error) {
        let why = match error {
            Error::Damaged { why, .. } => why,
            error => error.to_string(),
        };
        let why = format!("{} {} at byte {}: {why}", blob.kind.name(), blob.id, blob.offset_bytes);
        self.findings.tell(FindingKind::BlobDamaged, FileKind::Pack.path(pack.id), why);
    }

    fn check_digest(&self, pack: &StoredPack, digest: Sha256) {
        if digest.finish() != pack.id {
            let why = "its content does not match its name";
            self.findings.tell(FindingKind::PackDamaged, FileKind::Pack.path(pack.id), why);
        }
    }
}
