//! The archive pipeline: from a source to a snapshot.
//!
//! As many workers as there are cores take units of work from one queue: a folder
//! to list, a batch of small files, the next chunk of a large file. Each unit goes
//! from the disk into a pack on one thread. Packs are uploaded beside that; a full
//! upload queue holds the workers back, so memory is bounded whatever the input.
//!
//! Unreadable entries are reported and left out; anything that concerns the
//! repository ends the backup, and what was stored until then is kept.

mod large_file;
mod open_tree;
mod parent;
mod previous;
mod queue;
mod small_files;
mod tally;
mod tree_text;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use chrono::{DateTime, FixedOffset};
use keepwell_messages::Stage;
use parking_lot::Mutex;

pub use parent::Parent;
pub use previous::ChangeDetection;

use crate::compress::{self, Compression};
use crate::compute::ComputeSlots;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Snapshot, SnapshotSummary};
use crate::id::Id;
use crate::pace::Pace;
use crate::report::{Counters, Meter, Problem, ReportSink, with_ticks};
use crate::repository::{Recovered, Session, Stored};
use crate::source::{Problems, Source, Totals};
use open_tree::OpenTree;
use queue::{FolderWork, Queue};
use tally::Tally;
use worker::Worker;

/// How to make a backup.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// What the backup is compared with.
    pub parent: Parent,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// Exclude patterns, to be named in the snapshot.
    pub excludes: Vec<String>,
    /// The snapshot's host, if not this machine.
    pub hostname: Option<String>,
    /// The snapshot's time, if not now.
    pub time: Option<DateTime<FixedOffset>>,
    /// How hard to compress.
    pub compression: Compression,
    /// Which signs of a change are not looked at.
    pub change_detection: ChangeDetection,
    /// How fast it may go.
    pub limits: BackupLimits,
    /// Named in the snapshot.
    pub program_version: String,
}

/// How fast one backup may go, beside what its store is limited to. Kept over the long run: a chunk, of up to 8 MiB, is
/// read or stored at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupLimits {
    /// Bytes of content read from the source in a second; `None` is without a limit.
    pub read_bytes_per_second: Option<u64>,
    /// Bytes of new content stored in a second, as they are after compression.
    pub stored_bytes_per_second: Option<u64>,
}

impl BackupLimits {
    /// With less, a chunk keeps a backup so long that it looks dead.
    pub const BYTES_PER_SECOND_MIN: u64 = 256 << 10;
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct BackupOutcome {
    /// The snapshot's name.
    pub id: Id,
    /// The snapshot, its summary included.
    pub snapshot: Snapshot,
    /// Entries that could not be read and are not in the snapshot.
    pub errors: u64,
    /// What an unfinished attempt had left and was kept.
    pub recovered: Recovered,
}

/// What all workers of one backup share.
struct Archiver<'a> {
    session: &'a Session,
    options: &'a BackupOptions,
    control: &'a Control,
    compute: &'a ComputeSlots,
    counters: &'a Counters,
    problems: ToldProblems<'a>,
    queue: Queue,
    tally: Tally,
    read_pace: Option<Pace>,
    stored_pace: Option<Pace>,
    /// Whether the parent snapshot has all extended attributes of what has not changed since.
    trusts_attributes: bool,
    root: Mutex<Option<Id>>,
}

/// Backs up `source` as one snapshot.
///
/// Fails without a snapshot if the source cannot be read at all, the repository
/// cannot be written to, or `control` cancels; packs that were stored stay, named
/// by an index, and the next attempt builds on them.
pub fn back_up(
    session: &Session,
    source: &dyn Source,
    options: &BackupOptions,
    control: &Control,
    compute: &ComputeSlots,
    sink: &dyn ReportSink,
) -> Result<BackupOutcome> {
    let started = session.repository().options().clock.now();
    let counters = Counters::default();
    let meter = Meter::new(&counters, control, sink);
    let source_cancelled = AtomicBool::new(false);
    let tick = || {
        meter.report();
        // A paused job sends nothing.
        if !control.is_paused()
            && let Err(error) = session.save_index_if_due()
        {
            tracing::warn!(%error, "the index could not be saved yet");
        }
        if control.is_cancelled() && !source_cancelled.swap(true, Ordering::Relaxed) {
            source.cancel();
        }
    };
    let outcome = with_ticks(tick, || {
        let mut backup = Backup { session, source, options, control, compute, counters: &counters, sink };
        std::thread::scope(|scope| {
            // Where listings lag, a lock is looked at again after a while, and the first pack waits for that. Begun
            // now, it is over by then. What it finds is found again by whoever writes first.
            scope.spawn(|| session.ensure_writable());
            backup.run(started)
        })
    });
    if outcome.is_err() && !matches!(outcome, Err(Error::LockLost { .. })) {
        if !source_cancelled.swap(true, Ordering::Relaxed) {
            source.cancel();
        }
        if let Err(error) = session.flush() {
            tracing::warn!(%error, "what was read last could not be kept");
        }
    }
    meter.report();
    outcome
}

