//! Where the configuration comes from: a file in TOML, and over it the variables named `KEEPWELL__…`.
//!
//! A variable's name is the path of its key, in any case of letters, with two underscores between names:
//! `KEEPWELL__RETRY__MAX_RETRIES`. Every value knows where it was
//! written, and every key of the file its line and column.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use config::{Config, ConfigError, FileFormat, Map, Source, Value, ValueKind};
use toml::de::DeTable;

use super::mistakes::{KeyPlaces, Mistake, Place, failure_of};
use crate::exit::Failure;

/// No configuration of people is longer; a wrong file may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

const VARIABLE_PREFIX: &str = "KEEPWELL__";

/// How the origin of a value begins that is a variable's.
pub const VARIABLE_ORIGIN: &str = "the variable ";

/// The names that settings have in other places, and the keys that they mean. Numbers under these names of
/// delays are milliseconds.
pub const OTHER_SPELLINGS: [(&str, &[&str]); 5] = [
    ("maxConcurrentTasks", &["max_concurrent_tasks"]),
    ("SAFE_TIMEOUT_DELAY", &["timer_max"]),
    ("maxRetries", &["retry", "max_retries"]),
    ("baseDelay", &["retry", "base_delay"]),
    ("networkDelay", &["retry", "network_delay"]),
];

/// What all places say together.
pub struct Merged {
    /// The values.
    pub tree: Value,
    /// Where the file's keys stand.
    pub places: KeyPlaces,
    /// What is wrong already. The values are read on without it.
    pub mistakes: Vec<Mistake>,
}

/// The file, if there is one to read, with the variables over it.
pub fn merged(
    file: Option<&Path>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Merged, Failure> {
    let (mut places, mut mistakes) = (KeyPlaces::default(), Vec::new());
    let mut builder = Config::builder();
    if let Some(path) = file {
        builder = builder.add_source(Tree(read_file(path, &mut places, &mut mistakes)?));
    }
    builder = builder.add_source(Tree(read_variables(variables, &mut mistakes)));
    let merged = builder.build().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Merged { tree: merged.cache, places, mistakes })
}

/// What one place says.
#[derive(Clone, Debug)]
struct Tree(Map<String, Value>);

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn read_file(
    path: &Path,
    places: &mut KeyPlaces,
    mistakes: &mut Vec<Mistake>,
) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::local("read the configuration", path, error);
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let origin = path.display().to_string();
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{origin} is too long for a configuration: over 1 MiB")));
    }
    *places = key_places(&text).map_err(|mistakes| failure_of(mistakes, path))?;
    let parsed = config::File::from_str(&text, FileFormat::Toml).collect();
    let table = parsed.map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
    let mut table = with_origin(table, &origin);
    take_out_odd_names(&mut table, mistakes, |name| places.place_of(&[name.to_owned()]));
    rename(&mut table, mistakes, Spelling::AsWritten, places);
    Ok(table)
}

/// Where each key stands, or all places where the text is no TOML.
fn key_places(text: &str) -> Result<KeyPlaces, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = LinesAndColumns::of(text);
    let place_at = |offset| lines.at(offset);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| {
            let place = error.span().map_or(Place::File, |span| {
                let (line, column) = place_at(span.start);
                Place::Line(line, column)
            });
            // In one line: the parser tells what it wanted in another one.
            let why = format!("it is no TOML: {}", error.message().replace('\n', ": "));
            Mistake { place, key: String::new(), why }
        };
        return Err(errors.iter().map(mistake).collect());
    }
    let mut places = KeyPlaces::default();
    note_places(table.get_ref(), &mut Vec::new(), &mut places, &place_at);
    Ok(places)
}

/// The line and the column of every byte, counted from 1. Eight bytes for each: a text may be one long line, in which
/// nobody wants to count for each key anew.
struct LinesAndColumns(Vec<(u32, u32)>);

