//! One use of an open repository: holds the lock, sees a fresh index, may write.
//!
//! Invariants: a pack is stored before an index names it, an index before a
//! snapshot relies on it; before each write the lock is known to be held. A blob
//! is claimed by one writer; all others that come upon it rely on that writer,
//! and learn in [`Session::flush`] if it failed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::compress::{self, Compression, Frame};
use crate::control::Control;
use crate::crypto;
use crate::error::{Error, Result};
use crate::format::{BlobKind, IndexedPack, Snapshot};
use crate::id::Id;
use crate::randomness::looks_random;
use crate::repository::Repository;
use crate::repository::at_work::Presence;
use crate::repository::files::FileKind;
use crate::repository::lock::{LockSurroundings, RepositoryLock};
use crate::repository::packer::BlobToPack;
use crate::repository::read::BLOB_BYTES_MAX;
use crate::repository::upload::Upload;

/// One user of a repository. While a session lives, the lock is held.
pub struct Session {
    repository: Arc<Repository>,
    lock: Option<Arc<RepositoryLock>>,
    failures_before: u64,
    surroundings: LockSurroundings,
    control: Control,
    _presence: Presence,
}

/// A snapshot that is ready to be stored: its name is known before it is there.
pub struct SealedSnapshot {
    /// The name it will have.
    pub id: Id,
    bytes: Bytes,
}

/// Linux gives files the time of the last tick of its clock: up to 10 ms ago, at 100 Hz.
const FILE_TIME_LAG: Duration = Duration::from_millis(20);

/// What happened to a blob that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The repository has it, or is about to.
    Known,
    /// It is new and takes so many bytes in its pack.
    New {
        /// Sealed bytes.
        stored_bytes: u64,
    },
}

impl Session {
    pub(crate) fn new(
        repository: Arc<Repository>,
        lock: Option<Arc<RepositoryLock>>,
        surroundings: LockSurroundings,
        control: Control,
    ) -> Self {
        let failures_before = repository.uploads.failures();
        let presence = repository.at_work.enter(&control);
        Self { repository, lock, failures_before, surroundings, control, _presence: presence }
    }

    /// The repository.
    pub fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    /// What was found when the lock was taken.
    pub fn surroundings(&self) -> LockSurroundings {
        self.surroundings
    }

    /// Fails unless this session may write now.
    pub fn ensure_writable(&self) -> Result<()> {
        self.control.ensure_not_fenced()?;
        match &self.lock {
            Some(lock) => lock.ensure_held(),
            None => Err(Error::Invalid("the repository was opened for reading only".into())),
        }
    }

    /// The names of texts that are to be stored next, in their order: cheaper than one by one, as the digests of packs
    /// are taken beside them.
    pub fn ids_of(&self, texts: &[&[u8]]) -> Vec<Id> {
        self.repository.packer.ids_of(texts)
    }

    /// Stores a blob unless the repository has it. `scratch` is working memory, kept between calls.
    pub fn store_blob(
        &self,
        kind: BlobKind,
        id: Id,
        plaintext: &[u8],
        compression: Compression,
        scratch: &mut Vec<u8>,
    ) -> Result<Stored> {
        self.store(kind, id, scratch, |scratch| self.seal_blob(kind, plaintext, compression, scratch))
    }

    /// Stores a blob that is compressed already, unless the repository has it; of version 2 only.
    /// `scratch` as in [`Session::store_blob`].
    ///
    /// # Errors
    /// As `store_blob`, and [`Error::Invalid`] if the blob is longer than any that is read again.
    pub fn store_compressed_blob(
        &self,
        kind: BlobKind,
        frame: &Frame,
        scratch: &mut Vec<u8>,
    ) -> Result<Stored> {
        let length = u32::try_from(frame.plaintext_bytes).ok().filter(|length| *length <= BLOB_BYTES_MAX);
        let Some(uncompressed_bytes) = length else {
            let bytes = frame.plaintext_bytes;
            let why = format!("its {} of {bytes} bytes is longer than {BLOB_BYTES_MAX}", kind.name());
            return Err(Error::Invalid(format!("a folder has more entries than can be stored: {why}")));
        };
        self.store(kind, frame.id, scratch, |scratch| {
            scratch.clear();
            scratch.resize(crypto::NONCE_BYTES, 0);
            scratch.extend_from_slice(&frame.bytes);
            self.repository.files.key().seal_in_place(scratch)?;
            Ok(uncompressed_bytes)
        })
    }

    /// Claims a blob and packs what `seal` makes of it, which returns the length to note in the index.
    fn store(
        &self,
        kind: BlobKind,
        id: Id,
        scratch: &mut Vec<u8>,
        seal: impl FnOnce(&mut Vec<u8>) -> Result<u32>,
    ) -> Result<Stored> {
        self.control.ensure_not_fenced()?;
        // Until a claimed blob is in an open pack, or its pack has a ticket: see `flush`.
        let storing = self.repository.storing.read();
        let Some(claim) = self.claim(kind, id) else { return Ok(Stored::Known) };
        let uncompressed_bytes = seal(scratch)?;
        self.repository.uploads.ensure_none_since(self.failures_before)?;
        let full =
            self.repository.packer.add(BlobToPack { kind, id, sealed: scratch, uncompressed_bytes })?;
        claim.keep();
        let upload = full.map(|pack| Upload::promise(&self.repository, pack));
        drop(storing);
        if let Some(upload) = upload {
            upload.begin(self.lock.clone())?;
        }
        Ok(Stored::New { stored_bytes: scratch.len() as u64 })
    }

