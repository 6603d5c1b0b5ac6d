//! Writing a snapshot back to a folder.

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Files written.
    pub files_restored: u64,
}
