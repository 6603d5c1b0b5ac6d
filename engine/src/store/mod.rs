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

mod draft;
mod failure;
mod folder;
mod http;
mod lent;
mod listing;
mod local;
mod location;
mod remote;
mod settings;
mod staging;
mod traffic;

#[cfg(test)]
mod answers;

use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::Runtime;

pub use crate::pace::BYTES_PER_SECOND_MIN;
pub(crate) use draft::Draft;
pub(crate) use lent::Content;
pub use listing::ListedObject;
pub use location::Location;
pub use settings::StoreSettings;

use crate::error::{Error, Result};
use failure::{Failed, failure};
use http::{ANSWER_BYTES_MAX, Call};
use local::LocalStore;
use location::Place;
use traffic::{Direction, Traffic};

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
    /// Whether drafts are worth trying: see [`draft`].
    has_drafts: AtomicBool,
    is_webdav: bool,
    is_memory: bool,
    connections: usize,
    uploads_at_once: usize,
    traffic: Arc<Traffic>,
    /// Whether the traffic is looked at where the bytes are: with each frame of a connection. Otherwise it is here,
    /// for whole objects.
    is_paced_below: bool,
    /// Taken when the last clone is dropped.
    runtime: Option<Runtime>,
}

/// Whose objects a store holds.
enum Origin {
    /// Ours, on this machine.
    Here,
    /// Ours, behind connections.
    Far,
    /// Somebody's: see [`Store::over`].
    Brought,
}

impl Store {
    /// Opens the store at `location`. Nothing is read or sent yet, so a location
    /// that is not there, or credentials that are wrong, show at the first call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that this kind of store does not have.
    pub fn open(location: &Location, settings: &StoreSettings) -> Result<Self> {
        let traffic = Traffic::new(settings);
        let objects = remote::connect(location, settings, remote::connector(settings, &traffic))?;
        let is_here = matches!(location.place(), Place::Folder(_) | Place::Memory { .. });
        let origin = if is_here { Origin::Here } else { Origin::Far };
        Self::assemble(objects, location, settings, traffic, origin)
    }

    /// A store over `objects`, which hold what lies at `location`: for those who
    /// bring a store of their own, or wrap one to watch it or make it fail.
    pub fn over(
        objects: Arc<dyn ObjectStore>,
        location: &Location,
        settings: &StoreSettings,
    ) -> Result<Self> {
        Self::assemble(objects, location, settings, Traffic::new(settings), Origin::Brought)
    }

    fn assemble(
        objects: Arc<dyn ObjectStore>,
        location: &Location,
        settings: &StoreSettings,
        traffic: Arc<Traffic>,
        origin: Origin,
    ) -> Result<Self> {
        let is_paced_below = matches!(origin, Origin::Far);
        let folder = location.as_folder().map(Path::to_path_buf);
        let connections = settings.connections_for(folder.is_some());
        let uploads_at_once = settings.uploads_at_once(connections);
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
                // Whoever brings objects of their own gets to see all that is written.
                has_drafts: AtomicBool::new(matches!(origin, Origin::Here) && folder.is_some()),
                local: folder.map(|folder| (LocalStore::new(folder.clone()), folder)),
                is_webdav: matches!(location.place(), Place::WebDav { .. }),
                is_memory: matches!(location.place(), Place::Memory { .. }),
                connections,
                // One more than are sent at once is signed, and ready when one of those ends.
                uploads_at_once: uploads_at_once.saturating_add(usize::from(is_paced_below)),
                traffic,
                is_paced_below,
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

    /// The same for calls that write much: fewer, if a limit leaves each of them little. One of them may wait for
    /// another one to end.
    pub fn uploads_at_once(&self) -> usize {
        self.shared.uploads_at_once
    }

    /// While `is_paused`, nothing goes to or from the store, calls of other threads that are under way included; what
    /// concerns `locks` does. They wait, for as long as that lasts, and their time limits do not count it.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.shared.traffic.close(is_paused);
    }

