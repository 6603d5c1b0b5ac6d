//! What differs between two trees, as restic's `diff` tells it, with its statistics.
//!
//! Both trees are walked side by side. Folders that are the same on both sides are
//! walked, too, though only once each: their blobs are neither new nor gone.

use std::cmp::Ordering;

use hashbrown::HashSet;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{BlobKind, Node, NodeKind, TreeEntries};
use crate::id::Id;
use crate::query::BlobSet;
use crate::query::walk::{Unreadable, push_name, read_entries, subtree_of};
use crate::repository::Repository;

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second tree has it.
    Added,
    /// Only the first tree has it.
    Removed,
    /// Both have it, and it differs in at least one of these.
    Changed {
        /// It is of another kind.
        kind: bool,
        /// A file has other content.
        content: bool,
        /// A file has other content with the same metadata: damage on its disk is likely.
        bitrot: bool,
        /// Its metadata differ, its content does not. Found only if asked for.
        metadata: bool,
    },
}

impl Change {
    /// As restic marks it: `+`, `-`, or one or more of `T`, `M`, `?` and `U`.
    pub fn marks(self) -> String {
        match self {
            Self::Added => "+".into(),
            Self::Removed => "-".into(),
            Self::Changed { kind, content, bitrot, metadata } => {
                let marks = [(kind, 'T'), (content, 'M'), (bitrot, '?'), (metadata, 'U')];
                marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect()
            }
        }
    }
}

/// One difference.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// Absolute, raw bytes, without a slash at its end.
    pub path: &'a [u8],
    /// Whether it is a folder, in the second tree if both have it.
    pub is_folder: bool,
    /// What happened.
    pub change: Change,
    /// The entry of the first tree, if it has one.
    pub before: Option<&'a Node>,
    /// The entry of the second tree, if it has one.
    pub after: Option<&'a Node>,
}

/// Takes what is found. An error ends the comparison.
pub trait DiffSink {
    /// A difference; folders come before what is in them.
    fn difference(&mut self, difference: &Difference<'_>) -> Result<()>;
    /// A tree that cannot be read, or a blob that no index names: the figures lack it.
    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()>;
}

/// How much one side has that the other lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideFigures {
    /// Files.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Other entries.
    pub others: u64,
    /// Data blobs.
    pub data_blobs: u64,
    /// Tree blobs.
    pub tree_blobs: u64,
    /// Bytes of these blobs' plaintexts.
    pub bytes: u64,
}

/// The figures of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffFigures {
    /// Files with other content.
    pub changed_files: u64,
    /// What the second tree has in addition.
    pub added: SideFigures,
    /// What the second tree lacks.
    pub removed: SideFigures,
}

/// Compares the tree `before` with the tree `after`; `metadata` asks for entries whose metadata alone differ.
///
/// # Errors
/// What the sink returns, [`Error::Cancelled`], failures of the store.
pub fn diff(
    repository: &Repository,
    before: Id,
    after: Id,
    metadata: bool,
    control: &Control,
    sink: &mut dyn DiffSink,
) -> Result<DiffFigures> {
    let mut comparison = Comparison::new(repository, metadata, true, sink);
    comparison.before.insert(BlobKind::Tree, before);
    comparison.after.insert(BlobKind::Tree, after);
    comparison.run(before, after, control)?;
    comparison.count_blobs()
}

/// As [`diff`] with metadata, without figures: folders that are the same on both sides are not read, so that it costs
/// about as much as the two differ.
///
/// # Errors
/// As [`diff`].
pub fn differences(
    repository: &Repository,
    before: Id,
    after: Id,
    control: &Control,
    sink: &mut dyn DiffSink,
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    Comparison::new(repository, true, false, sink).run(before, after, control)
}

/// Which trees a folder has.
#[derive(Clone, Copy)]
enum Pair {
    Before(Id),
    After(Id),
    Different(Id, Id),
    Same(Id),
}

struct Level {
    before: Side,
    after: Side,
    /// Both sides are the same tree, which `before` holds.
    same: bool,
    path_bytes: usize,
}

/// Entries of one side still to come.
struct Side {
    nodes: TreeEntries,
    next: Option<Node>,
}

impl Side {
    fn new(entries: TreeEntries) -> Self {
        let mut nodes = entries;
        let next = nodes.next();
        Self { nodes, next }
    }

    fn take(&mut self) -> Option<Node> {
        std::mem::replace(&mut self.next, self.nodes.next())
    }
}

