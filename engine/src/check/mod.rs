//! Check: whether a repository holds what its snapshots promise.
//!
//! Two passes. *Structure* reads keys, locks, snapshots, index files and every tree that a
//! snapshot reaches, each once, and looks up every blob of every file; packs are only listed.
//! *Data* reads packs whole and proves every byte: the pack's digest, its header against the
//! index, and each blob's authentication code, compression and digest.
//!
//! Damage is not an error here but a [`Finding`], and never ends the check; errors are what keeps
//! it from going on (no connection, cancelled). Nothing is written or repaired. Memory: 80 bytes
//! a pack and 32 a tree beside the index, and a pack or a folder for each thread.

mod finding;
mod indexes;
mod keys_and_locks;
mod pack_data;
mod pack_table;
mod subset;
mod trees;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use keepwell_messages::Stage;

pub use finding::{Finding, FindingKind, Severity};
pub use subset::{PackSubset, ParsePackSubsetError};

use crate::compute::ComputeSlots;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::report::{Counters, Meter, ReportSink, with_ticks};
use crate::repository::{FileKind, Repository, Session};
use finding::Findings;
use pack_table::PackTable;

/// Which packs are read whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ReadData {
    /// None: structure only.
    #[default]
    Nothing,
    /// All that an index names.
    All,
    /// Some of them.
    Subset(PackSubset),
}

/// What to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Which packs are read whole.
    pub read_data: ReadData,
    /// Makes the random choice of a subset repeatable.
    pub seed: Option<u64>,
}

/// What was checked and how it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOutcome {
    /// Findings that mean that something is lost or wrong.
    pub errors: u64,
    /// Findings that mean waste, or unfinished work.
    pub warnings: u64,
    /// Snapshots, damaged ones included.
    pub snapshots: u64,
    /// Index files, damaged ones included.
    pub index_files: u64,
    /// Packs that an index names.
    pub packs: u64,
    /// Different trees that snapshots reach.
    pub trees: u64,
    /// Packs that were read whole.
    pub packs_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
}

impl CheckOutcome {
    /// Whether everything that was looked at is whole.
    pub fn is_sound(&self) -> bool {
        self.errors == 0
    }
}

/// Checks the session's repository and tells `found`, from several threads, of everything that is
/// not as it should be. The index need not be loaded; what of it is sound is loaded afterwards.
///
/// Without an exclusive lock a backup that runs meanwhile may show as packs that no index names.
///
/// # Errors
/// The store cannot be reached, or `control` cancelled. Damage is no error.
pub fn check(
    session: &Session,
    options: &CheckOptions,
    control: &Control,
    compute: &ComputeSlots,
    sink: &dyn ReportSink,
    found: &(dyn Fn(Finding) + Sync),
) -> Result<CheckOutcome> {
    let counters = Counters::default();
    counters.enter(Stage::Verifying);
    let meter = Meter::new(&counters, control, sink);
    let checker = Checker {
        session,
        repository: session.repository(),
        options,
        control,
        compute,
        counters: &counters,
        findings: Findings::new(found, &counters),
    };
    let outcome = with_ticks(|| meter.report(), || checker.run());
    meter.report();
    outcome
}

/// One check, shared by its threads.
struct Checker<'a> {
    session: &'a Session,
    repository: &'a Repository,
    options: &'a CheckOptions,
    control: &'a Control,
    compute: &'a ComputeSlots,
    counters: &'a Counters,
    findings: Findings<'a>,
}

/// A snapshot that can be read.
#[derive(Clone, Copy)]
struct SoundSnapshot {
    id: Id,
    tree: Id,
}

