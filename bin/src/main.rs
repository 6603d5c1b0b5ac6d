//! The `keepwell` command: turns words into calls of the engine, and what the
//! engine tells into words, exit codes and lines of JSON. It decides nothing
//! about backups.
//!
//! The umask stays the user's: repositories, caches and the default repository's
//! password are made with modes of their own, restored files get theirs from the
//! snapshot, and a command that gives the data is none of our business.

mod broker;
mod cli;
mod client;
mod configuration;
mod daemon;
mod default_repository;
mod doors;
mod entry;
mod exit;
mod forecast;
mod http;
mod observed_runner;
mod output;
mod page;
mod password;
mod progress;
mod quantities;
mod reading;
mod repository;
mod shell_words;
mod signals;
mod snapshot_filter;
mod table;
mod verbs;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use keepwell_engine::error::Error;

use crate::cli::{Cli, Context, Verb};
use crate::exit::Failure;
use crate::output::Output;
use crate::signals::Signals;

fn main() -> ExitCode {
    // Another provider can only have been installed by ourselves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    raise_open_files_limit();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = Arc::new(Output::new(&cli.global));
    // The daemon's log has a format of its own, which the configuration says.
    if !matches!(cli.verb, Verb::Serve(_)) {
        output::log_through(&output, cli.global.verbose, cli.global.quiet);
    }
    let ended = Signals::install(&output).and_then(|signals| {
        let control = signals.control().clone();
        let context = Context { global: cli.global, output: output.clone(), signals, control };
        // A panic is a defect, but it ends like any other failure: with a word and a code.
        std::panic::catch_unwind(AssertUnwindSafe(|| cli.verb.run(&context)))
            .unwrap_or_else(|_| Err(Failure::from(Error::Crashed("see above".into()))))
    });
    exit::end(ended, &output)
}

/// What clap says of a command line that it does not understand, or was asked to tell.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if is_answer || !wants_json {
        // Nobody is left to tell if this fails.
        let _ = error.print();
        return ExitCode::from(u8::from(!is_answer));
    }
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    exit::end(Err(Failure::usage(message)), &Output::json())
}

/// A restore and a large repository on disk keep many files open; shells often allow 1024 only.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // The soft limit stays then, which is enough for most.
    let _ = setrlimit(Resource::Nofile, limit);
}
