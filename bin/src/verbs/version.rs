//! `version`: what this program is.

use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending};

/// As it is named in snapshots.
pub const PROGRAM_VERSION: &str = concat!("keepwell ", env!("CARGO_PKG_VERSION"));

#[derive(Serialize)]
struct Version {
    version: &'static str,
    os: &'static str,
    arch: &'static str,
}

/// Prints it.
pub fn run(context: &Context) -> Ended {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if context.output.is_json() {
        context.output.message("version", &Version { version: env!("CARGO_PKG_VERSION"), os, arch })?;
    } else {
        context.output.line(&format!("{PROGRAM_VERSION} on {os}/{arch}"))?;
    }
    Ok(Ending::Done)
}
