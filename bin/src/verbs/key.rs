//! `key`: the passwords that open a repository.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use keepwell_engine::repository::{FileKind, KeyInfo, Repository};
use secrecy::SecretString;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::password::{self, PasswordSource};
use crate::repository::{Address, begin_reading, begin_writing, repository_options};

/// Options of `key`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List keys
    List,
    /// Add a key for a further password
    Add(NewKey),
    /// Remove a key; never the one that opened the repository
    Remove {
        /// The beginning of its id
        id: String,
    },
    /// Replace the key that opened the repository by one for another password
    Passwd(NewKey),
}

#[derive(Debug, Args)]
struct NewKey {
    /// File that holds the new password
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// User to be named in the key
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Host to be named in the key
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

#[derive(Serialize)]
struct Key<'a> {
    current: bool,
    id: String,
    short_id: String,
    user_name: &'a str,
    host_name: &'a str,
    created: &'a str,
}

#[derive(Serialize)]
struct Changed {
    id: String,
}

/// Does what is asked for.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let address = Address::find(context)?;
    match &arguments.action {
        Action::List => list(&address, context),
        Action::Add(new) => add(new, &address, context),
        Action::Remove { id } => remove(id, &address, context),
        Action::Passwd(new) => change(new, &address, context),
    }
}

fn list(address: &Address, context: &Context) -> Ended {
    let repository = address.open(context)?;
    let _session = begin_reading(&repository, false, context)?;
    let keys = repository.keys()?;
    if !context.output.is_json() {
        context.output.line(" ID        User        Host        Created")?;
    }
    for key in &keys {
        show(key, context)?;
    }
    Ok(Ending::Done)
}

fn show(key: &KeyInfo, context: &Context) -> Result<(), Failure> {
    let (id, short_id) = (key.id.to_hex(), key.id.short());
    if context.output.is_json() {
        let (user_name, host_name) = (&key.username, &key.hostname);
        let told = Key { current: key.current, id, short_id, user_name, host_name, created: &key.created };
        context.output.message("key", &told)?;
        return Ok(());
    }
    let mark = if key.current { '*' } else { ' ' };
    let line = format!("{mark}{short_id}  {:10}  {:10}  {}", key.username, key.hostname, key.created);
    Ok(context.output.line(&line)?)
}

fn add(new: &NewKey, address: &Address, context: &Context) -> Ended {
    let (repository, password) = open_for(new, address, context)?;
    let _session = begin_writing(&repository, false, context)?;
    let id = repository.add_key(&password)?;
    tell("key_added", &id.to_hex(), &format!("added key {}", id.short()), context)
}

fn remove(id: &str, address: &Address, context: &Context) -> Ended {
    let repository = address.open(context)?;
    let _session = begin_writing(&repository, true, context)?;
    let id = repository.find_id(FileKind::Key, id)?;
    repository.remove_key(id)?;
    tell("key_removed", &id.to_hex(), &format!("removed key {}", id.short()), context)
}

fn change(new: &NewKey, address: &Address, context: &Context) -> Ended {
    let (repository, password) = open_for(new, address, context)?;
    let _session = begin_writing(&repository, true, context)?;
    let id = repository.change_password(&password)?;
    if let Some(default) = &address.default {
        context.output.notice(&format!(
            "{} still holds the old password: put the new one there",
            default.password_file().display()
        ));
    }
    tell(
        "password_changed",
        &id.to_hex(),
        &format!("the password is changed; its key is {}", id.short()),
        context,
    )
}

fn open_for(
    new: &NewKey,
    address: &Address,
    context: &Context,
) -> Result<(Arc<Repository>, SecretString), Failure> {
    let mut options = repository_options(&context.global);
    if let Some(user) = &new.user {
        options.identity.username.clone_from(user);
    }
    if let Some(host) = &new.host {
        options.identity.hostname.clone_from(host);
    }
    let repository = address.open_with(context, options)?;
    let source = new.new_password_file.clone().map_or(PasswordSource::Prompt, PasswordSource::File);
    let password = password::read_new(&source, context).map_err(|failure| match source {
        PasswordSource::Prompt => failure.hint("give the new password with --new-password-file"),
        _ => failure,
    })?;
    Ok((repository, password))
}

fn tell(message_type: &str, id: &str, line: &str, context: &Context) -> Ended {
    if context.output.is_json() {
        context.output.message(message_type, &Changed { id: id.into() })?;
    } else {
        context.output.remark(line)?;
    }
    Ok(Ending::Done)
}
