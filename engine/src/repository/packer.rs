//! Packs being filled: two open at once for each kind, blobs spread at random.
//!
//! The spreading hides where a file was cut (restic: `internal/repository/packer_manager.go`).
//! A pack's digest is taken while it fills, beside the digests of blobs to come: together they take little longer
//! than one of them.

use std::io;

use parking_lot::Mutex;

use crate::crypto::{self, SealingKey};
use crate::error::{Error, Result};
use crate::format::{BlobKind, PackedBlob, pack_header};
use crate::id::Id;
use crate::repository::pack_body::{PIECE_BYTES_MIN, PackBody, Sealed};
use crate::sha256;
use crate::store::Store;

/// How large a pack is wished to be; the last blob may go beyond (restic's default).
pub const PACK_BYTES_DEFAULT: u32 = 16 << 20;
/// Smallest and largest wish (restic's bounds).
pub const PACK_BYTES_MIN: u32 = 4 << 20;
/// The largest wish.
pub const PACK_BYTES_MAX: u32 = 128 << 20;
/// Open packs of one kind.
const OPEN_PACKS: usize = 2;
/// A pack of tiny blobs ends here: what it takes in memory to name them stays a few MiB, as in the index.
const PACK_BLOBS_MAX: usize = 50_000;
/// Buffers kept for the next packs: faulting fresh memory in costs as much as copying.
const SPARE_BUFFERS_MAX: usize = 4;
/// What a buffer keeps beyond the size of a pack: the last blob of most packs, and the header.
const SPARE_OVERSHOOT_BYTES: usize = 1 << 20;

/// A pack that takes blobs.
pub struct OpenPack {
    body: PackBody,
    blobs: Vec<PackedBlob>,
}

impl OpenPack {
    fn append(&mut self, blob: BlobToPack<'_>) {
        let packed = PackedBlob {
            id: blob.id,
            kind: blob.kind,
            offset_bytes: self.body.length_bytes() as u32,
            length_bytes: blob.sealed.len() as u32,
            uncompressed_bytes: blob.uncompressed_bytes,
        };
        self.body.append(blob.sealed);
        self.blobs.push(packed);
    }

    /// Appends another pack of `bytes`.
    fn merge(&mut self, other: &OpenPack, bytes: &[u8]) {
        let shift = self.body.length_bytes() as u32;
        self.body.append(bytes);
        self.blobs.extend(
            other.blobs.iter().map(|blob| PackedBlob { offset_bytes: blob.offset_bytes + shift, ..*blob }),
        );
    }

    fn is_full(&self, pack_bytes: usize) -> bool {
        self.body.length_bytes() >= pack_bytes || self.blobs.len() >= PACK_BLOBS_MAX
    }

    /// Takes its blobs, in order, out of a pack that gets no more of them.
    pub fn take_blobs(&mut self) -> Vec<PackedBlob> {
        std::mem::take(&mut self.blobs)
    }

    /// Closes it: appends the sealed header of its blobs, and names it by the digest of all.
    pub fn seal(self, blobs: &[PackedBlob], key: &SealingKey) -> Result<(Id, io::Result<Sealed>)> {
        let mut end = key.seal(&pack_header::encode(blobs))?;
        end.extend_from_slice(&(end.len() as u32).to_le_bytes());
        Ok(self.body.seal(&end))
    }
}

/// One sealed blob on its way into a pack.
#[derive(Clone, Copy)]
pub struct BlobToPack<'a> {
    /// What it is.
    pub kind: BlobKind,
    /// Digest of its plaintext.
    pub id: Id,
    /// What is stored.
    pub sealed: &'a [u8],
    /// Length of the plaintext if it is compressed, else zero.
    pub uncompressed_bytes: u32,
}

