//! The entries of one folder, one after the other.
//!
//! Those of a folder of usual size are decoded together. Those of a huge one are decoded one
//! at a time from its text, which a [`NodeStream`] reads piece by piece, so that neither
//! the text nor the entries are ever held whole. A stream takes only text as every known
//! writer writes it, with sound entries in order; all other text is for [`Tree::decode`],
//! which knows what to do about it.

use std::io::Read;

use serde_json::value::RawValue;

use crate::compress::FrameReader;
use crate::format::node::Node;
use crate::format::node_decode::{BadNode, OwnerNames, decode_node};
use crate::format::tree::Tree;

/// How the text of a tree begins.
const OPENING: &[u8] = b"{\"nodes\":[";
/// Asked for at once, at least.
const READ_BYTES_MIN: usize = 256 << 10;

/// The sound entries of a tree in the order of the bytes of their names, no name twice.
pub struct TreeEntries {
    nodes: Nodes,
    bad_nodes: Vec<BadNode>,
    out_of_order: Option<Vec<u8>>,
}

enum Nodes {
    Held(std::vec::IntoIter<Node>),
    Streamed(Box<NodeStream<FrameReader>>),
}

impl TreeEntries {
    /// No entries.
    pub fn none() -> Self {
        Tree::default().into()
    }

    /// Entries of a stream that was read to its end before without a fault.
    pub(crate) fn streamed(stream: NodeStream<FrameReader>) -> Self {
        Self { nodes: Nodes::Streamed(Box::new(stream)), bad_nodes: Vec::new(), out_of_order: None }
    }

    /// Entries of the tree that are unsound and do not come, each with the reason.
    pub fn bad_nodes(&self) -> &[BadNode] {
        &self.bad_nodes
    }

    /// As [`Tree::out_of_order`].
    pub fn out_of_order(&self) -> Option<&[u8]> {
        self.out_of_order.as_deref()
    }
}

impl From<Tree> for TreeEntries {
    fn from(tree: Tree) -> Self {
        let out_of_order = tree.out_of_order().map(<[u8]>::to_vec);
        let (nodes, bad_nodes) = tree.into_parts();
        Self { nodes: Nodes::Held(nodes.into_iter()), bad_nodes, out_of_order }
    }
}

impl Iterator for TreeEntries {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        match &mut self.nodes {
            Nodes::Held(nodes) => nodes.next(),
            Nodes::Streamed(stream) => stream.next_node().expect("the same bytes were read before"),
        }
    }
}

/// The text is not one that can be read as a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStreamable;

/// Reads a tree's text from `R` and decodes its entries one at a time.
pub(crate) struct NodeStream<R> {
    text: R,
    window: Vec<u8>,
    /// What of the window was used.
    position: usize,
    owners: OwnerNames,
    last_name: Vec<u8>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Begun,
    Amid,
    Ended,
}

impl<R: Read> NodeStream<R> {
    /// The entries of this text.
    pub(crate) fn new(text: R) -> Self {
        Self {
            text,
            window: Vec::new(),
            position: 0,
            owners: OwnerNames::default(),
            last_name: Vec::new(),
            state: State::Begun,
        }
    }

    /// What the text came from, at its end if the last entry was read.
    pub(crate) fn into_text(self) -> R {
        self.text
    }

