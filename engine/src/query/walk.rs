//! A walk over a snapshot's entries: depth first, names in the order of their bytes.
//!
//! A folder comes before what is in it. One tree per level is held, and at most
//! [`DEPTH_MAX`] levels, so that no repository can exhaust the stack. What cannot be read is told
//! to the visitor, which decides whether the walk goes on without it.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Node, NodeKind, TreeEntries};
use crate::id::Id;
use crate::repository::Repository;

/// Folders within folders that are followed. Paths that Linux opens in one call have at most 2048 parts.
pub const DEPTH_MAX: usize = 4096;

/// One entry on the way.
pub struct WalkedEntry<'a> {
    /// Its path from the root of the walk on, absolute, raw bytes.
    pub path: &'a [u8],
    /// Its metadata.
    pub node: &'a Node,
    /// The tree that it stands in.
    pub parent_tree: Id,
    /// Folders above it, 0 at the top.
    pub depth: usize,
}

/// Whether a folder is entered; of no meaning for other entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It is.
    Into,
    /// Nothing below is looked at, and it is not left.
    Skip,
}

/// Something that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The folder whose tree it is, or that holds the entry.
    pub path: Vec<u8>,
    /// What is wrong, with the object's name.
    pub error: Error,
}

/// Takes what a walk comes upon. An error ends the walk.
pub trait Visitor {
    /// An entry.
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent>;