    /// If nobody else was at work when this session's lock was taken: the time of that
    /// look, as files bear it. What was staged before it is nobody's.
    pub(crate) fn alone_since(&self) -> Option<SystemTime> {
        let lock = self.lock.as_ref().filter(|_| self.surroundings.alone)?;
        lock.looked().checked_sub(FILE_TIME_LAG)
    }

    /// Compresses and seals into `scratch`; returns the length to note in the index, zero if not compressed.
    fn seal_blob(
        &self,
        kind: BlobKind,
        plaintext: &[u8],
        compression: Compression,
        scratch: &mut Vec<u8>,
    ) -> Result<u32> {
        scratch.clear();
        scratch.reserve_exact(plaintext.len() + crypto::OVERHEAD_BYTES);
        scratch.resize(crypto::NONCE_BYTES, 0);
        let level = match (self.repository.files.version(), kind) {
            (..=1, _) => None,
            // Trees are text of the engine's own making: always worth compressing.
            (_, BlobKind::Tree) => Some(compression.level().unwrap_or(compress::DEFAULT_LEVEL)),
            (_, BlobKind::Data) => compression.level(),
        };
        let mut uncompressed_bytes = 0;
        if let Some(level) = level
            && !plaintext.is_empty()
            // Who asks for more than the default wants every byte.
            && (kind == BlobKind::Tree || level > compress::DEFAULT_LEVEL || !looks_random(plaintext))
        {
            let written = compress::append_compressed(plaintext, level, scratch)?;
            if written < plaintext.len() {
                uncompressed_bytes = plaintext.len() as u32;
            } else {
                scratch.truncate(crypto::NONCE_BYTES);
            }
        }
        if uncompressed_bytes == 0 {
            scratch.extend_from_slice(plaintext);
        }
        self.repository.files.key().seal_in_place(scratch)?;
        Ok(uncompressed_bytes)
    }

    /// Makes sure that everything this session stored or relied on is in the
    /// repository and in an index. What is open is closed, so call it rarely.
    pub fn flush(&self) -> Result<()> {
        self.control.ensure_not_fenced()?;
        for upload in self.promise_open() {
            upload.begin(self.lock.clone())?;
        }
        self.repository.uploads.wait_for_all(self.failures_before)?;
        self.save_index()
    }

    /// Tickets for all packs that are open. A blob of another session that this one relies on may be on its way
    /// into a pack, or within one that has just been closed: nobody stores anything in this moment, so every blob
    /// that is known has landed or has a ticket afterwards.
    fn promise_open(&self) -> Vec<Upload> {
        let _nobody_stores = self.repository.storing.write();
        let open = self.repository.packer.take_open();
        open.into_iter().map(|pack| Upload::promise(&self.repository, pack)).collect()
    }

    /// Writes an index of the packs that landed since the last one, if enough did or it is time.
    pub fn save_index_if_due(&self) -> Result<()> {
        if self.repository.pending_index.lock().is_due() { self.save_index() } else { Ok(()) }
    }

    /// Seals a snapshot. Everything it relies on must be flushed before it is put.
    pub fn seal_snapshot(&self, snapshot: &Snapshot) -> Result<SealedSnapshot> {
        let (id, bytes) = self.repository.files.seal(&snapshot.encode())?;
        Ok(SealedSnapshot { id, bytes })
    }

    /// Stores a sealed snapshot.
    pub fn put_snapshot(&self, sealed: SealedSnapshot) -> Result<Id> {
        self.ensure_writable()?;
        self.repository.files.store().write(&FileKind::Snapshot.path(sealed.id), sealed.bytes)?;
        Ok(sealed.id)
    }

    /// Adds packs that are stored already but that no index names.
    pub(crate) fn adopt_packs(&self, packs: Vec<IndexedPack>) -> Result<()> {
        for pack in packs {
            self.repository.note_stored(pack);
            self.save_index_if_due()?;
        }
        self.save_index()
    }

    fn save_index(&self) -> Result<()> {
        // The lock on what is pending is kept while writing: two sessions that end
        // together must each find their packs indexed when they return.
        let mut pending = self.repository.pending_index.lock();
        while let Some(file) = pending.file() {
            self.ensure_writable()?;
            let id = self.repository.files.write(FileKind::Index, &file.to_json())?;
            self.repository.note_index_written(id, file);
            pending.forget_file();
        }
        Ok(())
    }

    /// `None` if the blob is known; else nobody else stores it until the claim ends.
    fn claim(&self, kind: BlobKind, id: Id) -> Option<Claim<'_>> {
        if self.repository.index().contains(kind, &id) {
            return None;
        }
        let mut in_flight = self.repository.in_flight.lock();
        // A pack that lands enters the index first and leaves `in_flight` second,
        // so a blob is never seen in neither.
        if self.repository.index().contains(kind, &id) || !in_flight.insert((kind, id)) {
            return None;
        }
        Some(Claim { session: self, kind, id, kept: false })
    }
}

/// The right to store a blob. Dropped without `keep`, whoever relied on it learns of it.
struct Claim<'a> {
    session: &'a Session,
    kind: BlobKind,
    id: Id,
    kept: bool,
}

impl Claim<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let repository = &self.session.repository;
            repository.in_flight.lock().remove(&(self.kind, self.id));
            repository.uploads.fail(Error::Crashed(format!("blob {} was given up", self.id)));
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
