//! Sources that are no folders: what stands in the configuration, checked, and what makes them.
//!
//! They run programs, so that no door but the configuration file takes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_actors::runner::{FirebirdDatabase, MakeNamedSource, Places};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::firebird::{FirebirdAccess, FirebirdDumpOptions, FirebirdPlace};
use keepwell_engine::source::Source;
use keepwell_engine::source::sqlite::SqliteSource;
use keepwell_engine::source::stream::{CommandLine, StreamSource};
use keepwell_messages::ItemSource;

use super::resolve::Reader;
use super::tree::KeyError;
use super::written::{WrittenFirebird, WrittenSource};

/// More threads than a server has processors only wait for each other.
pub(super) const PARALLEL_WORKERS_MAX: u32 = 64;

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
    Firebird(FirebirdDatabase),
}

impl NamedSource {
    /// Checks what is written.
    pub(super) fn resolve(
        reader: &Reader<'_>,
        name: &str,
        written: &WrittenSource,
    ) -> Result<Self, KeyError> {
        let at = |last: &'static str| ["sources", name, last];
        let kind = match (written.command.0.split_first(), &written.sqlite, &written.firebird) {
            (Some((program, arguments)), None, None) => {
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
            (None, ..) if written.file_name.is_some() => {
                let why = "only the output of a command needs a name; leave it away";
                return Err(reader.wrong(&at("file_name"), why));
            }
            (None, Some(path), None) => Kind::Sqlite(reader.path(&at("sqlite"), path)?),
            (None, None, Some(written)) => Kind::Firebird(firebird(reader, name, written)?),
            (None, None, None) => {
                let why = "say what it is: command = [\"program\", \"argument\"], sqlite = \"/path\" or firebird = \
                           { database = \"host:/path\", … }";
                return Err(reader.wrong(&["sources", name], why));
            }
            (Some(_), Some(_), None) => {
                return Err(reader.wrong(&["sources", name], "give command or sqlite, not both"));
            }
            _ => {
                let why = "give only one of command, sqlite and firebird";
                return Err(reader.wrong(&["sources", name], why));
            }
        };
        Ok(Self { name: name.into(), kind })
    }

    /// What an item says whose source this is.
    pub(super) fn item_source(&self) -> ItemSource {
        match self.kind {
            Kind::Firebird(_) => ItemSource::Firebird(self.name.clone()),
            Kind::Command(..) | Kind::Sqlite(_) => ItemSource::Named(self.name.clone()),
        }
    }

    /// Tells what its name means. Copies of databases lie in `scratch`.
    pub(super) fn add_to(&self, places: Places, scratch: &Path) -> Places {
        let make: MakeNamedSource = match self.kind.clone() {
            Kind::Firebird(database) => return places.firebird(&self.name, database),
            Kind::Command(line, file_name) => Arc::new(move || {
                let source = StreamSource::from_command(&file_name, line.clone(), Arc::new(SystemClock))?;
                Ok(Box::new(source) as Box<dyn Source>)
            }),
            Kind::Sqlite(path) => {
                let scratch = scratch.to_path_buf();
                Arc::new(move || Ok(Box::new(SqliteSource::new(&path, &scratch, Arc::new(SystemClock))?)))
            }
        };
        places.source(&self.name, make)
    }
}

fn firebird(
    reader: &Reader<'_>,
    name: &str,
    written: &WrittenFirebird,
) -> Result<FirebirdDatabase, KeyError> {
    let at = |last: &'static str| ["sources", name, "firebird", last];
    let Some(database) = &written.database else {
        let why = "say which: database = \"host:/path\", or the path of one that no server opens";
        return Err(reader.wrong(&at("database"), why));
    };
    let database = match database.starts_with('~') {
        true => reader.path(&at("database"), database)?.to_string_lossy().into_owned(),
        false => database.clone(),
    };
    let place: FirebirdPlace = database.parse().map_err(|why: String| reader.wrong(&at("database"), why))?;
    let path = |last, written: &Option<String>| -> Result<Option<PathBuf>, KeyError> {
        written.as_ref().map(|text| reader.path(&at(last), text)).transpose()
    };
    let gbak = match &written.gbak {
        Some(gbak) => reader.path(&at("gbak"), gbak)?.into_os_string(),
        None => "gbak".into(),
    };
    let access = FirebirdAccess {
        user: written.user.clone(),
        password_file: path("password_file", &written.password_file)?,
        lock_folder: path("lock_folder", &written.lock_folder)?,
        gbak,
        ..FirebirdAccess::new(place)
    };
    if let Some(missing) = access.missing() {
        let why = format!("{missing}: user = \"…\" and password_file = \"/path\"");
        return Err(reader.wrong(&["sources", name, "firebird"], why));
    }
    if written.parallel_workers.is_some_and(|workers| !(1..=PARALLEL_WORKERS_MAX).contains(&workers)) {
        return Err(reader.wrong(&at("parallel_workers"), format!("it is not 1 to {PARALLEL_WORKERS_MAX}")));
    }
    let options = FirebirdDumpOptions {
        no_garbage_collection: written.no_garbage_collection,
        transportable: written.transportable,
        parallel_workers: written.parallel_workers,
    };
    Ok(FirebirdDatabase { access, options })
}
