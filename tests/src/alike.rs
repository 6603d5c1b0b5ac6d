//! What two runs told, made comparable: what differs from run to run has the same name in each. That is ids, times,
//! counters, and paths of the home.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::daemon::DaemonHome;

/// See the module.
pub struct Alike {
    home: String,
    names: BTreeMap<String, String>,
}

/// Fields whose values are counted or measured.
const MEASURED: [&str; 9] =
    ["progress", "bytes", "bytes_new", "bytes_stored", "modified", "files", "user", "group", "host"];

impl Alike {
    /// For what is told of this home.
    pub fn new(home: &DaemonHome) -> Self {
        Self { home: home.path("").display().to_string(), names: BTreeMap::new() }
    }

    /// The value, with names that were given before where they belong.
    pub fn of(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| {
                    let is_measured = MEASURED.contains(&name.as_str()) && !value.is_null();
                    (name.clone(), if is_measured { json!("measured") } else { self.of(value) })
                })
                .collect(),
            Value::Array(values) => values.iter().map(|value| self.of(value)).collect(),
            Value::String(text) => json!(self.text(text)),
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let text = text.replace(&self.home, "HOME/");
        if text.parse::<chrono::DateTime<chrono::Utc>>().is_ok() && !text.starts_with("2026-0") {
            return "a time".into();
        }
        let words =
            text.split_inclusive(|character: char| !character.is_ascii_alphanumeric() && character != '-');
        words
            .map(|word| {
                let end =
                    word.len() - word.trim_end_matches(|last: char| !last.is_ascii_alphanumeric()).len();
                let (name, rest) = word.split_at(word.len() - end);
                let is_id = name.len() == 36 && name.matches('-').count() == 4
                    || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !is_id {
                    return word.to_owned();
                }
                let next = format!("id {}", self.names.len() + 1);
                format!("{}{rest}", self.names.entry(name.to_owned()).or_insert(next))
            })
            .collect()
    }
}