    /// All that can be visited in the folder at `path` was: called once for each folder that
    /// [`Descent::Into`] was said of, and for the root, whether or not its tree could be read.
    fn leave(&mut self, _path: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A tree that cannot be read, or an entry that is unsound: it is passed over.
    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()>;
}

struct Level {
    tree: Id,
    nodes: TreeEntries,
    path_bytes: usize,
}

/// Visits all entries below `tree`, whose own path is `root` (`/` for a whole snapshot).
///
/// # Errors
/// What the visitor returns, [`Error::Cancelled`], and failures of the store that do not
/// concern a single object.
pub fn walk(
    repository: &Repository,
    tree: Id,
    root: &[u8],
    control: &Control,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    let mut path = root.to_vec();
    let mut levels = vec![enter(repository, tree, &path, visitor)?];
    while let Some(depth) = levels.len().checked_sub(1) {
        control.checkpoint()?;
        let level = &mut levels[depth];
        path.truncate(level.path_bytes);
        let Some(node) = level.nodes.next() else {
            visitor.leave(&path)?;
            levels.pop();
            continue;
        };
        push_name(&mut path, &node.name);
        let entry = WalkedEntry { path: &path, node: &node, parent_tree: level.tree, depth };
        if visitor.entry(&entry)? == Descent::Skip || node.kind != NodeKind::Dir {
            continue;
        }
        match subtree_of(&node, depth) {
            Ok(tree) => levels.push(enter(repository, tree, &path, visitor)?),
            Err(error) => {
                visitor.unreadable(Unreadable { path: path.clone(), error })?;
                visitor.leave(&path)?;
            }
        }
    }
    Ok(())
}

/// Appends a name to a path.
pub(crate) fn push_name(path: &mut Vec<u8>, name: &[u8]) {
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// The tree of a folder at `depth`, if it has one and may be entered.
pub(crate) fn subtree_of(node: &Node, depth: usize) -> Result<Id> {
    let folder = || format!("folder \"{}\"", String::from_utf8_lossy(&node.name));
    if depth + 1 >= DEPTH_MAX {
        return Err(Error::damaged(folder(), format!("it lies below {DEPTH_MAX} folders")));
    }
    node.subtree.ok_or_else(|| Error::damaged(folder(), "it names no tree"))
}

fn enter(repository: &Repository, tree: Id, path: &[u8], visitor: &mut dyn Visitor) -> Result<Level> {
    let nodes = read_entries(repository, tree, path, &mut |unreadable| visitor.unreadable(unreadable))?;
    Ok(Level { tree, nodes: nodes.unwrap_or_else(TreeEntries::none), path_bytes: path.len() })
}

/// A tree's sound entries; `None` if it cannot be read. What cannot be used is told.
pub(crate) fn read_entries(
    repository: &Repository,
    tree: Id,
    path: &[u8],
    unreadable: &mut dyn FnMut(Unreadable) -> Result<()>,
) -> Result<Option<TreeEntries>> {
    match repository.read_tree_entries(tree) {
        Ok(entries) => {
            for bad in entries.bad_nodes() {
                let error = Error::damaged(format!("tree {tree}"), format!("entry {bad}"));
                unreadable(Unreadable { path: path.to_vec(), error })?;
            }
            Ok(Some(entries))
        }
        Err(error) if is_of_one_object(&error) => {
            unreadable(Unreadable { path: path.to_vec(), error })?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether other objects may well be read although this one could not.
fn is_of_one_object(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. }) || error.is_not_found()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[derive(Default)]
    struct Recorder {
        seen: Vec<String>,
        skip: Vec<u8>,
        cancel_at: Option<(usize, Control)>,
    }

    impl Visitor for Recorder {
        fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent> {
            self.seen.push(format!("{} {}", entry.depth, String::from_utf8_lossy(entry.path)));
            if let Some((count, control)) = &self.cancel_at
                && self.seen.len() == *count
            {
                control.cancel();
            }
            Ok(if entry.path == self.skip { Descent::Skip } else { Descent::Into })
        }

        fn leave(&mut self, path: &[u8]) -> Result<()> {
            self.seen.push(format!("leave {}", String::from_utf8_lossy(path)));
            Ok(())
        }

        fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
            self.seen.push(format!("unreadable {}", String::from_utf8_lossy(&unreadable.path)));
            Ok(())
        }
    }

    fn sample(name: &str) -> (Sample, Id) {
        let sample = Sample::new(name);
        let b = sample.tree(&[file("x", &[]), file("y", &[])]);
        let a = sample.tree(&[dir("b", b), file("c", &[])]);
        let root = sample.tree(&[dir("a", a), dir("gone", Id([7; 32])), file("z", &[])]);
        sample.session.flush().unwrap();
        (sample, root)
    }

    #[test]
    fn entries_come_depth_first_and_a_lost_tree_does_not_end_the_walk() {
        let (sample, root) = sample("walk");
        let mut recorder = Recorder::default();
        walk(sample.repository(), root, b"/", &Control::new(), &mut recorder).unwrap();
        let expected = [
            "0 /a",
            "1 /a/b",
            "2 /a/b/x",
            "2 /a/b/y",
            "leave /a/b",
            "1 /a/c",
            "leave /a",
            "0 /gone",
            "unreadable /gone",
            "leave /gone",
            "0 /z",
            "leave /",
        ];
        assert_eq!(recorder.seen, expected);
    }

    #[test]
    fn a_skipped_folder_is_neither_entered_nor_left() {
        let (sample, root) = sample("walk-skip");
        let mut recorder = Recorder { skip: b"/at/a/b".to_vec(), ..Recorder::default() };
        walk(sample.repository(), root, b"/at", &Control::new(), &mut recorder).unwrap();
        assert_eq!(&recorder.seen[..4], ["0 /at/a", "1 /at/a/b", "1 /at/a/c", "leave /at/a"]);
    }

    #[test]
    fn a_cancelled_walk_visits_nothing_more() {
        let (sample, root) = sample("walk-cancel");
        let control = Control::new();
        let mut recorder = Recorder { cancel_at: Some((2, control.clone())), ..Recorder::default() };
        let outcome = walk(sample.repository(), root, b"/", &control, &mut recorder);
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert_eq!(recorder.seen.len(), 2);
    }

    #[test]
    fn folders_deeper_than_the_bound_are_told_and_not_entered() {
        let sample = Sample::new("walk-deep");
        let mut tree = sample.tree(&[]);
        for _ in 0..DEPTH_MAX + 2 {
            tree = sample.tree(&[dir("d", tree)]);
        }
        sample.session.flush().unwrap();
        let mut recorder = Recorder::default();
        walk(sample.repository(), tree, b"/", &Control::new(), &mut recorder).unwrap();
        let told = recorder.seen.iter().filter(|seen| seen.starts_with("unreadable")).count();
        let left = recorder.seen.iter().filter(|seen| seen.starts_with("leave")).count();
        // The folder that is too deep is left as well.
        assert_eq!((told, left), (1, DEPTH_MAX + 1));
    }
}
