//! `diff`: what differs between two snapshots.

use clap::Args;
use keepwell_engine::error::Result;
use keepwell_engine::query::Unreadable;
use keepwell_engine::query::diff::{DiffFigures, DiffSink, Difference, SideFigures, diff};
use serde::Serialize;

use crate::cli::Context;
use crate::entry;
use crate::exit::{Ended, Failure};
use crate::quantities::shown_bytes;
use crate::reading::{Reading, Troubles};
use crate::snapshot_filter::SnapshotFilter;

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The snapshot before; with `:/PATH` that folder of it
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    before: String,
    /// The snapshot after; with `:/PATH` that folder of it
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    after: String,
    /// Show entries too whose metadata alone differ
    #[arg(long)]
    metadata: bool,
}

#[derive(Serialize)]
struct Changed<'a> {
    path: &'a str,
    modifier: &'a str,
}

#[derive(Serialize)]
struct Figures {
    source_snapshot: String,
    target_snapshot: String,
    changed_files: u64,
    added: Side,
    removed: Side,
}

#[derive(Serialize)]
struct Side {
    files: u64,
    dirs: u64,
    others: u64,
    data_blobs: u64,
    tree_blobs: u64,
    bytes: u64,
}

impl From<SideFigures> for Side {
    fn from(side: SideFigures) -> Self {
        let SideFigures { files, dirs, others, data_blobs, tree_blobs, bytes } = side;
        Self { files, dirs, others, data_blobs, tree_blobs, bytes }
    }
}

/// Shows it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let reading = Reading::begin(context)?;
    let filter = SnapshotFilter::default();
    let before = reading.snapshot(&arguments.before, &filter, context)?;
    let after = reading.snapshot(&arguments.after, &filter, context)?;
    let repository = reading.repository();
    let (before_tree, after_tree) = (before.tree(repository, context)?, after.tree(repository, context)?);
    let troubles = Troubles::new(context, "diff");
    let mut shower = Shower { context, troubles: &troubles };
    let figures =
        diff(repository, before_tree, after_tree, arguments.metadata, &context.control, &mut shower)?;
    if context.output.is_json() {
        let told = Figures {
            source_snapshot: before.id.to_hex(),
            target_snapshot: after.id.to_hex(),
            changed_files: figures.changed_files,
            added: figures.added.into(),
            removed: figures.removed.into(),
        };
        context.output.message("statistics", &told)?;
    } else {
        show_figures(&figures, context)?;
    }
    Ok(troubles.ending())
}

fn show_figures(figures: &DiffFigures, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let (added, removed) = (&figures.added, &figures.removed);
    output.remark("")?;
    let changed = figures.changed_files;
    output.remark(&format!(
        "Files:  {:5} new, {:5} removed, {changed:5} changed",
        added.files, removed.files
    ))?;
    for (what, new, gone) in [
        ("Dirs:", added.dirs, removed.dirs),
        ("Others:", added.others, removed.others),
        ("Data blobs:", added.data_blobs, removed.data_blobs),
        ("Tree blobs:", added.tree_blobs, removed.tree_blobs),
    ] {
        output.remark(&format!("{what:7} {new:5} new, {gone:5} removed"))?;
    }
    let (new, gone) = (shown_bytes(added.bytes), shown_bytes(removed.bytes));
    Ok(output.remark(&format!("Added: {new}, removed: {gone}"))?)
}

struct Shower<'a> {
    context: &'a Context,
    troubles: &'a Troubles<'a>,
}

impl DiffSink for Shower<'_> {
    fn difference(&mut self, difference: &Difference<'_>) -> Result<()> {
        let slash = if difference.is_folder { "/" } else { "" };
        let path = format!("{}{slash}", entry::text(difference.path));
        let marks = difference.change.marks();
        let output = &self.context.output;
        match output.is_json() {
            true => output.message("change", &Changed { path: &path, modifier: &marks }),
            false => output.line(&format!("{marks:5}{path}")),
        }
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.troubles.note(&unreadable)
    }
}
