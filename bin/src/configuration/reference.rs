//! What is made of the list of keys: the reference for people, the schema for programs, and an example to start from.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key, Kind, shown_span};
use super::sources::OTHER_SPELLINGS;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made of the keys that the program knows; `KEEPWELL_RENEW_DOCS=1 cargo nextest run -p keepwell reference` makes it
again. -->

`keepwell.toml` stands in `keepwell/` in the user's configuration folder (`~/.config`), or where `--config FILE` says. Over
the defaults counts the file, over that the variables named `KEEPWELL__…`, over that what is typed. `NAME` in a variable
is the name of a repository, source or item, in lower case.

- `keepwell config check` tells all mistakes, each with its line and column.
- `keepwell config show` prints what counts, and where it was said.
- `keepwell config init` writes an example with all keys.
- `keepwell config schema` prints a JSON Schema for editors, `keepwell config reference` this page.

Durations are texts with units: `\"30s\"`, `\"5m\"`, `\"1h30m\"`, `\"20d\"`. Rates are `\"500 KiB\"` or `\"2 MiB\"` a second. Paths start
with `/` or `~/`. No password stands in the configuration: it names files and commands that give them. A list may be
written as one text if it has one entry. On SIGHUP the daemon reads all this again.
";

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    add_section(&mut text, &[], KEYS);
    text
}

fn add_section(text: &mut String, path: &[&str], keys: &'static [Key]) {
    let title = match path {
        [] => "At the top".to_owned(),
        path => format!("`[{}]`", path.join(".")),
    };
    text.push_str(&format!("\n## {title}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n"));
    let is_table = |key: &&Key| matches!(key.kind, Kind::Table(_) | Kind::Named(_));
    for key in keys.iter().filter(|key| !is_table(key)) {
        let path: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        let default = match key.default {
            "" => "–".to_owned(),
            words if words.starts_with('(') => words.trim_matches(['(', ')']).to_owned(),
            value => format!("`{value}`"),
        };
        let other = OTHER_SPELLINGS.iter().find(|(_, meant)| *meant == path);
        let other = other.map_or(String::new(), |(other, _)| match key.kind {
            Kind::Span(..) => format!(" Also `{other}`, in milliseconds."),
            _ => format!(" Also `{other}`."),
        });
        text.push_str(&format!(
            "| `{}` | {} | {default} | {}.{other} Variable `{}` |\n",
            key.name,
            takes(key.kind),
            key.about,
            variable(&path),
        ));
    }
    for key in keys.iter().filter(is_table) {
        let (inner, name): (&'static [Key], Option<&str>) = match key.kind {
            Kind::Table(inner) => (inner, None),
            Kind::Named(inner) => (inner, Some("NAME")),
            _ => continue,
        };
        let path: Vec<&str> = path.iter().copied().chain([key.name]).chain(name).collect();
        let at = text.len();
        add_section(text, &path, inner);
        // After the title.
        if let Some(end) = text[at..].find("\n\n|") {
            text.insert_str(at + end + 1, &format!("\n{}.\n", key.about));
        }
    }
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Path => "path".into(),
        Kind::Texts => "list of texts".into(),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Span(least, Duration::MAX) => format!("duration, at least {}", shown_span(least)),
        Kind::Span(least, most) => format!("duration, {} to {}", shown_span(least), shown_span(most)),
        Kind::Rate(min) => format!("rate, at least {} KiB", min >> 10),
        Kind::Truth => "`true` or `false`".into(),
        Kind::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Table(_) | Kind::Named(_) => "table".into(),
        Kind::Options => "table of texts, numbers and truth values".into(),
    }
}

fn variable(path: &[&str]) -> String {
    format!("KEEPWELL__{}", path.join("__").to_uppercase())
}

/// A JSON Schema of the file.
pub fn schema() -> Value {
    let mut schema = table_schema(&[], KEYS);
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        object.insert("title".into(), "keepwell.toml".into());
    }
    schema
}