impl Level {
    /// The entries of the smallest name that is left, of either side or both.
    fn take(&mut self) -> (Option<Node>, Option<Node>) {
        let order = match (&self.before.next, &self.after.next) {
            (Some(before), Some(after)) => before.name.cmp(&after.name),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let before = if order.is_le() { self.before.take() } else { None };
        let after = if order.is_ge() { self.after.take() } else { None };
        (before, after)
    }
}

struct Comparison<'a> {
    repository: &'a Repository,
    metadata: bool,
    /// Whether it is counted which blobs are new or gone.
    counts_blobs: bool,
    sink: &'a mut dyn DiffSink,
    figures: DiffFigures,
    before: BlobSet,
    after: BlobSet,
    common: BlobSet,
    /// Trees that are the same on both sides and were walked.
    walked: HashSet<Id>,
}

impl<'a> Comparison<'a> {
    fn new(
        repository: &'a Repository,
        metadata: bool,
        counts_blobs: bool,
        sink: &'a mut dyn DiffSink,
    ) -> Self {
        Self {
            repository,
            metadata,
            counts_blobs,
            sink,
            figures: DiffFigures::default(),
            before: BlobSet::default(),
            after: BlobSet::default(),
            common: BlobSet::default(),
            walked: HashSet::default(),
        }
    }
}

impl Comparison<'_> {
    fn run(&mut self, before: Id, after: Id, control: &Control) -> Result<()> {
        let mut path = b"/".to_vec();
        let mut levels = Vec::new();
        let top = if before == after { Pair::Same(before) } else { Pair::Different(before, after) };
        levels.extend(self.enter(top, &path)?);
        while let Some(depth) = levels.len().checked_sub(1) {
            control.checkpoint()?;
            let level: &mut Level = &mut levels[depth];
            path.truncate(level.path_bytes);
            let (before, after) = level.take();
            let same = level.same;
            let Some(node) = after.as_ref().or(before.as_ref()) else {
                levels.pop();
                continue;
            };
            push_name(&mut path, &node.name);
            let pair = if same {
                add_blobs(&mut self.common, node);
                self.subtree(Some(node), depth, &path)?.and_then(|tree| self.same(tree))
            } else {
                self.compare(before.as_ref(), after.as_ref(), depth, &path)?
            };
            if let Some(pair) = pair {
                levels.extend(self.enter(pair, &path)?);
            }
        }
        Ok(())
    }

    /// Tells what differs and counts it; returns what to compare below.
    fn compare(
        &mut self,
        before: Option<&Node>,
        after: Option<&Node>,
        depth: usize,
        path: &[u8],
    ) -> Result<Option<Pair>> {
        for (node, blobs) in [(before, &mut self.before), (after, &mut self.after)] {
            if let Some(node) = node.filter(|_| self.counts_blobs) {
                add_blobs(blobs, node);
            }
        }
        let Some(node) = after.or(before) else { return Ok(None) };
        let is_folder = node.kind == NodeKind::Dir;
        let change = match (before, after) {
            (Some(_), None) => Some(Change::Removed),
            (None, _) => Some(Change::Added),
            (Some(before), Some(after)) => changed(before, after, self.metadata),
        };
        if let Some(change) = change {
            self.count_entry(node, change);
            self.sink.difference(&Difference { path, is_folder, change, before, after })?;
        }
        // A folder that became a file, or the reverse, is one change; restic stops there, too.
        if matches!(change, Some(Change::Changed { kind: true, .. })) {
            return Ok(None);
        }
        let before = self.subtree(before, depth, path)?;
        let after = self.subtree(after, depth, path)?;
        Ok(match (before, after) {
            (Some(before), Some(after)) if before == after => self.same(before),
            (Some(before), Some(after)) => Some(Pair::Different(before, after)),
            (Some(before), None) => Some(Pair::Before(before)),
            (None, Some(after)) => Some(Pair::After(after)),
            (None, None) => None,
        })
    }

    /// The pair for a tree that is the same on both sides, unless it was walked already, or need not be.
    fn same(&mut self, tree: Id) -> Option<Pair> {
        (self.counts_blobs && self.walked.insert(tree)).then_some(Pair::Same(tree))
    }

    fn count_entry(&mut self, node: &Node, change: Change) {
        let side = match change {
            Change::Added => &mut self.figures.added,
            Change::Removed => &mut self.figures.removed,
            Change::Changed { content, .. } => {
                self.figures.changed_files += u64::from(content);
                return;
            }
        };
        match node.kind {
            NodeKind::File => side.files += 1,
            NodeKind::Dir => side.dirs += 1,
            _ => side.others += 1,
        }
    }

    /// A folder's tree; `None` for other entries, and for a folder without one, which is told.
    fn subtree(&mut self, node: Option<&Node>, depth: usize, path: &[u8]) -> Result<Option<Id>> {
        let Some(node) = node.filter(|node| node.kind == NodeKind::Dir) else { return Ok(None) };
        match subtree_of(node, depth) {
            Ok(tree) => Ok(Some(tree)),
            Err(error) => {
                self.sink.unreadable(Unreadable { path: path.to_vec(), error })?;
                Ok(None)
            }
        }
    }

    /// Reads a pair's trees; `None` if one cannot be read: the other alone would show no true difference.
    fn enter(&mut self, pair: Pair, path: &[u8]) -> Result<Option<Level>> {
        let (before, after) = match pair {
            Pair::Before(tree) | Pair::Same(tree) => (Some(tree), None),
            Pair::After(tree) => (None, Some(tree)),
            Pair::Different(before, after) => (Some(before), Some(after)),
        };
        let Some(before) = self.side(before, path)? else { return Ok(None) };
        let Some(after) = self.side(after, path)? else { return Ok(None) };
        let same = matches!(pair, Pair::Same(_));
        Ok(Some(Level { before, after, same, path_bytes: path.len() }))
    }

    fn side(&mut self, tree: Option<Id>, path: &[u8]) -> Result<Option<Side>> {
        let Some(tree) = tree else { return Ok(Some(Side::new(TreeEntries::none()))) };
        let sink = &mut *self.sink;
        let nodes = read_entries(self.repository, tree, path, &mut |unreadable| sink.unreadable(unreadable))?;
        Ok(nodes.map(Side::new))
    }

    fn count_blobs(mut self) -> Result<DiffFigures> {
        let index = self.repository.index();
        for (blobs, other, figures) in [
            (&self.before, &self.after, &mut self.figures.removed),
            (&self.after, &self.before, &mut self.figures.added),
        ] {
            for (kind, id) in blobs.iter() {
                if other.contains(kind, &id) || self.common.contains(kind, &id) {
                    continue;
                }
                match kind {
                    BlobKind::Data => figures.data_blobs += 1,
                    BlobKind::Tree => figures.tree_blobs += 1,
                }
                match index.find(kind, &id) {
                    Some(place) => figures.bytes += u64::from(place.blob.plaintext_bytes()),
                    None => {
                        let error = Error::damaged(format!("{} {id}", kind.name()), "no index names it");
                        self.sink.unreadable(Unreadable { path: b"/".to_vec(), error })?;
                    }
                }
            }
        }
        Ok(self.figures)
    }
}

