//! `man`: man pages, one for the command and one for each verb.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde::Serialize;

use crate::cli::{Cli, Context};
use crate::exit::{Ended, Ending, Failure};

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder to write them into; made if it is not there
    folder: PathBuf,
}

#[derive(Serialize)]
struct Written {
    folder: String,
    pages: usize,
}

/// Writes them.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let folder = &arguments.folder;
    let failed = |error| Failure::local("write man pages into", folder, error);
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    let pages = fs::read_dir(folder).map_err(failed)?.count();
    if context.output.is_json() {
        context.output.message("man", &Written { folder: folder.display().to_string(), pages })?;
    } else {
        context.output.remark(&format!("wrote {pages} pages into {}", folder.display()))?;
    }
    Ok(Ending::Done)
}
