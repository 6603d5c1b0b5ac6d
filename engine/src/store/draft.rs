//! Objects that are written before their names are known, as those are their digests.
//!
//! In a folder of this machine they are files without a name (Linux: `O_TMPFILE`), which vanish with their writer,
//! whatever becomes of it. So a pack need not lie in memory whole. Where there are no such files the caller keeps its
//! bytes, and so it does when a draft fails it. Neither gate nor pace is asked while a draft grows, only when it gets its
//! name: until then it is no part of the store.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::failure::failure;
use super::http::ANSWER_BYTES_MAX;
use super::traffic::Direction;
use super::{Store, local, object_path};
use crate::error::{Error, Result};
use crate::id::Id;

/// What was written of an object so far.
#[derive(Debug)]
pub(crate) struct Draft {
    file: Arc<File>,
    length_bytes: u64,
}

impl Draft {
    /// One whose bytes are those of `file`.
    #[cfg(test)]
    pub(crate) fn over(file: File) -> Self {
        Self { length_bytes: 0, file: Arc::new(file) }
    }

    /// The file that it is.
    #[cfg(test)]
    pub(crate) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Writes on. What a failed call has written does not count.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length_bytes)?;
        self.length_bytes += bytes.len() as u64;
        Ok(())
    }

    /// How much was written.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Everything that was written, with room for `more` bytes.
    pub(crate) fn read_back(&self, more: usize) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::with_capacity(length + more);
        bytes.resize(length, 0);
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl Store {
    /// This store, if drafts may be begun in it.
    pub(crate) fn with_drafts(&self) -> Option<Self> {
        self.shared.has_drafts.load(Ordering::Relaxed).then(|| self.clone())
    }

    /// An empty draft, or none: this is no folder, its file system has no files without names, or one could not be
    /// made use of before.
    pub(crate) fn begin_draft(&self) -> Option<Draft> {
        let (local, _) = self.shared.local.as_ref()?;
        if !self.shared.has_drafts.load(Ordering::Relaxed) {
            return None;
        }
        match local.unnamed_file() {
            Ok(file) => Some(Draft { file: Arc::new(file), length_bytes: 0 }),
            Err(error) => {
                tracing::debug!(%error, "packs are kept in memory");
                self.shared.has_drafts.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    /// Makes a draft, whose digest is `id`, the object at `path`, in place of one that is there; as durable as one that was
    /// written at once.
    pub(crate) fn write_draft(&self, path: &str, id: Id, draft: Draft) -> Result<()> {
        let Some((local, _)) = &self.shared.local else { return self.write_copy(path, id, draft) };
        let at = object_path(path)?;
        self.pass(path, Direction::Up, draft.length_bytes as usize);
        match self.call_raw(path, ANSWER_BYTES_MAX, || local.name(&at, draft.file.clone())) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.shared.has_drafts.store(false, Ordering::Relaxed);
                self.write_copy(path, id, draft)
            }
            Err(failed) => Err(self.failure("write", path, failed)),
        }
    }

    fn write_copy(&self, path: &str, id: Id, draft: Draft) -> Result<()> {
        // What could not be written after all is told by nobody else.
        let synced = draft.file.sync_data().and_then(|()| draft.read_back(0));
        let bytes = synced.map_err(|error| self.draft_lost(path, error))?;
        if Id::of(&bytes) != id {
            return Err(self.draft_lost(path, io::ErrorKind::InvalidData.into()));
        }
        // There may not be room for both.
        drop(draft);
        self.write(path, Bytes::from(bytes))
    }

    /// The error of an object whose draft can be read no more.
    pub(crate) fn draft_lost(&self, path: &str, error: io::Error) -> Error {
        let error = local::at(std::path::Path::new(path), error);
        failure("write", path, &self.shared.location, error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::store::{Location, StoreSettings};

    fn store_in(folder: &Path) -> Store {
        let location = Location::parse(folder.to_str().unwrap(), Path::new("/")).unwrap();
        let store = Store::open(&location, &StoreSettings::default()).unwrap();
        store.prepare_layout().unwrap();
        store
    }

    fn files_below(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap().is_dir() {
                true => found.extend(files_below(&entry.path())),
                false => found.push(entry.file_name().into_string().unwrap()),
            }
        }
        found
    }

    #[test]
    fn a_draft_is_nowhere_until_it_is_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(folder.path());
        let mut draft = store.begin_draft().expect("a file without a name");
        draft.append(b"some ").unwrap();
        draft.append(b"bytes").unwrap();
        assert_eq!((draft.length_bytes(), draft.read_back(3).unwrap()), (10, b"some bytes".to_vec()));
        assert_eq!(files_below(folder.path()), [""; 0]);
        store.write_draft("data/ab/abc", Id::of(b"some bytes"), draft).unwrap();
        assert_eq!(files_below(folder.path()), ["abc"]);
        assert_eq!(store.read("data/ab/abc", 100).unwrap(), "some bytes");
        let made = std::fs::metadata(folder.path().join("data/ab/abc")).unwrap();
        assert_eq!((made.mode() & 0o777, made.nlink()), (0o600, 1));

        let mut other = store.begin_draft().unwrap();
        other.append(b"others").unwrap();
        std::fs::remove_dir_all(folder.path().join("data/cd")).unwrap();
        store.write_draft("data/cd/cde", Id::of(b"others"), other).unwrap();
        assert_eq!(store.read("data/cd/cde", 100).unwrap(), "others", "a folder that is missing is made");
    }

    #[test]
    fn where_a_draft_gets_no_name_its_bytes_are_written_again() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let store = store_in(folder.path());
        std::fs::remove_dir(folder.path().join("data/ab")).unwrap();
        symlink(elsewhere.path(), folder.path().join("data/ab")).unwrap();
        let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
        assert_ne!(device(folder.path()), device(elsewhere.path()), "two file systems are needed");
        let mut draft = store.begin_draft().unwrap();
        draft.append(b"some bytes").unwrap();
        store.write_draft("data/ab/abc", Id::of(b"some bytes"), draft).unwrap();
        assert_eq!(store.read("data/ab/abc", 100).unwrap(), "some bytes");
        assert_eq!(files_below(elsewhere.path()), ["abc"]);
        assert!(store.begin_draft().is_none(), "not tried a second time");
    }

    #[test]
    fn a_draft_that_cannot_get_its_place_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(folder.path());
        std::fs::create_dir(folder.path().join("data/ab/abc")).unwrap();
        let mut draft = store.begin_draft().unwrap();
        draft.append(b"some bytes").unwrap();
        let error = store.write_draft("data/ab/abc", Id::of(b"some bytes"), draft).unwrap_err().to_string();
        assert!(error.contains("data/ab/abc") && error.contains("write"), "{error}");
        assert_eq!(files_below(folder.path()), [""; 0]);
    }

    #[test]
    fn others_objects_are_never_drafted() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().to_str().unwrap(), Path::new("/")).unwrap();
        let objects = Arc::new(object_store::memory::InMemory::new());
        let over = Store::over(objects, &location, &StoreSettings::default()).unwrap();
        assert!(over.begin_draft().is_none());
    }
}
