//! An open repository in restic's format: its keys, its index, its blobs.
//!
//! One [`Repository`] is shared by everything in the process that works on the
//! same location: one index, one lock, one set of blobs in flight. Work happens
//! in a [`Session`], which holds the lock: while every session is paused, so is the store, and whoever reads
//! without a session of its own waits with them.

mod at_work;
mod files;
mod identity;
mod index;
mod index_cache;
mod index_part;
mod index_records;
mod keys;
mod load;
mod lock;
mod opener;
mod pack_body;
mod packer;
mod pending_index;
mod read;
mod read_entries;
mod recover;
mod session;
mod shared;
mod snapshots;
mod tree_packs;
mod upload;
mod uploads;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use secrecy::{ExposeSecret, SecretString};

pub use files::{FileKind, ListedFile, RepositoryFiles};
pub use identity::Identity;
pub use index::{BlobPlace, Index};
pub use keys::{KeyInfo, MASTER_KEYS_TRIED_MAX};
pub(crate) use load::for_each_in_parallel;
pub(crate) use lock::stale_locks;
pub use lock::{LockSurroundings, LockTiming, RepositoryLock};
pub use opener::{BlobOpener, SealedBlob, UNUSUAL_BYTES, together};
pub use packer::{PACK_BYTES_DEFAULT, PACK_BYTES_MAX, PACK_BYTES_MIN, read_header};
pub use read::BLOB_BYTES_MAX;
pub use recover::Recovered;
pub use session::{SealedSnapshot, Session, Stored};
pub use shared::{PasswordSource, Repositories, RepositoryAddress};
pub use snapshots::SnapshotChoice;

use crate::chunker::{ChunkTables, Polynomial};
use crate::clock::{Clock, SystemClock};
use crate::control::Control;
use crate::crypto::{self, SealingKey};
use crate::error::{Error, Result};
use crate::format::{Config, IndexFile, IndexedPack};
use crate::id::Id;
use crate::store::{Location, Store, StoreSettings};
use at_work::AtWork;
use index_cache::IndexCache;
use index_records::IndexRecords;
use packer::Packer;
use pending_index::PendingIndex;
use tree_packs::TreePacks;
use uploads::Uploads;

/// How to work on a repository. Everything has a default that suits most.
#[derive(Clone)]
pub struct RepositoryOptions {
    /// Where index files are kept locally; `None` keeps none.
    pub cache_folder: Option<PathBuf>,
    /// Who works on it.
    pub identity: Identity,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// The times of locks; all users of a repository must agree on them.
    pub lock_timing: LockTiming,
    /// How long to wait while another process holds an excluding lock.
    pub lock_retry: Duration,
    /// Wished size of packs.
    pub pack_bytes: u32,
}

impl Default for RepositoryOptions {
    fn default() -> Self {
        Self {
            cache_folder: None,
            identity: Identity::of_this_process(),
            clock: Arc::new(SystemClock),
            lock_timing: LockTiming::default(),
            lock_retry: Duration::ZERO,
            pack_bytes: PACK_BYTES_DEFAULT,
        }
    }
}

/// A repository whose password was right.
pub struct Repository {
    location: Location,
    files: RepositoryFiles,
    config: Config,
    key_id: Id,
    password: SecretString,
    chunk_tables: ChunkTables,
    options: RepositoryOptions,
    index: RwLock<Index>,
    index_files: Mutex<HashSet<Id>>,
    index_cache: Option<IndexCache>,
    tree_packs: TreePacks,
    lock: Mutex<Weak<RepositoryLock>>,
    packer: Arc<Packer>,
    /// Held for reading from a blob's claim until its pack can be waited for, and for writing by who waits.
    storing: RwLock<()>,
    uploads: Uploads,
    in_flight: Mutex<HashSet<(crate::format::BlobKind, Id)>>,
    pending_index: Mutex<PendingIndex>,
    at_work: Arc<AtWork>,
}

/// The name of the file that makes a place a repository.
const CONFIG_PATH: &str = "config";
/// How long to wait for one's turn at the lock before looking whether the job was cancelled.
const LOCK_TURN: Duration = Duration::from_millis(100);
/// A config is some 150 bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What a new repository is like.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// Use this polynomial instead of a random one, so that both repositories cut files alike and `copy` deduplicates.
    pub chunker_polynomial: Option<Polynomial>,
    /// Repository version, 2 unless given.
    pub version: Option<u32>,
}

