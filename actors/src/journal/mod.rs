//! What Keepwell remembers: tasks, items, outcomes of due times, events, answers.
//!
//! A batch of changes and events is committed before anybody is told of it, by
//! one writer for all that wait at the time (group commit), durably: after a
//! `kill -9` or a power cut, what was told is there, and of what was not told
//! either all or nothing. Event numbers have no gap, across restarts.
//!
//! It lives in a folder of its own, one process at a time, as SQLite with a
//! write-ahead log. It knows neither actors nor the rules of tasks, except that
//! a due time has one outcome, a command one answer, and a task one end.

mod apply;
mod batch;
mod damaged;
mod error;
mod folder;
mod items_file;
mod load;
mod opening;
mod queue;
mod reader;
mod record;
mod retention;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use chrono::{DateTime, Utc};
use keepwell_messages::{CommandId, Events, History, ItemId, Refusal, Reply, ScheduleOutcomes, TaskId};
use parking_lot::Mutex;

pub use batch::{Batch, Committed, Course, Done, Served, Write};
pub use damaged::Damage;
pub use error::JournalError;
pub use items_file::ItemsFile;
pub use opening::{Found, Opened};
pub use record::{EndedCounts, ItemRecord, Kept, Settings, TaskRecord};

use folder::Folder;
use queue::{Job, Queue};
use reader::Readers;
use retention::{Limits, Retention};
use writer::Writer;

/// A handle of the journal. Dropping the last one commits what waits, folds the log into the journal and
/// gives the folder back; it blocks that long, except on the writer's own thread.
///
/// The methods that read block, for a disk access or two: call them where blocking is allowed, as in
/// `spawn_blocking`. They see what is committed, and neither wait for the writer nor keep it waiting.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    readers: Readers,
    transactions: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `folder`, or begins one; the folder is made if it is not there. `now` names
    /// damaged files that are moved aside. Blocks while the whole journal is looked through.
    ///
    /// # Errors
    /// [`JournalError::InUse`], [`JournalError::NewerVersion`], or what kept the folder from being used.
    /// Damage is none: see [`Opened::found`].
    pub fn open(folder: &Path, now: DateTime<Utc>) -> Result<(Self, Opened), JournalError> {
        Self::open_keeping(folder, now, Limits::default())
    }

    /// Whether the journal in `folder`, if there is one, could be opened now: for who wants to know before
    /// anything is begun.
    ///
    /// # Errors
    /// [`JournalError::InUse`], or what keeps the folder from being used.
    pub fn ensure_free(folder: &Path) -> Result<(), JournalError> {
        if folder.exists() { Folder::lock(folder).map(drop) } else { Ok(()) }
    }

    /// Whether the process `id` has the journal in `folder` open now: for who read that name somewhere and wants to
    /// know whether it still stands for that process. Also false if the folder cannot be looked into.
    pub fn is_held_by(folder: &Path, id: u32) -> bool {
        folder::is_held_by(folder, id)
    }

    fn open_keeping(path: &Path, now: DateTime<Utc>, limits: Limits) -> Result<(Self, Opened), JournalError> {
        let folder = Folder::lock(path)?;
        let journal = folder.journal();
        let (connection, opened) = opening::begin(&folder, now)?;
        let transactions = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(
            folder,
            connection,
            opened.kept.last_event,
            Retention::new(limits),
            Arc::clone(&transactions),
        );
        let queue = Arc::new(Queue::default());
        let queue_of_writer = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&queue_of_writer))
            .map_err(|error| JournalError::file("start the writer of", &journal, &error))?;
        let writer = Mutex::new(Some(thread));
        let shared = Arc::new(Shared { queue, readers: Readers::new(journal), transactions, writer });
        Ok((Self { shared }, opened))
    }

    /// Has `batch` committed, and `done` told once that is durable or has failed; batches are told in the
    /// order of their commits. Returns at once, unless 10,000 batches wait already: then it waits for the
    /// writer to take them, so `done` itself may not call it.
    ///
    /// A batch that fails leaves nothing behind, and takes no other batch with it.
    pub fn commit(&self, batch: Batch, done: Done) {
        self.shared.queue.push(Job::new(batch, done));
    }

    /// As [`Journal::commit`], and waits for the end of it.
    ///
    /// # Errors
    /// Those of the batch: nothing of it is there then.
    pub fn commit_and_wait(&self, batch: Batch) -> Result<Committed, JournalError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let done = move |fate| {
            // The receiver waits below.
            let _ = sender.send(fate);
        };
        self.commit(batch, Box::new(done));
        receiver.recv().unwrap_or(Err(JournalError::Closed))
    }

    /// Transactions made since the journal was opened: fewer than batches wherever batches had to wait.
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::Relaxed)
    }

    /// What a command was answered with, if it was carried out; the newest 100,000 are known.
    ///
    /// # Errors
    /// The journal could not be read, or the value is damaged.
    pub fn served(&self, command: CommandId) -> Result<Option<Result<Reply, Refusal>>, JournalError> {
        self.shared.readers.ask(|connection| reader::served(connection, command))
    }

    /// The state that is committed now, for whoever starts again while the journal stays open; without the
    /// items, of which there may be very many: [`Journal::items`] gives those.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn kept_without_items(&self) -> Result<Kept, JournalError> {
        self.shared.readers.ask(|connection| load::load_without_items(&*connection.unchecked_transaction()?))
    }

    /// The items that are committed now, by id.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn items(&self) -> Result<Vec<ItemRecord>, JournalError> {
        self.shared.readers.ask(load::load_all_items)
    }

    /// The newest commands that were carried out, and their answers, the newest first: at most `limit`.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn latest_served(&self, limit: u32) -> Result<Vec<Served>, JournalError> {
        self.shared.readers.ask(|connection| reader::latest_served(connection, limit))
    }

    /// A task; ended ones as long as they are kept.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn task(&self, task: TaskId) -> Result<Option<TaskRecord>, JournalError> {
        self.shared.readers.ask(|connection| reader::task(connection, task))
    }

    /// Ended tasks, of this item only if one is given, the latest end first: at most `limit`, at most
    /// [`keepwell_messages::PAGE_MAX`], and fewer if they are very large; those that ended before the task `before`
    /// did, of which none are known once it is forgotten itself. The newest 10,000 are kept.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn history(
        &self,
        item: Option<&ItemId>,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<History, JournalError> {
        self.shared.readers.ask(|connection| reader::history(connection, item, before, limit))
    }

    /// What became of an item's due times, the newest first, as many as for [`Journal::history`]. The newest
    /// 2,000 of an item are kept, of a removed one as long as a task of it is.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn outcomes(&self, item: &ItemId, limit: u32) -> Result<ScheduleOutcomes, JournalError> {
        self.shared.readers.ask(|connection| reader::outcomes(connection, item, limit))
    }

    /// The events after number `after`, the oldest first, as many as for [`Journal::history`]. The newest
    /// 100,000 are kept; where `oldest_kept` is beyond `after + 1`, those between are forgotten.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn events(&self, after: u64, limit: u32) -> Result<Events, JournalError> {
        self.shared.readers.ask(|connection| reader::events(connection, after, limit))
    }

    /// The number of the newest event; 0 before the first.
    ///
    /// # Errors
    /// As [`Journal::served`].
    pub fn newest_event(&self) -> Result<u64, JournalError> {
        self.shared.readers.ask(load::last_event)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("transactions", &self.transactions()).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.readers.close();
        self.queue.close();
        let writer = self.writer.get_mut().take();
        // The last handle may have been in a `done`, which runs on the writer's thread.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id())
            && writer.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }
}
