//! What stands at a path of a snapshot.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Node, NodeKind};
use crate::id::Id;
use crate::query::walk::DEPTH_MAX;
use crate::repository::Repository;
use crate::source::clean_path::clean;

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// The top, which has no entry of its own.
    Root(Id),
    /// An entry.
    Entry(Box<Node>),
}

/// Looks up `path` below `tree`. Empty parts and `.` mean nothing, `..` goes up, not beyond the top.
///
/// # Errors
/// [`Error::NotFound`] if nothing stands there, [`Error::Invalid`] if what should be a folder
/// is none, [`Error::Damaged`] if a tree on the way cannot be read.
pub fn find_place(repository: &Repository, tree: Id, path: &[u8], control: &Control) -> Result<Place> {
    let path = clean(&[b"/", path].concat());
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    if parts.len() > DEPTH_MAX {
        return Err(Error::Invalid(format!("a path has at most {DEPTH_MAX} parts")));
    }
    let shown = |count: usize| String::from_utf8_lossy(&parts[..count].join(&b'/')).into_owned();
    let mut tree = tree;
    let mut place = Place::Root(tree);
    for (position, name) in parts.iter().enumerate() {
        control.checkpoint()?;
        if let Place::Entry(node) = &place {
            tree = folder_tree(node, &shown(position))?;
        }
        let entries = repository.read_tree_entries(tree);
        let mut entries = entries.map_err(|error| below(error, &shown(position)))?;
        let node = entries.find(|node| node.name == *name);
        let node = node.ok_or_else(|| Error::NotFound { what: format!("/{}", shown(position + 1)) })?;
        place = Place::Entry(Box::new(node));
    }
    Ok(place)
}

/// The tree of the folder at `path`; as restic's `snapshot:subfolder`.
pub fn find_folder(repository: &Repository, tree: Id, path: &[u8], control: &Control) -> Result<Id> {
    match find_place(repository, tree, path, control)? {
        Place::Root(tree) => Ok(tree),
        Place::Entry(node) => folder_tree(&node, String::from_utf8_lossy(path).trim_start_matches('/')),
    }
}

fn folder_tree(node: &Node, path: &str) -> Result<Id> {
    if node.kind != NodeKind::Dir {
        return Err(Error::Invalid(format!("/{path} is a {}, not a folder", node.kind.name())));
    }
    node.subtree.ok_or_else(|| Error::damaged(format!("folder /{path}"), "it names no tree"))
}

fn below(error: Error, path: &str) -> Error {
    match error {
        Error::Damaged { object, why } => {
            Error::Damaged { object, why: format!("{why} (the folder /{path})") }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[test]
    fn paths_lead_to_entries_or_say_why_not() {
        let sample = Sample::new("lookup");
        let inner = sample.tree(&[file("f", &[])]);
        let root = sample.tree(&[dir("a", inner), dir("lost", Id([1; 32]))]);
        sample.session.flush().unwrap();
        let repository = sample.repository();
        let name = |path: &str| match find_place(repository, root, path.as_bytes(), &Control::new()) {
            Ok(Place::Root(_)) => "the root".to_owned(),
            Ok(Place::Entry(node)) => String::from_utf8(node.name).unwrap(),
            Err(error) => error.to_string(),
        };
        for (path, expected) in [
            ("", "the root"),
            ("/", "the root"),
            ("/../..", "the root"),
            ("/a", "a"),
            ("a/", "a"),
            ("//a/./f", "f"),
            ("/b/../a/f", "f"),
            ("/a/g", "/a/g not found"),
            ("/a/f/x", "/a/f is a file, not a folder"),
        ] {
            assert_eq!(name(path), expected, "{path}");
        }
        let lost = name("/lost/x");
        assert!(lost.contains(&Id([1; 32]).to_hex()) && lost.contains("the folder /lost"), "{lost}");
        assert_eq!(find_folder(repository, root, b"/a", &Control::new()).unwrap(), inner);
        assert!(find_folder(repository, root, b"/a/f", &Control::new()).is_err());
    }
}
