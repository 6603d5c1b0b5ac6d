//! What counts, and where it was said. Secrets are not among it: what may hold one is not shown.

use config::{Map, Value, ValueKind};

use super::keys::{KEYS, Key, Kind};
use super::mistakes::{KeyPlaces, Place};
use super::sources::{VARIABLE_ORIGIN, merged};
use super::{Configuration, ConfigurationArguments};
use crate::exit::Failure;

/// One value.
pub struct Shown {
    /// Its key, as `items.docs.schedule`.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it was said: `the default`, `FILE:LINE:COLUMN` or `the variable …`.
    pub origin: String,
}

/// Arguments of programs may be secrets; these are not shown.
const NOT_SHOWN: &str = "\"…\"";

/// All values in the order of the list of keys, once all of it was checked.
pub fn shown(arguments: &ConfigurationArguments) -> Result<Vec<Shown>, Failure> {
    let configuration = Configuration::read(arguments)?;
    let file = arguments.place()?;
    let merged = merged(arguments.is_read(&file).then_some(file.as_path()), std::env::vars_os())?;
    let mut showing = Showing { file: file.display().to_string(), places: merged.places, shown: Vec::new() };
    if let ValueKind::Table(tree) = &merged.tree.kind {
        showing.table(&mut Vec::new(), tree, KEYS, true);
    }
    for shown in &mut showing.shown {
        // Some defaults are of this machine.
        let text = match shown.key.as_str() {
            _ if !shown.value.starts_with('(') => continue,
            "data_folder" => configuration.data_folder.as_ref().map(|folder| folder.display().to_string()),
            "broker.node" => configuration.broker.as_ref().map(|broker| broker.node.clone()),
            "broker.stream" => configuration.broker.as_ref().map(|broker| broker.stream.clone()),
            _ => None,
        };
        if let Some(text) = text {
            shown.value = quoted(&text);
        }
    }
    Ok(showing.shown)
}

/// JSON's quotes and escapes are TOML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Showing {
    file: String,
    places: KeyPlaces,
    shown: Vec<Shown>,
}

impl Showing {
    fn table(
        &mut self,
        path: &mut Vec<String>,
        table: &Map<String, Value>,
        keys: &[Key],
        with_defaults: bool,
    ) {
        let nothing = Map::new();
        for key in keys {
            path.push(key.name.into());
            let written = table.get(key.name);
            let inner = match written.map(|value| &value.kind) {
                Some(ValueKind::Table(inner)) => inner,
                _ => &nothing,
            };
            match (key.kind, written) {
                // Without its table there is no broker.
                (Kind::Table(keys), _) => {
                    self.table(
                        path,
                        inner,
                        keys,
                        with_defaults && (written.is_some() || key.name != "broker"),
                    );
                }
                (Kind::Named(keys), _) => {
                    for (name, value) in sorted(inner) {
                        path.push(name.clone());
                        if let ValueKind::Table(table) = &value.kind {
                            self.table(path, table, keys, false);
                        }
                        path.pop();
                    }
                }
                (Kind::Options, _) => {
                    for (name, value) in sorted(inner) {
                        path.push(name.clone());
                        self.value(path, value);
                        path.pop();
                    }
                }
                (_, Some(value)) => self.value(path, value),
                (_, None) if with_defaults && !key.default.is_empty() => {
                    let (key, value) = (path.join("."), key.default.into());
                    self.shown.push(Shown { key, value, origin: "the default".into() });
                }
                (_, None) => {}
            }
            path.pop();
        }
    }

    fn value(&mut self, path: &[String], value: &Value) {
        let origin = match value.origin().filter(|origin| origin.starts_with(VARIABLE_ORIGIN)) {
            Some(variable) => variable.into(),
            None => match self.places.place_of(path) {
                Place::Line(line, column) => format!("{}:{line}:{column}", self.file),
                Place::File | Place::Variable(_) => self.file.clone(),
            },
        };
        let may_be_secret = path.last().is_some_and(|last| last == "password_command" || last == "command");
        let value = if may_be_secret { NOT_SHOWN.into() } else { toml_of(value) };
        self.shown.push(Shown { key: path.join("."), value, origin });
    }
}

fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries
}

fn toml_of(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => quoted(text),
        ValueKind::Array(values) => {
            format!("[{}]", values.iter().map(toml_of).collect::<Vec<_>>().join(", "))
        }
        kind => kind.to_string(),
    }
}
