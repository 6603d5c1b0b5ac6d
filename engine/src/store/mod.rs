//! Where a repository lies: any object store, seen as blocking calls on paths.
//!
//! Paths are relative to the repository (`data/ab/ab…`), with slashes. A written
//! object is whole and durable when `write` returns, or not there; WebDAV is the
//! exception, whose servers may leave part of an object behind. Several threads
//! may call one store at once. Every call on a remote store ends in bounded time: each of its requests does, tries
//! and the waits between them included, and a call makes few.
//!
//! A store has its own runtime. Its calls block, and panic on a thread that runs
//! asynchronous tasks (`spawn_blocking` threads are fine).

mod failure;
mod http;
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
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::Runtime;

pub use listing::ListedObject;
pub use location::Location;
pub use settings::StoreSettings;

use crate::error::{Error, Result};
use failure::{Failed, failure};
use http::{ANSWER_BYTES_MAX, Call};
use local::LocalStore;
use location::Place;

/// Objects handed over at once while listing.
const LIST_BATCH: usize = 256;
/// Writers that meet while making the same WebDAV folder: one wins, the others ask again.
const FOLDER_RACES_MAX: usize = 3;
/// How often a call is made again with a new signature. Each time took minutes of retries, which are bounded by
/// themselves, or of a pause that a person made.
const RENEWALS_MAX: usize = 100;

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
        let objects = remote::connect(location, settings, remote::connector(settings))?;
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
        let (size, bytes) = self.call("read", path, size_bytes_max, || async {
            let found = self.shared.objects.get(&at).await?;
            let size = found.meta.size;
            let bytes = if size > size_bytes_max { None } else { Some(found.bytes().await?) };
            Ok((size, bytes))
        })?;
        match bytes {
            Some(bytes) => self.check_length(path, bytes, size),
            None => {
                let why = format!("its {size} bytes are more than the {size_bytes_max} that it may have");
                Err(Error::damaged(path, why))
            }
        }
    }

    /// The bytes of `range`, all of them: an object that ends before is [`Error::Damaged`].
    pub fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let at = object_path(path)?;
        let length = range.end - range.start;
        match self.call_raw(length, || self.shared.objects.get_range(&at, range.clone())) {
            Ok(bytes) => self.check_length(path, bytes, length),
            Err(failed) if failed.is_about_range() => match self.size(path)? {
                Some(size) if size < range.end => Err(too_short(path, size, range.end)),
                _ => Err(self.failure("read", path, failed)),
            },
            Err(failed) => Err(self.failure("read", path, failed)),
        }
    }

    /// The last `bytes` of an object, or all of it if it has fewer, and its size.
    pub fn read_tail(&self, path: &str, bytes: u64) -> Result<(Bytes, u64)> {
        let at = object_path(path)?;
        let tail = self.call_raw(bytes, || async {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(bytes)));
            let found = self.shared.objects.get_opts(&at, options).await?;
            let size = found.meta.size;
            Ok((found.bytes().await?, size))
        });
        match tail {
            Ok((tail, size)) => Ok((self.check_length(path, tail, size.min(bytes))?, size)),
            // Azure has no ranges from the end, and nobody has one of an empty object.
            Err(failed) if failed.is_about_range() => {
                let size = self.size(path)?.ok_or_else(|| self.failure("read", path, failed))?;
                Ok((self.read_range(path, size.saturating_sub(bytes)..size)?, size))
            }
            Err(failed) => Err(self.failure("read", path, failed)),
        }
    }

    /// An object's size; `None` if there is no such object.
    pub fn size(&self, path: &str) -> Result<Option<u64>> {
        let at = object_path(path)?;
        match self.call_raw(ANSWER_BYTES_MAX, || self.shared.objects.head(&at)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(failed) if failed.is_not_found() => Ok(None),
            Err(failed) => Err(self.failure("look for", path, failed)),
        }
    }

    /// Writes an object, in place of one that is there. The bytes are not copied.
    pub fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let at = object_path(path)?;
        let mut races = 0;
        loop {
            match self.call_raw(ANSWER_BYTES_MAX, || self.shared.objects.put(&at, bytes.clone().into())) {
                Ok(_) => return Ok(()),
                Err(failed)
                    if self.shared.is_webdav && races < FOLDER_RACES_MAX && failed.is_folder_race() =>
                {
                    races += 1;
                }
                Err(failed) => return Err(self.failure("write", path, failed)),
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
        let created = self.call_raw(ANSWER_BYTES_MAX, || {
            self.shared.objects.put_opts(&at, bytes.clone().into(), PutMode::Create.into())
        });
        match created {
            Ok(_) => Ok(true),
            Err(failed) if failed.is_already_there() => {
                // Whatever has another size is not ours, so nothing larger is read.
                if self.size(path)? != Some(bytes.len() as u64) {
                    return Ok(false);
                }
                Ok(self.read(path, bytes.len() as u64)? == bytes)
            }
            Err(failed) if failed.is_create_unknown() => {
                if self.size(path)?.is_some() {
                    return Ok(false);
                }
                self.write(path, bytes)?;
                Ok(true)
            }
            Err(failed) => Err(self.failure("create", path, failed)),
        }
    }

    /// Deletes an object. `false` if the store says that there was none; S3,
    /// Google and memory do not say, and answer `true`.
    pub fn delete(&self, path: &str) -> Result<bool> {
        let at = object_path(path)?;
        match self.call_raw(ANSWER_BYTES_MAX, || self.shared.objects.delete(&at)) {
            Ok(()) => Ok(true),
            Err(failed) if failed.is_not_found() => Ok(false),
            Err(failed) => Err(self.failure("delete", path, failed)),
        }
    }

    /// Tells `each` of every object below the folder `prefix` whose name is an id,
    /// in no order; a folder that is not there has none. Memory is bounded by a
    /// page of the store's answer (a folder's entries, locally and on WebDAV).
    /// `each` may use this store; its error ends the listing and is returned.
    pub fn list(&self, prefix: &str, mut each: impl FnMut(ListedObject) -> Result<()>) -> Result<()> {
        let at = object_path(prefix)?;
        let mut batches = self.listing(&at, None);
        let (mut last, mut renewals) = (None, 0);
        loop {
            let call = Call::new(ANSWER_BYTES_MAX);
            let Some(batch) = self.runtime().block_on(call.run(batches.next())) else { return Ok(()) };
            for object in batch {
                match object {
                    Ok(object) => {
                        last = Some(object.location.clone());
                        if let Some(listed) = listing::listed(object) {
                            each(listed)?;
                        }
                    }
                    Err(error) => {
                        let failed = Failed { error, answer: call.take_answer() };
                        // Clouds alone sign with a date, and all of them list in the order of names.
                        if !failed.is_stale() || renewals == RENEWALS_MAX {
                            return Err(self.failure("list", prefix, failed));
                        }
                        renewals += 1;
                        batches = self.listing(&at, last.as_ref());
                    }
                }
            }
        }
    }

    fn listing(
        &self,
        at: &ObjectPath,
        after: Option<&ObjectPath>,
    ) -> BoxStream<'static, Vec<object_store::Result<ObjectMeta>>> {
        let objects = &self.shared.objects;
        let listed = match after {
            Some(after) => objects.list_with_offset(Some(at), after),
            None if self.shared.is_webdav => listing::walk(Arc::clone(objects), at.clone()).boxed(),
            None => objects.list(Some(at)),
        };
        listed.ready_chunks(LIST_BATCH).boxed()
    }

    /// Makes the folders of a new local repository; other stores need none.
    pub fn prepare_layout(&self) -> Result<()> {
        match &self.shared.local {
            Some((local, folder)) => local
                .prepare_layout()
                .map_err(|error| self.failure("create", "folders", local::at(folder, error).into())),
            None => Ok(()),
        }
    }

    /// What killed writers left in a local store, with the time of their last
    /// write. A writer that is alive has such files too: only old ones are waste.
    pub fn staging_files(&self) -> Result<Vec<(PathBuf, SystemTime)>> {
        match &self.shared.local {
            Some((local, _)) => {
                local.staging_files().map_err(|error| self.failure("list", "staging files", error.into()))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Gives a file that [`Self::staging_files`] gave the name that it was written for, if it is
    /// whole: if that name is its digest. `false` if it is not whole, or gone.
    pub fn finish_staging(&self, path: &Path) -> Result<bool> {
        self.ensure_staging(path)?;
        staging::finish(path).map_err(|error| {
            self.failure("write", &path.display().to_string(), local::at(path, error).into())
        })
    }

    /// Deletes a file that [`Self::staging_files`] gave. One that is gone is fine.
    pub fn remove_staging(&self, path: &Path) -> Result<()> {
        self.ensure_staging(path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failure("delete", &path.display().to_string(), local::at(path, error).into()))
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

    fn call<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        operation: &'static str,
        path: &str,
        answer_bytes_max: u64,
        request: impl FnMut() -> F,
    ) -> Result<T> {
        self.call_raw(answer_bytes_max, request).map_err(|failed| self.failure(operation, path, failed))
    }

    /// Runs what `request` makes, whose answers have at most `answer_bytes_max`; again, with a new signature, if
    /// the one it had was too old when it came to be sent.
    fn call_raw<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        answer_bytes_max: u64,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Failed> {
        let call = Call::new(answer_bytes_max);
        let mut renewals = 0;
        loop {
            let error = match self.runtime().block_on(call.run(request())) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let failed = Failed { error, answer: call.take_answer() };
            if !failed.is_stale() || renewals == RENEWALS_MAX {
                return Err(failed);
            }
            renewals += 1;
        }
    }

    fn runtime(&self) -> &Runtime {
        self.shared.runtime.as_ref().expect("the runtime is taken only when dropped")
    }

    fn failure(&self, operation: &'static str, path: &str, failed: Failed) -> Error {
        failure(operation, path, &self.shared.location, failed)
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
