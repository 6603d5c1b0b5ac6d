//! Snapshots: all of them, and the one that a person means.

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::format::Snapshot;
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::files::FileKind;
use crate::repository::load::for_each_in_parallel;

/// Which snapshots are meant; empty lists mean any.
#[derive(Clone, Debug, Default)]
pub struct SnapshotChoice {
    /// One of these hosts.
    pub hosts: Vec<String>,
    /// All tags of one of these lists.
    pub tags: Vec<Vec<String>>,
    /// All of these paths.
    pub paths: Vec<String>,
}

impl SnapshotChoice {
    /// Whether `snapshot` is meant.
    pub fn contains(&self, snapshot: &Snapshot) -> bool {
        let host = self.hosts.is_empty() || self.hosts.contains(&snapshot.hostname);
        let has_all = |tags: &Vec<String>| tags.iter().all(|tag| snapshot.tags.contains(tag));
        let tags = self.tags.is_empty() || self.tags.iter().any(has_all);
        host && tags && self.paths.iter().all(|path| snapshot.paths.contains(path))
    }
}

impl Repository {
    /// Reads one snapshot.
    pub fn read_snapshot(&self, id: Id) -> Result<Snapshot> {
        let json = self.files.read(FileKind::Snapshot, id)?;
        Snapshot::decode(&json)
            .map_err(|error| Error::damaged(FileKind::Snapshot.path(id), error.to_string()))
    }

    /// All snapshots that are meant, the oldest first. One that cannot be read is
    /// told to `unreadable` and left out.
    pub fn snapshots(
        &self,
        choice: &SnapshotChoice,
        unreadable: &mut dyn FnMut(Id, Error),
    ) -> Result<Vec<(Id, Snapshot)>> {
        let ids = self.files.ids(FileKind::Snapshot)?;
        let (chosen, damaged) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        // A far store takes its time for each.
        let readers_max = self.files.store().connections();
        for_each_in_parallel(&ids, readers_max, &|| Ok(()), &|id| {
            match self.read_snapshot(id) {
                Ok(snapshot) if choice.contains(&snapshot) => chosen.lock().push((id, snapshot)),
                Ok(_) => {}
                // Removed since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error @ Error::Damaged { .. }) => damaged.lock().push((id, error)),
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        let (mut snapshots, mut damaged) = (chosen.into_inner(), damaged.into_inner());
        damaged.sort_by_key(|(id, _)| *id);
        damaged.into_iter().for_each(|(id, error)| unreadable(id, error));
        snapshots
            .sort_by_cached_key(|(id, snapshot)| (snapshot.time.seconds, snapshot.time.nanoseconds, *id));
        Ok(snapshots)
    }

    /// The file of this kind whose id begins with `prefix`, if exactly one does.
    pub fn find_id(&self, kind: FileKind, prefix: &str) -> Result<Id> {
        let what = || format!("{} {prefix}", kind.folder().trim_end_matches('s'));
        if prefix.is_empty() {
            let kind = kind.folder().trim_end_matches('s');
            return Err(Error::Invalid(format!("an empty name is no {kind}: give the beginning of its id")));
        }
        let well_formed = prefix.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !well_formed {
            return Err(Error::NotFound { what: what() });
        }
        let prefix = prefix.to_ascii_lowercase();
        let mut found: Vec<Id> = self.files.ids(kind)?;
        found.retain(|id| id.to_hex().starts_with(&prefix));
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(Error::NotFound { what: what() }),
            several => {
                let why = format!("{} ids begin with it; give more digits", several.len());
                Err(Error::Invalid(format!("{} is ambiguous: {why}", what())))
            }
        }
    }

    /// The snapshot that `name` means: `latest` among those chosen, or the beginning of an id.
    pub fn find_snapshot(&self, name: &str, choice: &SnapshotChoice) -> Result<(Id, Snapshot)> {
        if name != "latest" {
            let id = self.find_id(FileKind::Snapshot, name)?;
            return Ok((id, self.read_snapshot(id)?));
        }
        let mut damaged = None;
        let latest = self.snapshots(choice, &mut |_, error| damaged = Some(error))?.pop();
        match (latest, damaged) {
            (Some(found), _) => Ok(found),
            (None, Some(error)) => Err(error),
            (None, None) => {
                let chooses = !(choice.hosts.is_empty() && choice.tags.is_empty() && choice.paths.is_empty());
                let among = if chooses { " among those chosen" } else { "" };
                Err(Error::NotFound { what: format!("snapshot latest{among}") })
            }
        }
    }
}
