//! Writing a snapshot, or a folder or file of it, back to a folder.
//!
//! One thread walks the trees, makes folders and plans files in batches; the others
//! restore the batch before: what stands there already is compared, packs are read each
//! once in the order of first need, and blobs are written to their places in their files.
//! A file's metadata is set by whoever writes its last blob, a folder's once all in it is done.
//!
//! Laws: nothing outside the target is written, whatever the repository holds and whatever
//! stands in the target; no link is followed; memory is bounded by the batch; what is right
//! already is not written again, so an interrupted restore goes on where it ended. What cannot be
//! restored is named and counted, and the rest goes on. A file that misses a blob keeps what
//! could be written, mode 0600 and the time of the writing: it never looks finished.

mod batch;
mod entries;
mod existing;
mod fetch;
mod firebird;
mod hard_links;
mod metadata;
mod options;
mod outcome;
mod plan;
mod subtree;
mod surplus;
mod target_folder;
mod walk;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use keepwell_messages::{ErrorClass, Stage};
use parking_lot::Mutex;
use rustix::io::Errno;

pub use firebird::{FirebirdTarget, restore_firebird};
pub use options::{Overwrite, RestoreOptions};
pub use outcome::RestoreOutcome;
pub use subtree::{Subtree, find_subtree};

use crate::compute::ComputeSlots;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::report::{Counters, Meter, ReportSink, with_ticks};
use crate::repository::{Repository, Session};
use outcome::{Problems, Tally};
use target_folder::{OpenDescriptors, TargetFolder};
use walk::{LeftFolder, OrdinalSet, Walk};

/// Folders kept open; with files well below the usual limit of 1024 descriptors.
const FOLDERS_OPEN_MAX: usize = 256;
/// Files of several blobs kept open.
const FILES_OPEN_MAX: usize = 128;
/// Threads that wait for a remote store, at most; each holds a range and a blob.
const THREADS_MAX: usize = 8;

/// Restores `what` into the folder `target`, which is made if need be and whose own metadata
/// stays. The session's index must be loaded.
///
/// # Errors
/// The target cannot be used, the repository cannot be reached, the disk is full, or `control`
/// cancels; what was written until then stays, and a further restore goes on from it. Single
/// entries that cannot be restored are told to `sink` and counted in the outcome instead.
pub fn restore(
    session: &Session,
    what: impl Into<Subtree>,
    target: &Path,
    options: &RestoreOptions,
    control: &Control,
    compute: &ComputeSlots,
    sink: &dyn ReportSink,
) -> Result<RestoreOutcome> {
    let counters = Counters::default();
    let meter = Meter::new(&counters, control, sink);
    let repository = session.repository();
    let store = repository.files().store();
    let waits = if store.is_local().is_some() { 0 } else { store.connections().min(THREADS_MAX) };
    let restorer = Restorer {
        repository,
        options,
        control,
        compute,
        counters: &counters,
        problems: Problems { sink, counters: &counters },
        tally: Tally::default(),
        folders: OpenDescriptors::new(FOLDERS_OPEN_MAX),
        files: OpenDescriptors::new(FILES_OPEN_MAX),
        threads: compute.total().max(waits),
        is_root: rustix::process::geteuid().is_root(),
        stopped: AtomicBool::new(false),
        restored: Mutex::default(),
        deferred_folders: Mutex::default(),
        large_blob: Mutex::new(()),
    };
    let outcome = with_ticks(|| meter.report(), || restorer.run(&what.into(), target));
    meter.report();
    outcome
}

/// What is done on a walk over the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Restore.
    Write,
    /// Find out what a restore would do.
    Rehearse,
    /// Read back what was restored.
    Verify,
}

/// What all threads of one restore share.
struct Restorer<'a> {
    repository: &'a Repository,
    options: &'a RestoreOptions,
    control: &'a Control,
    compute: &'a ComputeSlots,
    counters: &'a Counters,
    problems: Problems<'a>,
    tally: Tally,
    folders: OpenDescriptors,
    files: OpenDescriptors,
    threads: usize,
    is_root: bool,
    stopped: AtomicBool,
    /// Files to be verified, by their place in the walk.
    restored: Mutex<OrdinalSet>,
    /// Folders whose final mode would bar us from links and files in them: done at the end.
    deferred_folders: Mutex<Vec<LeftFolder>>,
    /// Held while a blob of unusual size is in memory: one at a time.
    large_blob: Mutex<()>,
}

impl Restorer<'_> {
    fn run(&self, what: &Subtree, target: &Path) -> Result<RestoreOutcome> {
        self.counters.enter(Stage::Restoring);
        let root = self.open_target(target)?;
        if self.options.dry_run {
            self.pass(what, root, Pass::Rehearse)?;
            return Ok(self.tally.outcome(self.counters));
        }
        let outcome = self.pass(what, root.clone(), Pass::Write).and_then(|()| {
            if !self.options.verify {
                return Ok(());
            }
            self.counters.enter(Stage::Verifying);
            self.pass(what, root, Pass::Verify)
        });
        self.finish_folders(std::mem::take(&mut *self.deferred_folders.lock()), true);
        outcome.map(|()| self.tally.outcome(self.counters))
    }

    /// `None` in a rehearsal without a target.
    fn open_target(&self, target: &Path) -> Result<Option<Arc<TargetFolder>>> {
        use std::os::unix::fs::DirBuilderExt;
        if let Some(beneath) = self.options.beneath.as_ref().filter(|_| !self.options.dry_run) {
            let opened = TargetFolder::beneath(beneath, target);
            return opened.map(Some).map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => Error::Invalid(format!(
                    "the target {} leads through a link or a file; name a folder that is reached without",
                    target.display()
                )),
                error => Error::local("open the folder", target, error),
            });
        }
        let is_there = target.is_dir();
        if !is_there && target.exists() {
            let why = std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is no folder");
            return Err(Error::local("restore into", target, why));
        }
        if !is_there {
            if self.options.dry_run {
                return Ok(None);
            }
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(target);
            made.map_err(|error| Error::local("make the folder", target, error))?;
        }
        let root = TargetFolder::root(target, !is_there);
        root.map(Some).map_err(|error| Error::local("open the folder", target, error))
    }

    /// Walks on a thread of its own while the others do the batch before.
    fn pass(&self, what: &Subtree, root: Option<Arc<TargetFolder>>, pass: Pass) -> Result<()> {
        let (batches, planned) = sync_channel(0);
        std::thread::scope(|scope| {
            let walker = scope.spawn(move || Walk::new(self, pass, batches).run(what, root));
            let mut worked = Ok(());
            for batch in planned {
                worked = self.run_batch(batch, pass);
                if worked.is_err() {
                    self.stop();
                    break;
                }
            }
            // The channel is closed by now: a walker that plans on ends at its next batch.
            let walked = walker.join().unwrap_or_else(|_| Err(Error::Crashed("while reading trees".into())));
            worked.and(walked)
        })
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Fails once the restore is cancelled or another thread of it failed.
    fn checkpoint(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        self.control.checkpoint()
    }

    /// Whether an error says that the repository cannot be used at all, rather than that one
    /// object of it cannot be read. A local disk may fail for one file alone.
    fn ends_all(&self, error: &Error) -> bool {
        let is_local = self.repository.files().store().is_local().is_some();
        match error.class() {
            ErrorClass::Repository | ErrorClass::Source => false,
            ErrorClass::Server | ErrorClass::Credentials | ErrorClass::Settings => {
                !is_local && !error.is_not_found()
            }
            ErrorClass::Network | ErrorClass::Space | ErrorClass::Crash | ErrorClass::Cancelled => true,
        }
    }
}
