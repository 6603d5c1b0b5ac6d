//! One batch, step by step: compare, settle, fetch and write, link, finish folders.
//!
//! Steps follow each other; within a step the batch's items are spread over threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::buffer::Buffer;
use crate::error::{Error, Result, plain_reason};
use crate::report::Counters;
use crate::repository::BlobOpener;
use crate::restore::metadata::Entry;
use crate::restore::plan::{Batch, Found};
use crate::restore::walk::LeftFolder;
use crate::restore::{Pass, Restorer};

/// Items that a thread takes at a time where they are small.
const SMALL_ITEMS: usize = 32;

/// A thread's working memory.
#[derive(Default)]
pub(super) struct Scratch {
    /// A part of a pack.
    pub(super) sealed: Buffer,
    /// For its blobs.
    pub(super) opener: BlobOpener,
    /// What a file holds in a blob's place.
    pub(super) bytes: Vec<u8>,
}

impl Restorer<'_> {
    /// Does what the batch says. The error is one that ends the restore.
    pub(super) fn run_batch(&self, batch: Batch, pass: Pass) -> Result<()> {
        let pieces = batch.pieces_to_compare(pass);
        self.in_parallel(pieces.len(), 1, |scratch, number| {
            self.compare(&batch, &pieces[number], pass, scratch)
        })?;
        self.in_parallel(batch.files.len(), SMALL_ITEMS, |_, number| {
            let file = &batch.files[number];
            match pass {
                Pass::Write => self.settle(&batch, file),
                Pass::Rehearse => self.rehearse(&batch, file),
                Pass::Verify => self.tell_verified(&batch, file),
            }
        })?;
        if pass != Pass::Write {
            return Ok(());
        }
        let plan = batch.plan_fetches();
        self.in_parallel(plan.fetches.len(), 1, |scratch, number| {
            self.fetch(&batch, &plan, &plan.fetches[number], scratch)
        })?;
        self.files.clear();
        self.in_parallel(batch.links.len(), SMALL_ITEMS, |_, number| self.make_link(&batch.links[number]))?;
        let mut restored = self.restored.lock();
        for file in batch.files.iter().filter(|file| !file.has_failed() && file.found != Found::TakenAsSame) {
            restored.insert(file.ordinal);
        }
        drop(restored);
        self.finish_folders(batch.folders, false);
        Ok(())
    }

    /// Calls `work` for every number below `count`, from all threads. The first error ends it.
    fn in_parallel(
        &self,
        count: usize,
        grain: usize,
        work: impl Fn(&mut Scratch, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        let next = AtomicUsize::new(0);
        let ended = AtomicBool::new(false);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let run = || {
            let mut scratch = Scratch::default();
            while !ended.load(Ordering::Relaxed) {
                let first = next.fetch_add(grain, Ordering::Relaxed);
                if first >= count {
                    return;
                }
                let mut numbers = first..count.min(first + grain);
                let done = numbers
                    .try_for_each(|number| self.checkpoint().and_then(|()| work(&mut scratch, number)));
                if let Err(error) = done {
                    ended.store(true, Ordering::Relaxed);
                    failure.lock().get_or_insert(error);
                }
            }
        };
        let threads = self.threads.min(count.div_ceil(grain));
        if threads <= 1 {
            run();
        } else {
            let panicked = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                threads.into_iter().filter_map(|thread| thread.join().err()).count()
            });
            if panicked > 0 {
                return Err(Error::Crashed("while restoring files".into()));
            }
        }
        failure.into_inner().map_or(Ok(()), Err)
    }

    /// Sets the metadata of folders, inner ones first. Those that would then bar us are put
    /// off until the end, `last`: links may still be made to files in them, or files read back.
    pub(super) fn finish_folders(&self, folders: Vec<LeftFolder>, last: bool) {
        for left in folders {
            if !last && !self.is_root && left.metadata.bars_its_owner() {
                self.deferred_folders.lock().push(left);
                continue;
            }
            match left.folder.open(&self.folders) {
                Ok(descriptor) => {
                    let faults = left.metadata.put_on(Entry::Open(&descriptor), self.is_root);
                    let parent = left.folder.parent().unwrap_or(&left.folder);
                    self.tell_faults(parent, left.folder.name(), faults);
                }
                Err(error) => {
                    let why = format!("cannot open the folder again: {}", plain_reason(&error.into()));
                    let parent = left.folder.parent().unwrap_or(&left.folder);
                    self.problems.error(parent.location_of(left.folder.name()), why);
                }
            }
            Counters::add(&self.tally.folders, 1);
        }
        let owners = if last { self.tally.owners_not_set.load(Ordering::Relaxed) } else { 0 };
        if owners > 0 {
            let why = format!("the owner of {owners} entries could not be set: only root may do so");
            self.problems.note("/".into(), why);
        }
    }
}
