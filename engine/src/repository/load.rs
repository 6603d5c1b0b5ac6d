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

/// Index files read at once; each may take some tens of MiB while it is parsed.
const READERS_MAX: usize = 8;

impl Repository {
    /// Brings the index up to date with the repository. What other processes
    /// removed is forgotten, what they added is read. Call it after taking the
    /// lock, and after listing snapshots that are to be read.
    pub fn load_index(&self, control: &Control) -> Result<()> {
        control.checkpoint()?;
        // Taken before listing: an index file that a session of this process writes
        // meanwhile must not seem to have been removed. Nobody waits out a pause while
        // holding it: everybody else who works on this repository stands behind it.
        let mut loaded = self.index_files.lock();
        let listed = self.files.ids(FileKind::Index)?;
        if loaded.iter().any(|id| listed.binary_search(id).is_err()) {
            // Somebody held the lock exclusively since: what we know may be gone.
            *self.index.write() = Index::default();
            loaded.clear();
        }
        let missing: Vec<Id> = listed.iter().copied().filter(|id| !loaded.contains(id)).collect();
        self.load_files(&missing, control)?;
        loaded.extend(missing);
        if let Some(cache) = &self.index_cache {
            cache.keep_only(|id| listed.binary_search(&id).is_ok());
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
        for_each_in_parallel(&listed, parsers(), &look, &|id| match self.read_stored_index_file(id) {
            Ok(file) => {
                each(id, Ok(&file))?;
                self.insert_into_index(&file);
                sound.lock().push(id);
                Ok(())
            }
            Err(error) => each(id, Err(error)),
        })?;
        loaded.extend(sound.into_inner());
        Ok(())
    }

    fn load_files(&self, ids: &[Id], control: &Control) -> Result<()> {
        for_each_in_parallel(ids, parsers(), &|| control.ensure_not_cancelled(), &|id| {
            self.insert_into_index(&self.read_index_file(id)?);
            Ok(())
        })
    }

    fn insert_into_index(&self, file: &IndexFile) {
        let mut index = self.index.write();
        index.reserve(file.packs.iter().map(|pack| pack.blobs.len()).sum());
        for pack in &file.packs {
            index.insert_pack(pack.id, &pack.blobs);
        }
    }

    /// Reads one index file, from the cache if it is there.
    fn read_index_file(&self, id: Id) -> Result<IndexFile> {
        if let Some(file) = self.index_cache.as_ref().and_then(|cache| cache.read(id)) {
            return Ok(file);
        }
        let file = self.read_stored_index_file(id)?;
        if let Some(cache) = &self.index_cache {
            cache.write(id, &file);
        }
        Ok(file)
    }

    fn read_stored_index_file(&self, id: Id) -> Result<IndexFile> {
        let json = self.files.read(FileKind::Index, id)?;
        IndexFile::from_json(&json)
            .map_err(|error| Error::damaged(FileKind::Index.path(id), error.to_string()))
    }
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
