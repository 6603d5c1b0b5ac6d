//! Index files kept on the local disk, so that they are not fetched and parsed again.
//!
//! A cached file holds what the index file of the same id says, sealed with the
//! repository's own key: its MAC proves that nobody changed it, and a copied disk
//! tells nothing. Whatever is wrong with a cached file, the original is read instead.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crypto::{NONCE_BYTES, SealingKey};
use crate::id::Id;
use crate::repository::index_records::IndexRecords;

/// The longest cached file that is read. The longest index file there can be makes half of it.
const CACHED_BYTES_MAX: u64 = 128 << 20;

/// The folder of one repository's cached index files.
pub struct IndexCache {
    folder: PathBuf,
    key: SealingKey,
}

impl IndexCache {
    /// Opens or makes the folder below `cache_folder`; `None` if that cannot be done.
    pub fn open(cache_folder: &Path, repository: Id, key: &SealingKey) -> Option<Self> {
        let folder = cache_folder.join(repository.to_hex()).join("index");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        Some(Self { folder, key: key.clone() })
    }

    /// The cached content of an index file, if it is there and whole.
    pub fn read(&self, id: Id) -> Option<IndexRecords> {
        let file = fs::File::open(self.path(id)).ok()?;
        let length = file.metadata().ok()?.len();
        if length > CACHED_BYTES_MAX {
            return None;
        }
        let mut sealed = Vec::with_capacity(length as usize + 1);
        file.take(CACHED_BYTES_MAX).read_to_end(&mut sealed).ok()?;
        let text_bytes = self.key.open_in_place(&mut sealed).ok()?.len();
        IndexRecords::within(sealed, NONCE_BYTES..NONCE_BYTES + text_bytes, id)
    }

    /// Keeps an index file. Failing to is no error: the cache only saves time.
    pub fn write(&self, records: &IndexRecords) {
        let id = records.name();
        let sealed = self.key.seal(records.text());
        if !sealed.is_ok_and(|sealed| self.write_atomically(id, &sealed).is_ok()) {
            tracing::debug!(%id, "an index file was not cached");
        }
    }

    /// Forgets files that the repository no longer has.
    pub fn keep_only(&self, listed: impl Fn(Id) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let known = entry.file_name().to_str().and_then(|name| name.parse().ok()).is_some_and(&listed);
            if !known {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, id: Id) -> PathBuf {
        self.folder.join(id.to_hex())
    }

    fn write_atomically(&self, id: Id, sealed: &[u8]) -> std::io::Result<()> {
        let staging = self.folder.join(format!("{id}.{}", std::process::id()));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staging)?;
        file.write_all(sealed)?;
        fs::rename(staging, self.path(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{BlobKind, IndexFile, IndexedPack, PackedBlob};

    fn records(name: Id) -> IndexRecords {
        let blob = |n: u8| PackedBlob {
            id: Id::of(&[n]),
            kind: BlobKind::Data,
            offset_bytes: 0,
            length_bytes: 1,
            uncompressed_bytes: 2,
        };
        let pack = IndexedPack { id: Id::of(b"pack"), blobs: (0..50).map(blob).collect() };
        IndexRecords::of(name, &IndexFile { packs: vec![pack] })
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_not_at_all_if_anything_is_wrong_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SealingKey::random().expect("randomness");
        let open =
            |key: &SealingKey| IndexCache::open(folder.path(), Id::of(b"repository"), key).expect("opens");
        let cache = open(&key);
        let (name, other) = (Id::of(b"index"), Id::of(b"another"));
        assert!(cache.read(name).is_none(), "nothing is there");
        cache.write(&records(name));
        let sealed = fs::read(cache.path(name)).expect("written");
        assert_eq!(cache.read(name).expect("whole").text(), records(name).text());
        fs::copy(cache.path(name), cache.path(other)).expect("copied");
        assert!(cache.read(other).is_none(), "another one's content");
        assert!(open(&SealingKey::random().expect("randomness")).read(name).is_none(), "another key");
        let mut broken: Vec<Vec<u8>> = vec![Vec::new(), sealed[..sealed.len() - 1].to_vec()];
        for position in [0, 16, 20, 100, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            broken.push(changed);
        }
        // As an older program left it: whole, and in another form.
        broken.push(key.seal(&[1, 2, 3]).expect("sealed"));
        for bytes in broken {
            fs::write(cache.path(name), &bytes).expect("written");
            assert!(cache.read(name).is_none(), "{} bytes", bytes.len());
        }
        let endless = fs::File::create(cache.path(name)).expect("made");
        endless.set_len(CACHED_BYTES_MAX + 1).expect("long");
        assert!(cache.read(name).is_none(), "too long");
        cache.write(&records(name));
        assert!(cache.read(name).is_some(), "it is written anew");
    }
}