/// The open packs of both kinds.
pub struct Packer {
    pack_bytes: usize,
    /// Where drafts of packs are begun, if there are such.
    drafts: Option<Store>,
    data: [Mutex<Option<OpenPack>>; OPEN_PACKS],
    trees: [Mutex<Option<OpenPack>>; OPEN_PACKS],
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Packer {
    /// A packer for packs of some `pack_bytes`, brought within restic's bounds.
    pub fn new(pack_bytes: u32, drafts: Option<Store>) -> Self {
        Self {
            pack_bytes: pack_bytes.clamp(PACK_BYTES_MIN, PACK_BYTES_MAX) as usize,
            drafts,
            data: Default::default(),
            trees: Default::default(),
            spare: Mutex::default(),
        }
    }

    /// Adds a blob to one of the open packs; returns the pack if that filled it.
    /// A blob as large as a pack gets one for itself.
    pub fn add(&self, blob: BlobToPack<'_>) -> Result<Option<OpenPack>> {
        if blob.sealed.len() >= self.pack_bytes {
            let mut alone = self.open_pack();
            alone.append(blob);
            return Ok(Some(alone));
        }
        let mut random = [0u8];
        crypto::fill_random(&mut random)?;
        let packs = self.packs(blob.kind);
        let chosen = &packs[usize::from(random[0]) % OPEN_PACKS];
        // Rather another one than to wait for who is at work on this one.
        let free = chosen.try_lock().or_else(|| packs.iter().find_map(Mutex::try_lock));
        let mut place = free.unwrap_or_else(|| chosen.lock());
        let pack = place.get_or_insert_with(|| self.open_pack());
        pack.append(blob);
        let full = pack.is_full(self.pack_bytes);
        Ok(place.take_if(|_| full))
    }

    /// The names of `texts`, in their order. The digest of the pack that has most to catch up with goes on beside them.
    pub fn ids_of(&self, texts: &[&[u8]]) -> Vec<Id> {
        let lag = |pack: &Option<OpenPack>| pack.as_ref().map_or(0, |pack| pack.body.lag_bytes());
        // Who is at work on a pack is not waited for.
        let mut lagging = self.data.iter().filter_map(Mutex::try_lock).max_by_key(|pack| lag(pack));
        match lagging.as_deref_mut().filter(|pack| lag(pack) >= PIECE_BYTES_MIN) {
            Some(Some(pack)) => {
                pack.body.digest_with(|digest, late| sha256::ids_of(texts, Some((digest, late))))
            }
            _ => {
                drop(lagging);
                sha256::ids_of(texts, None)
            }
        }
    }

    /// Closes what is open: packs that fit into one are merged, so that a small
    /// backup does not tell the sizes of its blobs. What has left memory stays where it is.
    pub fn take_open(&self) -> Vec<OpenPack> {
        let mut taken: Vec<OpenPack> = Vec::new();
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let mut of_kind: Vec<OpenPack> =
                self.packs(kind).iter().filter_map(|place| place.lock().take()).collect();
            of_kind.sort_by_key(|pack| std::cmp::Reverse(pack.body.length_bytes()));
            if let [first, second] = of_kind.as_mut_slice()
                && let Some(bytes) = second.body.held_whole()
                && first.body.length_bytes() + bytes.len() < self.pack_bytes
                && first.blobs.len() + second.blobs.len() <= PACK_BLOBS_MAX
            {
                first.merge(second, bytes);
                if let Some(merged) = of_kind.pop() {
                    self.give_back(merged.body.into_memory());
                }
            }
            taken.append(&mut of_kind);
        }
        taken
    }

    /// Takes a buffer back for the next pack.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_BUFFERS_MAX {
            buffer.clear();
            // The last blob of some pack was large: that memory is not kept for all that follow.
            buffer.shrink_to(self.pack_bytes + SPARE_OVERSHOOT_BYTES);
            spare.push(buffer);
        }
    }

    fn open_pack(&self) -> OpenPack {
        // All at once: growing would leave the allocator with every size on the way. What is not used is not there.
        let fresh = || Vec::with_capacity(self.pack_bytes + SPARE_OVERSHOOT_BYTES);
        let bytes = self.spare.lock().pop().unwrap_or_else(fresh);
        OpenPack { body: PackBody::new(bytes, self.drafts.clone()), blobs: Vec::new() }
    }

    fn packs(&self, kind: BlobKind) -> &[Mutex<Option<OpenPack>>; OPEN_PACKS] {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        }
    }
}

