//! Reads typed values out of the merged configuration, and says of each error which key it is about, where that
//! key was written, and what to write instead.
//!
//! Text from a variable stands for a number or a truth value where one is wanted. Nothing is guessed beyond that.

use std::fmt;

use config::{Map, Value, ValueKind};
use serde::de::{
    DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use keepwell_actors::suggestion::nearest;

use super::sources::VARIABLE_ORIGIN;

/// What is wrong with one key.
#[derive(Debug)]
pub struct KeyError {
    /// The names on the way to it, the innermost first.
    names: Vec<String>,
    /// Where it was written.
    origin: Option<String>,
    why: String,
}

impl KeyError {
    /// What is wrong with the key at the end of `path`.
    pub fn at(tree: &Value, path: &[&str], why: impl Into<String>) -> Self {
        let names = path.iter().rev().map(|name| (*name).to_owned()).collect();
        Self { names, origin: origin_at(tree, path), why: why.into() }
    }

    /// The names on the way to it, the outermost first.
    pub fn path(&self) -> Vec<String> {
        self.names.iter().rev().cloned().collect()
    }

    /// The variable that it was written in, if it was in one.
    pub fn variable(&self) -> Option<&str> {
        self.origin.as_deref().filter(|origin| origin.starts_with(VARIABLE_ORIGIN))
    }

    /// What is wrong, and what to write.
    pub fn why(&self) -> &str {
        &self.why
    }

    fn below(mut self, name: &str, value: &Value) -> Self {
        self.names.push(name.into());
        self.origin = self.origin.or_else(|| origin_of(value));
        self
    }
}

impl std::error::Error for KeyError {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path().join("."), self.why)
    }
}

impl Error for KeyError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self { names: Vec::new(), origin: None, why: why.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let wanted = match wanted.to_string().as_str() {
            "u32" | "u64" => "a whole number".to_owned(),
            "a map" => "a table".to_owned(),
            text if text.starts_with("struct ") => "a table".to_owned(),
            text => text.to_owned(),
        };
        Self::custom(format!("it is {}, and should be {wanted}", shown(found)))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let lower = name.to_lowercase();
        let is_secret = ["password", "passphrase"].iter().any(|word| lower.contains(word));
        let why = match nearest(name, known.iter().copied()) {
            // What is so called holds the password itself: it is not one mistyped.
            _ if is_secret && !lower.contains("file") && !lower.contains("command") => {
                "passwords do not stand in the configuration; \
                 write password_file = \"/path\" or password_command = \"program argument\""
                    .to_owned()
            }
            Some(near) => format!("there is no such key; did you mean {near}?"),
            None => format!("there is no such key; there are {}", known.join(", ")),
        };
        Self { names: vec![name.into()], origin: None, why }
    }

    fn missing_field(name: &'static str) -> Self {
        Self { names: vec![name.into()], origin: None, why: "it is missing".into() }
    }
}

/// The value in words. Text is not repeated: it may be a secret that was written in the wrong place.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(_) => "text".into(),
        Unexpected::Signed(_) | Unexpected::Unsigned(_) => "a number".into(),
        Unexpected::Float(_) => "a number with a fraction".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        Unexpected::Bool(value) => value.to_string(),
        other => other.to_string(),
    }
}

/// Where the value at the end of `path`, or what is nearest to it, was written.
fn origin_at(tree: &Value, path: &[&str]) -> Option<String> {
    let mut value = tree;
    for name in path {
        match &value.kind {
            ValueKind::Table(table) => match table.get(*name) {
                Some(inner) => value = inner,
                None => break,
            },
            _ => break,
        }
    }
    origin_of(value)
}

/// A table that was merged has no origin of its own; that of what stands in it does.
fn origin_of(value: &Value) -> Option<String> {
    if let Some(origin) = value.origin() {
        return Some(origin.into());
    }
    match &value.kind {
        ValueKind::Table(table) => sorted(table).into_iter().find_map(|(_, value)| origin_of(value)),
        ValueKind::Array(values) => values.iter().find_map(origin_of),
        _ => None,
    }
}

/// In the order of their names, so that of several errors the same one is told each time.
fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries
}

/// One value, to be read.
pub struct Node<'a>(pub &'a Value);

macro_rules! deserialize_number {
    ($($name:ident)*) => {
        $(
            fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, KeyError> {
                match &self.0.kind {
                    ValueKind::String(text) => match text.trim().parse::<i64>() {
                        Ok(number) => visitor.visit_i64(number),
                        Err(_) => visitor.visit_str(text),
                    },
                    _ => self.deserialize_any(visitor),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = KeyError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, KeyError> {
        match &self.0.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(value) => visitor.visit_bool(*value),
            ValueKind::I64(value) => visitor.visit_i64(*value),
            ValueKind::I128(value) => visitor.visit_i128(*value),
            ValueKind::U64(value) => visitor.visit_u64(*value),
            ValueKind::U128(value) => visitor.visit_u128(*value),
            ValueKind::Float(value) => visitor.visit_f64(*value),
            ValueKind::String(value) => visitor.visit_str(value),
            ValueKind::Table(table) => {
                let mut entries = sorted(table);
                entries.reverse();
                visitor.visit_map(Entries { entries, now: None })
            }
            ValueKind::Array(values) => visitor.visit_seq(Elements { values: values.iter() }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, KeyError> {
        match &self.0.kind {
            ValueKind::String(text) if text == "true" || text == "false" => {
                visitor.visit_bool(text == "true")
            }
            _ => self.deserialize_any(visitor),
        }
    }

    deserialize_number!(deserialize_u32 deserialize_u64);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, KeyError> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, KeyError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A table's entries, the next one last.
struct Entries<'a> {
    entries: Vec<(&'a String, &'a Value)>,
    now: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = KeyError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, KeyError> {
        self.now = self.entries.pop();
        let Some((name, value)) = self.now else { return Ok(None) };
        let read = seed.deserialize(name.as_str().into_deserializer());
        // The name itself is in the error already, if it is not known.
        read.map(Some).map_err(|error: KeyError| KeyError { origin: origin_of(value), ..error })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, KeyError> {
        let Some((name, value)) = self.now.take() else {
            return Err(KeyError::custom("a value was asked for before its key"));
        };
        seed.deserialize(Node(value)).map_err(|error| error.below(name, value))
    }
}

struct Elements<'a> {
    values: std::slice::Iter<'a, Value>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = KeyError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, KeyError> {
        self.values.next().map(|value| seed.deserialize(Node(value))).transpose()
    }
}
