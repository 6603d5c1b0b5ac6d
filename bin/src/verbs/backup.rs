//! `backup`: a snapshot of files and folders, of standard input, or of a command's output.

use std::sync::Arc;

use chrono::{DateTime, FixedOffset};
use clap::Args;
use keepwell_engine::archive::{self, BackupOptions, BackupOutcome, ChangeDetection, Parent};
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::repository::{Repository, SnapshotChoice};
use keepwell_engine::source::Source;
use serde::Serialize;

use crate::cli::Context;
use crate::default_repository::DefaultRepository;
use crate::exit::{Ended, Ending, Failure};
use crate::password;
use crate::progress::Watch;
use crate::quantities::{parse_time, shown_bytes, shown_duration};
use crate::repository::{Address, begin_writing};
use crate::shell_words::quote;
use crate::snapshot_filter::tag_list;
use crate::verbs::backup_source::{self, SourceArguments};
use crate::verbs::version::PROGRAM_VERSION;

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Tags of the snapshot; may be repeated
    #[arg(long, value_name = "TAG[,TAG…]")]
    tag: Vec<String>,
    /// The snapshot's host, if not this machine
    #[arg(short = 'H', long, value_name = "NAME", env = "KEEPWELL_HOST", hide_env_values = true)]
    host: Option<String>,
    /// The snapshot's time, if not now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<DateTime<FixedOffset>>,
    /// Compare with this snapshot, not with the latest of the same host and paths
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "force")]
    parent: Option<String>,
    /// Read all files, unchanged ones too
    #[arg(short, long)]
    force: bool,
    /// Do not take a changed ctime for a sign of change
    #[arg(long)]
    ignore_ctime: bool,
    /// Do not take a changed inode number or ctime for a sign of change
    #[arg(long)]
    ignore_inode: bool,
}

/// What a backup did, in restic's words.
#[derive(Serialize)]
struct Summary {
    files_new: u64,
    files_changed: u64,
    files_unmodified: u64,
    dirs_new: u64,
    dirs_changed: u64,
    dirs_unmodified: u64,
    data_blobs: u64,
    tree_blobs: u64,
    data_added: u64,
    data_added_packed: u64,
    total_files_processed: u64,
    total_bytes_processed: u64,
    /// In seconds.
    total_duration: f64,
    backup_start: String,
    backup_end: String,
    snapshot_id: String,
    error_count: u64,
}

/// Where the default repository is and how to get everything back.
#[derive(Serialize)]
struct DefaultUsed {
    repository: String,
    password_file: String,
    made: bool,
    restore_command: String,
}

/// A repository to back up into.
struct Destination {
    repository: Arc<Repository>,
    /// Set if it is the one that is used when none is given, with its own password.
    default: Option<DefaultRepository>,
    made: bool,
}

/// Makes the snapshot.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    arguments.source.validate()?;
    let destination = find_destination(context)?;
    let repository = &destination.repository;
    let source = backup_source::open(&arguments.source, repository, context)?;
    let session = begin_writing(repository, false, context)?;
    let watch = Watch::new(&context.output, "archival");
    let options = options(arguments, &source.excludes, repository, context)?;
    let compute = ComputeSlots::of_this_machine();
    let from: &dyn Source = source.source.as_ref();
    let outcome = archive::back_up(&session, from, &options, &context.control, &compute, &watch)?;
    // The lock is no longer needed, and what follows may wait for a slow reader.
    drop(session);
    let elapsed = watch.elapsed();
    drop(watch);
    tell_summary(&outcome, elapsed, context)?;
    if let Some(default) = &destination.default {
        tell_default(default, destination.made, &outcome, context)?;
    }
    match outcome.errors {
        0 => Ok(Ending::Done),
        errors => Ok(Ending::SomeUnreadable { errors }),
    }
}

fn find_destination(context: &Context) -> Result<Destination, Failure> {
    if let Some(address) = Address::given(context)? {
        return Ok(Destination { repository: address.open(context)?, default: None, made: false });
    }
    let default = DefaultRepository::locate()?;
    let made = !default.exists();
    let own_password = password::source_in_options(&context.global);
    if made && own_password.is_some() {
        return Err(Failure::usage("no repository is given, and the default one gets a random password of its own")
            .hint("leave the password option away, or make a repository elsewhere with `keepwell --repo PLACE init`"));
    }
    let repository = if made {
        Address::make_default(default.clone(), context)?.1
    } else {
        Address::of_default(default.clone(), context).open(context)?
    };
    // With another password than the one beside it, the line to restore with would be a wrong one.
    let default = own_password.is_none().then_some(default);
    Ok(Destination { repository, default, made })
}

