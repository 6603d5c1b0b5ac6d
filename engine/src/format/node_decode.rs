//! A node read from JSON text as Go reads it: a missing or `null` field is the
//! field's zero value, an unknown field is skipped, of a field given twice the last
//! counts. Text is borrowed until it is known to be kept.
//!
//! What JSON allows and a tree must not hold is a [`NodeFault`]: a node that has one
//! never becomes a [`Node`], so that no reader can forget the check.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::format::go_json::decode_base64;
use crate::format::go_quote::{UnquoteError, quote, unquote};
use crate::format::node::{ExtendedAttribute, Node, NodeKind};
use crate::format::timestamp::Timestamp;

/// Why an entry of a tree cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// A field is of the wrong type or out of its range.
    #[error("{0}")]
    Malformed(String),
    /// The name is not quoted as Go quotes strings.
    #[error("name: {0}")]
    Quoting(#[from] UnquoteError),
    /// The name is empty.
    #[error("name is empty")]
    EmptyName,
    /// The name is `.` or `..`.
    #[error("name means another folder")]
    RelativeName,
    /// The name holds `/` or NUL.
    #[error("name holds a slash or NUL")]
    ForbiddenByte,
    /// An entry of this name stands in the tree already.
    #[error("name stands twice in its folder")]
    Duplicate,
    /// The type is none that the format knows.
    #[error("type {0:?} is unknown")]
    UnknownKind(String),
}

/// An entry of a tree that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNode {
    /// Its name as far as it can be read: raw if its quoting is sound, else as stored, else empty.
    pub name: Vec<u8>,
    /// What is wrong with it.
    pub fault: NodeFault,
}

impl fmt::Display for BadNode {
    /// The name as a person can read it, and the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": {}", String::from_utf8_lossy(&quote(&self.name)), self.fault)
    }
}

/// Whether a tree may hold an entry of this name.
pub(crate) fn check_name(name: &[u8]) -> Result<(), NodeFault> {
    match name {
        b"" => Err(NodeFault::EmptyName),
        b"." | b".." => Err(NodeFault::RelativeName),
        _ if name.iter().any(|&byte| byte == b'/' || byte == 0) => Err(NodeFault::ForbiddenByte),
        _ => Ok(()),
    }
}

/// Owners as last seen: neighbours in a tree mostly share them.
pub(crate) struct OwnerNames {
    empty: Arc<str>,
    user: Arc<str>,
    group: Arc<str>,
}

impl Default for OwnerNames {
    fn default() -> Self {
        let empty: Arc<str> = Arc::from("");
        Self { user: empty.clone(), group: empty.clone(), empty }
    }
}

fn share(last: &mut Arc<str>, name: &str) -> Arc<str> {
    if **last != *name {
        *last = Arc::from(name);
    }
    last.clone()
}

/// Reads one node from its own text. `Err` holds the name where that can be read.
pub(crate) fn decode_node(text: &str, owners: &mut OwnerNames) -> Result<Node, BadNode> {
    let mut parser = serde_json::Deserializer::from_str(text);
    match (NodeSeed { owners }).deserialize(&mut parser) {
        Ok(result) => result,
        Err(error) => {
            let stored = serde_json::from_str::<NameOnly>(text).ok().and_then(|node| node.name);
            let name = stored.map(|stored| unquote(&stored).unwrap_or_else(|_| stored.into_bytes()));
            Err(BadNode { name: name.unwrap_or_default(), fault: NodeFault::Malformed(error.to_string()) })
        }
    }
}

#[derive(Deserialize)]
struct NameOnly {
    #[serde(default)]
    name: Option<String>,
}

/// Reads one node; the outer error is the parser's, the inner one a fault of the node.
pub(crate) struct NodeSeed<'o> {
    pub(crate) owners: &'o mut OwnerNames,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Result<Node, BadNode>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Result<Node, BadNode>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new(self.owners);
        while let Some(Text(key)) = map.next_key()? {
            fields.read(&key, &mut map, self.owners)?;
        }
        Ok(fields.into_node())
    }
}

/// A node being read, with the fields that still have to be looked at as stored.
struct Fields<'de> {
    node: Node,
    name: Text<'de>,
    kind: Text<'de>,
    raw_link_target: Option<Vec<u8>>,
}

