//! `completions`: a shell's completion script.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{Cli, Context};
use crate::exit::{Ended, Ending};

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

#[derive(Serialize)]
struct Completions<'a> {
    shell: String,
    script: &'a str,
}

/// Prints it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "keepwell", &mut script);
    if context.output.is_json() {
        let script = String::from_utf8_lossy(&script);
        let told = Completions { shell: arguments.shell.to_string(), script: &script };
        context.output.message("completions", &told)?;
    } else {
        context.output.bytes(&script)?;
    }
    Ok(Ending::Done)
}
