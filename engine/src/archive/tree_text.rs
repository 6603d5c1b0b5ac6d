//! A folder's tree as it grows: plain while it is short, compressed as it comes once it is
//! long, so that the text of a huge folder is never held whole.

use crate::compress::{Frame, GrowingFrame};
use crate::error::Result;
use crate::format::{TreeWriteError, TreeWriter};

/// So much text is held plain: some 10,000 entries.
const PLAIN_BYTES_MAX: usize = 4 << 20;

/// A tree that entries are added to.
pub(super) struct GrowingTree {
    writer: TreeWriter,
    /// What long text is compressed with; `None` keeps all of it plain.
    level: Option<i32>,
    frame: Option<GrowingFrame>,
}

/// The whole text of a tree.
pub(super) enum TreeText {
    /// As it is.
    Plain(Vec<u8>),
    /// Compressed already.
    Compressed(Frame),
}

impl GrowingTree {
    /// No entries yet.
    pub(super) fn new(level: Option<i32>) -> Self {
        Self { writer: TreeWriter::new(), level, frame: None }
    }

    /// Adds an entry, as [`TreeWriter::push_encoded`]; the outer error ends the backup.
    pub(super) fn push(&mut self, name: &[u8], json: &[u8]) -> Result<Result<(), TreeWriteError>> {
        let pushed = self.writer.push_encoded(name, json);
        if let Some(level) = self.level
            && self.writer.text_bytes() > PLAIN_BYTES_MAX
        {
            let text = self.writer.take_text();
            let frame = match &mut self.frame {
                Some(frame) => frame,
                slot => slot.insert(GrowingFrame::new(level)?),
            };
            frame.append(&text)?;
        }
        Ok(pushed)
    }

    /// No more entries come.
    pub(super) fn finish(self) -> Result<TreeText> {
        let text = self.writer.finish();
        match self.frame {
            None => Ok(TreeText::Plain(text)),
            Some(mut frame) => {
                frame.append(&text)?;
                Ok(TreeText::Compressed(frame.finish()?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::decompress_bounded;
    use crate::format::{Node, NodeKind};
    use crate::id::Id;

    #[test]
    fn long_text_is_compressed_and_the_same() {
        for (count, level) in [(0, Some(3)), (100, Some(3)), (30_000, Some(3)), (30_000, None)] {
            let mut growing = GrowingTree::new(level);
            let mut writer = TreeWriter::new();
            for number in 0..count {
                let node = Node { name: format!("{number:06}").into_bytes(), ..Node::empty(NodeKind::Fifo) };
                let mut json = Vec::new();
                node.write_json(&mut json);
                growing.push(&node.name, &json).unwrap().unwrap();
                writer.push(&node).unwrap();
            }
            let expected = writer.finish();
            let is_long = expected.len() > PLAIN_BYTES_MAX;
            match growing.finish().unwrap() {
                TreeText::Plain(text) => {
                    assert!(!is_long || level.is_none());
                    assert!(text == expected);
                }
                TreeText::Compressed(frame) => {
                    assert!(is_long && level.is_some());
                    assert_eq!((frame.id, frame.plaintext_bytes), (Id::of(&expected), expected.len() as u64));
                    assert!(decompress_bounded(&frame.bytes, expected.len()).unwrap() == expected);
                }
            }
        }
    }
}
