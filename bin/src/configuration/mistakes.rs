//! All mistakes of a configuration, each with its place.
//!
//! What reads and checks the configuration stops at the first mistake. Here that one is noted and taken out, and
//! it is read again, until nothing is wrong any more. Where something that is needed was taken out, something
//! harmless stands in for it, so that what only follows from a mistake is not told as another one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use config::{Map, Value, ValueKind};

use super::resolve::resolve;
use super::sources::Merged;
use super::tree::KeyError;
use keepwell_actors::suggestion::nearest;

use super::{Configuration, DEFAULT_REPOSITORY, DaemonAddress};
use crate::exit::Failure;

/// More mistakes than these are corrected in several goes; each costs a reading of the whole configuration.
const MISTAKES_MAX: usize = 50;
/// Readings: each mistake, and what follows from it, takes a few.
const READINGS_MAX: usize = 4 * MISTAKES_MAX;

/// Where the keys of a file stand: line and column, counted from 1, by their path.
#[derive(Clone, Debug, Default)]
pub struct KeyPlaces(pub BTreeMap<Vec<String>, (usize, usize)>);

/// Where a mistake is. In the order in which they are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At this line and column of the file.
    Line(usize, usize),
    /// Somewhere in the file, or nowhere: something is missing.
    File,
    /// In what is named so, as `the variable KEEPWELL__…` or an option.
    Variable(String),
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The key, as `items.docs.schedule`; empty if it is about none.
    pub key: String,
    /// What is wrong, and what to write.
    pub why: String,
}

impl KeyPlaces {
    /// Where the key at the end of `path`, or the table that would hold it, stands.
    pub fn place_of(&self, path: &[String]) -> Place {
        let nearest = (1..=path.len()).rev().find_map(|length| self.0.get(&path[..length]));
        nearest.map_or(Place::File, |(line, column)| Place::Line(*line, *column))
    }
}

impl Mistake {
    fn of(error: &KeyError, places: &KeyPlaces) -> Self {
        let path = error.path();
        let place = match error.variable() {
            Some(variable) => Place::Variable(variable.into()),
            None => places.place_of(&path),
        };
        Self { place, key: path.join("."), why: error.why().into() }
    }

    fn told<'a>(&'a self, file: &'a Path) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            match &self.place {
                Place::Line(line, column) => write!(f, "{}:{line}:{column}: ", file.display())?,
                Place::File => write!(f, "{}: ", file.display())?,
                Place::Variable(variable) => write!(f, "{variable}: ")?,
            }
            match self.key.as_str() {
                "" => f.write_str(&self.why),
                key => write!(f, "{key}: {}", self.why),
            }
        })
    }
}

/// What a person is told: one line for each mistake.
pub fn failure_of(mut mistakes: Vec<Mistake>, file: &Path) -> Failure {
    mistakes.sort();
    mistakes.dedup();
    if let [only] = mistakes.as_slice() {
        return Failure::usage(only.told(file).to_string());
    }
    let left_off = mistakes.len() > MISTAKES_MAX;
    let count = if left_off { format!("more than {MISTAKES_MAX}") } else { mistakes.len().to_string() };
    let told = mistakes.iter().take(MISTAKES_MAX).map(|mistake| mistake.told(file).to_string());
    let more = left_off.then(|| "and more, which are told when these are corrected".to_owned());
    Failure::usage(format!("there are {count} mistakes in the configuration"))
        .details(told.chain(more).collect())
}

/// Reads all of it; the error has every mistake that is found.
pub fn resolve_all(file: &Path, merged: Merged, address: DaemonAddress) -> Result<Configuration, Failure> {
    let Merged { mut tree, places, mut mistakes } = merged;
    let mut repairs = Repairs::default();
    for _ in 0..READINGS_MAX {
        let error = match resolve(file, &tree) {
            Ok(mut configuration) => {
                mistakes.extend(take_on_address(&mut configuration, address, &tree, &places));
                if mistakes.is_empty() {
                    return Ok(configuration);
                }
                break;
            }
            Err(error) => error,
        };
        if !repairs.follows(&error.path()) {
            mistakes.push(Mistake::of(&error, &places));
        }
        if mistakes.len() > MISTAKES_MAX || !repairs.repair(&mut tree, error.path()) {
            break;
        }
    }
    Err(failure_of(mistakes, file))
}

/// Takes on what was typed of the daemon's address, and tells if it is not safe to listen there.
fn take_on_address(
    configuration: &mut Configuration,
    address: DaemonAddress,
    tree: &Value,
    places: &KeyPlaces,
) -> Option<Mistake> {
    let DaemonAddress::Typed(typed) = address else { return None };
    configuration.daemon.take_on(typed);
    let why = configuration.daemon.ensure_safe().err()?;
    Some(match typed.listen {
        Some(listen) => Mistake {
            place: Place::Variable(format!("--listen {listen}")),
            key: String::new(),
            why: why.into(),
        },
        None => Mistake::of(&KeyError::at(tree, &["daemon", "listen"], why), places),
    })
}

