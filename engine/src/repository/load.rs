//! Loading the index: all index files, in parallel, from the cache where it has them.

use std::sync::atomic::{AtomicUsize, Ordering};

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
        let listed = self.files.ids(FileKind::Index)?;
        let mut loaded = self.index_files.lock();
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

    fn load_files(&self, ids: &[Id], control: &Control) -> Result<()> {
        let next = AtomicUsize::new(0);
        let readers =
            std::thread::available_parallelism().map_or(2, usize::from).min(READERS_MAX).min(ids.len());
        let load = || -> Result<()> {
            while let Some(&id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                control.checkpoint()?;
                let file = self.read_index_file(id)?;
                let mut index = self.index.write();
                index.reserve(file.packs.iter().map(|pack| pack.blobs.len()).sum());
                for pack in &file.packs {
                    index.insert_pack(pack.id, &pack.blobs);
                }
            }
            Ok(())
        };
        if readers <= 1 {
            return load();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..readers).map(|_| scope.spawn(load)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::Crashed("while loading the index".into())))
            })
        })
    }

    /// Reads one index file, from the cache if it is there.
    fn read_index_file(&self, id: Id) -> Result<IndexFile> {
        if let Some(file) = self.index_cache.as_ref().and_then(|cache| cache.read(id)) {
            return Ok(file);
        }
        let json = self.files.read(FileKind::Index, id)?;
        let file = IndexFile::from_json(&json)
            .map_err(|error| Error::damaged(FileKind::Index.path(id), error.to_string()))?;
        if let Some(cache) = &self.index_cache {
            cache.write(id, &file);
        }
        Ok(file)
    }
}
