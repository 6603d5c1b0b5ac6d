//! Changing a snapshot's tags: a new snapshot takes the old one's place.
//!
//! The new one is stored before the old one is deleted, so that at every moment at least
//! one of them is there. It names the first snapshot of its line as its `original`.

use crate::error::Result;
use crate::format::Snapshot;
use crate::id::Id;
use crate::repository::{FileKind, Session};

/// What is to become of a snapshot's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// These and no others; empty for none.
    Set(Vec<String>),
    /// Some more, some fewer. What is in both lists is removed.
    Alter {
        /// Added unless they are there.
        add: Vec<String>,
        /// Removed if they are there.
        remove: Vec<String>,
    },
}

impl TagChange {
    /// The tags after the change. Order is kept, but the last tag moves to where one was
    /// removed, as restic does it.
    pub fn apply(&self, tags: &[String]) -> Vec<String> {
        let (add, remove) = match self {
            Self::Set(tags) => return tags.clone(),
            Self::Alter { add, remove } => (add, remove),
        };
        let mut tags = tags.to_vec();
        for tag in add {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        for tag in remove {
            if let Some(position) = tags.iter().position(|known| known == tag) {
                tags.swap_remove(position);
            }
        }
        tags
    }
}

/// Changes the tags of a snapshot and returns the id of the one that takes its place;
/// `None` if it has these tags already. The session must hold the lock alone.
///
/// # Errors
/// Failures of the store. If the old snapshot cannot be deleted both are there, and doing it
/// again on the old one makes the same change.
pub fn change_tags(session: &Session, id: Id, snapshot: &Snapshot, change: &TagChange) -> Result<Option<Id>> {
    let tags = change.apply(&snapshot.tags);
    if tags == snapshot.tags {
        return Ok(None);
    }
    let changed = Snapshot { tags, original: Some(snapshot.original.unwrap_or(id)), ..snapshot.clone() };
    let new_id = session.put_snapshot(session.seal_snapshot(&changed)?)?;
    session.ensure_writable()?;
    session.repository().files().delete(FileKind::Snapshot, id)?;
    Ok(Some(new_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::Sample;

    fn words(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn tags_are_set_added_and_removed_as_restic_does() {
        let alter =
            |add: &[&str], remove: &[&str]| TagChange::Alter { add: words(add), remove: words(remove) };
        for (change, before, after) in [
            (TagChange::Set(words(&["x"])), &["a", "b"][..], &["x"][..]),
            (TagChange::Set(Vec::new()), &["a"], &[]),
            (alter(&["a", "c"], &[]), &["a", "b"], &["a", "b", "c"]),
            (alter(&[], &["a", "z"]), &["a", "b", "c"], &["c", "b"]),
            (alter(&["c"], &["c"]), &["a"], &["a"]),
        ] {
            assert_eq!(change.apply(&words(before)), words(after), "{change:?}");
        }
    }

    #[test]
    fn the_new_snapshot_replaces_the_old_and_remembers_the_first() {
        let sample = Sample::new("tag");
        let tree = sample.tree(&[]);
        let (first, snapshot) = sample.snapshot(tree, 1);
        let repository = sample.repository();
        let set = |tags: &[&str]| TagChange::Set(words(tags));
        let second = change_tags(&sample.session, first, &snapshot, &set(&["a"])).unwrap().unwrap();
        assert_eq!(repository.files().ids(FileKind::Snapshot).unwrap(), [second]);
        let tagged = repository.read_snapshot(second).unwrap();
        assert_eq!(tagged, Snapshot { tags: words(&["a"]), original: Some(first), ..snapshot });
        let third = change_tags(&sample.session, second, &tagged, &set(&[])).unwrap().unwrap();
        assert_eq!(repository.read_snapshot(third).unwrap().original, Some(first));
        assert_eq!(
            change_tags(&sample.session, third, &Snapshot { tags: vec![], ..tagged }, &set(&[])).unwrap(),
            None
        );
    }
}
