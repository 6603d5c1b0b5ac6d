//! `stats`: how much snapshots hold.

use clap::Args;
use keepwell_engine::query::stats::{StatsMode, count};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::Ended;
use crate::quantities::shown_bytes;
use crate::reading::{Reading, Troubles};
use crate::snapshot_filter::SnapshotFilter;

/// Options of `stats`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only these: beginnings of ids, or `latest`
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: SnapshotFilter,
    /// What is counted: restore-size, files-by-contents, blobs-per-file or raw-data
    #[arg(long, value_name = "MODE", default_value = "restore-size", value_parser = parse_mode)]
    mode: StatsMode,
}

#[derive(Serialize)]
struct Counted {
    snapshots_count: u64,
    total_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_file_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_blob_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_uncompressed_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_space_saving: Option<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn parse_mode(text: &str) -> Result<StatsMode, String> {
    let known = StatsMode::ALL.iter().find(|(name, _)| *name == text);
    known.map(|(_, mode)| *mode).ok_or_else(|| {
        let names: Vec<_> = StatsMode::ALL.iter().map(|(name, _)| *name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Counts it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let reading = Reading::begin(context)?;
    let snapshots = reading.snapshots(&arguments.filter, &arguments.snapshots, context)?;
    let troubles = Troubles::new(context, "stats");
    let figures =
        count(reading.repository(), &snapshots, arguments.mode, &context.control, &mut |_, unreadable| {
            troubles.note(&unreadable)
        })?;
    let raw = arguments.mode == StatsMode::RawData;
    let told = Counted {
        snapshots_count: figures.snapshots,
        total_size: figures.bytes,
        total_file_count: figures.files,
        total_blob_count: figures.blobs,
        total_uncompressed_size: figures.uncompressed_bytes,
        compression_ratio: figures.compression_ratio().filter(|_| raw),
        compression_progress: figures.compression_progress_percent().filter(|_| raw),
        compression_space_saving: figures.compression_saving_percent().filter(|_| raw),
    };
    let output = &context.output;
    if output.is_json() {
        output.message("stats", &told)?;
        return Ok(troubles.ending());
    }
    output.line(&format!("Snapshots:          {}", told.snapshots_count))?;
    for (what, count) in [("Files:", told.total_file_count), ("Blobs:", told.total_blob_count)] {
        if count > 0 {
            output.line(&format!("{what:19} {count}"))?;
        }
    }
    if told.total_uncompressed_size > 0 {
        output.line(&format!("Uncompressed size:  {}", shown_bytes(told.total_uncompressed_size)))?;
    }
    output.line(&format!("Size:               {}", shown_bytes(told.total_size)))?;
    if let (Some(ratio), Some(saving)) = (told.compression_ratio, told.compression_space_saving) {
        output.line(&format!("Compression:        {ratio:.2} to 1, saves {saving:.2}%"))?;
    }
    Ok(troubles.ending())
}
