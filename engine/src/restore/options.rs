//! What a caller may choose about a restore.

use std::path::PathBuf;

use crate::source::filter::Patterns;

/// What the patterns say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    /// The entry itself is restored.
    pub(super) itself: bool,
    /// Something below it may be: a folder of which this is false is not read.
    pub(super) below: bool,
}

/// What happens to an entry that stands in the place of one to be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// It becomes as in the snapshot. Content is compared, only what differs is written.
    #[default]
    Always,
    /// As `Always`, but a file of the same size and time of change is taken to be the same.
    IfChanged,
    /// It stays unless the snapshot's was changed later.
    IfNewer,
    /// It stays.
    Never,
}

/// How to restore. Owners are set by their numbers; who is not root mostly may not, which is
/// told once and is no error.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// The target lies in this folder and is reached from there through no link, whatever an earlier restore
    /// has written; if not given, its path is the user's own and may lead through links.
    pub beneath: Option<PathBuf>,
    /// Only what matches, and the folders that lead there; all if not given.
    pub include: Option<Patterns>,
    /// Not what matches, nor anything below it.
    pub exclude: Option<Patterns>,
    /// What is done with what is there.
    pub overwrite: Overwrite,
    /// Touch nothing, only find out what would be done.
    pub dry_run: bool,
    /// Read every restored file back afterwards and compare.
    pub verify: bool,
    /// Leave zeros of 4 KiB and more as holes.
    pub sparse: bool,
    /// Delete what stands in restored folders, is selected, and is not in the snapshot.
    pub delete: bool,
}

impl RestoreOptions {
    /// Whether the entry at `path`, absolute inside what is restored, is wanted.
    pub(super) fn selected(&self, path: &[u8], is_folder: bool) -> Selected {
        let included = self.include.as_ref().map(|patterns| patterns.matches(path));
        let excluded = self.exclude.as_ref().is_some_and(|patterns| patterns.matches(path).matched);
        let (itself, below) = included.map_or((true, true), |said| (said.matched, said.child_may_match));
        Selected { itself: itself && !excluded, below: is_folder && below && !excluded }
    }
}
