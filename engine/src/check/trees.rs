//! Every tree that a snapshot reaches, each read once, and every blob of every file looked up.
//!
//! Folders wait on one stack that all threads share: depth first, so few wait at a time, and
//! no recursion, so a repository cannot choose how deep the program's own stack grows.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::finding::FindingKind;
use super::{Checker, SoundSnapshot, in_parallel};
use crate::error::{Error, Result};
use crate::format::{BlobKind, Node, NodeKind, TreeEntries, quote};
use crate::id::Id;
use crate::repository::{FileKind, Index};

/// Longer paths are cut at their front: a hostile repository could ask for any length.
const PATH_BYTES_MAX: usize = 4096;
/// Of one tree so many bad entries are told, the rest is counted.
const BAD_NODES_TOLD_MAX: usize = 100;

/// Half an id: enough to tell trees apart, at half the memory.
type HalfId = [u8; 16];

fn half(id: Id) -> HalfId {
    let mut half = [0; 16];
    half.copy_from_slice(&id.0[..16]);
    half
}

/// A tree that waits to be read, and where it was first found.
struct Folder {
    tree: Id,
    parent: Option<Arc<str>>,
    name: Box<[u8]>,
    snapshot: Id,
}

impl Folder {
    fn path(&self) -> Arc<str> {
        match &self.parent {
            None => Arc::from("/"),
            Some(parent) => join(parent, &self.name).into(),
        }
    }
}

fn join(parent: &str, name: &[u8]) -> String {
    let mut path = String::from(parent);
    if !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(&String::from_utf8_lossy(&quote(name)));
    if path.len() > PATH_BYTES_MAX {
        let excess = path.len() - PATH_BYTES_MAX / 2;
        let start = (excess..path.len()).find(|&at| path.is_char_boundary(at)).unwrap_or(path.len());
        path.replace_range(..start, "…");
    }
    path
}

#[derive(Default)]
struct State {
    waiting: Vec<Folder>,
    seen: HashSet<HalfId>,
    busy: usize,
    failed: bool,
}

/// The folders that wait, and the threads that wait for folders.
#[derive(Default)]
struct Folders {
    state: Mutex<State>,
    changed: Condvar,
}

impl Folders {
    /// `None` once nothing waits and nobody works who could add something.
    fn next(&self) -> Option<Folder> {
        let mut state = self.state.lock();
        loop {
            if state.failed || (state.waiting.is_empty() && state.busy == 0) {
                return None;
            }
            if let Some(folder) = state.waiting.pop() {
                state.busy += 1;
                return Some(folder);
            }
            self.changed.wait(&mut state);
        }
    }

    /// Adds trees that were not seen before; returns how many.
    fn add(&self, folders: impl IntoIterator<Item = Folder>) -> usize {
        let mut state = self.state.lock();
        let before = state.waiting.len();
        for folder in folders {
            if state.seen.insert(half(folder.tree)) {
                state.waiting.push(folder);
            }
        }
        // The first of a folder is on top, so that trees are read in the order they were stored.
        state.waiting[before..].reverse();
        self.changed.notify_all();
        state.waiting.len() - before
    }
}

/// Ends a thread's work on a folder, also if it panics: the others would wait for ever.
struct Busy<'a> {
    folders: &'a Folders,
    sound: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.folders.state.lock();
        state.busy -= 1;
        state.failed |= !self.sound;
        self.folders.changed.notify_all();
    }
}

