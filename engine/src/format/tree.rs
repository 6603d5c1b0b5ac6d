//! A tree: the entries of one folder, in the order of the bytes of their names.
//!
//! Written by [`TreeWriter`], which takes nodes in order and gives the text whose hash
//! is the tree's id. Read by [`Tree::decode`], which keeps the entries that are sound
//! and names the others, so that a restore can do the most and say what is missing.
//! Memory is bounded by the text: a few times its length.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::format::go_quote::quote;
use crate::format::node::Node;
use crate::format::node_decode::{BadNode, NodeFault, NodeSeed, OwnerNames, Text, check_name, decode_node};

/// A stored object is not the JSON that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {object}: {why}")]
pub struct FormatError {
    /// `tree` or `snapshot`.
    pub object: &'static str,
    /// What is wrong, with its place.
    pub why: String,
}

/// A node was refused by [`TreeWriter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeWriteError {
    /// The name is not greater than the one before.
    #[error("{name:?} does not come after {last:?}")]
    OutOfOrder {
        /// The name refused, quoted.
        name: String,
        /// The name before, quoted.
        last: String,
    },
    /// No entry may have this name.
    #[error("{name:?}: {fault}")]
    Name {
        /// The name refused, quoted.
        name: String,
        /// Why.
        fault: NodeFault,
    },
}

/// Puts a tree's text together.
pub struct TreeWriter {
    text: Vec<u8>,
    last_name: Vec<u8>,
    nodes: usize,
}

impl Default for TreeWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeWriter {
    /// A tree without entries.
    pub fn new() -> Self {
        Self { text: b"{\"nodes\":[".to_vec(), last_name: Vec::new(), nodes: 0 }
    }

    /// Adds a node, whose name must be greater than those before. After an error the tree
    /// is as before.
    pub fn push(&mut self, node: &Node) -> Result<(), TreeWriteError> {
        self.open_entry(&node.name)?;
        node.write_json(&mut self.text);
        Ok(())
    }

    /// Adds a node that [`Node::write_json`] has written already, under its raw name.
    pub fn push_encoded(&mut self, name: &[u8], node_json: &[u8]) -> Result<(), TreeWriteError> {
        self.open_entry(name)?;
        self.text.extend_from_slice(node_json);
        Ok(())
    }

    /// How many nodes were added.
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// How long the text is that was not taken yet, in bytes.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes the text so far; what is written from here on continues it.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// The tree's text, or what follows the text taken, with the newline at its end that belongs to what is hashed.
    pub fn finish(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"]}\n");
        self.text
    }

    fn open_entry(&mut self, name: &[u8]) -> Result<(), TreeWriteError> {
        if let Err(fault) = check_name(name) {
            return Err(TreeWriteError::Name { name: readable(name), fault });
        }
        if name <= self.last_name.as_slice() {
            return Err(TreeWriteError::OutOfOrder { name: readable(name), last: readable(&self.last_name) });
        }
        if self.nodes > 0 {
            self.text.push(b',');
        }
        self.last_name.clear();
        self.last_name.extend_from_slice(name);
        self.nodes += 1;
        Ok(())
    }
}

fn readable(name: &[u8]) -> String {
    String::from_utf8_lossy(&quote(name)).into_owned()
}

/// The entries of one folder as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
    bad_nodes: Vec<BadNode>,
    out_of_order: Option<Vec<u8>>,
}

impl Tree {
    /// Reads a tree's text. Unknown fields are skipped, `"nodes": null` is an empty tree.
    ///
    /// # Errors
    /// The text is not JSON, or not an object with one list `nodes`. An entry that is unsound is
    /// no error but one of [`Tree::bad_nodes`].
    pub fn decode(text: &[u8]) -> Result<Self, FormatError> {
        let malformed = |why: String| FormatError { object: "tree", why };
        // Checked once as a whole, which is faster than string by string.
        let text = std::str::from_utf8(text).map_err(|error| malformed(error.to_string()))?;
        // One bad field ends the whole parse: then each entry is cut out first and read by itself.
        let mut tree = match read(text, EntryReader::InPlace) {
            Ok(tree) => tree,
            Err(_) => read(text, EntryReader::CutOut).map_err(|error| malformed(error.to_string()))?,
        };
        if tree.out_of_order.is_some() {
            tree.put_in_order();
        }
        Ok(tree)
    }

    /// The sound entries in the order of the bytes of their names, no name twice.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The sound entries and the unsound ones.
    pub fn into_parts(self) -> (Vec<Node>, Vec<BadNode>) {
        (self.nodes, self.bad_nodes)
    }

    /// Entries that must not be restored, each with the reason.
    pub fn bad_nodes(&self) -> &[BadNode] {
        &self.bad_nodes
    }

    /// The first name that did not come after the one before it: the tree was not written
    /// as the format asks. Its entries are sound all the same, and sorted here.
    pub fn out_of_order(&self) -> Option<&[u8]> {
        self.out_of_order.as_deref()
    }

    /// The sound entry of this raw name.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        let position = self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok()?;
        self.nodes.get(position)
    }

    fn take(&mut self, entry: Result<Node, BadNode>) {
        match entry {
            Ok(node) => {
                if self.out_of_order.is_none() && self.nodes.last().is_some_and(|last| last.name >= node.name)
                {
                    self.out_of_order = Some(node.name.clone());
                }
                self.nodes.push(node);
            }
            Err(bad) => self.bad_nodes.push(bad),
        }
    }

    /// Of entries with one name the first stays.
    fn put_in_order(&mut self) {
        self.nodes.sort_by(|left, right| left.name.cmp(&right.name));
        let bad_nodes = &mut self.bad_nodes;
        self.nodes.dedup_by(|later, kept| {
            let twice = later.name == kept.name;
            if twice {
                bad_nodes.push(BadNode { name: later.name.clone(), fault: NodeFault::Duplicate });
            }
            twice
        });
    }
}

#[derive(Clone, Copy)]
enum EntryReader {
    InPlace,
    CutOut,
}

fn read(text: &str, entries: EntryReader) -> Result<Tree, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let tree = parser.deserialize_map(TreeVisitor(entries))?;
    parser.end()?;
    Ok(tree)
}

struct TreeVisitor(EntryReader);

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the field nodes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut tree = None;
        while let Some(Text(key)) = map.next_key()? {
            if key != "nodes" {
                map.next_value::<IgnoredAny>()?;
            } else if tree.is_none() {
                tree = Some(map.next_value_seed(EntriesSeed(self.0))?);
            } else {
                return Err(A::Error::duplicate_field("nodes"));
            }
        }
        tree.ok_or_else(|| A::Error::missing_field("nodes"))
    }
}

struct EntriesSeed(EntryReader);

impl<'de> DeserializeSeed<'de> for EntriesSeed {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for EntriesSeed {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut tree = Tree::default();
        let mut owners = OwnerNames::default();
        match self.0 {
            EntryReader::InPlace => {
                while let Some(entry) = entries.next_element_seed(NodeSeed { owners: &mut owners })? {
                    tree.take(entry);
                }
            }
            EntryReader::CutOut => {
                while let Some(entry) = entries.next_element::<&RawValue>()? {
                    tree.take(decode_node(entry.get(), &mut owners));
                }
            }
        }
        Ok(tree)
    }
}
