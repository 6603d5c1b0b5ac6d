//! The snapshots of one repository, each read once: a snapshot never changes, so only the list of them is asked for
//! again.

use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::Snapshot;
use crate::id::Id;
use crate::repository::{FileKind, Repository, for_each_in_parallel};

/// Snapshots remembered between questions: some 50 MiB. Those beyond are read for each question again.
const KNOWN_MAX: usize = 50_000;
/// Snapshots read at once: they are small, and a remote store takes its time for each.
const READERS_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub(super) struct KnownSnapshots {
    known: Mutex<HashMap<Id, KnownSnapshot>>,
}

/// A snapshot that was read.
#[derive(Clone)]
pub(super) struct KnownSnapshot {
    /// It.
    pub(super) snapshot: Arc<Snapshot>,
    /// When it was known to be there: an index that is loaded later has all that it needs.
    pub(super) seen: Instant,
}

/// All snapshots of a repository that can be read.
#[derive(Clone, Debug, Default)]
pub struct SnapshotList {
    /// The newest first.
    pub snapshots: Vec<(Id, Arc<Snapshot>)>,
    /// How many others there are, which are damaged.
    pub unreadable: u64,
}

impl KnownSnapshots {
    /// All that are there now; those that are new are read.
    pub(super) fn list(&self, repository: &Repository, control: &Control) -> Result<SnapshotList> {
        let ids = repository.files().ids(FileKind::Snapshot)?;
        let listed = Mutex::new(SnapshotList::default());
        self.known.lock().retain(|id, _| ids.binary_search(id).is_ok());
        let readers = repository.files().store().connections().clamp(2, READERS_MAX);
        for_each_in_parallel(&ids, readers, &|| control.checkpoint(), &|id| {
            match self.get(repository, id) {
                Ok(known) => listed.lock().snapshots.push((id, known.snapshot)),
                // Removed since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(Error::Damaged { .. }) => listed.lock().unreadable += 1,
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        let mut listed = listed.into_inner();
        let age = |(id, snapshot): &(Id, Arc<Snapshot>)| {
            (std::cmp::Reverse((snapshot.time.seconds, snapshot.time.nanoseconds)), std::cmp::Reverse(*id))
        };
        listed.snapshots.sort_by_cached_key(age);
        Ok(listed)
    }

    /// The snapshot that `name` means: `latest`, or the beginning of an id.
    ///
    /// # Errors
    /// As [`Repository::find_snapshot`].
    pub(super) fn find(
        &self,
        repository: &Repository,
        name: &str,
        control: &Control,
    ) -> Result<(Id, KnownSnapshot)> {
        let id = if name == "latest" {
            let list = self.list(repository, control)?;
            let latest = list.snapshots.first().map(|(id, _)| *id);
            latest.ok_or_else(|| match list.unreadable {
                0 => Error::NotFound { what: "snapshot latest".into() },
                count => {
                    Error::damaged("snapshot latest", format!("{count} snapshots are, and there is no other"))
                }
            })?
        } else {
            repository.find_id(FileKind::Snapshot, name)?
        };
        Ok((id, self.get(repository, id)?))
    }

    /// One that is there.
    fn get(&self, repository: &Repository, id: Id) -> Result<KnownSnapshot> {
        if let Some(known) = self.known.lock().get(&id) {
            return Ok(known.clone());
        }
        let snapshot = Arc::new(repository.read_snapshot(id)?);
        let read = KnownSnapshot { snapshot, seen: Instant::now() };
        let mut known = self.known.lock();
        if known.len() < KNOWN_MAX {
            // Who read it first is to be believed: an index may have been loaded since.
            return Ok(known.entry(id).or_insert(read).clone());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, file};

    #[test]
    fn snapshots_are_listed_newest_first_and_those_that_went_are_forgotten() {
        let sample = Sample::new("known-snapshots");
        let root = sample.tree(&[file("f", &[])]);
        let (known, control) = (KnownSnapshots::default(), Control::new());
        let repository = sample.repository();
        let latest = known.find(repository, "latest", &control).map(|_| ());
        assert!(matches!(latest, Err(Error::NotFound { .. })), "{latest:?}");
        let ids: Vec<Id> = [20, 10, 30].map(|seconds| sample.snapshot(root, seconds).0).into();
        let listed = |list: SnapshotList| list.snapshots.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(listed(known.list(repository, &control).unwrap()), [ids[2], ids[0], ids[1]]);
        assert_eq!(known.find(repository, "latest", &control).unwrap().0, ids[2]);
        let (found, first) = known.find(repository, &ids[1].to_hex()[..20], &control).unwrap();
        assert_eq!(found, ids[1]);
        assert_eq!(
            known.find(repository, &ids[1].to_hex(), &control).unwrap().1.seen,
            first.seen,
            "read once"
        );
        repository.files().delete(FileKind::Snapshot, ids[2]).unwrap();
        assert_eq!(listed(known.list(repository, &control).unwrap()), [ids[0], ids[1]]);
        assert_eq!(known.known.lock().len(), 2);
        let damaged = FileKind::Snapshot.path(ids[0]);
        repository.files().store().write(&damaged, bytes::Bytes::from_static(b"damage")).unwrap();
        assert_eq!(known.list(repository, &control).unwrap().unreadable, 0, "what was read before is true");
        let again = KnownSnapshots::default().list(repository, &control).unwrap();
        assert_eq!((listed(again.clone()), again.unreadable), (vec![ids[1]], 1));
    }
}
