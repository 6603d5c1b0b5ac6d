//! The options that choose snapshots, shared by all verbs that take several.

use clap::Args;
use keepwell_engine::error::Error;
use keepwell_engine::format::Snapshot;
use keepwell_engine::id::Id;
use keepwell_engine::repository::{Repository, SnapshotChoice};

use crate::cli::Context;
use crate::exit::Failure;

/// Which snapshots are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct SnapshotFilter {
    /// Only snapshots of this host; may be repeated
    #[arg(short = 'H', long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Only snapshots with all of these tags; may be repeated for another list
    #[arg(long, value_name = "TAG[,TAG…]")]
    pub tag: Vec<String>,
    /// Only snapshots of this absolute path; all of them if repeated
    #[arg(long, value_name = "PATH")]
    pub path: Vec<String>,
}

impl SnapshotFilter {
    /// As the engine has it.
    pub fn choice(&self) -> SnapshotChoice {
        SnapshotChoice {
            hosts: self.host.clone(),
            tags: self.tag.iter().map(|list| tag_list(list)).collect(),
            paths: self.path.clone(),
        }
    }

    /// The snapshots that are named, or else all that are chosen, the oldest first. Those
    /// that cannot be read are told.
    pub fn find(
        &self,
        repository: &Repository,
        names: &[String],
        context: &Context,
    ) -> Result<Vec<(Id, Snapshot)>, Failure> {
        let choice = self.choice();
        if names.is_empty() {
            let mut told = |id: Id, error: Error| {
                context.output.notice(&format!("snapshot {} cannot be read: {error}", id.short()));
            };
            return Ok(repository.snapshots(&choice, &mut told)?);
        }
        names.iter().map(|name| Ok(repository.find_snapshot(name, &choice)?)).collect()
    }
}

/// The tags of `tag[,tag…]`.
pub fn tag_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}
