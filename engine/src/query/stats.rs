//! How much snapshots hold, counted in restic's four ways.

use hashbrown::HashSet;
use sha2::{Digest, Sha256};

use crate::control::Control;
use crate::crypto::OVERHEAD_BYTES;
use crate::error::{Error, Result};
use crate::format::{BlobKind, Node, NodeKind, Snapshot};
use crate::id::Id;
use crate::query::BlobSet;
use crate::query::walk::{Descent, Unreadable, Visitor, WalkedEntry, walk};
use crate::repository::Repository;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsMode {
    /// What restoring each snapshot would write. Hard links count once.
    #[default]
    RestoreSize,
    /// Files of different content.
    FilesByContents,
    /// Blobs, once for each path that holds them.
    BlobsPerFile,
    /// Blobs as stored, once each.
    RawData,
}

impl StatsMode {
    /// All modes by the names that restic gives them.
    pub const ALL: [(&'static str, Self); 4] = [
        ("restore-size", Self::RestoreSize),
        ("files-by-contents", Self::FilesByContents),
        ("blobs-per-file", Self::BlobsPerFile),
        ("raw-data", Self::RawData),
    ];
}

/// What was counted. What a mode does not count is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Entries; folders and links count in [`StatsMode::RestoreSize`], as in restic.
    pub files: u64,
    /// Blobs, or a path's blobs.
    pub blobs: u64,
    /// Bytes; sealed and compressed in [`StatsMode::RawData`].
    pub bytes: u64,
    /// Bytes that the blobs would take if none were compressed; zero in repositories of version 1.
    pub uncompressed_bytes: u64,
    /// Bytes that compressed blobs take.
    pub compressed_blobs_bytes: u64,
    /// Bytes that compressed blobs would take if they were not.
    pub compressed_blobs_uncompressed_bytes: u64,
}

impl Statistics {
    /// How many times smaller compressed blobs became.
    pub fn compression_ratio(&self) -> Option<f64> {
        quotient(self.compressed_blobs_uncompressed_bytes, self.compressed_blobs_bytes)
    }

    /// Percent of the data that are in compressed blobs.
    pub fn compression_progress_percent(&self) -> Option<f64> {
        quotient(self.compressed_blobs_uncompressed_bytes, self.uncompressed_bytes).map(|part| part * 100.0)
    }

    /// Percent of space that compression saves over all.
    pub fn compression_saving_percent(&self) -> Option<f64> {
        quotient(self.bytes, self.uncompressed_bytes).map(|part| (1.0 - part) * 100.0)
    }
}

fn quotient(dividend: u64, divisor: u64) -> Option<f64> {
    (divisor > 0).then(|| dividend as f64 / divisor as f64)
}

/// Takes the snapshot and what in it cannot be read. An error ends the counting.
pub type UnreadableSink<'a> = dyn FnMut(Id, Unreadable) -> Result<()> + 'a;

/// Counts what the snapshots hold. What cannot be read is told, and missing in the figures.
pub fn count(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    mode: StatsMode,
    control: &Control,
    unreadable: &mut UnreadableSink<'_>,
) -> Result<Statistics> {
    let mut counter = Counter { repository, mode, seen: Seen::default(), statistics: Statistics::default() };
    for (id, snapshot) in snapshots {
        counter.statistics.snapshots += 1;
        counter.seen.links.clear();
        if mode == StatsMode::RawData && !counter.seen.blobs.insert(BlobKind::Tree, snapshot.tree) {
            continue;
        }
        let mut visit = Visit { counter: &mut counter, snapshot: *id, unreadable: &mut *unreadable };
        walk(repository, snapshot.tree, b"/", control, &mut visit)?;
    }
    if mode == StatsMode::RawData {
        let first = snapshots.first().map_or(Id([0; 32]), |(id, _)| *id);
        counter.count_blobs(first, unreadable)?;
    }
    Ok(counter.statistics)
}

struct Counter<'a> {
    repository: &'a Repository,
    mode: StatsMode,
    seen: Seen,
    statistics: Statistics,
}

/// Half a digest: enough to tell a repository's files apart.
type Half = [u8; 16];

/// What was counted already.
#[derive(Default)]
struct Seen {
    /// Device and inode of this snapshot's hard links.
    links: HashSet<(u64, u64)>,
    /// By the sequence of their blobs.
    contents: HashSet<Half>,
    paths: HashSet<Half>,
    /// By path and blob.
    references: HashSet<Half>,
    blobs: BlobSet,
}

