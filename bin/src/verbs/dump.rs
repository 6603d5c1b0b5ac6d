//! `dump`: a file's bytes, or a folder as a tar archive, to standard output or a file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keepwell_engine::query::dump::{Dumped, dump, is_archive};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Failure};
use crate::reading::{Reading, Troubles};
use crate::snapshot_filter::SnapshotFilter;

/// Options of `dump`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The beginning of a snapshot's id, or `latest`; with `:/PATH` that folder as the top
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    snapshot: String,
    /// The file, or the folder
    #[arg(value_name = "PATH")]
    file: OsString,
    #[command(flatten)]
    filter: SnapshotFilter,
    /// What a folder becomes
    #[arg(short, long, value_name = "FORMAT", default_value = "tar")]
    archive: ArchiveFormat,
    /// File to write to, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    target: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArchiveFormat {
    Tar,
}

#[derive(Serialize)]
struct Written {
    target: String,
    archive: bool,
    /// Of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
}

/// Writes it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let ArchiveFormat::Tar = arguments.archive;
    let reading = Reading::begin(context)?;
    let found = reading.snapshot(&arguments.snapshot, &arguments.filter, context)?;
    let tree = found.tree(reading.repository(), context)?;
    let path = arguments.file.as_bytes();
    let troubles = Troubles::new(context, "dump");
    let to_terminal = arguments.target.is_none() && io::stdout().is_terminal();
    if to_terminal && is_archive(reading.repository(), tree, path, &context.control)? {
        return Err(Failure::usage("an archive is not for a terminal")
            .hint("send it to a file with --target FILE, or to `tar -x` with a pipe"));
    }
    let mut unreadable = |unreadable| troubles.note(&unreadable);
    let mut write =
        |out: &mut dyn Write| dump(reading.repository(), tree, path, out, &context.control, &mut unreadable);
    let Some(target) = &arguments.target else {
        let mut out = context.output.writer();
        let dumped = write(&mut out);
        return match dumped {
            Err(_) if out.is_broken() => Err(Failure::output_closed()),
            dumped => dumped.map(|_| troubles.ending()).map_err(Failure::from),
        };
    };
    let file = File::create(target).map_err(|error| Failure::local("write", target, error))?;
    let mut file = BufWriter::new(file);
    let dumped = write(&mut file)?;
    file.flush().map_err(|error| Failure::local("write", target, error))?;
    let (bytes, entries) = match dumped {
        Dumped::File { bytes } => (Some(bytes), None),
        Dumped::Archive { entries } => (None, Some(entries)),
    };
    let told = Written { target: target.display().to_string(), archive: entries.is_some(), bytes, entries };
    if context.output.is_json() {
        context.output.message("summary", &told)?;
    }
    Ok(troubles.ending())
}
