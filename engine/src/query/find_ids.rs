//! Where blobs and trees are used: in which file or folder of which snapshot.
//!
//! A pack is looked for by what it holds. What is below a tree does not depend on where it
//! stands, so a tree in which nothing was found is never looked at again.

use hashbrown::HashSet;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{BlobKind, NodeKind, Snapshot};
use crate::id::Id;
use crate::query::BlobSet;
use crate::query::find::FindSink;
use crate::query::walk::{Descent, Unreadable, Visitor, WalkedEntry, walk};
use crate::repository::{FileKind, ListedFile, Repository, read_header};

/// The beginning of an id, 8 to 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Reads the digits, in either case.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is no id.
    pub fn parse(text: &str) -> Result<Self> {
        if (8..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Error::Invalid(format!("{text:?} is no id: give 8 to 64 hexadecimal digits")))
    }

    fn begins(&self, hex: &str) -> bool {
        hex.starts_with(&self.0)
    }
}

/// Which blobs are looked for.
#[derive(Default)]
pub struct WantedObjects {
    data: Vec<IdPrefix>,
    trees: Vec<IdPrefix>,
    whole: BlobSet,
    whole_count: usize,
    any_tree: bool,
}

impl WantedObjects {
    /// Data blobs, as they stand in files.
    pub fn data_blobs(prefixes: Vec<IdPrefix>) -> Self {
        Self { data: prefixes, ..Self::default() }
    }

    /// Trees, as they stand for folders.
    pub fn trees(prefixes: Vec<IdPrefix>) -> Self {
        Self { any_tree: !prefixes.is_empty(), trees: prefixes, ..Self::default() }
    }

    /// All blobs of these packs: by the packs' own headers, or by the index where a pack is
    /// lost or damaged.
    ///
    /// # Errors
    /// [`Error::NotFound`] names a pack that neither the store nor the index has.
    pub fn blobs_of_packs(repository: &Repository, prefixes: &[IdPrefix], control: &Control) -> Result<Self> {
        let mut wanted = Self::default();
        let mut missing: Vec<&IdPrefix> = Vec::new();
        let mut listed: Vec<ListedFile> = Vec::new();
        repository.files().list(FileKind::Pack, |file| {
            let hex = file.id.to_hex();
            if prefixes.iter().any(|prefix| prefix.begins(&hex)) {
                listed.push(file);
            }
        })?;
        for prefix in prefixes {
            control.checkpoint()?;
            let packs = listed.iter().filter(|file| prefix.begins(&file.id.to_hex()));
            let mut found = false;
            for pack in packs {
                found |= wanted.add_pack(repository, pack)?;
            }
            if !found {
                missing.push(prefix);
            }
        }
        wanted.add_indexed(repository, &missing)?;
        Ok(wanted)
    }

    /// Whether the pack's header could be read.
    fn add_pack(&mut self, repository: &Repository, pack: &ListedFile) -> Result<bool> {
        let path = FileKind::Pack.path(pack.id);
        let store = repository.files().store();
        let header = read_header(&path, pack.size_bytes, repository.files().key(), |bytes| {
            store.read_range(&path, pack.size_bytes - bytes.min(pack.size_bytes)..pack.size_bytes)
        });
        match header {
            Ok(blobs) => {
                blobs.iter().for_each(|blob| self.add(blob.kind, blob.id));
                Ok(true)
            }
            Err(error) if matches!(error, Error::Damaged { .. }) || error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn add_indexed(&mut self, repository: &Repository, prefixes: &[&IdPrefix]) -> Result<()> {
        let mut found = vec![false; prefixes.len()];
        if prefixes.is_empty() {
            return Ok(());
        }
        for place in repository.index().blobs() {
            let hex = place.pack.to_hex();
            if let Some(position) = prefixes.iter().position(|prefix| prefix.begins(&hex)) {
                found[position] = true;
                self.add(place.blob.kind, place.blob.id);
            }
        }
        match found.iter().position(|found| !found) {
            Some(position) => Err(Error::NotFound { what: format!("pack {}", prefixes[position].0) }),
            None => Ok(()),
        }
    }

    fn add(&mut self, kind: BlobKind, id: Id) {
        self.any_tree |= kind == BlobKind::Tree;
        self.whole_count += usize::from(self.whole.insert(kind, id));
    }

    fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        if self.whole.contains(kind, id) {
            return true;
        }
        let prefixes = match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        };
        if prefixes.is_empty() {
            return false;
        }
        let hex = id.to_hex();
        prefixes.iter().any(|prefix| prefix.begins(&hex))
    }

