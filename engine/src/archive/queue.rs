//! What is left to do, shared by the workers of one backup.
//!
//! Files go before folders and the deepest folder before its siblings, so that
//! little is waiting at any time. A worker that finds the queue full does some of
//! its work before it adds more.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::archive::large_file::LargeFile;
use crate::archive::open_tree::{OpenTree, Slot};
use crate::error::Error;
use crate::format::Node;
use crate::source::{FileContent, Folder};

/// A folder to be listed.
pub(super) struct FolderWork {
    /// The folder.
    pub folder: Box<dyn Folder>,
    /// The tree it becomes.
    pub tree: Arc<OpenTree>,
    /// The tree that the parent snapshot has in its place.
    pub previous: Option<crate::id::Id>,
}

/// A file to be read whole by one worker.
pub(super) struct FileWork {
    /// Its metadata.
    pub node: Node,
    /// Its bytes.
    pub content: Box<dyn FileContent>,
    /// Where its entry goes.
    pub slot: Slot,
    /// Whether the parent snapshot has a file of this name.
    pub had_previous: bool,
}

/// A unit of work.
pub(super) enum Work {
    /// Small files, read one after the other.
    Files(Vec<FileWork>),
    /// A large file, of which each worker takes chunk after chunk.
    Large(Arc<LargeFile>),
    /// A folder to list.
    Folder(FolderWork),
}

/// Batches that may wait, for each worker.
const BATCHES_PER_WORKER: usize = 4;
/// Large files that may be open at once: each has one buffer.
const LARGE_FILES_MAX: usize = 4;

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    batches_max: usize,
}

#[derive(Default)]
struct State {
    files: VecDeque<Vec<FileWork>>,
    large: VecDeque<Arc<LargeFile>>,
    folders: Vec<FolderWork>,
    working: usize,
    failure: Option<Error>,
}

impl Queue {
    pub(super) fn new(workers: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), batches_max: workers * BATCHES_PER_WORKER }
    }

    /// Adds a folder: the next to be listed.
    pub(super) fn push_folder(&self, work: FolderWork) {
        self.state.lock().folders.push(work);
        self.changed.notify_one();
    }

    /// Adds folders so that the first of them is the next to be listed.
    pub(super) fn push_folders(&self, work: Vec<FolderWork>) {
        self.state.lock().folders.extend(work.into_iter().rev());
        self.changed.notify_all();
    }

    /// Adds files to be read. Returns files to be read by the caller first if too many wait.
    pub(super) fn push_files(&self, batch: Vec<FileWork>) -> Option<Vec<FileWork>> {
        let mut state = self.state.lock();
        state.files.push_back(batch);
        let too_many = state.files.len() > self.batches_max;
        let back = if too_many { state.files.pop_front() } else { None };
        drop(state);
        self.changed.notify_one();
        back
    }

    /// Adds a large file. Returns one for the caller to work on first if too many are open.
    pub(super) fn push_large(&self, file: Arc<LargeFile>) -> Option<Arc<LargeFile>> {
        self.state.lock().large.push_back(file);
        self.changed.notify_all();
        self.large_if_too_many()
    }

    /// The large file to work on first, while too many are open.
    pub(super) fn large_if_too_many(&self) -> Option<Arc<LargeFile>> {
        let state = self.state.lock();
        if state.large.len() > LARGE_FILES_MAX && state.failure.is_none() {
            state.large.front().cloned()
        } else {
            None
        }
    }

    /// A large file has been read to its end: nobody else need look at it.
    pub(super) fn forget_large(&self, file: &Arc<LargeFile>) {
        self.state.lock().large.retain(|other| !Arc::ptr_eq(file, other));
    }

    /// Waits for work; `None` when all is done or something failed. What is taken
    /// must be ended with [`Queue::done`].
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let work = if let Some(batch) = state.files.pop_front() {
                Some(Work::Files(batch))
            } else if let Some(large) = state.large.front() {
                Some(Work::Large(large.clone()))
            } else {
                state.folders.pop().map(Work::Folder)
            };
            if let Some(work) = work {
                state.working += 1;
                return Some(work);
            }
            if state.working == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Ends a unit of work.
    pub(super) fn done(&self) {
        let mut state = self.state.lock();
        state.working -= 1;
        if state.working == 0 {
            self.changed.notify_all();
        }
    }

    /// Ends everything; the first reason is kept.
    pub(super) fn fail(&self, error: Error) {
        self.state.lock().failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Whether something failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failure.is_some()
    }

    /// Why everything ended, if something failed.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.state.lock().failure.take()
    }
}