    #[cfg(test)]
    pub(crate) fn is_paused(&self) -> bool {
        !self.shared.traffic.is_free()
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
            Some(bytes) => self.received(path, bytes, size),
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
        match self.call_raw(path, length, || self.shared.objects.get_range(&at, range.clone())) {
            Ok(bytes) => self.received(path, bytes, length),
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
        let tail = self.call_raw(path, bytes, || async {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(bytes)));
            let found = self.shared.objects.get_opts(&at, options).await?;
            let size = found.meta.size;
            Ok((found.bytes().await?, size))
        });
        match tail {
            Ok((tail, size)) => Ok((self.received(path, tail, size.min(bytes))?, size)),
            // Azure has no ranges from the end, and nobody has one of an empty object.
            Err(failed) if failed.is_about_range() => {
                let Some(size) = self.size(path)? else {
                    // Read once more, for the answer that says that it is not there.
                    let found = self.read(path, bytes)?;
                    let size = found.len() as u64;
                    return Ok((found, size));
                };
                Ok((self.read_range(path, size.saturating_sub(bytes)..size)?, size))
            }
            Err(failed) => Err(self.failure("read", path, failed)),
        }
    }

    /// An object's size; `None` if there is no such object.
    pub fn size(&self, path: &str) -> Result<Option<u64>> {
        let at = object_path(path)?;
        match self.call_raw(path, ANSWER_BYTES_MAX, || self.shared.objects.head(&at)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(failed) if failed.is_not_found() => Ok(None),
            Err(failed) => Err(self.failure("look for", path, failed)),
        }
    }

    /// Writes an object, in place of one that is there. The bytes are not copied.
    pub fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let at = object_path(path)?;
        let mut races = 0;
        self.pass(path, Direction::Up, bytes.len());
        loop {
            match self.call_raw(path, ANSWER_BYTES_MAX, || self.shared.objects.put(&at, bytes.clone().into()))
            {
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
        self.pass(path, Direction::Up, bytes.len());
        let created = self.call_raw(path, ANSWER_BYTES_MAX, || {
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
        match self.call_raw(path, ANSWER_BYTES_MAX, || self.shared.objects.delete(&at)) {
            Ok(()) => Ok(true),
            Err(failed) if failed.is_not_found() => Ok(false),
            Err(failed) => Err(self.failure("delete", path, failed)),
        }
    }

    fn call<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        operation: &'static str,
        path: &str,
        answer_bytes_max: u64,
        request: impl FnMut() -> F,
    ) -> Result<T> {
        self.call_raw(path, answer_bytes_max, request).map_err(|failed| self.failure(operation, path, failed))
    }

    /// Runs what `request` makes, whose answers have at most `answer_bytes_max`; again, with a new signature, if
    /// the one it had was too old when it came to be sent.
    fn call_raw<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        path: &str,
        answer_bytes_max: u64,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Failed> {
        let call = Call::new(answer_bytes_max, is_urgent(path));
        let mut renewals = 0;
        self.pass(path, Direction::Up, 0);
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

    /// Waits until so many bytes may go, where nobody else does that.
    fn pass(&self, path: &str, direction: Direction, bytes: usize) {
        let is_free = self.shared.is_paced_below || self.shared.traffic.is_free() || is_urgent(path);
        if !is_free {
            self.runtime().block_on(self.shared.traffic.pass(direction, bytes as u64));
        }
    }

    fn runtime(&self) -> &Runtime {
        self.shared.runtime.as_ref().expect("the runtime is taken only when dropped")
    }

    fn failure(&self, operation: &'static str, path: &str, failed: Failed) -> Error {
        failure(operation, path, &self.shared.location, failed)
    }

    fn received(&self, path: &str, bytes: Bytes, length: u64) -> Result<Bytes> {
        self.pass(path, Direction::Down, bytes.len());
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

/// A lock is refreshed while nothing else may go.
fn is_urgent(path: &str) -> bool {
    path == "locks" || path.starts_with("locks/")
}

fn object_path(path: &str) -> Result<ObjectPath> {
    ObjectPath::parse(path)
        .map_err(|error| Error::Invalid(format!("{path} is no path in a repository: {error}")))
}

fn too_short(path: &str, size: u64, wanted: u64) -> Error {
    Error::damaged(path, format!("it ends after {size} bytes, where {wanted} were wanted"))
}