impl Repository {
    /// Makes a new repository at a location that holds none.
    pub fn init(
        location: &Location,
        settings: &StoreSettings,
        password: &SecretString,
        init: &InitOptions,
        options: RepositoryOptions,
    ) -> Result<Arc<Self>> {
        if password.expose_secret().is_empty() {
            return Err(Error::Invalid("an empty password is no protection; give one".into()));
        }
        let store = Store::open(location, settings)?;
        let exists = || Error::RepositoryExists { location: location.to_string() };
        if store.size(CONFIG_PATH)?.is_some() {
            return Err(exists());
        }
        let chunker_polynomial = match init.chunker_polynomial {
            Some(polynomial) => polynomial,
            None => Polynomial::random(crypto::fill_random)?,
        };
        let mut id = [0; 32];
        crypto::fill_random(&mut id)?;
        let version = init.version.unwrap_or(Config::VERSION);
        if !(1..=Config::VERSION).contains(&version) {
            return Err(Error::Invalid(format!("there is no repository version {version}; use 1 or 2")));
        }
        let config = Config { version, id: Id(id), chunker_polynomial };
        let left_keys = keys::left_by_init(&store)?;
        store.prepare_layout()?;
        let key = SealingKey::random()?;
        let files = RepositoryFiles::new(store, key.clone(), version);
        let key_id = keys::add(&files, password, &options)?;
        let json = serde_json::to_vec(&config).expect("numbers and strings always serialise");
        if !files.store().create(CONFIG_PATH, key.seal(&json)?.into())? {
            files.delete(FileKind::Key, key_id)?;
            return Err(exists());
        }
        // Only now is it sure that they belong to nobody.
        for id in left_keys {
            files.delete(FileKind::Key, id)?;
        }
        Self::assemble(location.clone(), files, config, (key_id, password.clone()), options)
    }

    /// Opens the repository at `location` with any of its passwords.
    pub fn open(
        location: &Location,
        settings: &StoreSettings,
        password: &SecretString,
        options: RepositoryOptions,
    ) -> Result<Arc<Self>> {
        let store = Store::open(location, settings)?;
        let sealed = store.read(CONFIG_PATH, CONFIG_BYTES_MAX).map_err(|error| {
            if error.is_not_found() { Error::NoRepository { location: location.to_string() } } else { error }
        })?;
        let (key_id, key) = keys::find(&store, password, |key| open_config(key, &sealed).is_ok())?;
        let config = open_config(&key, &sealed)?;
        if !(1..=Config::VERSION).contains(&config.version) {
            return Err(Error::Invalid(format!(
                "the repository has version {}, this program knows 1 and 2; use a newer program",
                config.version
            )));
        }
        let files = RepositoryFiles::new(store, key, config.version);
        Self::assemble(location.clone(), files, config, (key_id, password.clone()), options)
    }

    fn assemble(
        location: Location,
        files: RepositoryFiles,
        config: Config,
        (key_id, password): (Id, SecretString),
        options: RepositoryOptions,
    ) -> Result<Arc<Self>> {
        let index_cache = options
            .cache_folder
            .as_deref()
            .and_then(|folder| IndexCache::open(folder, config.id, files.key()));
        let chunk_tables = ChunkTables::new(config.chunker_polynomial);
        Ok(Arc::new(Self {
            at_work: AtWork::new(files.store().clone()),
            uploads: Uploads::new(files.store().uploads_at_once()),
            packer: Arc::new(Packer::new(options.pack_bytes, files.store().with_drafts())),
            chunk_tables,
            location,
            files,
            config,
            key_id,
            password,
            options,
            index: RwLock::default(),
            index_files: Mutex::default(),
            index_cache,
            tree_packs: TreePacks::default(),
            lock: Mutex::default(),
            storing: RwLock::default(),
            in_flight: Mutex::default(),
            pending_index: Mutex::default(),
        }))
    }

