//! `copy`: snapshots of another repository into this one.

use clap::Args;
use keepwell_engine::copy::{Copied, CopyOptions, copy_snapshots, cuts_alike};
use keepwell_engine::id::Id;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending};
use crate::progress::Watch;
use crate::repository::{self, begin_reading, begin_writing};
use crate::snapshot_filter::SnapshotFilter;
use crate::verbs::init::FromRepository;

/// Options of `copy`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only these: beginnings of ids, or `latest`; all that are chosen if none is named
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    from: FromRepository,
    #[command(flatten)]
    filter: SnapshotFilter,
}

#[derive(Serialize)]
struct Told {
    source_snapshot_id: String,
    snapshot_id: String,
    /// False if it was there already.
    copied: bool,
}

#[derive(Serialize)]
struct Summary {
    copied_snapshots: u64,
    known_snapshots: u64,
}

/// Copies them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let source = arguments.from.open(context)?;
    let destination = repository::open(context)?;
    let source_session = begin_reading(&source, false, context)?;
    let session = begin_writing(&destination, false, context)?;
    let snapshots = arguments.filter.find(&source, &arguments.snapshots, context)?;
    source.load_index(&context.control)?;
    destination.load_index(&context.control)?;
    if !cuts_alike(&source, &destination) {
        context.output.notice(
            "the two repositories cut files differently: copied data and data backed up directly are stored \
             twice; `keepwell init --copy-chunker-params` makes one that cuts alike",
        );
    }
    session.recover(&context.control)?;
    let options = CopyOptions { compression: context.global.compression.unwrap_or_default().into() };
    let mut summary = Summary { copied_snapshots: 0, known_snapshots: 0 };
    let watch = Watch::new(&context.output, "copy");
    let mut ended = |id: Id, copied: Copied| tell(id, copied, &mut summary, context);
    copy_snapshots(&source_session, &session, &snapshots, &options, &context.control, &watch, &mut ended)?;
    drop(watch);
    if context.output.is_json() {
        context.output.message("summary", &summary)?;
    } else {
        let (copied, known) = (summary.copied_snapshots, summary.known_snapshots);
        context.output.remark(&format!("copied {copied} snapshots; {known} were there already"))?;
    }
    Ok(Ending::Done)
}

fn tell(source: Id, copied: Copied, summary: &mut Summary, context: &Context) {
    let (id, is_new) = match copied {
        Copied::New(id) => (id, true),
        Copied::Known(id) => (id, false),
    };
    let count = if is_new { &mut summary.copied_snapshots } else { &mut summary.known_snapshots };
    *count += 1;
    // A reader that went away does not end the copy.
    let _ = if context.output.is_json() {
        let told = Told { source_snapshot_id: source.to_hex(), snapshot_id: id.to_hex(), copied: is_new };
        context.output.message("copied", &told)
    } else if is_new {
        context.output.remark(&format!("snapshot {} is copied as {}", source.short(), id.short()))
    } else {
        Ok(())
    };
}
