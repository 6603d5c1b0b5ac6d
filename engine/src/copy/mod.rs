//! Copying snapshots into another repository, with all that they need and it lacks.
//!
//! Trees are read first; then what is missing is fetched pack by pack, each range of a pack
//! read once, by a few threads: opened, checked against its name, and stored with the
//! destination's own keys and compression. A snapshot is put only after everything that it
//! needs is in an index of the destination. A copy that was broken off is done again by copying again: what
//! arrived is found there, once its packs are indexed.
//!
//! Memory is bounded: a list of `PENDING_BLOBS_MAX` blobs at most, a range for each thread,
//! and the ids of trees that were seen.

mod transfer;

use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use keepwell_messages::Stage;

use crate::compress::Compression;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{BlobKind, Node, NodeKind, Snapshot};
use crate::id::Id;
use crate::query::BlobSet;
use crate::report::{Counters, Meter, Problem, ReportSink, with_ticks};
use crate::repository::{Repository, Session, SnapshotChoice};
use transfer::PendingPacks;

/// Blobs that wait to be fetched, some 60 bytes each; then they are.
const PENDING_BLOBS_MAX: usize = 200_000;
/// Snapshots are put together until so much was stored (restic: a hundred packs) …
const FLUSH_BYTES: u64 = 1 << 30;
/// … or so long, so that packs are closed half full only rarely, and a broken copy loses little.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// How to copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOptions {
    /// How hard to compress.
    pub compression: Compression,
}

/// What became of a snapshot that was to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is stored under this id.
    New(Id),
    /// This snapshot of the destination is the same, or a copy made earlier.
    Known(Id),
}

/// Whether both repositories cut files alike. If not, data copied and data backed up directly
/// do not deduplicate against each other in the destination.
pub fn cuts_alike(source: &Repository, destination: &Repository) -> bool {
    source.config().chunker_polynomial == destination.config().chunker_polynomial
}

/// Copies snapshots in the order given and tells `ended` what became of each, once it is so. Both
/// indexes must be loaded, and the destination's session must be allowed to write.
///
/// # Errors
/// [`Error::Damaged`] names a tree or blob of the source that cannot be read, with the pack; snapshots
/// told until then are whole.
pub fn copy_snapshots(
    source: &Session,
    destination: &Session,
    snapshots: &[(Id, Snapshot)],
    options: &CopyOptions,
    control: &Control,
    sink: &dyn ReportSink,
    ended: &mut dyn FnMut(Id, Copied),
) -> Result<()> {
    destination.ensure_writable()?;
    let counters = Counters::default();
    counters.enter(Stage::Preparing);
    let meter = Meter::new(&counters, control, sink);
    let mut copier = Copier {
        source: source.repository(),
        destination,
        options,
        control,
        counters: &counters,
        trees_seen: HashSet::new(),
        wanted: BlobSet::default(),
        pending: PendingPacks::default(),
        batch: Batch::new(),
    };
    let outcome = with_ticks(|| meter.report(), || copier.copy_all(snapshots, sink, ended));
    meter.report();
    outcome
}

struct Copier<'a> {
    source: &'a Repository,
    destination: &'a Session,
    options: &'a CopyOptions,
    control: &'a Control,
    counters: &'a Counters,
    /// Trees of the source whose needs were noted.
    trees_seen: HashSet<Id>,
    /// Blobs that were noted as missing since the last flush.
    wanted: BlobSet,
    pending: PendingPacks,
    batch: Batch,
}

/// Snapshots whose blobs are stored but not yet known to be indexed.
struct Batch {
    snapshots: Vec<(Id, Snapshot)>,
    stored_bytes: u64,
    since: Instant,
}

impl Batch {
    fn new() -> Self {
        Self { snapshots: Vec::new(), stored_bytes: 0, since: Instant::now() }
    }

    fn is_full(&self) -> bool {
        self.stored_bytes >= FLUSH_BYTES || self.since.elapsed() >= FLUSH_EVERY
    }
}