impl Checker<'_> {
    fn run(&self) -> Result<CheckOutcome> {
        self.check_config()?;
        self.check_keys()?;
        self.check_locks()?;
        // Snapshots are listed before indexes: what a backup adds meanwhile is then named by an
        // index whenever a snapshot relies on it.
        let snapshot_ids = self.repository.files().ids(FileKind::Snapshot)?;
        let (table, index_files) = self.check_indexes()?;
        let table = self.check_listing(table)?;
        let snapshots = self.check_snapshots(&snapshot_ids)?;
        let trees = self.check_trees(&snapshots)?;
        let (packs_read, bytes_read) = self.check_data(&table)?;
        Ok(CheckOutcome {
            errors: self.findings.errors(),
            warnings: self.findings.warnings(),
            snapshots: snapshot_ids.len() as u64,
            index_files,
            packs: table.len() as u64,
            trees,
            packs_read,
            bytes_read,
        })
    }

    fn check_snapshots(&self, ids: &[Id]) -> Result<Vec<SoundSnapshot>> {
        self.count_known(ids.len());
        let sound = parking_lot::Mutex::new(Vec::with_capacity(ids.len()));
        self.for_each(ids, |&id| {
            match self.repository.read_snapshot(id) {
                Ok(snapshot) => sound.lock().push(SoundSnapshot { id, tree: snapshot.tree }),
                // Somebody removed it since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let (object, why) = self.as_damage(FileKind::Snapshot.path(id), error)?;
                    self.findings.tell(FindingKind::SnapshotDamaged, object, why);
                }
            }
            self.count_done();
            Ok(())
        })?;
        let mut sound = sound.into_inner();
        // Findings name the first snapshot that they concern: the same one at each run.
        sound.sort_unstable_by_key(|snapshot| snapshot.id);
        Ok(sound)
    }

    fn check_data(&self, table: &PackTable) -> Result<(u64, u64)> {
        let mut stored = table.stored_packs();
        match self.options.read_data {
            ReadData::Nothing => return Ok((0, 0)),
            ReadData::All => {}
            ReadData::Subset(subset) => subset.retain(&mut stored, self.options.seed)?,
        }
        let bytes: u64 = stored.iter().map(|pack| pack.stored_bytes).sum();
        self.count_known(stored.len());
        Counters::add(&self.counters.bytes_total, bytes);
        self.counters.finish_totals();
        let bytes_read = AtomicU64::new(0);
        let result = self.for_each(&stored, |pack| {
            let read = self.check_pack(pack)?;
            bytes_read.fetch_add(read, Ordering::Relaxed);
            self.count_done();
            Ok(())
        });
        result.map(|()| (stored.len() as u64, bytes_read.into_inner()))
    }

    /// What is wrong with an object, if the error says that something is: damage, an object that
    /// is gone, or a local file that cannot be read. What is wrong with the way to a remote
    /// store says nothing of its objects, and ends the check.
    fn as_damage(&self, object: String, error: Error) -> Result<(String, String)> {
        match error {
            Error::Damaged { object, why } => Ok((object, why)),
            Error::Store { why, .. } if self.repository.files().store().is_local().is_some() => {
                Ok((object, format!("it cannot be read: {why}")))
            }
            error if error.is_not_found() => Ok((object, "it is gone".into())),
            error => Err(error),
        }
    }

    /// As many threads as keep the store and the cores busy; slots bound what computes.
    fn threads(&self) -> usize {
        self.compute.total().max(self.repository.files().store().connections())
    }

    /// Calls `work` for each item, on several threads, until all are done or one fails.
    fn for_each<T: Sync>(&self, items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicUsize::new(0);
        in_parallel(self.threads().min(items.len()), &|| {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.control.checkpoint().and_then(|()| work(item));
                if outcome.is_err() {
                    // The others find nothing more to do.
                    next.store(items.len(), Ordering::Relaxed);
                    return outcome;
                }
            }
            Ok(())
        })
    }

    fn count_known(&self, objects: usize) {
        Counters::add(&self.counters.files_total, objects as u64);
    }

    fn count_done(&self) {
        Counters::add(&self.counters.files_done, 1);
    }
}

/// Runs `work` on so many threads, at least one; the first error counts.
fn in_parallel(threads: usize, work: &(dyn Fn() -> Result<()> + Sync)) -> Result<()> {
    std::thread::scope(|scope| {
        let mut started = Vec::new();
        for _ in 0..threads.max(1) {
            let thread = std::thread::Builder::new().name("keepwell-check".into()).spawn_scoped(scope, work);
            started
                .push(thread.map_err(|error| Error::Crashed(format!("no thread for the check: {error}")))?);
        }
        let mut outcome = Ok(());
        for thread in started {
            let ended = thread.join().unwrap_or_else(|_| Err(Error::Crashed("while checking".into())));
            outcome = outcome.and(ended);
        }
        outcome
    })
}
