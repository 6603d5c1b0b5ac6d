//! Where passwords come from: a file, a command, a variable, or a person at a terminal.
//!
//! Options win over variables; among variables the order is file, command, password.
//! As in restic, white space around what a file or a command gives is no part of the
//! password. No password, and no argument of a command, appears in an error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret, SecretString};

use crate::cli::{Context, GlobalOptions};
use crate::exit::Failure;
use crate::shell_words;

/// Nobody's password is longer; a wrong file may be.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// Where one password is to come from, unless a person is asked.
#[derive(Clone, Debug)]
pub enum PasswordSource {
    /// A file that holds it.
    File(PathBuf),
    /// A command that prints it.
    Command(String),
    /// It was in a variable of this name.
    Variable(&'static str, SecretString),
    /// Nothing was said: ask.
    Prompt,
}

/// The names of a password's three variables: file, command, the password itself.
pub type VariableNames = [&'static str; 3];

/// Those of the repository's own password.
pub const VARIABLES: VariableNames =
    ["KEEPWELL_PASSWORD_FILE", "KEEPWELL_PASSWORD_COMMAND", "KEEPWELL_PASSWORD"];

/// The source that the options name, if they do.
pub fn source_in_options(options: &GlobalOptions) -> Option<PasswordSource> {
    let file = options.password_file.clone().map(PasswordSource::File);
    file.or_else(|| options.password_command.clone().map(PasswordSource::Command))
}

/// The source that the options or the variables name.
pub fn source(options: Option<PasswordSource>, names: VariableNames) -> Result<PasswordSource, Failure> {
    if let Some(source) = options {
        return Ok(source);
    }
    let [file, command, password] = names;
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable(file) {
        return Ok(PasswordSource::File(path.into()));
    }
    if let Some(line) = variable(command) {
        return Ok(PasswordSource::Command(text(command, line)?));
    }
    match variable(password) {
        Some(value) => Ok(PasswordSource::Variable(password, text(password, value)?.into())),
        None => Ok(PasswordSource::Prompt),
    }
}

fn text(name: &str, value: OsString) -> Result<String, Failure> {
    value.into_string().map_err(|_| Failure::usage(format!("the variable {name} is not UTF-8")))
}

/// The password of a repository that exists.
pub fn read(source: &PasswordSource, context: &Context) -> Result<SecretString, Failure> {
    match source {
        PasswordSource::Prompt => ask("Password of the repository: ", context),
        _ => read_unattended(source),
    }
}

/// A password that is to be a repository's from now on: a person types it twice.
pub fn read_new(source: &PasswordSource, context: &Context) -> Result<SecretString, Failure> {
    let PasswordSource::Prompt = source else { return read_unattended(source) };
    let password = ask("New password: ", context)?;
    if ask("The same again: ", context)?.expose_secret() != password.expose_secret() {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}

/// The password of a repository that exists, where nobody is there to be asked.
pub fn read_unattended(source: &PasswordSource) -> Result<SecretString, Failure> {
    let (password, origin) = match source {
        PasswordSource::File(path) => (read_file(path)?, format!("the file {}", path.display())),
        PasswordSource::Command(command) => {
            (run_command(command)?, "what the password command printed".into())
        }
        PasswordSource::Variable(name, password) => (password.clone(), format!("the variable {name}")),
        PasswordSource::Prompt => return Err(nobody_to_ask()),
    };
    if password.expose_secret().is_empty() {
        return Err(Failure::usage(format!("{origin} is empty, and so no password")));
    }
    Ok(password)
}

fn read_file(path: &Path) -> Result<SecretString, Failure> {
    let failed = |error| Failure::local("read the password file", path, error);
    let file = File::open(path).map_err(failed)?;
    let bytes = read_bounded(file).map_err(failed)?;
    trimmed(bytes).ok_or_else(|| Failure::usage(format!("the password in {} is not UTF-8", path.display())))
}

fn run_command(line: &str) -> Result<SecretString, Failure> {
    let words = shell_words::split(line)
        .map_err(|error| Failure::usage(format!("the password command cannot be run: {error}")))?;
    // Splitting gives one word at least.
    let (program, arguments) = words.split_first().ok_or_else(nobody_to_ask)?;
    let failed = |why: String| Failure::usage(format!("the password command {program} failed: {why}"));
    // A pipe on standard input may be what is to be backed up.
    let input = if io::stdin().is_terminal() { Stdio::inherit() } else { Stdio::null() };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let printed = match child.stdout.take() {
        Some(stdout) => read_bounded(stdout),
        None => Ok(Vec::new()),
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    let printed = printed.map_err(|error| failed(error.to_string()))?;
    trimmed(printed).ok_or_else(|| failed("what it printed is not UTF-8".into()))
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(PASSWORD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a password"));
    }
    Ok(bytes)
}

fn trimmed(bytes: Vec<u8>) -> Option<SecretString> {
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_start_matches('\u{feff}').trim().to_owned().into())
}

fn ask(prompt: &str, context: &Context) -> Result<SecretString, Failure> {
    if !(io::stdin().is_terminal() || io::stderr().is_terminal()) {
        return Err(nobody_to_ask());
    }
    let typed = context.signals.while_prompting(|| rpassword::prompt_password(prompt));
    match typed {
        Ok(password) if password.is_empty() => Err(Failure::usage("no password was typed")),
        Ok(password) => Ok(password.into()),
        Err(error) => Err(Failure::usage(format!("no password could be read from the terminal: {error}"))),
    }
}

fn nobody_to_ask() -> Failure {
    Failure::usage("no password is given, and there is no terminal to ask for it").hint(
        "give --password-file or --password-command, or set KEEPWELL_PASSWORD, KEEPWELL_PASSWORD_FILE or \
         KEEPWELL_PASSWORD_COMMAND",
    )
}