fn half(parts: &[&[u8]]) -> Half {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let digest: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

impl Counter<'_> {
    fn count_for_restore(&mut self, node: &Node) {
        self.statistics.files += 1;
        let alone = node.links == 1 || node.kind == NodeKind::Dir || node.inode == 0;
        if alone || self.seen.links.insert((node.device_id, node.inode)) {
            self.statistics.bytes = self.statistics.bytes.saturating_add(node.size);
        }
    }

    /// Whether the content is new. Entries without any count as one.
    fn is_new_content(&mut self, content: &[Id]) -> bool {
        let ids: Vec<&[u8]> = content.iter().map(|id| id.0.as_slice()).collect();
        self.seen.contents.insert(half(&ids))
    }

    fn count_references(&mut self, path: &[u8], content: &[Id]) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        let path_key = half(&[path]);
        self.statistics.files += u64::from(self.seen.paths.insert(path_key));
        for id in content {
            if self.seen.references.insert(half(&[&path_key, &id.0])) {
                let place = self.repository.index().find(BlobKind::Data, id);
                let place = place.ok_or_else(|| missing(BlobKind::Data, *id))?;
                self.statistics.bytes += u64::from(place.blob.plaintext_bytes());
                self.statistics.blobs += 1;
            }
        }
        Ok(())
    }

    fn count_blobs(&mut self, snapshot: Id, unreadable: &mut UnreadableSink<'_>) -> Result<()> {
        let index = self.repository.index();
        let has_compression = self.repository.config().version >= 2;
        for (kind, id) in self.seen.blobs.iter() {
            let Some(place) = index.find(kind, &id) else {
                unreadable(snapshot, Unreadable { path: b"/".to_vec(), error: missing(kind, id) })?;
                continue;
            };
            let statistics = &mut self.statistics;
            let stored_bytes = u64::from(place.blob.length_bytes);
            statistics.blobs += 1;
            statistics.bytes += stored_bytes;
            if has_compression {
                // Uncompressed but sealed, so that both sides count the same overhead.
                let uncompressed_bytes = u64::from(place.blob.plaintext_bytes()) + OVERHEAD_BYTES as u64;
                statistics.uncompressed_bytes += uncompressed_bytes;
                if place.blob.uncompressed_bytes != 0 {
                    statistics.compressed_blobs_bytes += stored_bytes;
                    statistics.compressed_blobs_uncompressed_bytes += uncompressed_bytes;
                }
            }
        }
        Ok(())
    }
}

fn missing(kind: BlobKind, id: Id) -> Error {
    Error::damaged(format!("{} {id}", kind.name()), "no index names it; its pack may be lost")
}

struct Visit<'a, 'r, 's> {
    counter: &'a mut Counter<'r>,
    snapshot: Id,
    unreadable: &'a mut UnreadableSink<'s>,
}

impl Visitor for Visit<'_, '_, '_> {
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent> {
        let (node, counter) = (entry.node, &mut *self.counter);
        let content = node.content.as_deref().unwrap_or_default();
        match counter.mode {
            StatsMode::RestoreSize => counter.count_for_restore(node),
            StatsMode::FilesByContents => {
                if counter.is_new_content(content) {
                    counter.statistics.files += 1;
                    counter.statistics.bytes = counter.statistics.bytes.saturating_add(node.size);
                }
            }
            StatsMode::BlobsPerFile => {
                if counter.is_new_content(content)
                    && let Err(error) = counter.count_references(entry.path, content)
                {
                    let path = entry.path.to_vec();
                    (self.unreadable)(self.snapshot, Unreadable { path, error })?;
                }
            }
            StatsMode::RawData => {
                for id in content.iter().filter(|_| node.kind == NodeKind::File) {
                    counter.seen.blobs.insert(BlobKind::Data, *id);
                }
                if let Some(tree) = node.subtree.filter(|_| node.kind == NodeKind::Dir) {
                    // What is below a tree that was seen was counted with it.
                    let new = counter.seen.blobs.insert(BlobKind::Tree, tree);
                    return Ok(if new { Descent::Into } else { Descent::Skip });
                }
            }
        }
        Ok(Descent::Into)
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        (self.unreadable)(self.snapshot, unreadable)
    }
}

#[cfg(test)]
mod tests;
