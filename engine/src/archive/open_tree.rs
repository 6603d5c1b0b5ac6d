//! A folder whose entries are being backed up: closes itself when the last one is done.
//!
//! Entries are numbered in name order as they are listed and may finish in any
//! order; each is kept only as its JSON, and joined to the tree as soon as those
//! before it are there.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::archive::tree_text::{GrowingTree, TreeText};
use crate::error::Result;
use crate::format::Node;

/// A place in a tree for one entry.
pub(super) struct Slot {
    /// The folder.
    pub tree: Arc<OpenTree>,
    /// The entry's number in it.
    pub number: usize,
}

/// A folder being backed up.
pub(super) struct OpenTree {
    /// Where its own entry goes; `None` for the top.
    pub parent: Option<ParentSlot>,
    /// The folder as a person knows it.
    pub path: String,
    state: Mutex<State>,
}

/// Where a folder's own entry goes once its tree is stored.
pub(super) struct ParentSlot {
    /// The place.
    pub slot: Slot,
    /// The folder's metadata, without its subtree.
    pub node: Node,
    /// The tree that the parent snapshot has there, if any.
    pub previous: Option<crate::id::Id>,
}

struct State {
    /// `None` once it was finished.
    growing: Option<GrowingTree>,
    /// Entries `next..`, `None` while they are not done.
    waiting: VecDeque<Option<EncodedEntry>>,
    next: usize,
    listed_all: bool,
}

struct EncodedEntry {
    name: Box<[u8]>,
    /// Empty if the entry is left out.
    json: Box<[u8]>,
}

impl OpenTree {
    /// `level` is what a long tree is compressed with as it comes, if it may be.
    pub(super) fn new(parent: Option<ParentSlot>, path: String, level: Option<i32>) -> Arc<Self> {
        let growing = Some(GrowingTree::new(level));
        let state = State { growing, waiting: VecDeque::new(), next: 0, listed_all: false };
        Arc::new(Self { parent, path, state: Mutex::new(state) })
    }

    /// Makes a place for the next entry in name order.
    pub(super) fn add_slot(self: &Arc<Self>) -> Slot {
        let mut state = self.state.lock();
        state.waiting.push_back(None);
        Slot { tree: self.clone(), number: state.next + state.waiting.len() - 1 }
    }

    /// Whether any entry was listed.
    pub(super) fn has_entries(&self) -> bool {
        let state = self.state.lock();
        state.next + state.waiting.len() > 0
    }

    /// No more entries will come. Returns the tree if all are done.
    pub(super) fn finish_listing(&self) -> Result<Option<TreeText>> {
        let mut state = self.state.lock();
        state.listed_all = true;
        take_if_done(&mut state)
    }
}

impl Slot {
    /// The entry is done; `None` leaves it out. Returns the tree if it was the last.
    pub(super) fn fill(&self, node: Option<&Node>) -> Result<Option<TreeText>> {
        let mut json = Vec::new();
        if let Some(node) = node {
            json.reserve(512);
            node.write_json(&mut json);
        }
        let name = node.map(|node| node.name.as_slice()).unwrap_or_default();
        let entry = EncodedEntry { name: name.into(), json: json.into_boxed_slice() };
        let mut state = self.tree.state.lock();
        let position = self.number - state.next;
        state.waiting[position] = Some(entry);
        while let Some(Some(_)) = state.waiting.front() {
            let done = state.waiting.pop_front().flatten();
            state.next += 1;
            if let Some(EncodedEntry { name, json }) = done
                && !json.is_empty()
                && let Some(growing) = &mut state.growing
                && growing.push(&name, &json)?.is_err()
            {
                // Sources promise rising names; one that does not loses the entry, not the folder.
                tracing::error!(path = self.tree.path, "a source gave a folder's entries out of order");
            }
        }
        take_if_done(&mut state)
    }
}

fn take_if_done(state: &mut State) -> Result<Option<TreeText>> {
    if !state.listed_all || !state.waiting.is_empty() {
        return Ok(None);
    }
    state.growing.take().map(GrowingTree::finish).transpose()
}