impl Copier<'_> {
    fn copy_all(
        &mut self,
        snapshots: &[(Id, Snapshot)],
        sink: &dyn ReportSink,
        ended: &mut dyn FnMut(Id, Copied),
    ) -> Result<()> {
        let known = KnownSnapshots::read(self.destination.repository(), sink)?;
        for (id, snapshot) in snapshots {
            if let Some(same) = known.find(*id, snapshot) {
                ended(*id, Copied::Known(same));
                continue;
            }
            self.copy_tree(snapshot.tree)?;
            self.batch.snapshots.push((*id, snapshot.clone()));
            if self.batch.is_full() {
                self.put_batch(ended)?;
            }
        }
        self.counters.finish_totals();
        self.put_batch(ended)
    }

    fn put_batch(&mut self, ended: &mut dyn FnMut(Id, Copied)) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Batch::new());
        if batch.snapshots.is_empty() {
            return Ok(());
        }
        self.destination.flush()?;
        self.wanted = BlobSet::default();
        for (id, snapshot) in batch.snapshots {
            self.control.checkpoint()?;
            // A parent is of no use where it is not; restic leaves it out, too.
            let copy = Snapshot { parent: None, original: Some(snapshot.original.unwrap_or(id)), ..snapshot };
            let new_id = self.destination.put_snapshot(self.destination.seal_snapshot(&copy)?)?;
            ended(id, Copied::New(new_id));
        }
        Ok(())
    }

    /// Copies all that is below `root`, itself included.
    fn copy_tree(&mut self, root: Id) -> Result<()> {
        self.counters.enter(Stage::Preparing);
        let mut open = vec![root];
        while let Some(tree) = open.pop() {
            self.control.checkpoint()?;
            if !self.trees_seen.insert(tree) {
                continue;
            }
            // Even where the destination has the tree: what is below it may be missing there.
            let read = self.source.read_tree_entries(tree)?;
            if let Some(bad) = read.bad_nodes().first() {
                return Err(Error::damaged(format!("tree {tree}"), format!("entry {bad}")));
            }
            self.want(BlobKind::Tree, tree)?;
            for node in read {
                self.want_content(&node)?;
                if node.kind == NodeKind::Dir {
                    let folder =
                        || format!("folder {:?} in tree {tree}", String::from_utf8_lossy(&node.name));
                    open.push(node.subtree.ok_or_else(|| Error::damaged(folder(), "it names no tree"))?);
                }
            }
            if self.pending.blob_count() >= PENDING_BLOBS_MAX {
                self.transfer()?;
            }
        }
        self.transfer()
    }

    fn want_content(&mut self, node: &Node) -> Result<()> {
        for id in node.content.as_deref().unwrap_or_default() {
            self.want(BlobKind::Data, *id)?;
        }
        Ok(())
    }

    /// Notes a blob to be fetched, unless the destination has it or it was noted.
    fn want(&mut self, kind: BlobKind, id: Id) -> Result<()> {
        let known = self.destination.repository().index().contains(kind, &id);
        if known || !self.wanted.insert(kind, id) {
            return Ok(());
        }
        let place = self.source.index().find(kind, &id).ok_or_else(|| {
            Error::damaged(format!("{} {id}", kind.name()), "no index names it; its pack may be lost")
        })?;
        Counters::add(&self.counters.bytes_total, place.blob.plaintext_bytes().into());
        self.pending.add(place);
        Ok(())
    }

    fn transfer(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.blob_count() == 0 {
            return Ok(());
        }
        self.counters.enter(Stage::Uploading);
        let stored_bytes = pending.transfer(
            self.source,
            self.destination,
            self.options.compression,
            self.control,
            self.counters,
        )?;
        self.batch.stored_bytes += stored_bytes;
        Ok(())
    }
}

/// The destination's snapshots by their own ids and by those that they were made from.
struct KnownSnapshots(HashMap<Id, Vec<(Id, Snapshot)>>);

impl KnownSnapshots {
    /// One that cannot be read is told: at worst it is copied once more.
    fn read(repository: &Repository, sink: &dyn ReportSink) -> Result<Self> {
        let mut by_original: HashMap<Id, Vec<(Id, Snapshot)>> = HashMap::new();
        let snapshots = repository.snapshots(&SnapshotChoice::default(), &mut |id, error| {
            sink.problem(&Problem {
                path: format!("snapshots/{id}"),
                why: error.to_string(),
                is_error: false,
            });
        })?;
        for (id, snapshot) in snapshots {
            if let Some(original) = snapshot.original {
                by_original.entry(original).or_default().push((id, snapshot.clone()));
            }
            by_original.entry(id).or_default().push((id, snapshot));
        }
        Ok(Self(by_original))
    }

    /// The snapshot that is this one, or its copy.
    fn find(&self, id: Id, snapshot: &Snapshot) -> Option<Id> {
        let same_line = self.0.get(&snapshot.original.unwrap_or(id))?;
        same_line.iter().find(|(_, known)| is_copy(known, snapshot)).map(|(id, _)| *id)
    }
}

/// Everything but parent and original is the same (restic: `similarSnapshots`).
fn is_copy(known: &Snapshot, snapshot: &Snapshot) -> bool {
    let same_set = |one: &[String], other: &[String]| {
        one.len() == other.len() && other.iter().all(|word| one.contains(word))
    };
    known.time.same_instant(&snapshot.time)
        && known.tree == snapshot.tree
        && (&known.hostname, &known.username) == (&snapshot.hostname, &snapshot.username)
        && (known.uid, known.gid) == (snapshot.uid, snapshot.gid)
        && same_set(&known.paths, &snapshot.paths)
        && same_set(&known.tags, &snapshot.tags)
        && known.excludes == snapshot.excludes
}

#[cfg(test)]
mod tests;
