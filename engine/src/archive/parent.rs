//! Which snapshot a backup is compared with.

use crate::error::Result;
use crate::format::Snapshot;
use crate::id::Id;
use crate::repository::{Repository, SnapshotChoice};

/// What unchanged files are recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// The latest snapshot of the same host and paths.
    #[default]
    Latest,
    /// None: read everything.
    Nothing,
    /// This one.
    Snapshot(Id),
}

impl Parent {
    /// What it may be for a backup of this host, oldest first.
    pub(super) fn candidates(
        &self,
        repository: &Repository,
        hostname: String,
    ) -> Result<Vec<(Id, Snapshot)>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Snapshot(id) => Ok(vec![(*id, repository.read_snapshot(*id)?)]),
            Self::Latest => {
                let choice = SnapshotChoice { hosts: vec![hostname], ..SnapshotChoice::default() };
                let mut told = |id, error| tracing::warn!(%id, %error, "a snapshot cannot be read");
                repository.snapshots(&choice, &mut told)
            }
        }
    }

    /// The one among them. `paths` are those of the source once it is prepared: what its snapshots have.
    pub(super) fn choose(
        &self,
        mut candidates: Vec<(Id, Snapshot)>,
        paths: &[String],
    ) -> Option<(Id, Snapshot)> {
        if let Self::Latest = self {
            candidates.retain(|(_, snapshot)| same_paths(&snapshot.paths, paths));
        }
        candidates.pop()
    }
}

fn same_paths(left: &[String], right: &[String]) -> bool {
    let sorted = |paths: &[String]| {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        paths
    };
    sorted(left) == sorted(right)
}
