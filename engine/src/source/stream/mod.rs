//! One file out of a stream: standard input, or what a command writes
//! (`backup --stdin`, `--stdin-from-command`), stored as restic stores it: at `/NAME`, mode 0644, the time of
//! the backup, the user and group of this process.
//!
//! The stream is read once, by a thread of its own into a bounded queue, so that a
//! cancel wakes the backup even where the stream itself cannot be woken. A stream without
//! a single byte, and a command that fails, leave no snapshot.

mod pump;

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use pump::{Pump, PumpReader};

use crate::clock::Clock;
pub use crate::command::CommandLine;
use crate::command::{RunningCommand, Streams};
use crate::control::Control;
use crate::error::{Error, Result, plain_reason};
use crate::format::NodeKind;
use crate::source::clean_path::{clean, join};
use crate::source::one_file::{OneFileFolder, made_node, time_now};
use crate::source::{FileContent, Folder, Problems, Source, Totals};

/// A source of one file. Serves one backup.
pub struct StreamSource {
    /// Absolute and clean; not the root.
    path: Vec<u8>,
    clock: Arc<dyn Clock>,
    origin: Mutex<Option<Origin>>,
    pump: Arc<Pump>,
    command: Mutex<Option<Arc<RunningCommand>>>,
    explain: Explain,
}

/// What is read, until `prepare` begins to.
enum Origin {
    Reader(Box<dyn Read + Send>),
    Command(CommandLine),
}

/// How a command failed.
pub(crate) enum CommandFailure<'a> {
    /// It could not be started.
    NotStarted(&'a io::Error),
    /// It ended in this way, having said this.
    Ended(&'a str, &'a str),
}

/// Makes an error of a command's failure, for whoever knows what its words mean.
pub(crate) type Explain = Box<dyn Fn(CommandFailure<'_>) -> Error + Send + Sync>;

impl StreamSource {
    /// One file at `/name` with what `reader` gives. Slashes in `name` make folders.
    /// Fails with `Error::Invalid` if `name` names nothing.
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>, clock: Arc<dyn Clock>) -> Result<Self> {
        // A reader is no command: nothing is explained.
        Self::new(name, Origin::Reader(reader), clock, plain_failure(String::new()))
    }

    /// One file at `/name` with what a command writes to its standard output. The command
    /// is started by `prepare`, in a process group of its own, without input, and dies
    /// with this process. Fails as [`StreamSource::from_reader`].
    pub fn from_command(name: &str, command: CommandLine, clock: Arc<dyn Clock>) -> Result<Self> {
        let explain = plain_failure(command.name());
        Self::from_explained_command(name, command, clock, explain)
    }

    /// As [`StreamSource::from_command`], with errors that `explain` makes.
    pub(crate) fn from_explained_command(
        name: &str,
        command: CommandLine,
        clock: Arc<dyn Clock>,
        explain: Explain,
    ) -> Result<Self> {
        Self::new(name, Origin::Command(command), clock, explain)
    }

    /// After `prepare`: waits until the command gives its first bytes, or has failed.
    pub(crate) fn wait_for_first_bytes(&self) -> Result<()> {
        if self.pump.wait_for_first() { Ok(()) } else { self.finish() }
    }

    /// After `finish`: the end of what the command said.
    pub(crate) fn said(&self) -> String {
        self.command.lock().as_ref().map(|command| command.said()).unwrap_or_default()
    }

    fn new(name: &str, origin: Origin, clock: Arc<dyn Clock>, explain: Explain) -> Result<Self> {
        let path = clean(&join(b"/", name.as_bytes()));
        if path == b"/" || path.contains(&0) {
            return Err(Error::Invalid(format!("{name:?} is no name for a file")));
        }
        let (pump, command) = (Arc::new(Pump::default()), Mutex::new(None));
        Ok(Self { path, clock, origin: Mutex::new(Some(origin)), pump, command, explain })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Source { path: PathBuf::from(OsString::from_vec(self.path.clone())), source }
    }
}

impl Source for StreamSource {
    fn paths(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(&self.path).into_owned()]
    }

    fn prepare(&self, control: &Control, _: &dyn Problems) -> Result<()> {
        control.checkpoint()?;
        let reader = match self.origin.lock().take() {
            None => return Err(Error::Invalid("a stream can be read once only".into())),
            Some(Origin::Reader(reader)) => reader,
            Some(Origin::Command(line)) => {
                let (command, pipes) = RunningCommand::start(line, Streams::Output)
                    .map_err(|error| (self.explain)(CommandFailure::NotStarted(&error)))?;
                *self.command.lock() = Some(Arc::new(command));
                let output = pipes.output.map(|output| Box::new(output) as Box<dyn Read + Send>);
                output.unwrap_or_else(|| Box::new(io::empty()))
            }
        };
        self.pump.start(reader).map_err(|source| self.failed(source))
    }

    fn root(&self) -> Result<Box<dyn Folder>> {
        let node = made_node(NodeKind::File, 0o644, time_now(&*self.clock));
        let (pump, path) = (Arc::clone(&self.pump), self.path.clone());
        let content = move || {
            Box::new(StreamFile { pump: Arc::clone(&pump), path: path.clone() }) as Box<dyn FileContent>
        };
        Ok(Box::new(OneFileFolder::root(&self.path, node, Arc::new(content))))
    }

    /// Nobody knows how much a stream gives.
    fn count(&self, _: &Control, _: &dyn Fn(Totals)) -> Result<()> {
        Ok(())
    }

    /// Waits for the command to end.
    fn finish(&self) -> Result<()> {
        self.pump.close();
        if self.pump.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let command = self.command.lock().clone();
        if let Some(command) = &command {
            let exit = command.finish();
            if !exit.is_empty() && !self.pump.is_cancelled() {
                return Err((self.explain)(CommandFailure::Ended(&exit, &command.said())));
            }
        }
        if self.pump.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let bytes = self.pump.bytes_read().map_err(|error| self.failed(error))?;
        match (bytes, command) {
            (0, Some(command)) => {
                Err((self.explain)(CommandFailure::Ended("it gave no data", &command.said())))
            }
            (0, None) => Err(self.failed(io::Error::new(io::ErrorKind::UnexpectedEof, "it gave no data"))),
            _ => Ok(()),
        }
    }

    /// Ends the command: blocks until it is gone, which takes a few seconds if it does not end on request.
    fn cancel(&self) {
        self.pump.cancel();
        let command = self.command.lock().clone();
        if let Some(command) = command {
            command.cancel();
        }
    }
}

/// A command of which nothing is known but its name.
fn plain_failure(command: String) -> Explain {
    Box::new(move |failure| {
        let why = match failure {
            CommandFailure::NotStarted(error) => format!("cannot start it: {}", plain_reason(error)),
            CommandFailure::Ended(exit, "") => exit.to_owned(),
            CommandFailure::Ended(exit, said) => format!("{exit}: {said}"),
        };
        Error::SourceCommand { command: command.clone(), why }
    })
}

struct StreamFile {
    pump: Arc<Pump>,
    path: Vec<u8>,
}

impl FileContent for StreamFile {
    fn is_stream(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn Read + Send>> {
        match PumpReader::open(&self.pump) {
            Some(reader) => Ok(Box::new(reader)),
            None => Err(Error::Source {
                path: PathBuf::from(std::ffi::OsStr::from_bytes(&self.path)),
                source: io::Error::other("a stream can be read once only"),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
