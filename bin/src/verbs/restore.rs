//! `restore`: a snapshot, or a part of it, back into a folder.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::restore::{self, RestoreOptions, RestoreOutcome, Subtree, find_subtree};
use keepwell_engine::source::filter::{Patterns, pattern_lines};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::progress::Watch;
use crate::quantities::{shown_bytes, shown_duration};
use crate::reading::Reading;
use crate::snapshot_filter::SnapshotFilter;
use crate::verbs::restore_firebird::{self, FirebirdArguments};

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The beginning of a snapshot's id, or `latest`; with `:/PATH` only what is there
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    snapshot: String,
    /// Folder to restore into; absolute paths are made again beneath it
    #[arg(short, long, value_name = "FOLDER", required_unless_present = "firebird_to")]
    target: Option<PathBuf>,
    #[command(flatten)]
    firebird: FirebirdArguments,
    #[command(flatten)]
    filter: SnapshotFilter,
    /// Restore only what matches; may be repeated
    #[arg(short, long, value_name = "PATTERN", conflicts_with = "iinclude")]
    include: Vec<OsString>,
    /// The same, whatever the case of letters
    #[arg(long, value_name = "PATTERN")]
    iinclude: Vec<OsString>,
    /// Restore only what matches a line of the file; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "iinclude")]
    include_file: Vec<PathBuf>,
    /// Do not restore what matches; may be repeated
    #[arg(short, long, value_name = "PATTERN", conflicts_with = "iexclude")]
    exclude: Vec<OsString>,
    /// The same, whatever the case of letters
    #[arg(long, value_name = "PATTERN")]
    iexclude: Vec<OsString>,
    /// Do not restore what matches a line of the file; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "iexclude")]
    exclude_file: Vec<PathBuf>,
    /// What to do with what is there already
    #[arg(long, value_name = "WHEN", default_value = "always")]
    overwrite: Overwrite,
    /// Delete what is in restored folders and not in the snapshot
    #[arg(long)]
    delete: bool,
    /// Leave zeros as holes
    #[arg(long)]
    sparse: bool,
    /// Read every restored file back and compare
    #[arg(long)]
    verify: bool,
    /// Write nothing, only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What to do with what is there already, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Overwrite {
    /// Compare content, write what differs
    Always,
    /// The same, but trust an equal size and time
    IfChanged,
    /// Only if the snapshot's was changed later
    IfNewer,
    /// Leave it
    Never,
}

impl From<Overwrite> for restore::Overwrite {
    fn from(typed: Overwrite) -> Self {
        match typed {
            Overwrite::Always => Self::Always,
            Overwrite::IfChanged => Self::IfChanged,
            Overwrite::IfNewer => Self::IfNewer,
            Overwrite::Never => Self::Never,
        }
    }
}

/// What a restore did, or would do.
#[derive(Serialize)]
struct Summary {
    snapshot_id: String,
    target: String,
    seconds_elapsed: u64,
    files_restored: u64,
    files_unchanged: u64,
    files_skipped: u64,
    files_deleted: u64,
    files_verified: u64,
    folders: u64,
    others: u64,
    total_bytes: u64,
    bytes_restored: u64,
    error_count: u64,
    dry_run: bool,
}

/// Restores it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let Some(target) = &arguments.target else {
        return restore_firebird::run(&arguments.firebird, &arguments.snapshot, &arguments.filter, context);
    };
    let options = options(arguments)?;
    let reading = Reading::begin(context)?;
    let found = reading.snapshot(&arguments.snapshot, &arguments.filter, context)?;
    let what = match found.folder {
        Some(path) => find_subtree(reading.repository(), found.snapshot.tree, path.as_bytes())?,
        None => Subtree::from(found.snapshot.tree),
    };
    let compute = ComputeSlots::of_this_machine();
    let watch = Watch::new(&context.output, "restore");
    let session = reading.session();
    let outcome = restore::restore(session, what, target, &options, &context.control, &compute, &watch)?;
    let summary = Summary::new(found.id.to_hex(), target, arguments.dry_run, &outcome, watch.elapsed());
    drop(watch);
    if context.output.is_json() {
        context.output.message("summary", &summary)?;
    } else {
        tell(&summary, context)?;
    }
    Ok(if outcome.errors > 0 { Ending::Failed } else { Ending::Done })
}

fn options(arguments: &Arguments) -> Result<RestoreOptions, Failure> {
    Ok(RestoreOptions {
        beneath: None,
        include: patterns(&arguments.include, &arguments.include_file, &arguments.iinclude)?,
        exclude: patterns(&arguments.exclude, &arguments.exclude_file, &arguments.iexclude)?,
        overwrite: arguments.overwrite.into(),
        dry_run: arguments.dry_run,
        verify: arguments.verify,
        sparse: arguments.sparse,
        delete: arguments.delete,
    })
}

fn patterns(
    exact: &[OsString],
    files: &[PathBuf],
    any_case: &[OsString],
) -> Result<Option<Patterns>, Failure> {
    let bytes = |patterns: &[OsString]| -> Vec<Vec<u8>> {
        patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect()
    };
    if !any_case.is_empty() {
        return Ok(Some(Patterns::case_insensitive(&bytes(any_case))?));
    }
    if exact.is_empty() && files.is_empty() {
        return Ok(None);
    }
    let mut patterns = exact.to_vec();
    for file in files {
        let text =
            std::fs::read(file).map_err(|error| Failure::local("read the pattern file", file, error))?;
        patterns.extend(pattern_lines(&text).into_iter().map(OsString::from_vec));
    }
    Ok(Some(Patterns::new(&bytes(&patterns))?))
}

impl Summary {
    fn new(
        snapshot_id: String,
        target: &Path,
        dry_run: bool,
        outcome: &RestoreOutcome,
        elapsed: Duration,
    ) -> Self {
        Self {
            snapshot_id,
            target: target.display().to_string(),
            seconds_elapsed: elapsed.as_secs(),
            files_restored: outcome.files_restored,
            files_unchanged: outcome.files_unchanged,
            files_skipped: outcome.skipped,
            files_deleted: outcome.deleted,
            files_verified: outcome.files_verified,
            folders: outcome.folders,
            others: outcome.others,
            total_bytes: outcome.bytes_total,
            bytes_restored: outcome.bytes_written,
            error_count: outcome.errors,
            dry_run,
        }
    }
}

fn tell(summary: &Summary, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let did = if summary.dry_run { "would restore" } else { "restored" };
    output.remark(&format!(
        "{did} {} files, {} folders, {} others: {} of {} written in {}",
        summary.files_restored,
        summary.folders,
        summary.others,
        shown_bytes(summary.bytes_restored),
        shown_bytes(summary.total_bytes),
        shown_duration(Duration::from_secs(summary.seconds_elapsed)),
    ))?;
    for (count, what) in [
        (summary.files_unchanged, "files were right already"),
        (summary.files_skipped, "entries were left as they stood"),
        (summary.files_deleted, "entries were deleted"),
        (summary.files_verified, "files were read back and are right"),
        (summary.error_count, "errors; they are named above"),
    ] {
        if count > 0 {
            output.remark(&format!("{count} {what}"))?;
        }
    }
    let (id, target) = (&summary.snapshot_id[..8], &summary.target);
    let end = match (summary.dry_run, summary.error_count) {
        (true, _) => format!("nothing of snapshot {id} was written"),
        (false, 0) => format!("snapshot {id} is in {target}"),
        (false, _) => format!("the rest of snapshot {id} is in {target}"),
    };
    Ok(output.remark(&end)?)
}