fn changed(before: &Node, after: &Node, metadata: bool) -> Option<Change> {
    let kind = before.kind != after.kind;
    let files = before.kind == NodeKind::File && after.kind == NodeKind::File;
    let content = files && content_of(before) != content_of(after);
    let bitrot = content && same_metadata(before, after);
    let same_tree = before.subtree == after.subtree;
    let metadata = metadata && !content && !(same_tree && same_metadata(before, after));
    (kind || content || metadata).then_some(Change::Changed { kind, content, bitrot, metadata })
}

fn content_of(node: &Node) -> &[Id] {
    node.content.as_deref().unwrap_or_default()
}

/// All but content and subtree; times are the same if they are the same instant (restic: `Node.Equals`).
pub(crate) fn same_metadata(before: &Node, after: &Node) -> bool {
    let (one, other) = (before, after);
    one.kind == other.kind
        && one.mode == other.mode
        && one.mtime.same_instant(&other.mtime)
        && one.atime.same_instant(&other.atime)
        && one.ctime.same_instant(&other.ctime)
        && (one.uid, one.gid, &one.user, &one.group) == (other.uid, other.gid, &other.user, &other.group)
        && (one.inode, one.device_id, one.links) == (other.inode, other.device_id, other.links)
        && (one.size, one.device, &one.link_target) == (other.size, other.device, &other.link_target)
        && same_attributes(one, other)
        && one.generic_attributes == other.generic_attributes
        && one.error == other.error
}

/// In any order: systems list them in none.
fn same_attributes(one: &Node, other: &Node) -> bool {
    let sorted = |node: &Node| {
        let mut attributes: Vec<_> =
            node.extended_attributes.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
        attributes.sort_unstable();
        attributes
    };
    one.extended_attributes == other.extended_attributes || sorted(one) == sorted(other)
}

fn add_blobs(blobs: &mut BlobSet, node: &Node) {
    if node.kind == NodeKind::File {
        for id in content_of(node) {
            blobs.insert(BlobKind::Data, *id);
        }
    } else if node.kind == NodeKind::Dir
        && let Some(tree) = node.subtree
    {
        blobs.insert(BlobKind::Tree, tree);
    }
}

#[cfg(test)]
mod tests;
