//! `command`: any command of the daemon by its name, as programs ask it.

use std::io::Read;

use clap::Args;

use crate::cli::Context;
use crate::client::{ClientArguments, talk};
use crate::doors::{COMMAND_BYTES_MAX, read_command};
use crate::exit::{Ended, Ending, Failure};

/// Options of `command`.
#[derive(Debug, Args)]
#[command(after_help = "docs/messages.md lists all commands, with examples.")]
pub struct Arguments {
    /// Name of a command, as get-active-tasks
    #[arg(value_name = "NAME")]
    name: String,
    /// Its fields as JSON; - reads them from standard input
    #[arg(value_name = "FIELDS", default_value = "{}")]
    fields: String,
    #[command(flatten)]
    client: ClientArguments,
}

/// Asks, and prints the reply's fields as a line of JSON.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let fields = match arguments.fields.as_str() {
        "-" => from_standard_input()?,
        fields => fields.to_owned(),
    };
    // Known here before anybody is asked; the daemon looks again.
    read_command(&arguments.name, fields.as_bytes()).map_err(|error| {
        let failure = Failure::usage(error.message);
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    talk(&arguments.client, context, async |client| {
        let reply = client.ask_by_name(&arguments.name, fields).await?;
        context.output.bytes(format!("{reply}\n").as_bytes())?;
        Ok(Ending::Done)
    })
}

fn from_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let limit = u64::try_from(COMMAND_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}
