//! `config`: checks the configuration, shows what counts, makes one to start from, describes it to editors.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::Context;
use crate::configuration::{Configuration, ConfigurationArguments, example, reference, schema, shown};
use crate::exit::{Ended, Ending, Failure};

/// Options of `config`.
#[derive(Debug, Args)]
#[command(after_help = "docs/configuration.md describes every key.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell all mistakes, each with its place and what to write
    Check(ConfigurationArguments),
    /// Print what counts, and where it was said
    Show(ConfigurationArguments),
    /// Write an example with all keys, unless there is a file
    Init(ConfigurationArguments),
    /// Print a JSON Schema, for editors
    Schema,
    /// Print what every key means, in Markdown
    Reference,
}

#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    repositories: usize,
    sources: usize,
    items: usize,
}

#[derive(Serialize)]
struct Setting<'a> {
    key: &'a str,
    value: &'a str,
    origin: &'a str,
}

#[derive(Serialize)]
struct Made<'a> {
    file: &'a Path,
}

/// Does it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    match &arguments.action {
        Action::Check(configuration) => check(configuration, context),
        Action::Show(configuration) => show(configuration, context),
        Action::Init(configuration) => init(configuration, context),
        Action::Schema => {
            context.output.bytes(format!("{:#}\n", schema()).as_bytes())?;
            Ok(Ending::Done)
        }
        Action::Reference => {
            context.output.bytes(reference().as_bytes())?;
            Ok(Ending::Done)
        }
    }
}

fn check(arguments: &ConfigurationArguments, context: &Context) -> Ended {
    let configuration = Configuration::read(arguments)?;
    let Configuration { file, repositories, sources, items, .. } = &configuration;
    let checked =
        Checked { file, repositories: repositories.len(), sources: sources.len(), items: items.len() };
    if context.output.is_json() {
        context.output.message("configuration", &checked)?;
        return Ok(Ending::Done);
    }
    let place = match file.exists() {
        true => format!("{} has no mistakes", file.display()),
        false => format!("there is no {}; the defaults count", file.display()),
    };
    context.output.line(&format!(
        "{place}: repositories {}, sources {}, items {}",
        checked.repositories, checked.sources, checked.items
    ))?;
    Ok(Ending::Done)
}

fn show(arguments: &ConfigurationArguments, context: &Context) -> Ended {
    for setting in shown(arguments)? {
        let (key, value, origin) = (setting.key.as_str(), setting.value.as_str(), setting.origin.as_str());
        match context.output.is_json() {
            true => context.output.message("setting", &Setting { key, value, origin })?,
            false => context.output.line(&format!("{key} = {value}  # {origin}"))?,
        }
    }
    Ok(Ending::Done)
}

fn init(arguments: &ConfigurationArguments, context: &Context) -> Ended {
    let file = arguments.place()?;
    write_new(&file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!("{} is there already", file.display()))
            .hint("`keepwell config check` tells whether it has mistakes; --config FILE names another place"),
        _ => Failure::local("write the configuration", &file, error),
    })?;
    match context.output.is_json() {
        true => context.output.message("configuration_made", &Made { file: &file })?,
        false => {
            context.output.line(&format!("wrote {}; every key in it is commented out", file.display()))?
        }
    }
    Ok(Ending::Done)
}

fn write_new(file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = new.write_all(example().as_bytes()).and_then(|()| new.sync_all());
    // Half of an example would be in the way of a whole one.
    written.inspect_err(|_| drop(fs::remove_file(file)))
}