fn table_schema(path: &[&str], keys: &'static [Key]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let path: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        let mut schema = value_schema(&path, key.kind);
        if let Value::Object(object) = &mut schema {
            object.insert("description".into(), key.about.into());
            if let Ok(default) = serde_json::from_str::<Value>(key.default) {
                object.insert("default".into(), default);
            }
        }
        properties.insert(key.name.into(), schema);
    }
    // Other spellings stand at the top, and those of retries among the retries, too.
    for (other, meant) in OTHER_SPELLINGS {
        if path.is_empty() || meant.len() == 2 && path == &meant[..1] {
            let is_delay = other.to_lowercase().ends_with("delay");
            let about = if is_delay { ", in milliseconds if it is a number" } else { "" };
            let kinds = if is_delay { json!(["integer", "string"]) } else { json!("integer") };
            let about = format!("The same as {}{about}", meant.join("."));
            properties.insert(other.into(), json!({ "type": kinds, "description": about }));
        }
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn value_schema(path: &[&str], kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Path => json!({ "type": "string", "pattern": "^(/|~/|~$)" }),
        Kind::Texts => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
        Kind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Span(..) => json!({ "type": "string", "pattern": "^(0|([0-9]+(ms|s|m|h|d))+)$" }),
        Kind::Rate(_) => json!({ "type": "string" }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Table(keys) => table_schema(path, keys),
        Kind::Named(keys) => json!({ "type": "object", "additionalProperties": table_schema(path, keys) }),
        Kind::Options => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } })
        }
    }
}

/// A file to start from: every key, commented out.
pub fn example() -> String {
    let mut text = "# Keepwell's configuration. Every key that there is stands here, commented out, with what counts without it.\n\
                    # `keepwell config check` tells all mistakes; `keepwell simulate` shows what it would do.\n"
        .to_owned();
    add_example(&mut text, &[], KEYS);
    text
}

fn add_example(text: &mut String, path: &[&str], keys: &'static [Key]) {
    for key in keys {
        let takes = match key.kind {
            Kind::Table(_) | Kind::Named(_) => String::new(),
            kind => format!(": {}", takes(kind).replace('`', "")),
        };
        text.push_str(&format!("\n# {}{takes}\n", key.about.replace('`', "")));
        let inner: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        match key.kind {
            Kind::Table(keys) => {
                text.push_str(&format!("#[{}]\n", inner.join(".")));
                add_example(text, &inner, keys);
            }
            Kind::Named(keys) => {
                let inner: Vec<&str> = inner.iter().copied().chain(["NAME"]).collect();
                text.push_str(&format!("#[{}]\n", inner.join(".")));
                add_example(text, &inner, keys);
            }
            _ => match key.default {
                "" => text.push_str(&format!("#{} =\n", key.name)),
                words if words.starts_with('(') => {
                    text.push_str(&format!("#{} =  # {}\n", key.name, words.replace('`', "")));
                }
                value => text.push_str(&format!("#{} = {value}\n", key.name)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{DaemonAddress, TypedAddress, mistakes, sources};
    use super::*;

    #[test]
    fn the_reference_in_the_docs_is_current() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let made = reference();
        if std::env::var_os("KEEPWELL_RENEW_DOCS").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        let stands = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            stands == made,
            "docs/configuration.md is not current: run this test with KEEPWELL_RENEW_DOCS=1 and commit what it writes"
        );
    }

    #[test]
    fn defaults_are_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let merged = sources::merged(Some(&file), std::iter::empty()).unwrap();
            let address = DaemonAddress::Typed(TypedAddress::default());
            mistakes::resolve_all(&file, merged, address).unwrap()
        };
        let written = |path: &str, keys: &[Key]| {
            let lines = keys.iter().filter(|key| !key.default.is_empty() && !key.default.starts_with('('));
            let lines: String = lines.map(|key| format!("{path}{} = {}\n", key.name, key.default)).collect();
            lines
        };
        let tables = KEYS.iter().filter_map(|key| match key.kind {
            Kind::Table(keys) => Some(written(&format!("{}.", key.name), keys)),
            _ => None,
        });
        let all = written("", KEYS) + &tables.collect::<String>();
        let (with, without) = (read(&all), read("[broker]"));
        assert_eq!(with.limits, without.limits);
        assert_eq!(with.retries, without.retries);
        assert_eq!((with.hang_after, with.timer_max), (without.hang_after, without.timer_max));
        assert_eq!(with.daemon, without.daemon);
        assert_eq!(with.broker, without.broker);
        assert_eq!(with.compression, Some(without.compression.unwrap_or_default()));
    }
}