/// What was told already, and what was done about it.
#[derive(Default)]
struct Repairs {
    told: Vec<Vec<String>>,
    /// How often something had to stand in for the parts of one table.
    stood_in: HashMap<Vec<String>, u32>,
}

impl Repairs {
    /// Whether a mistake at `path` follows from one that was told.
    fn follows(&self, path: &[String]) -> bool {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let told = self.told.iter().map(|told| told.iter().map(String::as_str).collect::<Vec<_>>());
        told.into_iter().any(|told| follows_from(&path, &told))
    }

    /// Takes what is wrong at `path` out. False if there is nothing left to do.
    fn repair(&mut self, tree: &mut Value, path: Vec<String>) -> bool {
        let follows = self.follows(&path);
        let is_named = matches!(path.first().map(String::as_str), Some("repositories" | "sources" | "items"));
        let repaired = match (follows || path.len() == 2 && is_named, path.as_slice()) {
            (_, []) => false,
            (true, [kind, name, ..]) if is_named => self.stand_in(tree, kind, name),
            (true, [table, ..]) => take_out(tree, std::slice::from_ref(table)),
            // Something is missing: the next reading says so again.
            (false, path) => take_out(tree, path) || !follows,
        };
        self.told.push(path);
        repaired
    }

    /// Lets something harmless stand for what is missing in a table. If that does not help, the table goes.
    fn stand_in(&mut self, tree: &mut Value, kind: &str, name: &str) -> bool {
        let times = self.stood_in.entry(vec![kind.into(), name.into()]).or_default();
        *times += 1;
        let times = *times;
        let repository = table_of(tree, "repositories").and_then(|table| table.keys().min().cloned());
        let Some(tables) = table_of(tree, kind) else { return false };
        let goes = times > STAND_INS_MAX;
        if (goes && kind == "items") || times > STAND_INS_MAX + 1 {
            return tables.remove(name).is_some();
        }
        let mut table = match tables.remove(name).map(|value| value.kind) {
            Some(ValueKind::Table(table)) if !goes => table,
            _ => Map::new(),
        };
        match kind {
            "repositories" => {
                keep_one_of(&mut table, &["location", "location_file"], NOWHERE);
                keep_one_of(&mut table, &["password_file", "password_command"], NOWHERE);
            }
            "sources" => keep_one_of(&mut table, &["sqlite", "command", "firebird"], NOWHERE),
            _ => {
                keep_one_of(&mut table, &["paths", "source"], NOWHERE);
                keep_one_of(&mut table, &["repository"], repository.as_deref().unwrap_or(DEFAULT_REPOSITORY));
            }
        }
        tables.insert(name.into(), Value::new(None, ValueKind::Table(table)));
        true
    }
}

/// How often parts of one table are stood in for: for each thing that it needs, and once more.
const STAND_INS_MAX: u32 = 3;

/// The first of these that is there stays; if none is, `text` stands for the first.
fn keep_one_of(table: &mut Map<String, Value>, keys: &[&str], text: &str) {
    let first = keys.iter().find(|key| table.contains_key(**key)).copied();
    for key in keys.iter().filter(|key| Some(**key) != first) {
        table.remove(*key);
    }
    if let (None, [key, ..]) = (first, keys) {
        table.insert((*key).into(), Value::new(None, text));
    }
}

/// Keys of which a repository or a source needs one: without it, the whole of it is found wrong.
const NEEDED: [&str; 7] =
    ["location", "location_file", "password_file", "password_command", "command", "sqlite", "firebird"];

/// Whether what is wrong at `path` is so because what was wrong at `told` was taken out.
fn follows_from(path: &[&str], told: &[&str]) -> bool {
    match (path, told) {
        _ if path == told => true,
        (["items", item, "paths"], ["items", of, key]) => item == of && is_like(key, &["paths", "source"]),
        (["items", _, "repository"], ["repositories"]) | (["items", _, "source"], ["sources"]) => true,
        (["repositories" | "sources" | "items", _], [_, _, key, ..]) => {
            told.starts_with(path) && is_like(key, &NEEDED)
        }
        _ => told.starts_with(path),
    }
}

/// Whether a key is one of these, or one of these mistyped.
fn is_like(key: &str, keys: &[&str]) -> bool {
    keys.contains(&key) || nearest(key, keys.iter().copied()).is_some()
}

/// A path that stands in for others. Nothing is done with it: the configuration is refused.
const NOWHERE: &str = "/nowhere";

fn table_of<'a>(tree: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let ValueKind::Table(table) = &mut tree.kind else { return None };
    match &mut table.get_mut(name)?.kind {
        ValueKind::Table(inner) => Some(inner),
        _ => None,
    }
}

/// Whether there was anything at the end of `path`, which is gone then.
fn take_out(tree: &mut Value, path: &[String]) -> bool {
    let ValueKind::Table(table) = &mut tree.kind else { return false };
    match path {
        [] => false,
        [last] => table.remove(last).is_some(),
        [name, rest @ ..] => table.get_mut(name).is_some_and(|inner| take_out(inner, rest)),
    }
}
