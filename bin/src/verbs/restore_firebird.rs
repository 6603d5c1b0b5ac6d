//! `restore --firebird-to`: a dump in a snapshot becomes a Firebird database again; and how a database is typed.

use std::path::PathBuf;

use clap::Args;
use keepwell_engine::firebird::{FirebirdAccess, FirebirdPlace};
use keepwell_engine::restore::{self, FirebirdTarget};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::progress::Watch;
use crate::quantities::{shown_bytes, shown_duration};
use crate::reading::Reading;
use crate::snapshot_filter::SnapshotFilter;

/// The database to make.
#[derive(Debug, Args)]
pub struct FirebirdArguments {
    /// Make this Firebird database of the snapshot's dump instead: /path, HOST[/PORT]:/path or
    /// HOST[/PORT]:service_mgr:/path
    #[arg(long, value_name = "DATABASE", conflicts_with_all = ["target", "include", "iinclude", "include_file",
          "exclude", "iexclude", "exclude_file", "delete", "sparse", "dry_run"])]
    firebird_to: Option<String>,
    /// Replace that database if it is there, once the new one is whole
    #[arg(long, requires = "firebird_to")]
    replace: bool,
    #[command(flatten)]
    login: FirebirdLogin,
}

/// Who a database knows us as.
#[derive(Clone, Debug, Default, Args)]
pub struct FirebirdLogin {
    /// User of the Firebird database
    #[arg(long, value_name = "USER")]
    firebird_user: Option<String>,
    /// File that holds that user's password
    #[arg(long, value_name = "FILE")]
    firebird_password_file: Option<PathBuf>,
}

impl FirebirdLogin {
    /// The database that is typed as `text`; a path may be relative.
    pub fn access(&self, text: &str) -> Result<FirebirdAccess, Failure> {
        let text = match text.contains(':') {
            true => text.to_owned(),
            false => std::path::absolute(text)
                .map_err(|error| Failure::local("find the database", text.as_ref(), error))?
                .to_string_lossy()
                .into_owned(),
        };
        let place: FirebirdPlace = text.parse().map_err(|why: String| Failure::usage(why))?;
        let access = FirebirdAccess {
            user: self.firebird_user.clone(),
            password_file: self.firebird_password_file.clone(),
            ..FirebirdAccess::new(place)
        };
        match access.missing() {
            None => Ok(access),
            Some(missing) => {
                Err(Failure::usage(missing)
                    .hint("give --firebird-user USER and --firebird-password-file FILE"))
            }
        }
    }
}

#[derive(Serialize)]
struct Summary {
    snapshot_id: String,
    database: String,
    seconds_elapsed: u64,
    bytes_restored: u64,
}

/// Restores it.
pub fn run(
    arguments: &FirebirdArguments,
    snapshot: &str,
    filter: &SnapshotFilter,
    context: &Context,
) -> Ended {
    let Some(database) = &arguments.firebird_to else {
        return Err(Failure::usage("no place to restore to is named")
            .hint("name a folder with --target FOLDER, or a Firebird database with --firebird-to DATABASE"));
    };
    let access = arguments.login.access(database)?;
    let reading = Reading::begin(context)?;
    let found = reading.snapshot(snapshot, filter, context)?;
    let path = found.folder.map(|path| path.as_bytes().to_vec()).unwrap_or_default();
    let target = FirebirdTarget { access, replace: arguments.replace, beneath: None };
    let watch = Watch::new(&context.output, "restore");
    let (session, tree) = (reading.session(), found.snapshot.tree);
    let outcome = restore::restore_firebird(session, tree, &path, &target, &context.control, &watch)?;
    let elapsed = watch.elapsed();
    drop(watch);
    let summary = Summary {
        snapshot_id: found.id.to_hex(),
        database: target.access.database.to_string(),
        seconds_elapsed: elapsed.as_secs(),
        bytes_restored: outcome.bytes_written,
    };
    let output = &context.output;
    if output.is_json() {
        output.message("summary", &summary)?;
    } else {
        output.remark(&format!(
            "snapshot {} is the database {}: {} read in {}, validated",
            &summary.snapshot_id[..8],
            summary.database,
            shown_bytes(summary.bytes_restored),
            shown_duration(elapsed),
        ))?;
    }
    Ok(Ending::Done)
}
