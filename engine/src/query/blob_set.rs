//! A set of blobs by kind and id: some 40 to 80 bytes a blob.

use hashbrown::HashSet;

use crate::format::BlobKind;
use crate::id::Id;

/// Blobs, each once.
#[derive(Default)]
pub(crate) struct BlobSet {
    data: HashSet<Id>,
    trees: HashSet<Id>,
}

impl BlobSet {
    /// Adds a blob; whether it is new.
    pub fn insert(&mut self, kind: BlobKind, id: Id) -> bool {
        match kind {
            BlobKind::Data => self.data.insert(id),
            BlobKind::Tree => self.trees.insert(id),
        }
    }

    /// Whether the blob is in it.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        match kind {
            BlobKind::Data => self.data.contains(id),
            BlobKind::Tree => self.trees.contains(id),
        }
    }

    /// All, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (BlobKind, Id)> + '_ {
        let data = self.data.iter().map(|id| (BlobKind::Data, *id));
        data.chain(self.trees.iter().map(|id| (BlobKind::Tree, *id)))
    }
}
