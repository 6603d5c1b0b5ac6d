//! `ls`: the entries of a snapshot.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::Args;
use keepwell_engine::error::Result;
use keepwell_engine::query::list::{ListOptions, ListSink, list};
use keepwell_engine::query::{Unreadable, WalkedEntry};

use crate::cli::Context;
use crate::entry::{self, EntryStyle};
use crate::exit::Ended;
use crate::quantities::shown_time;
use crate::reading::{Reading, Troubles};
use crate::snapshot_filter::SnapshotFilter;
use crate::verbs::snapshots::tell_snapshot;

/// Options of `ls`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The beginning of a snapshot's id, or `latest`; with `:/PATH` that folder as the top
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    snapshot: String,
    /// Only these absolute paths, and what is right in them
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    filter: SnapshotFilter,
    #[command(flatten)]
    style: EntryStyle,
    /// What is below these paths at any depth too
    #[arg(long)]
    recursive: bool,
}

/// Lists them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let reading = Reading::begin(context)?;
    let found = reading.snapshot(&arguments.snapshot, &arguments.filter, context)?;
    let tree = found.tree(reading.repository(), context)?;
    if context.output.is_json() {
        tell_snapshot("snapshot", found.id, &found.snapshot, context)?;
    } else {
        let (id, time) = (found.id.short(), shown_time(found.snapshot.time));
        let paths = found.snapshot.paths.join(", ");
        context
            .output
            .remark(&format!("snapshot {id} of {paths} at {time} on {}:", found.snapshot.hostname))?;
    }
    let options = ListOptions {
        paths: arguments.paths.iter().map(|path| path.clone().into_vec()).collect(),
        recursive: arguments.recursive,
    };
    let troubles = Troubles::new(context, "ls");
    let mut lister = Lister { context, style: arguments.style, troubles: &troubles };
    list(reading.repository(), tree, &options, &context.control, &mut lister)?;
    Ok(troubles.ending())
}

struct Lister<'a> {
    context: &'a Context,
    style: EntryStyle,
    troubles: &'a Troubles<'a>,
}

impl ListSink for Lister<'_> {
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<()> {
        let output = &self.context.output;
        match output.is_json() {
            true => output.message("node", &entry::fields(entry.path, entry.node)),
            false => output.line(&entry::line(entry.path, entry.node, self.style)),
        }
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.troubles.note(&unreadable)
    }
}