/// Reads a pack's header from its end. `read_tail(n)` gives the last `n` bytes, or fewer if the pack is shorter.
pub fn read_header(
    name: &str,
    pack_bytes: u64,
    key: &SealingKey,
    mut read_tail: impl FnMut(u64) -> Result<bytes::Bytes>,
) -> Result<Vec<PackedBlob>> {
    let length_bytes = pack_header::LENGTH_FIELD_BYTES as u64;
    let mut tail = read_tail(FIRST_TAIL_BYTES.min(pack_bytes))?;
    let Some((_, length_field)) = tail.split_last_chunk::<4>() else {
        return Err(Error::damaged(name, "it is too short for a pack"));
    };
    let header_bytes = u64::from(u32::from_le_bytes(*length_field));
    let available = pack_bytes.saturating_sub(length_bytes).min(pack_header::HEADER_BYTES_MAX as u64);
    if header_bytes < crypto::OVERHEAD_BYTES as u64 || header_bytes > available {
        let error = pack_header::PackHeaderError::Length { claimed: header_bytes, available };
        return Err(Error::damaged(name, error.to_string()));
    }
    if header_bytes + length_bytes > tail.len() as u64 {
        tail = read_tail(header_bytes + length_bytes)?;
    }
    let wanted = (header_bytes + length_bytes) as usize;
    let start =
        tail.len().checked_sub(wanted).ok_or_else(|| Error::damaged(name, "it is shorter than listed"))?;
    let sealed = &tail[start..tail.len() - pack_header::LENGTH_FIELD_BYTES];
    let header = key.open(sealed).map_err(|error| Error::damaged(name, format!("header: {error}")))?;
    pack_header::decode(&header, pack_bytes - wanted as u64)
        .map_err(|error| Error::damaged(name, error.to_string()))
}

/// Read at once from a pack's end: enough for the headers of most (restic: `eagerEntries`).
const FIRST_TAIL_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::{Location, StoreSettings};

    #[test]
    fn whatever_is_open_when_it_is_closed_has_its_blobs_where_they_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let location = Location::parse(folder.path().to_str().unwrap(), Path::new("/")).unwrap();
        let store = Store::open(&location, &StoreSettings::default()).unwrap();
        let key = SealingKey::random().unwrap();
        let mut drafted = [0; 3];
        for count in 0..60_usize {
            let packer = Packer::new(PACK_BYTES_DEFAULT, store.with_drafts());
            let blobs: Vec<Vec<u8>> =
                (0..count).map(|at| vec![at as u8; 1 + (at * count * 7919) % 200_000]).collect();
            for (at, bytes) in blobs.iter().enumerate() {
                let blob = BlobToPack {
                    kind: BlobKind::Data,
                    id: Id::of(bytes),
                    sealed: bytes,
                    uncompressed_bytes: 0,
                };
                assert!(packer.add(blob).unwrap().is_none());
                if at % 4 == 0 {
                    packer.ids_of(&[bytes]);
                }
            }
            let mut found = 0;
            let mut drafts = 0;
            for mut pack in packer.take_open() {
                let said = pack.take_blobs();
                let (id, sealed) = pack.seal(&said, &key).unwrap();
                let bytes = match sealed.unwrap() {
                    Sealed::Held(bytes) => bytes,
                    Sealed::Drafted(draft, _) => {
                        drafts += 1;
                        draft.read_back(0).unwrap()
                    }
                };
                assert_eq!(Id::of(&bytes), id);
                for blob in &said {
                    let at = blob.offset_bytes as usize;
                    assert_eq!(Id::of(&bytes[at..at + blob.length_bytes as usize]), blob.id);
                }
                found += said.len();
            }
            assert_eq!(found, count);
            drafted[drafts] += 1;
        }
        assert!(drafted[0] > 0 && drafted[1] + drafted[2] > 0, "{drafted:?}");
    }
}
