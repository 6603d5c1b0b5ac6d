//! Index files kept on the local disk, so that they are not fetched and parsed again.
//!
//! A cached file holds what the index file of the same id says, sealed with the
//! repository's own key: its MAC proves that nobody changed it, and a copied disk
//! tells nothing. Whatever is wrong with a cached file, the original is read instead.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::codec;
use crate::crypto::SealingKey;
use crate::format::IndexFile;
use crate::id::Id;

/// Version of the cached form.
const VERSION: u8 = 1;

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
    pub fn read(&self, id: Id) -> Option<IndexFile> {
        let mut sealed = fs::read(self.path(id)).ok()?;
        let bytes = self.key.open_in_place(&mut sealed).ok()?;
        let (name, content) = codec::decode::<(Id, IndexFile)>(VERSION, bytes)?;
        // A file that was given another one's name is not that one.
        (name == id).then_some(content)
    }

    /// Keeps an index file. Failing to is no error: the cache only saves time.
    pub fn write(&self, id: Id, content: &IndexFile) {
        let kept = codec::encode(VERSION, &(id, content))
            .and_then(|bytes| self.key.seal(&bytes).ok())
            .is_some_and(|sealed| self.write_atomically(id, &sealed).is_ok());
        if !kept {
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