    fn wants_data(&self) -> bool {
        !self.data.is_empty() || self.whole_count > 0
    }
}

/// A use of a wanted blob.
pub struct ObjectFound<'a> {
    /// Data or tree.
    pub kind: BlobKind,
    /// Its whole id.
    pub id: Id,
    /// The file that holds it, or the folder that it stands for.
    pub path: &'a [u8],
    /// The tree in which that entry stands; `None` for the top.
    pub parent_tree: Option<Id>,
}

/// Searches the snapshots in the order given, and tells every place, a file's once for each blob.
/// (restic tells a blob that stands twice in a file twice, and ends a snapshot after the
/// first place of each tree.)
pub fn find_objects(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    wanted: &WantedObjects,
    control: &Control,
    sink: &mut dyn for<'a> FindSink<ObjectFound<'a>>,
) -> Result<()> {
    let mut fruitless = HashSet::new();
    for (snapshot_id, snapshot) in snapshots {
        let mut finder = ObjectFinder {
            wanted,
            snapshot: *snapshot_id,
            open: vec![(snapshot.tree, false)],
            fruitless: &mut fruitless,
            sink,
        };
        finder.see_tree(snapshot.tree, b"/", None)?;
        if !finder.fruitless.contains(&snapshot.tree) {
            walk(repository, snapshot.tree, b"/", control, &mut finder)?;
        }
    }
    Ok(())
}

struct ObjectFinder<'a, 's> {
    wanted: &'a WantedObjects,
    snapshot: Id,
    /// The trees being searched, and whether something below them is of interest.
    open: Vec<(Id, bool)>,
    fruitless: &'a mut HashSet<Id>,
    sink: &'s mut dyn for<'e> FindSink<ObjectFound<'e>>,
}

impl ObjectFinder<'_, '_> {
    fn see_tree(&mut self, tree: Id, path: &[u8], parent_tree: Option<Id>) -> Result<()> {
        if self.wanted.any_tree && self.wanted.contains(BlobKind::Tree, &tree) {
            self.tell(BlobKind::Tree, tree, path, parent_tree)?;
        }
        Ok(())
    }

    fn tell(&mut self, kind: BlobKind, id: Id, path: &[u8], parent_tree: Option<Id>) -> Result<()> {
        // The tree in which the entry stands has something in it; for the top, that is nothing above.
        if parent_tree.is_some() {
            self.mark_fruitful();
        }
        self.sink.found(self.snapshot, &ObjectFound { kind, id, path, parent_tree })
    }

    fn mark_fruitful(&mut self) {
        if let Some((_, fruitful)) = self.open.last_mut() {
            *fruitful = true;
        }
    }
}

impl Visitor for ObjectFinder<'_, '_> {
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent> {
        let parent = Some(entry.parent_tree);
        match entry.node.kind {
            NodeKind::Dir => {
                let tree = entry.node.subtree.unwrap_or(Id([0; 32]));
                self.see_tree(tree, entry.path, parent)?;
                if self.fruitless.contains(&tree) {
                    return Ok(Descent::Skip);
                }
                self.open.push((tree, false));
                Ok(Descent::Into)
            }
            NodeKind::File if self.wanted.wants_data() => {
                let mut told = HashSet::new();
                for id in entry.node.content.as_deref().unwrap_or_default() {
                    if self.wanted.contains(BlobKind::Data, id) && told.insert(*id) {
                        self.tell(BlobKind::Data, *id, entry.path, parent)?;
                    }
                }
                Ok(Descent::Skip)
            }
            _ => Ok(Descent::Skip),
        }
    }

    fn leave(&mut self, _: &[u8]) -> Result<()> {
        let Some((tree, fruitful)) = self.open.pop() else { return Ok(()) };
        if fruitful {
            self.mark_fruitful();
        } else {
            self.fruitless.insert(tree);
        }
        Ok(())
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.mark_fruitful();
        self.sink.unreadable(self.snapshot, unreadable)
    }
}