/// One backup, step by step.
struct Backup<'a> {
    session: &'a Session,
    source: &'a dyn Source,
    options: &'a BackupOptions,
    control: &'a Control,
    compute: &'a ComputeSlots,
    counters: &'a Counters,
    sink: &'a dyn ReportSink,
}

impl<'a> Backup<'a> {
    fn run(&mut self, started: SystemTime) -> Result<BackupOutcome> {
        let problems = ToldProblems { sink: self.sink, counters: self.counters };
        self.counters.enter(Stage::Preparing);
        let candidates = self.look_back()?;
        self.source.prepare(self.control, &problems)?;
        let parent = self.options.parent.choose(candidates, &self.source.paths());
        let recovered = self.session.recover(self.control)?;
        self.counters.enter(Stage::Compressing);
        let (tree, tally) = self.store_tree(parent.as_ref().map(|(_, snapshot)| snapshot))?;
        self.source.finish()?;
        self.counters.enter(Stage::Uploading);
        self.session.flush()?;
        self.control.checkpoint()?;
        let parent = parent.map(|(id, _)| id);
        let snapshot = self.describe(tree, parent, started, &tally);
        let sealed = self.session.seal_snapshot(&snapshot)?;
        self.sink.snapshot_sealed(sealed.id)?;
        let id = self.session.put_snapshot(sealed)?;
        let errors = self.counters.errors.load(Ordering::Relaxed);
        Ok(BackupOutcome { id, snapshot, errors, recovered })
    }

    /// Loads the index, and finds what the parent may be, oldest first. Neither needs the other, and either may be
    /// many answers of a far store.
    fn look_back(&self) -> Result<Vec<(Id, Snapshot)>> {
        let mut loaded = Ok(());
        let candidates = std::thread::scope(|scope| {
            scope.spawn(|| loaded = self.session.repository().load_index(self.control));
            self.options.parent.candidates(self.session.repository(), self.hostname())
        });
        loaded.and(candidates)
    }

    /// Reads the source and stores its tree.
    fn store_tree(&self, parent: Option<&Snapshot>) -> Result<(Id, Tally)> {
        let workers = self.compute.total();
        let archiver = Archiver {
            session: self.session,
            options: self.options,
            control: self.control,
            compute: self.compute,
            counters: self.counters,
            problems: ToldProblems { sink: self.sink, counters: self.counters },
            queue: Queue::new(workers),
            tally: Tally::default(),
            read_pace: self.options.limits.read_bytes_per_second.map(Pace::new),
            stored_pace: self.options.limits.stored_bytes_per_second.map(Pace::new),
            trusts_attributes: parent.is_some_and(|parent| self.has_all_attributes(parent)),
            root: Mutex::new(None),
        };
        let folder = self.source.root()?;
        let tree = OpenTree::new(None, String::new(), archiver.long_tree_level());
        let previous = parent.map(|parent| parent.tree);
        archiver.queue.push_folder(FolderWork { folder, tree, previous });
        // Ends the count as soon as the backup itself is through or has failed.
        let counting = Control::new();
        std::thread::scope(|scope| {
            if self.sink.wants_totals() {
                scope.spawn(|| self.count_source(&counting));
            }
            std::thread::scope(|workers_scope| {
                for _ in 0..workers {
                    workers_scope.spawn(|| Worker::new(&archiver).run());
                }
            });
            counting.cancel();
        });
        match (archiver.queue.take_failure(), archiver.root.into_inner()) {
            (Some(error), _) => Err(error),
            (None, Some(root)) => Ok((root, archiver.tally)),
            (None, None) => Err(Error::Crashed("the source ended without a tree".into())),
        }
    }

    /// This version of the program marks a file some of whose attributes it could not read, and another user may have
    /// been shown fewer.
    fn has_all_attributes(&self, parent: &Snapshot) -> bool {
        !self.options.change_detection.ignore_ctime
            && parent.program_version == self.options.program_version
            && parent.uid == self.session.repository().options().identity.uid
    }