fn options(
    arguments: &Arguments,
    excludes: &[String],
    repository: &Repository,
    context: &Context,
) -> Result<BackupOptions, Failure> {
    let parent = match (&arguments.parent, arguments.force) {
        (_, true) => Parent::Nothing,
        (Some(name), _) => {
            let choice = SnapshotChoice {
                hosts: arguments.host.iter().cloned().collect(),
                ..SnapshotChoice::default()
            };
            Parent::Snapshot(repository.find_snapshot(name, &choice)?.0)
        }
        (None, _) => Parent::Latest,
    };
    Ok(BackupOptions {
        parent,
        tags: arguments.tag.iter().flat_map(|list| tag_list(list)).collect(),
        excludes: excludes.to_vec(),
        hostname: arguments.host.clone(),
        time: arguments.time,
        compression: context.global.compression.unwrap_or_default().into(),
        change_detection: ChangeDetection {
            ignore_ctime: arguments.ignore_ctime || arguments.ignore_inode,
            ignore_inode: arguments.ignore_inode,
        },
        program_version: PROGRAM_VERSION.into(),
        ..BackupOptions::default()
    })
}

fn tell_summary(
    outcome: &BackupOutcome,
    elapsed: std::time::Duration,
    context: &Context,
) -> Result<(), Failure> {
    let summary = outcome.snapshot.summary.clone().unwrap_or_default();
    let output = &context.output;
    if output.is_json() {
        let told = Summary {
            files_new: summary.files_new,
            files_changed: summary.files_changed,
            files_unmodified: summary.files_unmodified,
            dirs_new: summary.dirs_new,
            dirs_changed: summary.dirs_changed,
            dirs_unmodified: summary.dirs_unmodified,
            data_blobs: summary.data_blobs,
            tree_blobs: summary.tree_blobs,
            data_added: summary.data_added,
            data_added_packed: summary.data_added_packed,
            total_files_processed: summary.total_files_processed,
            total_bytes_processed: summary.total_bytes_processed,
            total_duration: elapsed.as_secs_f64(),
            backup_start: summary.backup_start.to_string(),
            backup_end: summary.backup_end.to_string(),
            snapshot_id: outcome.id.to_hex(),
            error_count: outcome.errors,
        };
        return Ok(output.message("summary", &told)?);
    }
    if outcome.recovered.packs > 0 {
        let bytes = shown_bytes(outcome.recovered.pack_bytes);
        output.remark(&format!("kept {bytes} that an interrupted backup had stored"))?;
    }
    let counts = |what: &str, new: u64, changed: u64, unmodified: u64| {
        format!("{what:6} {new:7} new, {changed:7} changed, {unmodified:7} unmodified")
    };
    output.remark(&counts("Files:", summary.files_new, summary.files_changed, summary.files_unmodified))?;
    output.remark(&counts("Dirs:", summary.dirs_new, summary.dirs_changed, summary.dirs_unmodified))?;
    let (added, stored) = (shown_bytes(summary.data_added), shown_bytes(summary.data_added_packed));
    output.remark(&format!("Added: {added} ({stored} stored)"))?;
    let (files, bytes) = (summary.total_files_processed, shown_bytes(summary.total_bytes_processed));
    output.remark(&format!("processed {files} files, {bytes} in {}", shown_duration(elapsed)))?;
    Ok(output.remark(&format!("snapshot {} saved", outcome.id.short()))?)
}

fn tell_default(
    default: &DefaultRepository,
    made: bool,
    outcome: &BackupOutcome,
    context: &Context,
) -> Result<(), Failure> {
    let output = &context.output;
    let told = DefaultUsed {
        repository: default.repository().display().to_string(),
        password_file: default.password_file().display().to_string(),
        made,
        restore_command: restore_command(default, outcome),
    };
    if output.is_json() {
        return Ok(output.message("default_repository", &told)?);
    }
    let state = if made { " (made just now)" } else { "" };
    output.remark(&format!("Repository: {}{state}", told.repository))?;
    output.remark(&format!("Password: in {}; keep a copy elsewhere", told.password_file))?;
    Ok(output.remark(&format!("Restore with: {}", told.restore_command))?)
}

/// A line for a shell that restores this snapshot, from any folder.
fn restore_command(default: &DefaultRepository, outcome: &BackupOutcome) -> String {
    let target = match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => std::path::PathBuf::from(home).join("keepwell-restored"),
        _ => "keepwell-restored".into(),
    };
    format!(
        "{} restore {} --target {} --repo {} --password-file {}",
        quote(&this_program()),
        outcome.id.short(),
        quote(target.as_os_str()),
        quote(default.repository().as_os_str()),
        quote(default.password_file().as_os_str()),
    )
}

/// As it was typed if a shell found it, else its full path.
fn this_program() -> std::ffi::OsString {
    let typed = std::env::args_os().next().unwrap_or_default();
    let found_by_shell = !typed.is_empty() && std::path::Path::new(&typed).components().count() == 1;
    if found_by_shell {
        return typed;
    }
    std::env::current_exe().map_or(typed, Into::into)
}
