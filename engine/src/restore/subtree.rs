//! What part of a snapshot is restored: `latest:/path/to/folder`.

use crate::error::{Error, Result};
use crate::format::NodeKind;
use crate::id::Id;
use crate::repository::Repository;

/// A folder of a snapshot, or one entry of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// The folder's tree: its content is what lands in the target.
    pub tree: Id,
    /// Only the entry of this name, if given.
    pub entry: Option<Vec<u8>>,
}

impl From<Id> for Subtree {
    fn from(tree: Id) -> Self {
        Self { tree, entry: None }
    }
}

/// Finds `path`, with or without a leading slash, below `tree`. A folder stands for its content,
/// anything else for itself. Links are not followed.
///
/// # Errors
/// [`Error::NotFound`] names the part of the path that is not there; [`Error::Invalid`] a part
/// that is no folder, or `..`.
pub fn find_subtree(repository: &Repository, tree: Id, path: &[u8]) -> Result<Subtree> {
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    let shown = |count: usize| {
        let names = names[..count].iter().map(|name| format!("/{}", String::from_utf8_lossy(name)));
        names.collect::<String>()
    };
    let mut tree = tree;
    for (position, &name) in names.iter().enumerate() {
        if name == b".." {
            return Err(Error::Invalid("a path inside a snapshot may not hold \"..\"".into()));
        }
        let at = shown(position + 1);
        let Some(node) = repository.read_tree_entries(tree)?.find(|node| node.name == name) else {
            return Err(Error::NotFound { what: at });
        };
        match (node.kind, node.subtree) {
            (NodeKind::Dir, Some(subtree)) => tree = subtree,
            (NodeKind::Dir, None) => {
                return Err(Error::damaged(format!("tree {tree}"), format!("{at} is a folder without tree")));
            }
            _ if position + 1 == names.len() => return Ok(Subtree { tree, entry: Some(name.to_vec()) }),
            _ => return Err(Error::Invalid(format!("{at} is no folder in the snapshot"))),
        }
    }
    Ok(tree.into())
}
