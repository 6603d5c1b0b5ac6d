//! Sources that are no folders: what stands in the configuration, checked, and what makes them.
//!
//! They run programs, so that no door but the configuration file takes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_actors::runner::MakeNamedSource;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::source::Source;
use keepwell_engine::source::sqlite::SqliteSource;
use keepwell_engine::source::stream::{CommandLine, StreamSource};

use super::resolve::Reader;
use super::tree::KeyError;
use super::written::WrittenSource;

/// A source that items name.
#[derive(Clone, Debug)]
pub struct NamedSource {
    /// What items call it.
    pub name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// What a program prints, as a file of this name.
    Command(CommandLine, String),
    Sqlite(PathBuf),
}

impl NamedSource {
    /// Checks what is written.
    pub(super) fn resolve(
        reader: &Reader<'_>,
        name: &str,
        written: &WrittenSource,
    ) -> Result<Self, KeyError> {
        let at = |last: &'static str| ["sources", name, last];
        let kind = match (written.command.0.split_first(), &written.sqlite) {
            (Some((program, arguments)), None) => {
                let file_name = written.file_name.clone().unwrap_or_else(|| name.into());
                // The engine says what can be a name.
                StreamSource::from_command(&file_name, CommandLine::default(), Arc::new(SystemClock))
                    .map_err(|error| reader.wrong(&at("file_name"), error.to_string()))?;
                let program = match program.contains('/') {
                    true => reader.path(&at("command"), program)?.into_os_string(),
                    false => program.into(),
                };
                let arguments = arguments.iter().map(Into::into).collect();
                Kind::Command(CommandLine { program, arguments, ..CommandLine::default() }, file_name)
            }
            (None, Some(_)) if written.file_name.is_some() => {
                let why = "only the output of a command needs a name; leave it away";
                return Err(reader.wrong(&at("file_name"), why));
            }
            (None, Some(path)) => Kind::Sqlite(reader.path(&at("sqlite"), path)?),
            (Some(_), Some(_)) => {
                return Err(reader.wrong(&["sources", name], "give command or sqlite, not both"));
            }
            (None, None) => {
                let why = "say what it is: command = [\"program\", \"argument\"] or sqlite = \"/path\"";
                return Err(reader.wrong(&["sources", name], why));
            }
        };
        Ok(Self { name: name.into(), kind })
    }

    /// Makes the source, anew for each attempt. Copies of databases lie in `scratch`.
    pub fn maker(&self, scratch: &Path) -> MakeNamedSource {
        let (kind, scratch) = (self.kind.clone(), scratch.to_path_buf());
        Arc::new(move || {
            let clock = Arc::new(SystemClock);
            Ok(match &kind {
                Kind::Command(line, file_name) => {
                    Box::new(StreamSource::from_command(file_name, line.clone(), clock)?) as Box<dyn Source>
                }
                Kind::Sqlite(path) => Box::new(SqliteSource::new(path, &scratch, clock)?),
            })
        })
    }
}