impl LinesAndColumns {
    fn of(text: &str) -> Self {
        let (mut line, mut column) = (1, 1);
        let mut places = Vec::with_capacity(text.len() + 1);
        for character in text.chars() {
            places.extend(std::iter::repeat_n((line, column), character.len_utf8()));
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        places.push((line, column));
        Self(places)
    }

    fn at(&self, offset: usize) -> (usize, usize) {
        let (line, column) = self.0.get(offset).or(self.0.last()).copied().unwrap_or((1, 1));
        (line as usize, column as usize)
    }
}

/// The parser bounds how deep tables are.
fn note_places(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    places: &mut KeyPlaces,
    place_at: &impl Fn(usize) -> (usize, usize),
) {
    for (key, value) in table.iter() {
        path.push(key.get_ref().to_string());
        places.0.insert(path.clone(), place_at(key.span().start));
        if let Some(inner) = value.get_ref().as_table() {
            note_places(inner, path, places, place_at);
        }
        path.pop();
    }
}

fn with_origin(table: Map<String, Value>, origin: &String) -> Map<String, Value> {
    let value = |value: Value| match value.kind {
        ValueKind::Table(inner) => Value::new(Some(origin), ValueKind::Table(with_origin(inner, origin))),
        kind => Value::new(Some(origin), kind),
    };
    table.into_iter().map(|(name, inner)| (name, value(inner))).collect()
}

/// The outermost names are paths to the crate that merges: `a[1000000000]` would be a list of so many values.
fn take_out_odd_names(
    table: &mut Map<String, Value>,
    mistakes: &mut Vec<Mistake>,
    place: impl Fn(&str) -> Place,
) {
    table.retain(|name, _| {
        let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !is_plain {
            let why = "there is no such key".into();
            mistakes.push(Mistake { place: place(name), key: name.clone(), why });
        }
        is_plain
    });
}

fn read_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
    mistakes: &mut Vec<Mistake>,
) -> Map<String, Value> {
    let mut ours: Vec<(String, OsString)> = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect();
    ours.sort_unstable();
    let mut table = Map::new();
    for (name, value) in ours {
        let origin = format!("{VARIABLE_ORIGIN}{name}");
        let path = name[VARIABLE_PREFIX.len()..].to_lowercase();
        let names: Vec<&str> = path.split("__").collect();
        let wrong = |why: &str| Mistake {
            place: Place::Variable(origin.clone()),
            key: String::new(),
            why: why.to_owned(),
        };
        match value.into_string() {
            _ if names.iter().any(|name| name.is_empty()) => mistakes.push(wrong("it names no key")),
            Err(_) => mistakes.push(wrong("it does not hold UTF-8")),
            Ok(value) => {
                put(&mut table, &names, Value::new(Some(&origin), value));
            }
        }
    }
    let all = format!("{VARIABLE_ORIGIN}{VARIABLE_PREFIX}…");
    take_out_odd_names(&mut table, mistakes, |_| Place::Variable(all.clone()));
    rename(&mut table, mistakes, Spelling::LowerCase, &mut KeyPlaces::default());
    table
}

/// Puts a value at the end of a path, and gives what stood there.
fn put(table: &mut Map<String, Value>, path: &[&str], value: Value) -> Option<Value> {
    let (name, rest) = path.split_first()?;
    if rest.is_empty() {
        return table.insert((*name).into(), value);
    }
    let inner = table.entry((*name).into()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
    if !matches!(inner.kind, ValueKind::Table(_)) {
        inner.kind = ValueKind::Table(Map::new());
    }
    match &mut inner.kind {
        ValueKind::Table(inner) => put(inner, rest, value),
        _ => None,
    }
}

/// How the other names of settings are written in one place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    AsWritten,
    /// Variables' names are in any case of letters.
    LowerCase,
}

/// Gives every setting the name that it has here.
fn rename(
    table: &mut Map<String, Value>,
    mistakes: &mut Vec<Mistake>,
    spelling: Spelling,
    places: &mut KeyPlaces,
) {
    for (other, path) in OTHER_SPELLINGS {
        let written = match spelling {
            Spelling::AsWritten => other.to_owned(),
            Spelling::LowerCase => other.to_lowercase(),
        };
        let mut found: Vec<(Vec<String>, Value)> =
            table.remove(&written).map(|value| (vec![written.clone()], value)).into_iter().collect();
        if let (["retry", _], Some(ValueKind::Table(retry))) =
            (path, table.get_mut("retry").map(|retry| &mut retry.kind))
        {
            let inner = retry.remove(&written);
            found.extend(inner.map(|value| (vec!["retry".into(), written.clone()], value)));
        }
        for (written_at, value) in found {
            let origin = value.origin().map(str::to_owned);
            let place = match &origin {
                Some(origin) if origin.starts_with(VARIABLE_ORIGIN) => Place::Variable(origin.clone()),
                _ => places.place_of(&written_at),
            };
            let value = in_milliseconds(other, value);
            if put(table, path, value).is_some() {
                let why = format!("it is given twice, also as {}", path.join("."));
                mistakes.push(Mistake { place: place.clone(), key: other.into(), why });
            }
            if let Place::Line(line, column) = place {
                places.0.insert(path.iter().map(|name| (*name).to_owned()).collect(), (line, column));
            }
        }
    }
}

/// A bare number under these names of delays, as the value that is meant.
fn in_milliseconds(other: &str, value: Value) -> Value {
    let origin = value.origin().map(str::to_owned);
    let is_delay = other.to_lowercase().ends_with("delay");
    match &value.kind {
        ValueKind::I64(millis) if is_delay => Value::new(origin.as_ref(), format!("{millis}ms")),
        ValueKind::String(text) if is_delay && text.parse::<u64>().is_ok() => {
            Value::new(origin.as_ref(), format!("{text}ms"))
        }
        _ => value,
    }
}
