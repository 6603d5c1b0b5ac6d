//! Loading the index: all index files, in parallel, from the cache where it has them.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::IndexFile;
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::files::FileKind;
use crate::repository::index::Index;
use crate::repository::index_records::IndexRecords;

/// Index files read at once; each may take some tens of MiB while it is parsed.
const READERS_MAX: usize = 8;
/// Index files whose content waits at once to be inserted, for each reader: so many that they are this long as they
/// are stored, which is about what they take in memory. Two of the usual length, so that no reader waits long.
const BATCH_BYTES_A_READER: u64 = 6 << 20;
/// An id does not compress: with more blobs to the byte there is something wrong.
const BLOB_STORED_BYTES_MIN: u64 = 32;
/// With fewer blobs to insert, a further thread costs more than it saves.
const BLOBS_A_THREAD_MIN: usize = 10_000;

/// Blobs that room is made for before their index files are read: so many times those of the first batch.
const RESERVED_TIMES_MAX: usize = 64;

impl Repository {
    /// Brings the index up to date with the repository. What other processes
    /// removed is forgotten, what they added is read. Call it after taking the
    /// lock, and after listing snapshots that are to be read; a backup can do without what its parent has since.
    pub fn load_index(&self, control: &Control) -> Result<()> {
        control.checkpoint()?;
        // Taken before listing: an index file that a session of this process writes
        // meanwhile must not seem to have been removed. Nobody waits out a pause while
        // holding it: everybody else who works on this repository stands behind it.
        let mut loaded = self.index_files.lock();
        let mut listed = Vec::new();
        self.files.list(FileKind::Index, |file| listed.push((file.id, file.size_bytes)))?;
        listed.sort_unstable();
        let is_listed = |id: &Id| listed.binary_search_by_key(id, |(listed, _)| *listed).is_ok();
        if !loaded.iter().all(is_listed) {
            // Somebody held the lock exclusively since: what we know may be gone.
            *self.index.write() = Index::default();
            loaded.clear();
        }
        let missing: Vec<_> = listed.iter().copied().filter(|(id, _)| !loaded.contains(id)).collect();
        self.load_files(&missing, control, &mut |ids| loaded.extend(ids))?;
        if let Some(cache) = &self.index_cache {
            cache.keep_only(|id| is_listed(&id));
        }
        Ok(())
    }

    /// Whether anything of the index is loaded: a session that failed may have made it be forgotten.
    pub fn has_index(&self) -> bool {
        !self.index_files.lock().is_empty()
    }

    /// Reads every index file from the store itself, past the cache, and tells `each` of it:
    /// its content, or why it cannot be read. What is sound is in the index afterwards; an
    /// error of `each` ends the loading. For `check`, which goes on where an index is damaged.
    /// `each` is called by several threads at once, and holds one file's content at a time.
    pub fn load_index_leniently(
        &self,
        control: &Control,
        each: &(dyn Fn(Id, Result<&IndexFile>) -> Result<()> + Sync),
    ) -> Result<()> {
        control.checkpoint()?;
        let listed = self.files.ids(FileKind::Index)?;
        let mut loaded = self.index_files.lock();
        let sound = Mutex::new(Vec::new());
        let look = || control.ensure_not_cancelled();
        let outcome =
            for_each_in_parallel(&listed, parsers(), &look, &|id| match self.read_stored_index_file(id) {
                Ok(file) => {
                    each(id, Ok(&file))?;
                    // First: whatever ends the loading, what is in the index is known to be.
                    sound.lock().push(id);
                    self.insert_into_index(&file);
                    Ok(())
                }
                Err(error) => each(id, Err(error)),
            });
        loaded.extend(sound.into_inner());
        outcome
    }

    /// Loads files that are given with their stored sizes, and tells `loaded` of those that are in the index, also
    /// when others cannot be read: what is in the index has to be noticed when it is removed.
    fn load_files(
        &self,
        files: &[(Id, u64)],
        control: &Control,
        loaded: &mut dyn FnMut(&[Id]),
    ) -> Result<()> {
        let mut left_bytes = stored_bytes(files);
        let batch_bytes_max = BATCH_BYTES_A_READER * parsers() as u64;
        for (number, batch) in batches(files, batch_bytes_max).into_iter().enumerate() {
            let ids: Vec<Id> = batch.iter().map(|(id, _)| *id).collect();
            let blobs = self.load_batch(&ids, control)?;
            let batch_bytes = stored_bytes(batch);
            loaded(&ids);
            left_bytes = left_bytes.saturating_sub(batch_bytes);
            if number == 0 {
                // The tables hardly have to grow from here on. A listing may claim any size.
                let expected = blobs_in(left_bytes, blobs, batch_bytes);
                self.index.write().reserve(expected.min(blobs.saturating_mul(RESERVED_TIMES_MAX)));
            }
        }
        Ok(())
    }