    fn count_source(&self, counting: &Control) {
        let found = |totals: Totals| {
            // A paused job does not count on either.
            if self.control.checkpoint().is_err() {
                counting.cancel();
            }
            Counters::add(&self.counters.files_total, totals.files);
            Counters::add(&self.counters.bytes_total, totals.bytes);
        };
        let is_counted = self.source.count(counting, &found).is_ok();
        // What a command prints has no count before its end: then nothing is known, rather than that nothing is left.
        if is_counted && self.counters.files_total.load(Ordering::Relaxed) > 0 {
            self.counters.finish_totals();
        }
    }

    fn hostname(&self) -> String {
        let identity = &self.session.repository().options().identity;
        self.options.hostname.clone().unwrap_or_else(|| identity.hostname.clone())
    }

    fn describe(&self, tree: Id, parent: Option<Id>, started: SystemTime, tally: &Tally) -> Snapshot {
        let repository = self.session.repository();
        let options = repository.options();
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let local = |time: SystemTime| {
            let utc: DateTime<chrono::Utc> = time.into();
            let offset = options.clock.local_offset_seconds(utc.timestamp());
            crate::format::Timestamp {
                seconds: utc.timestamp(),
                nanoseconds: utc.timestamp_subsec_nanos(),
                offset_seconds: offset,
            }
        };
        let time = self.options.time.map_or_else(
            || local(started),
            |time| crate::format::Timestamp {
                seconds: time.timestamp(),
                nanoseconds: time.timestamp_subsec_nanos(),
                offset_seconds: time.offset().local_minus_utc(),
            },
        );
        let summary = SnapshotSummary {
            backup_start: local(started),
            backup_end: local(options.clock.now()),
            files_new: get(&tally.files.new),
            files_changed: get(&tally.files.changed),
            files_unmodified: get(&tally.files.unmodified),
            dirs_new: get(&tally.folders.new),
            dirs_changed: get(&tally.folders.changed),
            dirs_unmodified: get(&tally.folders.unmodified),
            data_blobs: get(&tally.data_blobs),
            tree_blobs: get(&tally.tree_blobs),
            data_added: get(&tally.added_bytes),
            data_added_packed: get(&tally.added_stored_bytes),
            total_files_processed: tally.files.total(),
            total_bytes_processed: get(&tally.processed_bytes),
            ..SnapshotSummary::default()
        };
        Snapshot {
            parent,
            hostname: self.hostname(),
            username: options.identity.username.clone(),
            uid: options.identity.uid,
            gid: options.identity.gid,
            excludes: self.options.excludes.clone(),
            tags: self.options.tags.clone(),
            program_version: self.options.program_version.clone(),
            summary: Some(summary),
            ..Snapshot::new(time, tree, self.source.paths())
        }
    }
}

impl Archiver<'_> {
    /// What long trees are compressed with as they come: version 1 has no compression.
    fn long_tree_level(&self) -> Option<i32> {
        let compresses = self.session.repository().config().version >= 2;
        compresses.then(|| self.options.compression.level().unwrap_or(compress::DEFAULT_LEVEL))
    }

    fn set_root(&self, id: Id) {
        *self.root.lock() = Some(id);
    }

    fn count_data(&self, plaintext_bytes: u64, stored: Stored) {
        self.tally.count_blob(&self.tally.data_blobs, plaintext_bytes, stored);
        Counters::add(&self.counters.bytes_done, plaintext_bytes);
        if let Stored::New { stored_bytes } = stored {
            Counters::add(&self.counters.bytes_new, plaintext_bytes);
            Counters::add(&self.counters.bytes_stored, stored_bytes);
        }
    }

    fn count_tree(&self, plaintext_bytes: u64, stored: Stored) {
        self.tally.count_blob(&self.tally.tree_blobs, plaintext_bytes, stored);
        if let Stored::New { stored_bytes } = stored {
            Counters::add(&self.counters.bytes_stored, stored_bytes);
        }
    }
}

/// Tells problems to the sink and counts those that are errors.
struct ToldProblems<'a> {
    sink: &'a dyn ReportSink,
    counters: &'a Counters,
}

impl Problems for ToldProblems<'_> {
    fn unreadable(&self, path: &str, why: &str) {
        Counters::add(&self.counters.errors, 1);
        self.sink.problem(&Problem { path: path.into(), why: why.into(), is_error: true });
    }

    fn not_stored(&self, path: &str, why: &str) {
        self.sink.problem(&Problem { path: path.into(), why: why.into(), is_error: false });
    }
}
