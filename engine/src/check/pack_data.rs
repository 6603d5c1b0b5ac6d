//! Packs, proven byte by byte.
//!
//! Each pack is fetched once. Blob by blob its bytes go into the pack's digest and are then
//! opened where they lie, while they are still in the processor's cache. Packs larger than
//! any that restic writes are fetched in ranges, so that memory stays bounded.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::Checker;
use super::finding::FindingKind;
use super::pack_table::{EntrySums, StoredPack};
use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::id::Id;
use crate::report::Counters;
use crate::repository::{BLOB_BYTES_MAX, FileKind, read_header};

/// Packs up to here are fetched whole (restic's largest, `MaxPackSize`, and one blob more).
const WHOLE_BYTES_MAX: u64 = 144 << 20;
/// Larger ones in ranges of this size, or of one blob if that is larger.
const RANGE_BYTES: u64 = 32 << 20;

thread_local! {
    /// Where blobs are decompressed to.
    static PLAINTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Checker<'_> {
    /// Reads a pack whole and tells what is wrong with it; returns how many bytes were read.
    pub(super) fn check_pack(&self, pack: &StoredPack) -> Result<u64> {
        let outcome = if pack.stored_bytes <= WHOLE_BYTES_MAX {
            self.check_whole(pack)
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

    fn check_whole(&self, pack: &StoredPack) -> Result<u64> {
        let path = FileKind::Pack.path(pack.id);
        let bytes = self.repository.files().store().read(&path, WHOLE_BYTES_MAX)?;
        let _slot = self.compute.take();
        let length = bytes.len() as u64;
        let blobs = self.check_header(pack, length, |tail| Ok(bytes.slice((length - tail) as usize..)))?;
        let mut bytes = owned(bytes);
        let mut digest = Sha256::new();
        let mut hashed = 0;
        for blob in &blobs {
            let end = hashed + blob.length_bytes as usize;
            self.check_blob(pack, blob, &mut bytes[hashed..end], &mut digest);
            hashed = end;
        }
        digest.update(&bytes[hashed..]);
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
            let mut bytes = owned(store.read_range(&path, hashed..hashed + range_bytes)?);
            let _slot = self.compute.take();
            let mut left = &mut bytes[..];
            for blob in &rest[..count] {
                let (sealed, after) = left.split_at_mut(blob.length_bytes as usize);
                self.check_blob(pack, blob, sealed, &mut digest);
                left = after;
            }
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

    fn check_blob(&self, pack: &StoredPack, blob: &PackedBlob, sealed: &mut [u8], digest: &mut Sha256) {
        // Opening overwrites the sealed bytes: they are hashed first.
        digest.update(&*sealed);
        let outcome = PLAINTEXT
            .with_borrow_mut(|plaintext| self.repository.verify_blob(pack.id, blob, sealed, plaintext));
        if let Err(error) = outcome {
            let why = match error {
                Error::Damaged { why, .. } => why,
                error => error.to_string(),
            };
            let why = format!("{} {} at byte {}: {why}", blob.kind.name(), blob.id, blob.offset_bytes);
            self.findings.tell(FindingKind::BlobDamaged, FileKind::Pack.path(pack.id), why);
        }
    }

    fn check_digest(&self, pack: &StoredPack, digest: Sha256) {
        if Id(digest.finalize().into()) != pack.id {
            let why = "its content does not match its name";
            self.findings.tell(FindingKind::PackDamaged, FileKind::Pack.path(pack.id), why);
        }
    }
}

/// The bytes to work on in place: copied only if somebody else has them too.
fn owned(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}
