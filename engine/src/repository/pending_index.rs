//! Packs that are stored and that no index file names yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::format::{IndexFile, IndexedPack};

/// An index is written at least after so many bytes of packs …
const PACK_BYTES_MAX: u64 = 256 << 20;
/// … or so much time …
const AGE_MAX: Duration = Duration::from_secs(30);
/// … or so many blobs, which keeps index files below 8 MiB (restic: `indexMaxBlobs`).
const BLOBS_MAX: usize = 50_000;

/// What the next index files will say.
#[derive(Default)]
pub struct PendingIndex {
    /// Each of at most [`BLOBS_MAX`] blobs, or of one pack.
    files: VecDeque<IndexFile>,
    blobs_of_last: usize,
    pack_bytes: u64,
    blobs: usize,
    since: Option<Instant>,
}

impl PendingIndex {
    /// Notes a pack that has landed.
    pub fn add(&mut self, pack: IndexedPack) {
        let blobs = pack.blobs.len();
        self.pack_bytes += pack.blobs.iter().map(|blob| u64::from(blob.length_bytes)).sum::<u64>();
        self.blobs += blobs;
        self.since.get_or_insert_with(Instant::now);
        match self.files.back_mut() {
            Some(last) if self.blobs_of_last + blobs <= BLOBS_MAX => {
                last.packs.push(pack);
                self.blobs_of_last += blobs;
            }
            _ => {
                self.files.push_back(IndexFile { packs: vec![pack] });
                self.blobs_of_last = blobs;
            }
        }
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        self.pack_bytes >= PACK_BYTES_MAX
            || self.blobs >= BLOBS_MAX
            || self.since.is_some_and(|since| since.elapsed() >= AGE_MAX)
    }

    /// What is to be written next; `None` if nothing is.
    pub fn file(&self) -> Option<&IndexFile> {
        self.files.front()
    }

    /// Forgets that file, which was written.
    pub fn forget_file(&mut self) {
        self.files.pop_front();
        if self.files.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{BlobKind, PackedBlob};
    use crate::id::Id;

    #[test]
    fn however_many_packs_landed_each_file_names_so_many_blobs_or_one_pack() {
        let (half, all) = (BLOBS_MAX / 2, BLOBS_MAX);
        let cases: [(&[usize], &[usize]); 5] = [
            (&[], &[]),
            (&[half, half, 1], &[all, 1]),
            (&[half + 1, half, half], &[half + 1, all]),
            (&[3 * all, 1, all], &[3 * all, 1, all]),
            (&[1, 3 * all, 1], &[1, 3 * all, 1]),
        ];
        for (packs, expected) in cases {
            let mut pending = PendingIndex::default();
            for (&count, number) in packs.iter().zip(0..) {
                let id = Id([number; 32]);
                let blob = PackedBlob {
                    id,
                    kind: BlobKind::Data,
                    offset_bytes: 0,
                    length_bytes: 1,
                    uncompressed_bytes: 0,
                };
                pending.add(IndexedPack { id, blobs: vec![blob; count] });
            }
            let mut written = Vec::new();
            while let Some(file) = pending.file() {
                written.push(file.packs.iter().map(|pack| pack.blobs.len()).sum::<usize>());
                pending.forget_file();
            }
            assert_eq!(written, expected, "{packs:?}");
            assert!(!pending.is_due());
        }
    }
}
