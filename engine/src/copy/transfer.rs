//! Blobs on their way: wanted ranges of packs, read once, opened, checked, stored.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::compress::Compression;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::PackedBlob;
use crate::id::Id;
use crate::report::Counters;
use crate::repository::{BlobPlace, FileKind, Repository, Session, Stored};

/// What lies between two wanted blobs is read with them if it is shorter: cheaper than asking again.
const GAP_BYTES_MAX: u32 = 64 << 10;
/// A range ends here, so that a thread holds at most this, or one blob.
const RANGE_BYTES_MAX: u32 = 8 << 20;
/// Packs read at once: hides a remote store's answer times.
const WORKERS_MAX: usize = 8;

/// Wanted blobs by the packs that hold them.
#[derive(Default)]
pub struct PendingPacks {
    packs: HashMap<Id, Vec<PackedBlob>>,
    blobs: usize,
}

impl PendingPacks {
    /// Adds a blob; each at most once.
    pub fn add(&mut self, place: BlobPlace) {
        self.packs.entry(place.pack).or_default().push(place.blob);
        self.blobs += 1;
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        self.blobs
    }

    /// Fetches and stores all; returns how many bytes were stored. The first error ends it.
    pub fn transfer(
        self,
        source: &Repository,
        destination: &Session,
        compression: Compression,
        control: &Control,
        counters: &Counters,
    ) -> Result<u64> {
        let packs: Vec<(Id, Vec<PackedBlob>)> = self.packs.into_iter().collect();
        let transfer = Transfer {
            source,
            destination,
            compression,
            control,
            counters,
            stored_bytes: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            packs: packs.into_iter().map(Mutex::new).collect(),
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let connections = source.files().store().connections();
        let workers = cores.max(connections).min(WORKERS_MAX).min(transfer.packs.len());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| transfer.work())).collect();
            let outcomes: Vec<Result<()>> = threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| Err(Error::Crashed("while copying a pack".into())))
                })
                .collect();
            outcomes.into_iter().collect::<Result<()>>()
        })?;
        Ok(transfer.stored_bytes.into_inner())
    }
}

struct Transfer<'a> {
    source: &'a Repository,
    destination: &'a Session,
    compression: Compression,
    control: &'a Control,
    counters: &'a Counters,
    stored_bytes: AtomicU64,
    next: AtomicUsize,
    failed: AtomicBool,
    packs: Vec<Mutex<(Id, Vec<PackedBlob>)>>,
}

/// A thread's working memory.
#[derive(Default)]
struct Buffers {
    plaintext: Vec<u8>,
    scratch: Vec<u8>,
}

impl Transfer<'_> {
    fn work(&self) -> Result<()> {
        let mut buffers = Buffers::default();
        while let Some(pack) = self.packs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let (pack, blobs) = &mut *pack.lock();
            if let Err(error) = self.copy_pack(*pack, blobs, &mut buffers) {
                self.failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
            self.destination.save_index_if_due()?;
        }
        Ok(())
    }

    fn copy_pack(&self, pack: Id, blobs: &mut [PackedBlob], buffers: &mut Buffers) -> Result<()> {
        blobs.sort_unstable_by_key(|blob| blob.offset_bytes);
        for range in ranges(blobs) {
            self.control.checkpoint()?;
            if self.failed.load(Ordering::Relaxed) {
                // Another thread's error is told.
                return Ok(());
            }
            let (start, end) = bounds(range);
            let bytes = self.source.files().store().read_range(&FileKind::Pack.path(pack), start..end)?;
            for blob in range {
                let from = (u64::from(blob.offset_bytes) - start) as usize;
                self.copy_blob(pack, blob, &bytes[from..from + blob.length_bytes as usize], buffers)?;
            }
        }
        Ok(())
    }

    fn copy_blob(&self, pack: Id, blob: &PackedBlob, sealed: &[u8], buffers: &mut Buffers) -> Result<()> {
        self.control.checkpoint()?;
        self.source.open_blob(pack, blob, sealed, &mut buffers.plaintext)?;
        let plaintext = &buffers.plaintext;
        let stored = self.destination.store_blob(
            blob.kind,
            blob.id,
            plaintext,
            self.compression,
            &mut buffers.scratch,
        )?;
        Counters::add(&self.counters.bytes_done, plaintext.len() as u64);
        if let Stored::New { stored_bytes } = stored {
            Counters::add(&self.counters.bytes_new, plaintext.len() as u64);
            Counters::add(&self.counters.bytes_stored, stored_bytes);
            self.stored_bytes.fetch_add(stored_bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Where a range's bytes begin and end.
fn bounds(range: &[PackedBlob]) -> (u64, u64) {
    let end = |blob: &PackedBlob| u64::from(blob.offset_bytes) + u64::from(blob.length_bytes);
    (range.first().map_or(0, |blob| blob.offset_bytes.into()), range.iter().map(end).max().unwrap_or(0))
}

/// Blobs, sorted by offset, in runs that are worth reading at once.
fn ranges(blobs: &[PackedBlob]) -> impl Iterator<Item = &[PackedBlob]> {
    let mut rest = blobs;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut end = u64::from(first.offset_bytes);
        let count = rest
            .iter()
            .take_while(|blob| {
                let (start, blob_end) = bounds(std::slice::from_ref(blob));
                let near = start <= end + u64::from(GAP_BYTES_MAX);
                let small = blob_end - u64::from(first.offset_bytes) <= u64::from(RANGE_BYTES_MAX);
                end = end.max(blob_end);
                near && small
            })
            .count();
        // A blob that is larger than a range is one by itself.
        let (range, others) = rest.split_at(count.max(1));
        rest = others;
        Some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::BlobKind;

    #[test]
    fn ranges_join_neighbours_and_stay_small() {
        let blob = |(offset_bytes, length_bytes)| PackedBlob {
            id: Id([0; 32]),
            kind: BlobKind::Data,
            offset_bytes,
            length_bytes,
            uncompressed_bytes: 0,
        };
        const MIB: u32 = 1 << 20;
        for (blobs, expected) in [
            (&[][..], &[][..]),
            (&[(0, 10), (10, 10), (30, 5)], &[3]),
            (&[(0, 10), (10 + GAP_BYTES_MAX, 10), (20 + 2 * GAP_BYTES_MAX + 1, 1)], &[2, 1]),
            (&[(0, 5 * MIB), (5 * MIB, 3 * MIB), (8 * MIB, 1)], &[2, 1]),
            (&[(0, 9 * MIB), (9 * MIB, 1), (9 * MIB + 1, 9 * MIB)], &[1, 1, 1]),
            (&[(u32::MAX - 1, u32::MAX)], &[1]),
        ] {
            let blobs: Vec<_> = blobs.iter().copied().map(blob).collect();
            let counts: Vec<_> = ranges(&blobs).map(<[_]>::len).collect();
            assert_eq!(counts, expected);
        }
    }
}
