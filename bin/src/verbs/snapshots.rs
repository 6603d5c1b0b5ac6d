//! `snapshots`: what was backed up, when and where.

use std::collections::HashMap;

use clap::Args;
use keepwell_engine::format::Snapshot;
use keepwell_engine::id::Id;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::quantities::{shown_bytes, shown_time};
use crate::repository::{self, begin_reading};
use crate::snapshot_filter::SnapshotFilter;
use crate::table::Table;

/// Options of `snapshots`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only these: beginnings of ids, or `latest`
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: SnapshotFilter,
    /// One line a snapshot, without its paths
    #[arg(short, long)]
    compact: bool,
    /// Only the last N of each host and paths
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
}

/// A snapshot's own fields, and its name.
#[derive(Serialize)]
struct Told {
    id: String,
    short_id: String,
    #[serde(flatten)]
    snapshot: serde_json::Value,
}

/// Lists them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let repository = repository::open(context)?;
    let _session = begin_reading(&repository, false, context)?;
    let mut found = arguments.filter.find(&repository, &arguments.snapshots, context)?;
    if let Some(most) = arguments.latest {
        keep_latest(&mut found, most);
    }
    if !context.output.is_json() {
        return print_table(&found, arguments.compact, context);
    }
    for (id, snapshot) in &found {
        tell_snapshot("snapshot", *id, snapshot, context)?;
    }
    Ok(Ending::Done)
}

/// A snapshot as one line of JSON.
pub fn tell_snapshot(
    message_type: &str,
    id: Id,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<(), Failure> {
    let fields = serde_json::from_slice(&snapshot.encode()).expect("a snapshot encodes as JSON");
    let told = Told { id: id.to_hex(), short_id: id.short(), snapshot: fields };
    Ok(context.output.message(message_type, &told)?)
}

/// Of each host and list of paths, the newest `most`.
fn keep_latest(snapshots: &mut Vec<(Id, Snapshot)>, most: usize) {
    let mut seen: HashMap<(String, Vec<String>), usize> = HashMap::new();
    snapshots.reverse();
    snapshots.retain(|(_, snapshot)| {
        let mut paths = snapshot.paths.clone();
        paths.sort_unstable();
        let count = seen.entry((snapshot.hostname.clone(), paths)).or_default();
        *count += 1;
        *count <= most
    });
    snapshots.reverse();
}

/// The columns of restic's table: id, time, host, tags, paths (one a line), size.
fn print_table(snapshots: &[(Id, Snapshot)], compact: bool, context: &Context) -> Ended {
    let row = |(id, snapshot): &(Id, Snapshot)| {
        let size = snapshot.summary.as_ref().map(|summary| shown_bytes(summary.total_bytes_processed));
        [
            id.short(),
            shown_time(snapshot.time),
            snapshot.hostname.clone(),
            snapshot.tags.join(","),
            snapshot.paths.first().cloned().unwrap_or_default(),
            size.unwrap_or_default(),
        ]
    };
    let mut table = Table::new(["ID", "Time", "Host", "Tags", "Paths", "Size"]);
    for listed in snapshots {
        table.rows.push(row(listed));
        for path in listed.1.paths.iter().skip(1) {
            let empty = String::new;
            table.rows.push([empty(), empty(), empty(), empty(), path.clone(), empty()]);
        }
    }
    if compact {
        table.rows.retain(|row| !row[0].is_empty());
        table.hidden = Some(4);
    }
    table.print(&context.output)?;
    let count = snapshots.len();
    context.output.line(&format!("{count} snapshot{}", if count == 1 { "" } else { "s" }))?;
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use keepwell_engine::format::Timestamp;

    use super::*;

    #[test]
    fn the_latest_are_kept_for_each_host_and_paths() {
        let snapshot = |number: u8, host: &str, paths: [&str; 2]| {
            let time = Timestamp::from_unix(number.into(), 0);
            let mut snapshot = Snapshot::new(time, Id([0; 32]), paths.map(str::to_owned).to_vec());
            snapshot.hostname = host.into();
            (Id([number; 32]), snapshot)
        };
        let mut snapshots = vec![
            snapshot(1, "a", ["/x", "/y"]),
            snapshot(2, "b", ["/x", "/y"]),
            snapshot(3, "a", ["/y", "/x"]),
            snapshot(4, "a", ["/x", "/z"]),
        ];
        keep_latest(&mut snapshots, 1);
        let kept: Vec<u8> = snapshots.iter().map(|(id, _)| id.0[0]).collect();
        assert_eq!(kept, [2, 3, 4]);
    }
}
