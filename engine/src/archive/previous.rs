//! What the parent snapshot has in the place of a folder, looked up in step with
//! the listing, which comes in the same order.

use crate::format::{BlobKind, Node, NodeKind, TreeEntries};
use crate::repository::Repository;

/// The entries of a folder in the parent snapshot.
pub(super) struct Previous {
    nodes: std::iter::Peekable<TreeEntries>,
}

impl Previous {
    /// The entries of the tree, in name order.
    pub(super) fn new(entries: TreeEntries) -> Self {
        Self { nodes: entries.peekable() }
    }

    /// The entry called `name`. Names must be asked for in rising order.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Node> {
        while self.nodes.next_if(|node| node.name.as_slice() < name).is_some() {}
        self.nodes.next_if(|node| node.name == name)
    }
}

/// Which signs of a change are not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeDetection {
    /// Do not compare the time of the last metadata change.
    pub ignore_ctime: bool,
    /// Do not compare inode numbers, as on network file systems.
    pub ignore_inode: bool,
}

/// Whether a file is the one that was backed up before, so that it need not be read
/// (restic: `internal/archiver/archiver.go`, `fileChanged`).
pub(super) fn is_unchanged(now: &Node, before: &Node, detection: ChangeDetection) -> bool {
    before.kind == NodeKind::File
        && now.size == before.size
        && now.mtime.same_instant(&before.mtime)
        && (detection.ignore_ctime || now.ctime.same_instant(&before.ctime))
        && (detection.ignore_inode || now.inode == before.inode)
}

/// Whether the repository still has all of a file's content.
pub(super) fn is_stored(node: &Node, repository: &Repository) -> bool {
    let index = repository.index();
    node.content.as_ref().is_some_and(|content| content.iter().all(|id| index.contains(BlobKind::Data, id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_in_step_with_a_listing() {
        let node = |name: &str| Node { name: name.into(), ..Node::empty(NodeKind::File) };
        let mut writer = crate::format::TreeWriter::new();
        ["a", "b", "d", "e"].map(node).iter().for_each(|node| writer.push(node).unwrap());
        let mut previous = Previous::new(crate::format::Tree::decode(&writer.finish()).unwrap().into());
        let found: Vec<bool> =
            ["a", "c", "d", "f"].map(|name| previous.find(name.as_bytes()).is_some()).to_vec();
        assert_eq!(found, [true, false, true, false]);
    }

    #[test]
    fn every_sign_of_a_change_counts() {
        let before = Node { size: 10, inode: 7, ..Node::empty(NodeKind::File) };
        type Change = fn(&mut Node);
        let cases: [(&str, Change, bool, bool); 5] = [
            ("nothing", |_| {}, true, true),
            ("size", |node| node.size = 11, false, false),
            ("mtime", |node| node.mtime.nanoseconds = 1, false, false),
            ("ctime", |node| node.ctime.seconds = 1, false, true),
            ("inode", |node| node.inode = 8, false, true),
        ];
        for (what, change, strict, lenient) in cases {
            let mut now = before.clone();
            change(&mut now);
            let ignoring = ChangeDetection { ignore_ctime: true, ignore_inode: true };
            assert_eq!(is_unchanged(&now, &before, ChangeDetection::default()), strict, "{what}");
            assert_eq!(is_unchanged(&now, &before, ignoring), lenient, "{what}, ignoring");
        }
    }
}
