//! `tag`: the words that snapshots are found by.

use clap::Args;
use keepwell_engine::tag::{TagChange, change_tags};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::repository::{self, begin_writing};
use crate::snapshot_filter::{SnapshotFilter, tag_list};

/// Options of `tag`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only these: beginnings of ids, or `latest`; all that are chosen if none is named
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: SnapshotFilter,
    /// These tags and no others; '' for none
    #[arg(long, value_name = "TAG[,TAG…]", conflicts_with_all = ["add", "remove"])]
    set: Vec<String>,
    /// These tags too
    #[arg(long, value_name = "TAG[,TAG…]")]
    add: Vec<String>,
    /// These tags no more
    #[arg(long, value_name = "TAG[,TAG…]")]
    remove: Vec<String>,
}

#[derive(Serialize)]
struct Changed {
    old_snapshot_id: String,
    new_snapshot_id: String,
}

#[derive(Serialize)]
struct Summary {
    changed_snapshots: usize,
}

/// Changes them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let change = change(arguments)?;
    let repository = repository::open(context)?;
    let session = begin_writing(&repository, true, context)?;
    let mut changed_snapshots = 0;
    for (id, snapshot) in arguments.filter.find(&repository, &arguments.snapshots, context)? {
        context.control.checkpoint()?;
        let Some(new) = change_tags(&session, id, &snapshot, &change)? else { continue };
        changed_snapshots += 1;
        let told = Changed { old_snapshot_id: id.to_hex(), new_snapshot_id: new.to_hex() };
        if context.output.is_json() {
            context.output.message("changed", &told)?;
        } else {
            context.output.remark(&format!("snapshot {} is now {}", id.short(), new.short()))?;
        }
    }
    if context.output.is_json() {
        context.output.message("summary", &Summary { changed_snapshots })?;
    } else {
        context.output.remark(&format!("changed the tags of {changed_snapshots} snapshots"))?;
    }
    Ok(Ending::Done)
}

fn change(arguments: &Arguments) -> Result<TagChange, Failure> {
    let tags = |lists: &[String]| lists.iter().flat_map(|list| tag_list(list)).collect::<Vec<_>>();
    if !arguments.set.is_empty() {
        return Ok(TagChange::Set(tags(&arguments.set)));
    }
    if arguments.add.is_empty() && arguments.remove.is_empty() {
        return Err(Failure::usage("no change is named").hint("give --set, --add or --remove"));
    }
    Ok(TagChange::Alter { add: tags(&arguments.add), remove: tags(&arguments.remove) })
}