impl<'de> Fields<'de> {
    fn new(owners: &OwnerNames) -> Self {
        let node = Node {
            name: Vec::new(),
            kind: NodeKind::Irregular,
            mode: 0,
            mtime: Timestamp::GO_ZERO,
            atime: Timestamp::GO_ZERO,
            ctime: Timestamp::GO_ZERO,
            uid: 0,
            gid: 0,
            user: owners.empty.clone(),
            group: owners.empty.clone(),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: String::new(),
            device: 0,
            content: None,
            subtree: None,
            error: String::new(),
        };
        let empty = || Text(Cow::Borrowed(""));
        Self { node, name: empty(), kind: empty(), raw_link_target: None }
    }

    fn read<A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        owners: &mut OwnerNames,
    ) -> Result<(), A::Error> {
        let node = &mut self.node;
        match key {
            "name" => set(map, &mut self.name)?,
            "type" => set(map, &mut self.kind)?,
            "mode" => set(map, &mut node.mode)?,
            "mtime" => set(map, &mut node.mtime)?,
            "atime" => set(map, &mut node.atime)?,
            "ctime" => set(map, &mut node.ctime)?,
            "uid" => set(map, &mut node.uid)?,
            "gid" => set(map, &mut node.gid)?,
            "user" => {
                if let Some(Text(name)) = map.next_value()? {
                    node.user = share(&mut owners.user, &name);
                }
            }
            "group" => {
                if let Some(Text(name)) = map.next_value()? {
                    node.group = share(&mut owners.group, &name);
                }
            }
            "inode" => set(map, &mut node.inode)?,
            "device_id" => set(map, &mut node.device_id)?,
            "size" => set(map, &mut node.size)?,
            "links" => set(map, &mut node.links)?,
            "linktarget" => {
                if let Some(Text(target)) = map.next_value()? {
                    node.link_target = target.into_owned().into_bytes();
                }
            }
            "linktarget_raw" => self.raw_link_target = map.next_value::<Option<Base64>>()?.map(|raw| raw.0),
            "extended_attributes" => {
                let stored: Option<Vec<StoredAttribute>> = map.next_value()?;
                node.extended_attributes = stored.into_iter().flatten().map(Into::into).collect();
            }
            "generic_attributes" => node.generic_attributes = generic_attributes(map.next_value()?)?,
            "device" => set(map, &mut node.device)?,
            "content" => node.content = map.next_value()?,
            "subtree" => node.subtree = map.next_value()?,
            "error" => set(map, &mut node.error)?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn into_node(self) -> Result<Node, BadNode> {
        let Self { mut node, name: Text(stored), kind: Text(kind), raw_link_target } = self;
        node.name = match unquoted(stored) {
            Ok(name) => name,
            Err((name, error)) => return Err(BadNode { name, fault: error.into() }),
        };
        if let Err(fault) = check_name(&node.name) {
            return Err(BadNode { name: node.name, fault });
        }
        let Some(known) = NodeKind::from_name(&kind) else {
            return Err(BadNode { name: node.name, fault: NodeFault::UnknownKind(kind.into_owned()) });
        };
        node.kind = known;
        if let Some(target) = raw_link_target {
            node.link_target = target;
        }
        Ok(node)
    }
}

fn unquoted(stored: Cow<'_, str>) -> Result<Vec<u8>, (Vec<u8>, UnquoteError)> {
    if !stored.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return Ok(stored.into_owned().into_bytes());
    }
    unquote(&stored).map_err(|error| (stored.into_owned().into_bytes(), error))
}

/// Reads a value into `field`; `null` leaves the field as it is.
fn set<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: &mut A, field: &mut T) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        *field = value;
    }
    Ok(())
}

/// The object's text, empty for `null` and for an object without fields.
fn generic_attributes<E: de::Error>(stored: Option<&RawValue>) -> Result<String, E> {
    let text = stored.map_or("", RawValue::get);
    match text.strip_prefix('{') {
        Some(rest) if rest.trim_start().starts_with('}') => Ok(String::new()),
        Some(_) => Ok(text.to_owned()),
        None if text.is_empty() => Ok(String::new()),
        None => Err(E::custom("generic_attributes is not an object")),
    }
}

/// A string, borrowed from the input unless it holds escapes.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        decode_base64(&text).map(Self).map_err(de::Error::custom)
    }
}

#[derive(Deserialize)]
struct StoredAttribute {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<Base64>,
}

impl From<StoredAttribute> for ExtendedAttribute {
    fn from(stored: StoredAttribute) -> Self {
        Self {
            name: stored.name.unwrap_or_default(),
            value: stored.value.map(|value| value.0).unwrap_or_default(),
        }
    }
}
