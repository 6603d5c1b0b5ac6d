//! Where a repository lies: any object store, seen as blocking calls on paths.
//!
//! Paths are relative to the repository (`data/ab/ab…`), with slashes. A written
//! object is whole and durable when `write` returns, or not there; WebDAV is the
//! exception, whose servers may leave part of an object behind. Several threads
//! may call one store at once. Every call on a remote store ends in bounded time.
//!
//! A store has its own runtime. Its calls block, and panic on a thread that runs
//! asynchronous tasks (`spawn_blocking` threads are fine).

mod connector;
mod failure;
mod listing;
mod local;
mod location;
mod remote;
mod settings;
mod staging;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod webdav_server;

use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::Runtime;

pub use listing::ListedObject;
pub use location::Location;
pub use settings::StoreSettings;

use crate::error::{Error, Result};
use connector::TransferLimit;
use failure::failure;
use local::LocalStore;
use location::Place;

/// Objects handed over at once while listing.
const LIST_BATCH: usize = 256;
/// Writers that meet while making the same WebDAV folder: one wins, the others ask again.
const FOLDER_RACES_MAX: usize = 3;

/// A store of objects. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    location: String,
    objects: Arc<dyn ObjectStore>,
    local: Option<(LocalStore, PathBuf)>,
    is_webdav: bool,
    is_memory: bool,
    connections: usize,
    /// Absent for what is on this machine: a slow disk is waited for.
    limit: Option<TransferLimit>,
    retry_timeout: Duration,
    /// Taken when the last clone is dropped.
    runtime: Option<Runtime>,
}

impl Store {
    /// Opens the store at `location`. Nothing is read or sent yet, so a location
    /// that is not there, or credentials that are wrong, show at the first call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that this kind of store does not have.
    pub fn open(location: &Location, settings: &StoreSettings) -> Result<Self> {
        let objects = remote::connect(location, settings)?;
        Self::over(objects, location, settings)
    }

    /// A store over `objects`, which hold what lies at `location`: for those who
    /// bring a store of their own, or wrap one to watch it or make it fail.
    pub fn over(
        objects: Arc<dyn ObjectStore>,
        location: &Location,
        settings: &StoreSettings,
    ) -> Result<Self> {
        let folder = location.as_folder().map(Path::to_path_buf);
        let connections = settings.connections_for(folder.is_some());
        let is_here = matches!(location.place(), Place::Folder(_) | Place::Memory { .. });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(if is_here { 1 } else { 2 })
            // File access and name resolution; one for each caller, and some to spare.
            .max_blocking_threads(connections.saturating_mul(2).clamp(8, 64))
            .thread_name("keepwell-store")
            .enable_all()
            .build()
            .map_err(|error| Error::Crashed(format!("a store's threads cannot be started: {error}")))?;
        Ok(Self {
            shared: Arc::new(Shared {
                location: location.to_string(),
                objects,
                local: folder.map(|folder| (LocalStore::new(folder.clone()), folder)),
                is_webdav: matches!(location.place(), Place::WebDav { .. }),
                is_memory: matches!(location.place(), Place::Memory { .. }),
                connections,
                limit: (!is_here).then(|| remote::transfer_limit(settings)),
                retry_timeout: settings.retry_timeout,
                runtime: Some(runtime),
            }),
        })
    }

    /// The location as a person knows it, without credentials.
    pub fn location(&self) -> &str {
        &self.shared.location
    }

    /// The folder of a local store.
    pub fn is_local(&self) -> Option<&Path> {
        self.shared.local.as_ref().map(|(_, folder)| folder.as_path())
    }

    /// Whether every process that lists sees each object that was written before: so in memory and in
    /// local file systems; not surely in those that cross a network, and remote stores differ.
    pub fn lists_at_once(&self) -> bool {
        match &self.shared.local {
            Some((local, _)) => local.lists_at_once(),
            None => self.shared.is_memory,
        }
    }

    /// How many calls at once are worth making. More are allowed.
    pub fn connections(&self) -> usize {
        self.shared.connections
    }