impl Checker<'_> {
    /// Reads the trees of `snapshots` and all below; returns how many there are.
    pub(super) fn check_trees(&self, snapshots: &[SoundSnapshot]) -> Result<u64> {
        let folders = Folders::default();
        let roots = snapshots.iter().map(|snapshot| Folder {
            tree: snapshot.tree,
            parent: None,
            name: Box::default(),
            snapshot: snapshot.id,
        });
        self.count_known(folders.add(roots));
        let missing = Mutex::new(HashSet::new());
        in_parallel(self.threads(), &|| {
            while let Some(folder) = folders.next() {
                let mut busy = Busy { folders: &folders, sound: false };
                self.control.checkpoint()?;
                self.check_folder(&folder, &folders, &missing)?;
                self.count_done();
                busy.sound = true;
            }
            Ok(())
        })?;
        Ok(folders.state.into_inner().seen.len() as u64)
    }

    fn check_folder(
        &self,
        folder: &Folder,
        folders: &Folders,
        missing: &Mutex<HashSet<HalfId>>,
    ) -> Result<()> {
        let path = folder.path();
        // A remote store is waited for; that is no time to hold a slot.
        let is_local = self.repository.files().store().is_local().is_some();
        let _slot = is_local.then(|| self.compute.take());
        let tree = match self.repository.read_tree_entries(folder.tree) {
            Ok(tree) => tree,
            Err(error) => return self.tell_unreadable(folder, &path, error),
        };
        self.check_order(folder, &path, &tree);
        let mut below = Vec::new();
        {
            let index = self.repository.index();
            for node in tree {
                match node.kind {
                    NodeKind::File => self.check_file(folder, &path, &node, &index, missing),
                    NodeKind::Dir => match node.subtree {
                        Some(tree) => below.push(Folder {
                            tree,
                            parent: Some(path.clone()),
                            name: node.name.as_slice().into(),
                            snapshot: folder.snapshot,
                        }),
                        None => self.tell_node(folder, &join(&path, &node.name), "the folder names no tree"),
                    },
                    _ => {}
                }
            }
        }
        self.count_known(folders.add(below));
        Ok(())
    }

    fn tell_unreadable(&self, folder: &Folder, path: &str, error: Error) -> Result<()> {
        let is_indexed = self.repository.index().contains(BlobKind::Tree, &folder.tree);
        let is_missing = !is_indexed || error.is_not_found();
        let (object, why) = self.as_damage(format!("tree {}", folder.tree), error)?;
        if is_missing && folder.parent.is_none() {
            let object = FileKind::Snapshot.path(folder.snapshot);
            let why = format!("its tree {} is missing: {why}", folder.tree);
            self.findings.tell(FindingKind::SnapshotTreeMissing, object, why);
            return Ok(());
        }
        let what = if is_missing { FindingKind::TreeMissing } else { FindingKind::TreeDamaged };
        let why = format!("{why}; {path} in {} needs it", FileKind::Snapshot.path(folder.snapshot));
        self.findings.tell(what, object, why);
        Ok(())
    }

    fn check_order(&self, folder: &Folder, path: &str, tree: &TreeEntries) {
        if let Some(name) = tree.out_of_order() {
            let name = String::from_utf8_lossy(&quote(name)).into_owned();
            let why = format!("\"{name}\" is out of order in {path}");
            self.findings.tell(FindingKind::TreeUnordered, format!("tree {}", folder.tree), why);
        }
        let bad = tree.bad_nodes();
        for node in bad.iter().take(BAD_NODES_TOLD_MAX) {
            self.tell_node(folder, path, &node.to_string());
        }
        if bad.len() > BAD_NODES_TOLD_MAX {
            let more = bad.len() - BAD_NODES_TOLD_MAX;
            self.tell_node(folder, path, &format!("{more} more entries cannot be used"));
        }
    }

    fn check_file(
        &self,
        folder: &Folder,
        path: &str,
        node: &Node,
        index: &Index,
        missing: &Mutex<HashSet<HalfId>>,
    ) {
        let path = || join(path, &node.name);
        let Some(content) = &node.content else {
            return self.tell_node(folder, &path(), "the file has no list of blobs");
        };
        let mut known_bytes: u64 = 0;
        let mut all_known = true;
        for &id in content {
            if let Some(place) = index.find(BlobKind::Data, &id) {
                known_bytes = known_bytes.saturating_add(place.blob.plaintext_bytes().into());
                continue;
            }
            all_known = false;
            if missing.lock().insert(half(id)) {
                let snapshot = FileKind::Snapshot.path(folder.snapshot);
                let why = format!("no index names it; {} in {snapshot} needs it", path());
                self.findings.tell(FindingKind::BlobMissing, format!("data {id}"), why);
            }
        }
        if all_known && known_bytes != node.size {
            let why = format!("{} has {} bytes, its blobs have {known_bytes}", path(), node.size);
            self.findings.tell(FindingKind::FileSizeDiffers, format!("tree {}", folder.tree), why);
        }
    }

    fn tell_node(&self, folder: &Folder, path: &str, why: &str) {
        let snapshot = FileKind::Snapshot.path(folder.snapshot);
        let why = format!("{path} in {snapshot}: {why}");
        self.findings.tell(FindingKind::NodeDamaged, format!("tree {}", folder.tree), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_readable_and_bounded() {
        assert_eq!(join("/", b"etc"), "/etc");
        assert_eq!(join("/etc", b"a\nb\xff"), r"/etc/a\nb\xff");
        let mut path = String::from("/");
        for _ in 0..3000 {
            path = join(&path, "grün".as_bytes());
            assert!(path.len() <= PATH_BYTES_MAX, "{} bytes", path.len());
        }
        assert!(path.starts_with('…') && path.ends_with("/grün"));
    }
}
