//! What the verbs that look into snapshots share: an open repository with its index
//! loaded, the meaning of `SNAPSHOT:/PATH`, and troubles that are told and counted.

use std::cell::Cell;
use std::sync::Arc;

use keepwell_engine::error::Error;
use keepwell_engine::format::Snapshot;
use keepwell_engine::id::Id;
use keepwell_engine::query::{Unreadable, lookup};
use keepwell_engine::repository::{Repository, Session};

use crate::cli::Context;
use crate::entry;
use crate::exit::{Ending, Failure};
use crate::repository::{self, begin_reading};
use crate::snapshot_filter::SnapshotFilter;

/// A repository that is being read.
pub struct Reading {
    session: Session,
}

impl Reading {
    /// Opens the repository and takes a lock, if one can be taken.
    pub fn begin(context: &Context) -> Result<Self, Failure> {
        let repository = repository::open(context)?;
        Ok(Self { session: begin_reading(&repository, false, context)? })
    }

    /// The repository.
    pub fn repository(&self) -> &Arc<Repository> {
        self.session.repository()
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The snapshots that are named or chosen, the oldest first; the index is loaded after they were listed.
    pub fn snapshots(
        &self,
        filter: &SnapshotFilter,
        names: &[String],
        context: &Context,
    ) -> Result<Vec<(Id, Snapshot)>, Failure> {
        let found = filter.find(self.repository(), names, context)?;
        self.repository().load_index(&context.control)?;
        Ok(found)
    }

    /// The snapshot before the colon of `name`, and the folder after it.
    pub fn snapshot<'a>(
        &self,
        name: &'a str,
        filter: &SnapshotFilter,
        context: &Context,
    ) -> Result<NamedSnapshot<'a>, Failure> {
        let (name, folder) = split_name(name);
        let (id, snapshot) = self.repository().find_snapshot(name, &filter.choice())?;
        self.repository().load_index(&context.control)?;
        Ok(NamedSnapshot { id, snapshot, folder })
    }
}

/// What `SNAPSHOT:/PATH` names.
pub struct NamedSnapshot<'a> {
    /// The snapshot's id.
    pub id: Id,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The folder in it, if one is named.
    pub folder: Option<&'a str>,
}

impl NamedSnapshot<'_> {
    /// The tree of the folder, or of the whole snapshot.
    pub fn tree(&self, repository: &Repository, context: &Context) -> Result<Id, Failure> {
        let folder = self.folder.unwrap_or_default().as_bytes();
        Ok(lookup::find_folder(repository, self.snapshot.tree, folder, &context.control)?)
    }
}

/// Parts `SNAPSHOT:/PATH`; ids and `latest` hold no colon.
fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((name, folder)) => (name, Some(folder)),
        None => (name, None),
    }
}

/// Tells what cannot be read, and remembers that there was something.
pub struct Troubles<'a> {
    context: &'a Context,
    during: &'static str,
    count: Cell<u64>,
}

impl<'a> Troubles<'a> {
    /// None yet.
    pub fn new(context: &'a Context, during: &'static str) -> Self {
        Self { context, during, count: Cell::new(0) }
    }

    /// Tells one.
    pub fn tell(&self, unreadable: &Unreadable) {
        self.count.set(self.count.get() + 1);
        let message = unreadable.error.to_string();
        self.context.output.item_error(self.during, &entry::text(&unreadable.path), &message);
    }

    /// For those that call for a result.
    pub fn note(&self, unreadable: &Unreadable) -> Result<(), Error> {
        self.tell(unreadable);
        Ok(())
    }

    /// How the verb ends.
    pub fn ending(&self) -> Ending {
        if self.count.get() == 0 { Ending::Done } else { Ending::Failed }
    }
}