    /// Loads these, and returns how many blobs they name.
    fn load_batch(&self, ids: &[Id], control: &Control) -> Result<usize> {
        let read = Mutex::new(Vec::with_capacity(ids.len()));
        for_each_in_parallel(ids, parsers(), &|| control.ensure_not_cancelled(), &|id| {
            let records = self.read_index_file(id)?;
            read.lock().push(records);
            Ok(())
        })?;
        let mut files = read.into_inner();
        // Whatever was read first: of a blob in several packs the same one is always found.
        files.sort_unstable_by_key(IndexRecords::name);
        let blobs: usize = files.iter().map(IndexRecords::blob_count).sum();
        self.index.write().insert_files(&files, parsers().min(blobs / BLOBS_A_THREAD_MIN));
        Ok(blobs)
    }

    fn insert_into_index(&self, file: &IndexFile) {
        let mut index = self.index.write();
        index.reserve(file.packs.iter().map(|pack| pack.blobs.len()).sum());
        for pack in &file.packs {
            index.insert_pack(pack.id, &pack.blobs);
        }
    }

    /// Reads one index file, from the cache if it is there.
    fn read_index_file(&self, id: Id) -> Result<IndexRecords> {
        if let Some(records) = self.index_cache.as_ref().and_then(|cache| cache.read(id)) {
            return Ok(records);
        }
        let records = IndexRecords::of(id, &self.read_stored_index_file(id)?);
        if let Some(cache) = &self.index_cache {
            cache.write(&records);
        }
        Ok(records)
    }

    fn read_stored_index_file(&self, id: Id) -> Result<IndexFile> {
        let json = self.files.read(FileKind::Index, id)?;
        IndexFile::from_json(&json)
            .map_err(|error| Error::damaged(FileKind::Index.path(id), error.to_string()))
    }
}

/// Parts files with their sizes into batches of at most `bytes_max`; a longer file is a batch of its own.
fn batches(files: &[(Id, u64)], bytes_max: u64) -> Vec<&[(Id, u64)]> {
    let mut batches = Vec::new();
    let (mut start, mut room) = (0, bytes_max);
    for (position, &(_, size_bytes)) in files.iter().enumerate() {
        if size_bytes > room && position > start {
            batches.push(&files[start..position]);
            (start, room) = (position, bytes_max);
        }
        room = room.saturating_sub(size_bytes);
    }
    if start < files.len() {
        batches.push(&files[start..]);
    }
    batches
}

fn stored_bytes(files: &[(Id, u64)]) -> u64 {
    files.iter().fold(0, |sum, (_, size_bytes)| sum.saturating_add(*size_bytes))
}

/// How many blobs index files of `bytes` name, if others of `known_bytes` name `known`.
fn blobs_in(bytes: u64, known: usize, known_bytes: u64) -> usize {
    let alike = known as u128 * u128::from(bytes) / u128::from(known_bytes.max(1));
    alike.min(u128::from(bytes / BLOB_STORED_BYTES_MIN)) as usize
}

/// Parsing an index takes a core.
fn parsers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(READERS_MAX)
}

/// Does `work` for all ids on at most `readers_max` threads, each time after `look`. The first error ends it.
pub(crate) fn for_each_in_parallel(
    ids: &[Id],
    readers_max: usize,
    look: &(dyn Fn() -> Result<()> + Sync),
    work: &(dyn Fn(Id) -> Result<()> + Sync),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let readers = readers_max.min(ids.len());
    let read = || -> Result<()> {
        while let Some(&id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            look()?;
            work(id)?;
        }
        Ok(())
    };
    if readers <= 1 {
        return read();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..readers).map(|_| scope.spawn(read)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::Crashed("while reading many files".into())))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_one_batch_and_no_batch_of_several_is_too_long() {
        let (one, half) = (1000, 500);
        let cases: [(&[u64], &[usize]); 6] = [
            (&[], &[]),
            (&[0, 0], &[2]),
            (&[half, half, 0, 1], &[3, 1]),
            (&[half + 1, half, half], &[1, 2]),
            (&[3 * one, 1, one, u64::MAX], &[1, 1, 1, 1]),
            (&[1, 3 * one, 1, 1], &[1, 1, 2]),
        ];
        for (sizes, expected) in cases {
            let files: Vec<_> = sizes.iter().zip(0..).map(|(&size, n)| (Id([n; 32]), size)).collect();
            let batches = batches(&files, one);
            assert_eq!(batches.iter().map(|batch| batch.len()).collect::<Vec<_>>(), expected, "{sizes:?}");
            assert_eq!(batches.concat(), files, "{sizes:?}");
        }
    }

    #[test]
    fn what_is_left_is_reckoned_to_be_like_what_is_known_within_reason() {
        let cases = [
            ((0, 100, 4800), 0),
            ((48_000, 100, 4800), 1000),
            ((160_000, 100, 16_000), 1000),
            ((48_000, 0, 4800), 0),
            ((48_000, 100_000, 4800), 1500),
            ((48_000, 100, 0), 1500),
        ];
        for ((bytes, known, known_bytes), expected) in cases {
            assert_eq!(blobs_in(bytes, known, known_bytes), expected, "{bytes} {known} {known_bytes}");
        }
    }
}