    /// The next entry, whose name comes after the one before; `None` once the text was read to its end.
    pub(crate) fn next_node(&mut self) -> Result<Option<Node>, NotStreamable> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let is_first = self.state == State::Begun;
        if is_first {
            self.expect(OPENING)?;
            self.state = State::Amid;
        }
        match (self.byte()?, is_first) {
            (b']', _) => {
                self.expect_end()?;
                self.state = State::Ended;
                return Ok(None);
            }
            (b'{', true) => {}
            (b',', false) => self.position += 1,
            _ => return Err(NotStreamable),
        }
        let node = self.decode()?;
        if node.name <= self.last_name {
            return Err(NotStreamable);
        }
        self.last_name.clone_from(&node.name);
        Ok(Some(node))
    }

    fn decode(&mut self) -> Result<Node, NotStreamable> {
        if self.byte()? != b'{' {
            return Err(NotStreamable);
        }
        loop {
            let rest = self.window.get(self.position..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) => {
                    let node = decode_node(value.get(), &mut self.owners).map_err(|_| NotStreamable)?;
                    self.position += values.byte_offset();
                    return Ok(node);
                }
                Some(Err(error)) if error.is_eof() => self.read_more()?,
                _ => return Err(NotStreamable),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, NotStreamable> {
        loop {
            match self.window.get(self.position) {
                Some(byte) => return Ok(*byte),
                None => self.read_more()?,
            }
        }
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), NotStreamable> {
        for expected in text {
            if self.byte()? != *expected {
                return Err(NotStreamable);
            }
            self.position += 1;
        }
        Ok(())
    }

    /// The closing of the list and of the object, and nothing but white space after it.
    fn expect_end(&mut self) -> Result<(), NotStreamable> {
        self.expect(b"]}")?;
        loop {
            let rest = self.window.get(self.position..).unwrap_or_default();
            if !rest.iter().all(u8::is_ascii_whitespace) {
                return Err(NotStreamable);
            }
            self.position = self.window.len();
            match self.read_more() {
                Ok(()) => {}
                Err(NotStreamable) => return Ok(()),
            }
        }
    }

    /// As much again as the window holds, so that a long entry is not looked at too often.
    fn read_more(&mut self) -> Result<(), NotStreamable> {
        self.window.drain(..self.position);
        self.position = 0;
        let wanted = self.window.len().max(READ_BYTES_MIN) as u64;
        let read = self.text.by_ref().take(wanted).read_to_end(&mut self.window);
        if read.is_ok_and(|read| read > 0) { Ok(()) } else { Err(NotStreamable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{NodeKind, TreeWriter};
    use crate::id::Id;

    fn tree(count: usize) -> Vec<u8> {
        let mut writer = TreeWriter::new();
        for number in 0..count {
            let content = vec![Id([7; 32]); if number == 5 { 20_000 } else { number % 3 }];
            let name = format!("\u{e9}\"{number:06}").into_bytes();
            let node = Node { name, content: Some(content), ..Node::empty(NodeKind::File) };
            writer.push(&node).expect("rising names");
        }
        writer.finish()
    }

    fn streamed(text: &[u8]) -> Result<Vec<Node>, NotStreamable> {
        let mut stream = NodeStream::new(text);
        let mut nodes = Vec::new();
        while let Some(node) = stream.next_node()? {
            nodes.push(node);
        }
        assert!(stream.into_text().is_empty(), "read to its end");
        Ok(nodes)
    }

    #[test]
    fn a_stream_gives_what_decoding_together_gives() {
        for count in [0, 1, 2, 5000] {
            let text = tree(count);
            let nodes = streamed(&text).expect("sound");
            assert_eq!(nodes.len(), count);
            assert!(nodes == Tree::decode(&text).expect("sound").nodes());
        }
    }

    #[test]
    fn text_of_any_other_form_is_left_to_others() {
        let sound = String::from_utf8(tree(3)).expect("JSON");
        let entry = r#"{"name":"a","type":"file"}"#;
        for text in [
            String::new(),
            "{\"nodes\":null}\n".into(),
            sound.replace("{\"nodes\"", "{ \"nodes\""),
            sound.trim_end().trim_end_matches('}').into(),
            sound.replace("]}\n", "],\"more\":1}\n"),
            format!("{sound}x"),
            format!("{{\"nodes\":[{entry},{entry}]}}"),
            format!("{{\"nodes\":[{entry} {entry}]}}"),
            format!("{{\"nodes\":[,{entry}]}}"),
            format!("{{\"nodes\":[{entry},]}}"),
            "{\"nodes\":[{\"name\":\"..\",\"type\":\"file\"}]}".into(),
            "{\"nodes\":[1]}".into(),
        ] {
            assert_eq!(streamed(text.as_bytes()), Err(NotStreamable), "{text}");
        }
    }
}
