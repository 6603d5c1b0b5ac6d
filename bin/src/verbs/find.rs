//! `find`: where something is, in all snapshots or some.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use chrono::{DateTime, FixedOffset};
use clap::Args;
use keepwell_engine::error::Result;
use keepwell_engine::format::{BlobKind, Snapshot, Timestamp};
use keepwell_engine::id::Id;
use keepwell_engine::query::Unreadable;
use keepwell_engine::query::find::{
    EntryFound, FindSink, IdPrefix, NameQuery, ObjectFound, WantedObjects, find_names, find_objects,
};
use keepwell_engine::source::filter::Patterns;
use serde::Serialize;

use crate::cli::Context;
use crate::entry::{self, EntryFields, EntryStyle};
use crate::exit::{Ended, Failure};
use crate::quantities::{parse_time, shown_time};
use crate::reading::{Reading, Troubles};
use crate::snapshot_filter::SnapshotFilter;

/// Options of `find`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Patterns of names or paths; ids with --blob, --tree or --pack
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<OsString>,
    #[command(flatten)]
    filter: SnapshotFilter,
    #[command(flatten)]
    style: EntryStyle,
    /// Search this snapshot only; may be repeated
    #[arg(short, long, value_name = "SNAPSHOT")]
    snapshot: Vec<String>,
    /// Only what was changed at this time or later
    #[arg(short = 'O', long, value_name = "TIME", value_parser = parse_time)]
    oldest: Option<DateTime<FixedOffset>>,
    /// Only what was changed at this time or earlier
    #[arg(short = 'N', long, value_name = "TIME", value_parser = parse_time)]
    newest: Option<DateTime<FixedOffset>>,
    /// Whatever the case of letters
    #[arg(short, long)]
    ignore_case: bool,
    /// Search the newest snapshot first
    #[arg(short = 'R', long)]
    reverse: bool,
    /// Patterns are ids of data blobs
    #[arg(long, group = "ids")]
    blob: bool,
    /// Patterns are ids of trees
    #[arg(long, group = "ids")]
    tree: bool,
    /// Patterns are ids of packs
    #[arg(long, group = "ids")]
    pack: bool,
}

#[derive(Serialize)]
struct Match<'a> {
    snapshot: String,
    #[serde(flatten)]
    entry: EntryFields<'a>,
}

#[derive(Serialize)]
struct ObjectMatch<'a> {
    snapshot: String,
    object_type: &'static str,
    id: String,
    path: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_tree: Option<String>,
}

/// Finds it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let reading = Reading::begin(context)?;
    let mut snapshots = reading.snapshots(&arguments.filter, &arguments.snapshot, context)?;
    if arguments.reverse {
        snapshots.reverse();
    }
    let troubles = Troubles::new(context, "find");
    let mut finder =
        Finder { context, style: arguments.style, snapshots: &snapshots, shown: None, troubles: &troubles };
    let repository = reading.repository();
    if arguments.blob || arguments.tree || arguments.pack {
        let ids = id_prefixes(&arguments.patterns)?;
        let wanted = match (arguments.blob, arguments.tree) {
            (true, _) => WantedObjects::data_blobs(ids),
            (_, true) => WantedObjects::trees(ids),
            _ => WantedObjects::blobs_of_packs(repository, &ids, &context.control)?,
        };
        find_objects(repository, &snapshots, &wanted, &context.control, &mut finder)?;
    } else {
        find_names(repository, &snapshots, &name_query(arguments)?, &context.control, &mut finder)?;
    }
    Ok(troubles.ending())
}

fn name_query(arguments: &Arguments) -> Result<NameQuery, Failure> {
    let patterns: Vec<&[u8]> = arguments.patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let patterns =
        if arguments.ignore_case { Patterns::case_insensitive(&patterns) } else { Patterns::new(&patterns) };
    let time =
        |time: DateTime<FixedOffset>| Timestamp::from_unix(time.timestamp(), time.timestamp_subsec_nanos());
    let (oldest, newest) = (arguments.oldest.map(time), arguments.newest.map(time));
    Ok(NameQuery { patterns: patterns?, oldest, newest })
}

fn id_prefixes(patterns: &[OsString]) -> Result<Vec<IdPrefix>, Failure> {
    patterns.iter().map(|pattern| Ok(IdPrefix::parse(&pattern.to_string_lossy())?)).collect()
}

struct Finder<'a> {
    context: &'a Context,
    style: EntryStyle,
    snapshots: &'a [(Id, Snapshot)],
    /// The snapshot whose heading was shown last.
    shown: Option<Id>,
    troubles: &'a Troubles<'a>,
}

impl Finder<'_> {
    fn show_heading(&mut self, snapshot: Id) -> Result<()> {
        if self.shown == Some(snapshot) {
            return Ok(());
        }
        if self.shown.is_some() {
            self.context.output.remark("")?;
        }
        self.shown = Some(snapshot);
        let known = self.snapshots.iter().find(|(id, _)| *id == snapshot);
        let time = known.map(|(_, snapshot)| shown_time(snapshot.time)).unwrap_or_default();
        self.context.output.remark(&format!("in snapshot {} of {time}:", snapshot.short()))
    }
}

impl FindSink<EntryFound<'_>> for Finder<'_> {
    fn found(&mut self, snapshot: Id, found: &EntryFound<'_>) -> Result<()> {
        if self.context.output.is_json() {
            let told = Match { snapshot: snapshot.to_hex(), entry: entry::fields(found.path, found.node) };
            return self.context.output.message("match", &told);
        }
        self.show_heading(snapshot)?;
        self.context.output.line(&entry::line(found.path, found.node, self.style))
    }

    fn unreadable(&mut self, _: Id, unreadable: Unreadable) -> Result<()> {
        self.troubles.note(&unreadable)
    }
}

impl FindSink<ObjectFound<'_>> for Finder<'_> {
    fn found(&mut self, snapshot: Id, found: &ObjectFound<'_>) -> Result<()> {
        let object_type = match found.kind {
            BlobKind::Data => "blob",
            BlobKind::Tree => "tree",
        };
        let path = entry::text(found.path);
        if self.context.output.is_json() {
            let (snapshot, id) = (snapshot.to_hex(), found.id.to_hex());
            let parent_tree = found.parent_tree.map(Id::to_hex);
            let told = ObjectMatch { snapshot, object_type, id, path, parent_tree };
            return self.context.output.message("object_match", &told);
        }
        self.show_heading(snapshot)?;
        self.context.output.line(&format!("{object_type} {} {path}", found.id))
    }

    fn unreadable(&mut self, _: Id, unreadable: Unreadable) -> Result<()> {
        self.troubles.note(&unreadable)
    }
}
