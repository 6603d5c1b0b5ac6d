//! Entries by name and time, in many snapshots.
//!
//! Most snapshots share most of their trees. A tree in which nothing was found is not looked at
//! again at the same path in a later snapshot, so a search costs about as much as the
//! snapshots differ.

use hashbrown::HashSet;

use crate::control::Control;
use crate::error::Result;
use crate::format::{Node, NodeKind, Snapshot, Timestamp};
use crate::id::Id;
use crate::query::walk::{Descent, Unreadable, Visitor, WalkedEntry, walk};
use crate::repository::Repository;
use crate::source::filter::Patterns;

pub use crate::query::find_ids::{IdPrefix, ObjectFound, WantedObjects, find_objects};

/// Which entries are looked for.
#[derive(Clone, Debug, Default)]
pub struct NameQuery {
    /// With the meaning that restic's filters have: a pattern without a slash in front matches at any
    /// depth, and what lies in a folder that matches is found with it.
    pub patterns: Patterns,
    /// Only entries whose content changed at this time or later.
    pub oldest: Option<Timestamp>,
    /// Only entries whose content changed at this time or earlier.
    pub newest: Option<Timestamp>,
}

/// Takes what is found, snapshot by snapshot. An error ends the search.
pub trait FindSink<Found: ?Sized> {
    /// A match.
    fn found(&mut self, snapshot: Id, found: &Found) -> Result<()>;
    /// A tree or an entry of this snapshot that cannot be read: what is in it is not searched.
    fn unreadable(&mut self, snapshot: Id, unreadable: Unreadable) -> Result<()>;
}

/// A matching entry.
pub struct EntryFound<'a> {
    /// Its path in the snapshot.
    pub path: &'a [u8],
    /// Its metadata.
    pub node: &'a Node,
}

/// Folders that are remembered to hold no match: 16 bytes each, and some 20 MiB in all.
const FRUITLESS_FOLDERS_MAX: usize = 1 << 20;

/// Searches the snapshots in the order given.
pub fn find_names(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    query: &NameQuery,
    control: &Control,
    sink: &mut dyn for<'a> FindSink<EntryFound<'a>>,
) -> Result<()> {
    let mut fruitless = HashSet::new();
    for (snapshot_id, snapshot) in snapshots {
        let top = Folder { key: folder_key(snapshot.tree, b"/"), fruitful: false };
        if fruitless.contains(&top.key) {
            continue;
        }
        let mut finder =
            NameFinder { query, snapshot: *snapshot_id, open: vec![top], fruitless: &mut fruitless, sink };
        walk(repository, snapshot.tree, b"/", control, &mut finder)?;
    }
    Ok(())
}

/// A folder that is being searched.
struct Folder {
    key: FolderKey,
    /// Something was found in it, or it could not be read whole: a later snapshot must look again.
    fruitful: bool,
}

/// Half a digest of a tree's id and its path: what matches depends on both.
type FolderKey = [u8; 16];

fn folder_key(tree: Id, path: &[u8]) -> FolderKey {
    let digest = Id::of(&[&tree.0, path].concat());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.0[..16]);
    key
}

struct NameFinder<'a, 's> {
    query: &'a NameQuery,
    snapshot: Id,
    open: Vec<Folder>,
    fruitless: &'a mut HashSet<FolderKey>,
    sink: &'s mut dyn for<'e> FindSink<EntryFound<'e>>,
}

impl NameFinder<'_, '_> {
    fn mark_fruitful(&mut self) {
        if let Some(folder) = self.open.last_mut() {
            folder.fruitful = true;
        }
    }

    fn is_in_time(&self, node: &Node) -> bool {
        let instant = |time: &Timestamp| (time.seconds, time.nanoseconds);
        let mtime = instant(&node.mtime);
        self.query.oldest.as_ref().is_none_or(|oldest| mtime >= instant(oldest))
            && self.query.newest.as_ref().is_none_or(|newest| mtime <= instant(newest))
    }
}

impl Visitor for NameFinder<'_, '_> {
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent> {
        let said = self.query.patterns.matches(entry.path);
        if said.matched && self.is_in_time(entry.node) {
            self.mark_fruitful();
            self.sink.found(self.snapshot, &EntryFound { path: entry.path, node: entry.node })?;
        }
        if entry.node.kind != NodeKind::Dir || !said.child_may_match {
            return Ok(Descent::Skip);
        }
        // One without a tree is told by the walk.
        let key = folder_key(entry.node.subtree.unwrap_or(Id([0; 32])), entry.path);
        if self.fruitless.contains(&key) {
            return Ok(Descent::Skip);
        }
        self.open.push(Folder { key, fruitful: false });
        Ok(Descent::Into)
    }

    fn leave(&mut self, _: &[u8]) -> Result<()> {
        let Some(folder) = self.open.pop() else { return Ok(()) };
        if folder.fruitful {
            self.mark_fruitful();
        } else if self.fruitless.len() < FRUITLESS_FOLDERS_MAX {
            self.fruitless.insert(folder.key);
        }
        Ok(())
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.mark_fruitful();
        self.sink.unreadable(self.snapshot, unreadable)
    }
}

#[cfg(test)]
mod tests;
