//! A repository in a local folder. A written file is durable and whole when
//! `put` returns, or not there at all: it is written under a staging name
//! beside its place, synced, renamed, and then its folder is synced.
//!
//! Files are made with mode 0600 and folders with 0700 from the start. A writer
//! that was killed leaves a staging file behind, which no listing shows and
//! [`LocalStore::staging_files`] finds.
//! Deletions are not synced: what comes back after a power cut is garbage again.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use super::staging::{self, is_staging};

/// The folders of restic's layout beside `data`, which has 256 more in it.
const FOLDERS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];
/// No file of a repository lies deeper than `data/xx/name`.
const DEPTH_MAX: usize = 4;

/// Magic numbers of file systems on this machine's own disks and memory (linux/magic.h): ext, XFS, Btrfs,
/// tmpfs, overlayfs, F2FS, ZFS, bcachefs, FAT, exFAT, NTFS.
const KEPT_BY_ONE_KERNEL: [u64; 11] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x4d44,
    0x2011_bab0,
    0x7366_746e,
];

/// A folder seen as an object store.
#[derive(Clone, Debug)]
pub(super) struct LocalStore {
    root: Arc<Path>,
    /// Held while a large file's bytes are handed over.
    one_large_write: Arc<Mutex<()>>,
}

impl LocalStore {
    /// `root` need not exist yet.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root: root.into(), one_large_write: Arc::default() }
    }

    /// Makes the root and restic's folders below it, all durable. What exists is left as it is.
    pub(super) fn prepare_layout(&self) -> io::Result<()> {
        make_folder(&self.root)?;
        for name in FOLDERS {
            make_folder_in_existing(&self.root.join(name))?;
        }
        let data = self.root.join("data");
        for number in 0..=u8::MAX {
            make_folder_in_existing(&data.join(format!("{number:02x}")))?;
        }
        sync_folder(&data)?;
        sync_folder(&self.root)
    }

    /// Whether the folder lies in a file system that one kernel alone keeps: what one process has
    /// written, every other one lists. Those that cross a network, and unknown ones, may lag.
    pub(super) fn lists_at_once(&self) -> bool {
        let kind = rustix::fs::statfs(&*self.root).map(|about| about.f_type as u64 & 0xffff_ffff);
        kind.is_ok_and(|kind| KEPT_BY_ONE_KERNEL.contains(&kind))
    }

    /// What killed writers left, with the time of their last write.
    pub(super) fn staging_files(&self) -> Result<Vec<(PathBuf, SystemTime)>> {
        let mut found = Vec::new();
        let mut folders = vec![(self.root.to_path_buf(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in read_folder(&folder)? {
                match entry {
                    FolderEntry::Folder(path) if depth < DEPTH_MAX => folders.push((path, depth + 1)),
                    FolderEntry::File(path) if is_staging(&path) => {
                        if let Some(metadata) = metadata_if_present(&path)? {
                            found.push((path, metadata.modified().map_err(|e| at(&folder, e))?));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// An empty file without a name, which vanishes with whoever holds it open.
    pub(super) fn unnamed_file(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.root.join("data"), flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Gives such a file the name and makes both durable; `false` if the system cannot.
    pub(super) async fn name(&self, location: &ObjectPath, file: Arc<File>) -> Result<bool> {
        self.blocking(location, move |path| staging::name_whole(path, &file)).await
    }

    fn path_of(&self, location: &ObjectPath) -> PathBuf {
        // Object paths hold no `..`, no empty part and no leading slash.
        self.root.join(location.as_ref())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        location: &ObjectPath,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path_of(location);
        tokio::task::spawn_blocking(move || work(&path).map_err(|error| at(&path, error))).await?
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let is_create = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return Err(not_implemented("a conditional overwrite")),
        };
        let turn = self.one_large_write.clone();
        self.blocking(location, move |path| staging::write_whole(path, &payload, is_create, &turn)).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        let path = self.path_of(location);
        let (file, metadata) = self
            .blocking(location, |path| {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                if metadata.is_dir() { Err(ErrorKind::IsADirectory.into()) } else { Ok((file, metadata)) }
            })
            .await?;
        let meta = object_meta(location.clone(), &metadata);
        let range = match options.range {
            Some(range) => range.as_range(meta.size).map_err(generic)?,
            None => 0..meta.size,
        };
        Ok(GetResult {
            payload: GetResultPayload::File(file, path),
            meta,
            range,
            attributes: Attributes::default(),
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        _: &ObjectPath,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("a multipart upload"))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let store = self.clone();
        locations
            .and_then(move |location| {
                let store = store.clone();
                async move {
                    store.blocking(&location, |path| fs::remove_file(path)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    /// In no order. Names that are no object paths, staging files and what is
    /// neither file nor folder are left out; so is what vanishes meanwhile.
    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let start = prefix.cloned().unwrap_or_default();
        let store = self.clone();
        stream::try_unfold(vec![start], move |mut folders| {
            let store = store.clone();
            async move {
                let Some(folder) = folders.pop() else { return Ok::<_, Error>(None) };
                let (below, files) =
                    tokio::task::spawn_blocking(move || list_folder(&store, &folder)).await??;
                folders.extend(below);
                Ok(Some((stream::iter(files.into_iter().map(Ok)), folders)))
            }
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        let folder = prefix.cloned().unwrap_or_default();
        let store = self.clone();
        let (common_prefixes, objects) =
            tokio::task::spawn_blocking(move || list_folder(&store, &folder)).await??;
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, _: &ObjectPath, _: &ObjectPath, _: CopyOptions) -> Result<()> {
        Err(not_implemented("a copy"))
    }
}

/// The folders and the files directly in `folder`; none if it is not there.
fn list_folder(store: &LocalStore, folder: &ObjectPath) -> Result<(Vec<ObjectPath>, Vec<ObjectMeta>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in read_folder(&store.path_of(folder))? {
        let (FolderEntry::Folder(path) | FolderEntry::File(path)) = &entry;
        let Some(location) = child(folder, path) else { continue };
        match &entry {
            FolderEntry::Folder(_) if folder.parts_count() < DEPTH_MAX => folders.push(location),
            FolderEntry::File(path) if !is_staging(path) => {
                if let Some(metadata) = metadata_if_present(path)? {
                    files.push(object_meta(location, &metadata));
                }
            }
            _ => {}
        }
    }
    Ok((folders, files))
}

fn child(folder: &ObjectPath, path: &Path) -> Option<ObjectPath> {
    let name = path.file_name()?.to_str()?;
    ObjectPath::parse(format!("{folder}/{name}")).ok()
}

enum FolderEntry {
    Folder(PathBuf),
    File(PathBuf),
}

/// Links are followed, as reading does: a folder of packs may lie on another disk.
/// What is neither a folder nor a file, or leads nowhere, is left out.
fn read_folder(folder: &Path) -> Result<Vec<FolderEntry>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| at(folder, error))?;
        let mut kind = entry.file_type().map_err(|error| at(folder, error))?;
        if kind.is_symlink() {
            let Some(target) = metadata_if_present(&entry.path())? else { continue };
            kind = target.file_type();
        }
        if kind.is_dir() {
            found.push(FolderEntry::Folder(entry.path()));
        } else if kind.is_file() {
            found.push(FolderEntry::File(entry.path()));
        }
    }
    Ok(found)
}

fn metadata_if_present(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, error)),
    }
}

fn object_meta(location: ObjectPath, metadata: &fs::Metadata) -> ObjectMeta {
    let last_modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
    ObjectMeta { location, last_modified, size: metadata.len(), e_tag: None, version: None }
}

/// Makes a folder and its parents with mode 0700, and their names durable.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    make_folder_in_existing(path)?;
    parent.map_or(Ok(()), sync_folder)
}

fn make_folder_in_existing(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Makes the names in a folder durable, where its file system has a notion of that.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => Ok(()),
        result => result,
    }
}

/// The store's error for what the operating system said of `path`.
pub(super) fn at(path: &Path, error: io::Error) -> Error {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path, source: error.into() },
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: error.into() },
        ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: error.into() },
        _ => generic(error),
    }
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "local", source: Box::new(error) }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.into(), implementer: "a local folder".into() }
}

#[cfg(test)]
mod tests;
