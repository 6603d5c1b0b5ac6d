//! A Firebird database as one file: what `gbak` dumps of it, `/NAME.fbk`, as it is at one instant of the
//! database's own time, whoever writes to it meanwhile. Needs no room on any disk.
//!
//! What can be known to fail is told by `prepare`, before anything is stored: the login, the tools, a database
//! that cannot be opened. A dump that dies half-way is told by `finish`, and leaves no snapshot: `gbak` ends
//! with an error then, whoever broke it off.

use std::sync::{Arc, OnceLock};

use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::firebird::{Doing, FirebirdAccess, FirebirdDumpOptions, Tools, failure, not_started};
use crate::source::stream::{CommandFailure, StreamSource};
use crate::source::{Folder, Problems, Source, Totals};

/// The ending of a dump's name in its snapshot.
pub const DUMP_SUFFIX: &str = ".fbk";

/// A source of one dump. Serves one backup.
pub struct FirebirdSource {
    file_name: String,
    access: FirebirdAccess,
    options: FirebirdDumpOptions,
    clock: Arc<dyn Clock>,
    /// Made by `prepare`.
    stream: OnceLock<StreamSource>,
}

impl FirebirdSource {
    /// The dump of a database as `/name.fbk`. Fails with `Error::Invalid` if `name` is no file's name.
    pub fn new(
        name: &str,
        access: FirebirdAccess,
        options: FirebirdDumpOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(Error::Invalid(format!("{name:?} is no name for a dump's file")));
        }
        let file_name = format!("{name}{DUMP_SUFFIX}");
        Ok(Self { file_name, access, options, clock, stream: OnceLock::new() })
    }

    fn stream(&self) -> Result<&StreamSource> {
        self.stream.get().ok_or_else(|| Error::Invalid("a dump is read before it was prepared".into()))
    }
}

impl Source for FirebirdSource {
    fn paths(&self) -> Vec<String> {
        vec![format!("/{}", self.file_name)]
    }

    /// Waits for the first bytes of the dump: by then the database is open.
    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        control.checkpoint()?;
        let tools = Tools::prepare(&self.access, Doing::BackUp, &self.options, control)?;
        let line = tools.dump(&self.options);
        let (database, program) = (self.access.database.clone(), line.program.clone());
        let explain = Box::new(move |how: CommandFailure<'_>| match how {
            CommandFailure::NotStarted(error) => not_started(Doing::BackUp, &database, &program, error),
            CommandFailure::Ended(exit, said) => failure(Doing::BackUp, &database, exit, said),
        });
        let stream =
            StreamSource::from_explained_command(&self.file_name, line, self.clock.clone(), explain)?;
        if self.stream.set(stream).is_err() {
            return Err(Error::Invalid("a dump can be made once only".into()));
        }
        let stream = self.stream()?;
        stream.prepare(control, problems)?;
        // Whoever cancelled before the stream was there has woken nobody.
        if control.is_cancelled() {
            stream.cancel();
        }
        stream.wait_for_first_bytes()
    }

    fn root(&self) -> Result<Box<dyn Folder>> {
        self.stream()?.root()
    }

    /// Nobody knows how much a dump is before it was made.
    fn count(&self, _: &Control, _: &dyn Fn(Totals)) -> Result<()> {
        Ok(())
    }

    /// A dump in which something went wrong is none, whatever the exit status.
    fn finish(&self) -> Result<()> {
        let stream = self.stream()?;
        stream.finish()?;
        match stream.said() {
            said if said.contains("ERROR:") => {
                Err(failure(Doing::BackUp, &self.access.database, "it told an error", &said))
            }
            _ => Ok(()),
        }
    }

    fn cancel(&self) {
        if let Some(stream) = self.stream.get() {
            stream.cancel();
        }
    }
}