    /// Begins work that may write: takes the lock, or shares the one that another
    /// session of this process holds. `exclusive` keeps everybody else out.
    pub fn begin(self: &Arc<Self>, exclusive: bool, control: &Control) -> Result<Session> {
        let mut shared = loop {
            // Whoever holds this may wait long for the lock of another process.
            match self.lock.try_lock_for(LOCK_TURN) {
                Some(shared) => break shared,
                None => control.checkpoint()?,
            }
        };
        if let Some(lock) = shared.upgrade() {
            if exclusive {
                return Err(Error::Invalid("this process is using the repository already".into()));
            }
            let surroundings = LockSurroundings { alone: false, stale_found: false };
            return Ok(Session::new(self.clone(), Some(lock), surroundings, control.clone()));
        }
        let (lock, surroundings) = RepositoryLock::acquire(
            &self.files,
            &self.options.identity,
            exclusive,
            self.options.lock_timing,
            self.options.clock.clone(),
            self.options.lock_retry,
            control,
        )?;
        let lock = Arc::new(lock);
        *shared = Arc::downgrade(&lock);
        self.forget_unindexed();
        Ok(Session::new(self.clone(), Some(lock), surroundings, control.clone()))
    }

    /// Sessions that failed may have left packs that no index names. While nobody here held a
    /// lock somebody else may have pruned them, so nothing may rely on them any more. Those
    /// that are still there are found again by [`Session::recover`].
    fn forget_unindexed(&self) {
        let open = self.packer.take_open();
        let mut pending = self.pending_index.lock();
        let mut in_flight = self.in_flight.lock();
        if open.is_empty() && pending.file().is_none() && in_flight.is_empty() {
            return;
        }
        pending.clear();
        in_flight.clear();
        let mut loaded = self.index_files.lock();
        *self.index.write() = Index::default();
        loaded.clear();
    }

    /// Begins work that only reads and takes no lock, as on a store that cannot be written to.
    pub fn begin_unlocked(self: &Arc<Self>) -> Session {
        Session::new(
            self.clone(),
            None,
            LockSurroundings { alone: false, stale_found: false },
            Control::new(),
        )
    }

    /// Deletes stale locks, or all; returns how many.
    pub fn unlock(&self, all: bool) -> Result<usize> {
        lock::remove_locks(&self.files, all, &self.options.lock_timing, self.options.clock.as_ref())
    }

    /// Fails unless `password` is one of its passwords. The one that opened it needs no store.
    pub fn ensure_opens_with(&self, password: &SecretString) -> Result<()> {
        if self.password.expose_secret() == password.expose_secret() {
            return Ok(());
        }
        let _visit = self.at_work.visit();
        keys::find(self.files.store(), password, |_| true).map(drop)
    }

    /// Where it lies, without credentials.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its files by kind and id.
    pub fn files(&self) -> &RepositoryFiles {
        &self.files
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the configuration again: [`Error::Damaged`] if it is not what it was when opened.
    pub fn reread_config(&self) -> Result<()> {
        let sealed = self.files.store().read(CONFIG_PATH, CONFIG_BYTES_MAX)?;
        if open_config(self.files.key(), &sealed)? == self.config {
            Ok(())
        } else {
            Err(Error::damaged(CONFIG_PATH, "it is another one than when the repository was opened"))
        }
    }

    /// The key whose password opened it.
    pub fn key_id(&self) -> Id {
        self.key_id
    }

    /// The options it was opened with.
    pub fn options(&self) -> &RepositoryOptions {
        &self.options
    }

    /// Where its files are cut.
    pub fn chunk_tables(&self) -> &ChunkTables {
        &self.chunk_tables
    }

    /// The index as far as it is loaded, see [`Repository::load_index`].
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read()
    }

    /// A pack has landed: its blobs can be found, and the next index file will name it. Whoever looks for what
    /// an unfinished attempt left may have come upon it first.
    fn note_stored(&self, pack: IndexedPack) {
        let mut pending = self.pending_index.lock();
        let mut index = self.index.write();
        if !index.contains_pack(&pack.id) {
            index.insert_pack(pack.id, &pack.blobs);
            drop(index);
            pending.add(pack);
        }
    }

    fn note_index_written(&self, id: Id, content: &IndexFile) {
        self.index_files.lock().insert(id);
        if let Some(cache) = &self.index_cache {
            cache.write(&IndexRecords::of(id, content));
        }
    }
}

fn open_config(key: &SealingKey, sealed: &[u8]) -> Result<Config> {
    let json = key.open(sealed).map_err(|error| Error::damaged(CONFIG_PATH, error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| Error::damaged(CONFIG_PATH, error.to_string()))
}