    /// All of an object of at most `size_bytes_max`; a larger one is [`Error::Damaged`], unread.
    pub fn read(&self, path: &str, size_bytes_max: u64) -> Result<Bytes> {
        let at = object_path(path)?;
        let found = self.call("read", path, 0, self.shared.objects.get(&at))?;
        let size = found.meta.size;
        if size > size_bytes_max {
            let why = format!("its {size} bytes are more than the {size_bytes_max} that it may have");
            return Err(Error::damaged(path, why));
        }
        let bytes = self.call("read", path, size, found.bytes())?;
        self.check_length(path, bytes, size)
    }

    /// The bytes of `range`, all of them: an object that ends before is [`Error::Damaged`].
    pub fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let at = object_path(path)?;
        let length = range.end - range.start;
        match self.call_raw("read", path, length, self.shared.objects.get_range(&at, range.clone()))? {
            Ok(bytes) => self.check_length(path, bytes, length),
            Err(error) if failure::is_about_range(&error) => match self.size(path)? {
                Some(size) if size < range.end => Err(too_short(path, size, range.end)),
                _ => Err(self.failure("read", path, error)),
            },
            Err(error) => Err(self.failure("read", path, error)),
        }
    }

    /// The last `bytes` of an object, or all of it if it has fewer, and its size.
    pub fn read_tail(&self, path: &str, bytes: u64) -> Result<(Bytes, u64)> {
        let at = object_path(path)?;
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(bytes)));
        let request = async {
            let found = self.shared.objects.get_opts(&at, options).await?;
            let size = found.meta.size;
            Ok((found.bytes().await?, size))
        };
        match self.call_raw("read", path, bytes, request)? {
            Ok((tail, size)) => Ok((self.check_length(path, tail, size.min(bytes))?, size)),
            // Azure has no ranges from the end, and nobody has one of an empty object.
            Err(error) if failure::is_about_range(&error) => {
                let size = self.size(path)?.ok_or_else(|| self.failure("read", path, error))?;
                Ok((self.read_range(path, size.saturating_sub(bytes)..size)?, size))
            }
            Err(error) => Err(self.failure("read", path, error)),
        }
    }

    /// An object's size; `None` if there is no such object.
    pub fn size(&self, path: &str) -> Result<Option<u64>> {
        let at = object_path(path)?;
        match self.call_raw("look for", path, 0, self.shared.objects.head(&at))? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure("look for", path, error)),
        }
    }

    /// Writes an object, in place of one that is there. The bytes are not copied.
    pub fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let at = object_path(path)?;
        let mut races = 0;
        loop {
            let request = self.shared.objects.put(&at, bytes.clone().into());
            match self.call_raw("write", path, bytes.len() as u64, request)? {
                Ok(_) => return Ok(()),
                Err(error)
                    if self.shared.is_webdav
                        && races < FOLDER_RACES_MAX
                        && failure::is_folder_race(&error) =>
                {
                    races += 1;
                }
                Err(error) => return Err(self.failure("write", path, error)),
            }
        }
    }

    /// Writes an object unless one of that name is there, and tells whether it did.
    ///
    /// Of several who create at once one succeeds, except on WebDAV and on S3
    /// servers without conditional writes, where there is only a look beforehand.
    /// An answer lost on the way is no failure: an object with these very bytes counts as ours.
    pub fn create(&self, path: &str, bytes: Bytes) -> Result<bool> {
        let at = object_path(path)?;
        let request = self.shared.objects.put_opts(&at, bytes.clone().into(), PutMode::Create.into());
        match self.call_raw("create", path, bytes.len() as u64, request)? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // Whatever has another size is not ours, so nothing larger is read.
                if self.size(path)? != Some(bytes.len() as u64) {
                    return Ok(false);
                }
                Ok(self.read(path, bytes.len() as u64)? == bytes)
            }
            Err(error) if failure::is_create_unknown(&error) => {
                if self.size(path)?.is_some() {
                    return Ok(false);
                }
                self.write(path, bytes)?;
                Ok(true)
            }
            Err(error) => Err(self.failure("create", path, error)),
        }
    }

    /// Deletes an object. `false` if the store says that there was none; S3,
    /// Google and memory do not say, and answer `true`.
    pub fn delete(&self, path: &str) -> Result<bool> {
        let at = object_path(path)?;
        match self.call_raw("delete", path, 0, self.shared.objects.delete(&at))? {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure("delete", path, error)),
        }
    }

    /// Tells `each` of every object below the folder `prefix` whose name is an id,
    /// in no order; a folder that is not there has none. Memory is bounded by a
    /// page of the store's answer (a folder's entries, locally and on WebDAV).
    /// `each` may use this store; its error ends the listing and is returned.
    pub fn list(&self, prefix: &str, mut each: impl FnMut(ListedObject) -> Result<()>) -> Result<()> {
        let at = object_path(prefix)?;
        let objects = if self.shared.is_webdav {
            listing::walk(Arc::clone(&self.shared.objects), at).boxed()
        } else {
            self.shared.objects.list(Some(&at))
        };
        let mut batches: BoxStream<'_, _> = objects.ready_chunks(LIST_BATCH).boxed();
        while let Some(batch) = self.call("list", prefix, 0, async { Ok(batches.next().await) })? {
            for object in batch {
                let object = object.map_err(|error| self.failure("list", prefix, error))?;
                if let Some(listed) = listing::listed(object) {
                    each(listed)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the folders of a new local repository; other stores need none.
    pub fn prepare_layout(&self) -> Result<()> {
        match &self.shared.local {
            Some((local, folder)) => local
                .prepare_layout()
                .map_err(|error| self.failure("create", "folders", local::at(folder, error))),
            None => Ok(()),
        }
    }

    /// What killed writers left in a local store, with the time of their last
    /// write. A writer that is alive has such files too: only old ones are waste.
    pub fn staging_files(&self) -> Result<Vec<(PathBuf, SystemTime)>> {
        match &self.shared.local {
            Some((local, _)) => {
                local.staging_files().map_err(|error| self.failure("list", "staging files", error))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Gives a file that [`Self::staging_files`] gave the name that it was written for, if it is
    /// whole: if that name is its digest. `false` if it is not whole, or gone.
    pub fn finish_staging(&self, path: &Path) -> Result<bool> {
        self.ensure_staging(path)?;
        staging::finish(path)
            .map_err(|error| self.failure("write", &path.display().to_string(), local::at(path, error)))
    }

    /// Deletes a file that [`Self::staging_files`] gave. One that is gone is fine.
    pub fn remove_staging(&self, path: &Path) -> Result<()> {
        self.ensure_staging(path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failure("delete", &path.display().to_string(), local::at(path, error)))
            }
            _ => Ok(()),
        }
    }

    fn ensure_staging(&self, path: &Path) -> Result<()> {
        let is_inside = self.is_local().is_some_and(|folder| path.starts_with(folder));
        if is_inside && staging::is_staging(path) {
            Ok(())
        } else {
            Err(Error::Invalid(format!("{} is no staging file of this store", path.display())))
        }
    }

    fn call<T>(
        &self,
        operation: &'static str,
        path: &str,
        bytes: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        self.call_raw(operation, path, bytes, request)?.map_err(|error| self.failure(operation, path, error))
    }

    /// Runs `request`, which moves `bytes`. The outer error is a time-out of the
    /// whole call, tries and retries together; the inner one is the store's own.
    fn call_raw<T>(
        &self,
        operation: &'static str,
        path: &str,
        bytes: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<object_store::Result<T>> {
        let runtime = self.shared.runtime.as_ref().expect("the runtime is taken only when dropped");
        let Some(limit) = self.shared.limit else { return Ok(runtime.block_on(request)) };
        // No try begins later than the retry time-out, and the last may take its full time.
        let limit = limit.for_bytes(bytes).saturating_add(self.shared.retry_timeout);
        runtime.block_on(async { tokio::time::timeout(limit, request).await }).map_err(|_| Error::TimedOut {
            operation,
            path: path.into(),
            limit,
        })
    }

    fn failure(&self, operation: &'static str, path: &str, error: object_store::Error) -> Error {
        failure(operation, path, &self.shared.location, error)
    }

    fn check_length(&self, path: &str, bytes: Bytes, length: u64) -> Result<Bytes> {
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(too_short(path, bytes.len() as u64, length))
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Waiting for the runtime's threads is not allowed where tasks run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.shared.location).finish()
    }
}

fn object_path(path: &str) -> Result<ObjectPath> {
    ObjectPath::parse(path)
        .map_err(|error| Error::Invalid(format!("{path} is no path in a repository: {error}")))
}

fn too_short(path: &str, size: u64, wanted: u64) -> Error {
    Error::damaged(path, format!("it ends after {size} bytes, where {wanted} were wanted"))
}
