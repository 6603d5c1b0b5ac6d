//! The repository's files by kind and id: reading, writing, listing, deleting.
//!
//! What is read is bounded in size, and checked against its name (the digest of
//! the file) before anything in it is believed.

use std::time::SystemTime;

use bytes::Bytes;

use crate::compress;
use crate::crypto::SealingKey;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::store::Store;

/// The kinds of files that are named by their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `data/`: packs.
    Pack,
    /// `index/`.
    Index,
    /// `snapshots/`.
    Snapshot,
    /// `keys/`.
    Key,
    /// `locks/`.
    Lock,
}

impl FileKind {
    /// The folder that holds files of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Pack => "data",
            Self::Index => "index",
            Self::Snapshot => "snapshots",
            Self::Key => "keys",
            Self::Lock => "locks",
        }
    }

    /// Where a file lies inside the repository.
    pub fn path(self, id: Id) -> String {
        match self {
            Self::Pack => format!("data/{:02x}/{id}", id.0[0]),
            _ => format!("{}/{id}", self.folder()),
        }
    }

    /// The largest file that is read whole. An index of 50,000 blobs, after which restic begins
    /// another, is some 8 MiB before compression; snapshots grow with the paths that they name.
    fn stored_bytes_max(self) -> u64 {
        match self {
            Self::Pack => u64::from(u32::MAX),
            Self::Index => 128 << 20,
            Self::Snapshot => 32 << 20,
            Self::Key | Self::Lock => 1 << 20,
        }
    }

    /// The largest plaintext that a compressed file may grow to. The largest pack header there
    /// can be, 400,000 blobs, makes an index of 70 MiB.
    fn plaintext_bytes_max(self) -> usize {
        match self {
            Self::Pack | Self::Index => 128 << 20,
            Self::Snapshot => 64 << 20,
            Self::Key | Self::Lock => 1 << 20,
        }
    }
}

/// One listed file.
#[derive(Clone, Copy, Debug)]
pub struct ListedFile {
    /// Its name.
    pub id: Id,
    /// Its size.
    pub size_bytes: u64,
    /// When the store last wrote it.
    pub modified: SystemTime,
}

/// A store seen with the repository's keys.
#[derive(Clone)]
pub struct RepositoryFiles {
    store: Store,
    key: SealingKey,
    version: u32,
}

/// The byte before compressed JSON (doc/design.rst, "Unpacked Data Format").
const ENCODING_COMPRESSED: u8 = 2;

impl RepositoryFiles {
    pub(crate) fn new(store: Store, key: SealingKey, version: u32) -> Self {
        Self { store, key, version }
    }

    /// The store beneath.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The repository's keys.
    pub(crate) fn key(&self) -> &SealingKey {
        &self.key
    }

    /// The repository's version, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Reads a file as it is stored, checked against its name.
    pub fn read_stored(&self, kind: FileKind, id: Id) -> Result<Bytes> {
        let path = kind.path(id);
        let stored = self.store.read(&path, kind.stored_bytes_max())?;
        if Id::of(&stored) != id {
            return Err(Error::damaged(path, "its content does not match its name"));
        }
        Ok(stored)
    }

    /// Reads and opens an index, snapshot or lock: its JSON.
    pub fn read(&self, kind: FileKind, id: Id) -> Result<Vec<u8>> {
        let stored = self.read_stored(kind, id)?;
        let plaintext =
            self.key.open(&stored).map_err(|error| Error::damaged(kind.path(id), error.to_string()))?;
        match plaintext.first() {
            Some(b'{' | b'[') => Ok(plaintext),
            Some(&ENCODING_COMPRESSED) => {
                compress::decompress_bounded(&plaintext[1..], kind.plaintext_bytes_max())
                    .ok_or_else(|| Error::damaged(kind.path(id), "it does not decompress, or is too large"))
            }
            _ => Err(Error::damaged(kind.path(id), "its encoding is unknown")),
        }
    }

    /// Seals JSON as a file of this kind: its id and its bytes, not yet stored.
    pub fn seal(&self, json: &[u8]) -> Result<(Id, Bytes)> {
        let mut buffer = vec![0; crate::crypto::NONCE_BYTES];
        if self.version >= 2 {
            buffer.push(ENCODING_COMPRESSED);
            compress::append_compressed(json, compress::DEFAULT_LEVEL, &mut buffer)?;
        } else {
            buffer.extend_from_slice(json);
        }
        self.key.seal_in_place(&mut buffer)?;
        let sealed = Bytes::from(buffer);
        Ok((Id::of(&sealed), sealed))
    }

    /// Seals and stores JSON; returns its name.
    pub fn write(&self, kind: FileKind, json: &[u8]) -> Result<Id> {
        let (id, sealed) = self.seal(json)?;
        self.store.write(&kind.path(id), sealed)?;
        Ok(id)
    }

    /// All files of a kind, in no particular order. Names that are not ids are passed over.
    pub fn list(&self, kind: FileKind, mut found: impl FnMut(ListedFile)) -> Result<()> {
        self.store.list(kind.folder(), |object| {
            found(ListedFile { id: object.id, size_bytes: object.size_bytes, modified: object.modified });
            Ok(())
        })
    }

    /// The ids of all files of a kind, sorted.
    pub fn ids(&self, kind: FileKind) -> Result<Vec<Id>> {
        let mut ids = Vec::new();
        self.list(kind, |file| ids.push(file.id))?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Deletes a file; one that is gone already is no error.
    pub fn delete(&self, kind: FileKind, id: Id) -> Result<()> {
        self.store.delete(&kind.path(id)).map(|_| ())
    }
}
