//! Where the configuration comes from: a file in TOML, and over it the variables named `KEEPWELL__…`.
//!
//! A variable's name is the path of its key, in any case of letters, with two underscores between names:
//! `KEEPWELL__RETRY__MAX_RETRIES`. Every value knows where it was written.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use config::{Config, ConfigError, FileFormat, Map, Source, Value, ValueKind};

use crate::exit::Failure;

/// No configuration of people is longer; a wrong file may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

const VARIABLE_PREFIX: &str = "KEEPWELL__";

/// The names that settings have in other places, and the keys that they mean. Numbers under these names of
/// delays are milliseconds.
const OTHER_SPELLINGS: [(&str, &[&str]); 4] = [
    ("maxConcurrentTasks", &["max_concurrent_tasks"]),
    ("maxRetries", &["retry", "max_retries"]),
    ("baseDelay", &["retry", "base_delay"]),
    ("networkDelay", &["retry", "network_delay"]),
];

/// The file, if there is one to read, with the variables over it.
pub fn merged(
    file: Option<&Path>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Value, Failure> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        builder = builder.add_source(Tree(read_file(path)?));
    }
    builder = builder.add_source(Tree(read_variables(variables)?));
    builder.build().map(|config| config.cache).map_err(|error| Failure::usage(error.to_string()))
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

fn read_file(path: &Path) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::local("read the configuration", path, error);
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let origin = path.display().to_string();
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{origin} is too long for a configuration: over 1 MiB")));
    }
    let parsed = config::File::from_str(&text, FileFormat::Toml).collect();
    let table = parsed.map_err(|error| Failure::usage(format!("{origin}: {}", parse_error(&error))))?;
    let table = with_origin(table, &origin);
    ensure_plain_names(&table, &origin)?;
    rename(table, &origin)
}

/// In one line: the parser draws the place beneath, which the line number tells as well.
fn parse_error(error: &ConfigError) -> String {
    let ConfigError::FileParse { cause, .. } = error else { return error.to_string() };
    let text = cause.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [first, .., last] => format!("{first}: {last}"),
        _ => text,
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
fn ensure_plain_names(table: &Map<String, Value>, origin: &str) -> Result<(), Failure> {
    let is_plain =
        |name: &&String| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    match table.keys().find(|name| !is_plain(name)) {
        Some(name) => Err(Failure::usage(format!("{origin}: {name}: there is no such key"))),
        None => Ok(()),
    }
}

fn read_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Map<String, Value>, Failure> {
    let mut ours: Vec<(String, OsString)> = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect();
    ours.sort_unstable();
    let mut table = Map::new();
    for (name, value) in ours {
        let origin = format!("the variable {name}");
        let path = name[VARIABLE_PREFIX.len()..].to_lowercase();
        let names: Vec<&str> = path.split("__").collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(Failure::usage(format!("{origin} names no key")));
        }
        let value =
            value.into_string().map_err(|_| Failure::usage(format!("{origin} does not hold UTF-8")))?;
        put(&mut table, &names, Value::new(Some(&origin), value));
    }
    ensure_plain_names(&table, "the variables named KEEPWELL__…")?;
    Ok(table)
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

/// Gives every setting the name that it has here.
fn rename(mut table: Map<String, Value>, origin: &String) -> Result<Map<String, Value>, Failure> {
    for (other, path) in OTHER_SPELLINGS {
        let mut found: Vec<Value> = table.remove(other).into_iter().collect();
        if let (["retry", _], Some(ValueKind::Table(retry))) =
            (path, table.get_mut("retry").map(|retry| &mut retry.kind))
        {
            found.extend(retry.remove(other));
        }
        for value in found {
            let value = match value.kind {
                ValueKind::I64(millis) if other.ends_with("Delay") => {
                    Value::new(Some(origin), format!("{millis}ms"))
                }
                kind => Value::new(Some(origin), kind),
            };
            if put(&mut table, path, value).is_some() {
                let name = path.join(".");
                return Err(Failure::usage(format!("{origin}: {other}: it is given twice, also as {name}")));
            }
        }
    }
    Ok(table)
}
