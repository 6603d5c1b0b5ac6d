//! Blobs of one pack opened together: their digests are taken side by side, in little more than half the time.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::read::{OTHER_CONTENT, damaged_blob};
use crate::sha256::{self, Sha256};

/// Plaintext that is opened together, unless a single blob has more.
const TOGETHER_BYTES: usize = 8 << 20;
/// Longer blobs are unusual: they are proven as streams where they are not wanted, and their memory is not kept.
pub const UNUSUAL_BYTES: usize = 16 << 20;

/// A thread's memory for opening blobs.
#[derive(Default)]
pub struct BlobOpener {
    frame: Vec<u8>,
    plaintexts: Buffer,
}

/// A blob and its sealed bytes.
pub type SealedBlob<'a> = (&'a PackedBlob, &'a [u8]);

/// How many of `blobs`, from the first on, are worth opening together: at least one, if there is any.
pub fn together(blobs: &[PackedBlob]) -> usize {
    let mut bytes = 0;
    let fits = |blob: &&PackedBlob| {
        bytes += blob.plaintext_bytes() as usize;
        bytes <= TOGETHER_BYTES
    };
    blobs.iter().take_while(fits).count().max(blobs.len().min(1))
}

impl BlobOpener {
    /// Opens blobs of one pack; gives for each its plaintext, or why there is none, in their order. `beside` is a
    /// digest that goes on over other bytes meanwhile.
    pub fn open(
        &mut self,
        repository: &Repository,
        pack: Id,
        blobs: &[SealedBlob<'_>],
        beside: Option<(&mut Sha256, &[u8])>,
    ) -> Vec<Result<&[u8]>> {
        self.plaintexts.clear();
        let mut opened: Vec<Result<Range<usize>>> = Vec::with_capacity(blobs.len());
        for (blob, sealed) in blobs {
            let start = self.plaintexts.filled().len();
            let plaintexts = &mut self.plaintexts;
            let outcome = repository
                .open_unproven(pack, blob, sealed, &mut self.frame, |length| plaintexts.extend(length));
            if outcome.is_err() {
                self.plaintexts.truncate(start);
            }
            opened.push(outcome.map(|()| start..self.plaintexts.filled().len()));
        }
        let plaintexts = self.plaintexts.filled();
        let mut digests = vec![Sha256::new(); blobs.len()];
        let texts = digests.iter_mut().zip(&opened).map(|(digest, range)| {
            let range = range.as_ref().map_or(0..0, Range::clone);
            (digest, &plaintexts[range])
        });
        sha256::update_all(texts.chain(beside));
        let proven = |((opened, digest), (blob, _)): ((Result<Range<usize>>, Sha256), &SealedBlob<'_>)| {
            let range = opened?;
            if digest.finish() == blob.id {
                Ok(&plaintexts[range])
            } else {
                Err(damaged_blob(pack, blob, OTHER_CONTENT))
            }
        };
        opened.into_iter().zip(digests).zip(blobs).map(proven).collect()
    }

    /// Proves blobs of one pack as [`BlobOpener::open`] does, without holding the plaintext of an unusually long one.
    pub fn prove(
        &mut self,
        repository: &Repository,
        pack: Id,
        blobs: &[SealedBlob<'_>],
        beside: (&mut Sha256, &[u8]),
    ) -> Vec<Result<(), Error>> {
        if let &[(blob, sealed)] = blobs
            && blob.uncompressed_bytes as usize > UNUSUAL_BYTES
            && repository.is_sound_stream(blob, sealed)
        {
            beside.0.update(beside.1);
            return vec![Ok(())];
        }
        // What is no sound stream is opened in the other way, which says why.
        let proven = self
            .open(repository, pack, blobs, Some(beside))
            .into_iter()
            .map(|opened| opened.map(drop))
            .collect();
        self.forget_unusual();
        proven
    }

    /// Gives memory of unusual size back.
    pub fn forget_unusual(&mut self) {
        if self.plaintexts.capacity().max(self.frame.capacity()) > UNUSUAL_BYTES {
            *self = Self::default();
        }
    }
}
