//! The walk over the trees: makes folders, links and devices on its way and plans files.
//!
//! Goes depth first, in the order of names, and keeps the trees of the folders that it is in.
//! A folder that is not selected itself is made once something in it is restored. Files are
//! numbered as they come, alike in every pass of one restore, so that one bit tells which to verify.

mod files;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use rustix::fs::{self, AtFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result, plain_reason};
use crate::format::{Node, NodeKind, TreeEntries};
use crate::id::Id;
use crate::report::Counters;
use crate::restore::hard_links::LinkGroups;
use crate::restore::metadata::Metadata;
use crate::restore::options::{Overwrite, Selected};
use crate::restore::plan::{Batch, FILES_FIRST, FILES_MAX, REFERENCES_MAX};
use crate::restore::subtree::Subtree;
use crate::restore::target_folder::{FolderFault, TargetFolder};
use crate::restore::{Pass, Restorer};

/// Folders inside each other; a repository that claims more is not followed further down.
const DEPTH_MAX: usize = 4096;

/// A folder that the walk is through with: its metadata comes once its files are done.
pub(super) struct LeftFolder {
    pub(super) folder: Arc<TargetFolder>,
    pub(super) metadata: Metadata,
}

/// A set of files by their place in the walk: a bit each.
#[derive(Default)]
pub(super) struct OrdinalSet {
    words: Vec<u64>,
    /// Trees that could not be read, so that no later pass counts their files.
    unreadable_trees: HashSet<Id>,
}

impl OrdinalSet {
    /// Adds a file.
    pub(super) fn insert(&mut self, ordinal: u64) {
        let word = (ordinal / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (ordinal % 64);
        }
    }

    fn contains(&self, ordinal: u64) -> bool {
        self.words.get((ordinal / 64) as usize).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }
}

/// A folder that the walk is in.
struct Frame {
    nodes: TreeEntries,
    place: Place,
    name: Vec<u8>,
    metadata: Option<Metadata>,
    location_length: usize,
    /// Whether its metadata is to be set: it is selected, or something in it was.
    is_restored: bool,
    /// The names of its tree that came so far, if what else stands in the folder is to be deleted.
    kept: Option<HashSet<Vec<u8>>>,
}

/// Where a folder is in the target.
#[derive(Clone)]
enum Place {
    /// Not looked for yet.
    Unknown,
    /// There.
    At(Arc<TargetFolder>),
    /// It is not there and is not made, in a rehearsal.
    Nowhere,
    /// It could not be made, which was told: nothing in it is restored.
    Blocked,
}

/// One walk.
pub(super) struct Walk<'w, 'a> {
    restorer: &'w Restorer<'a>,
    pass: Pass,
    batches: SyncSender<Batch>,
    batch: Batch,
    batch_files_max: usize,
    frames: Vec<Frame>,
    location: Vec<u8>,
    links: LinkGroups,
    ordinal: u64,
}

impl<'w, 'a> Walk<'w, 'a> {
    /// A walk that gives its batches to `batches`.
    pub(super) fn new(restorer: &'w Restorer<'a>, pass: Pass, batches: SyncSender<Batch>) -> Self {
        Self {
            restorer,
            pass,
            batches,
            batch: Batch::default(),
            batch_files_max: FILES_FIRST,
            frames: Vec::new(),
            location: Vec::new(),
            links: LinkGroups::default(),
            ordinal: 0,
        }
    }

    /// Walks all of `what` into the folder `root`.
    pub(super) fn run(mut self, what: &Subtree, root: Option<Arc<TargetFolder>>) -> Result<()> {
        let nodes = self.restorer.repository.read_tree_entries(what.tree)?;
        let place = root.map_or(Place::Nowhere, Place::At);
        let sound = nodes.bad_nodes().is_empty() && what.entry.is_none();
        if what.entry.is_none() {
            self.tell_bad(nodes.bad_nodes());
        }
        self.push_frame(nodes, place, Vec::new(), None, true, sound);
        while let Some(frame) = self.frames.last_mut() {
            self.restorer.checkpoint()?;
            let length = frame.location_length;
            let node = frame.nodes.next();
            if let (Some(kept), Some(node)) = (&mut frame.kept, &node) {
                kept.insert(node.name.clone());
            }
            match node {
                Some(node) if self.is_beside(&node, what) => {}
                Some(node) => {
                    self.location.truncate(length);
                    self.location.push(b'/');
                    self.location.extend_from_slice(&node.name);
                    self.visit(node)?;
                }
                None => {
                    self.location.truncate(length);
                    self.leave()?;
                }
            }
        }
        self.send_batch();
        if self.pass == Pass::Write || self.pass == Pass::Rehearse {
            self.restorer.counters.finish_totals();
        }
        Ok(())
    }

    /// Whether a single entry is restored, and this is another one of its folder.
    fn is_beside(&self, node: &Node, what: &Subtree) -> bool {
        self.frames.len() == 1 && what.entry.as_ref().is_some_and(|name| node.name != *name)
    }

    fn push_frame(
        &mut self,
        nodes: TreeEntries,
        place: Place,
        name: Vec<u8>,
        metadata: Option<Metadata>,
        is_restored: bool,
        is_sound: bool,
    ) {
        let wants_kept = self.restorer.options.delete && is_sound && self.pass != Pass::Verify;
        self.frames.push(Frame {
            nodes,
            place,
            name,
            metadata,
            location_length: self.location.len(),
            is_restored,
            kept: wants_kept.then(HashSet::new),
        });
    }

    fn visit(&mut self, mut node: Node) -> Result<()> {
        let selected = self.restorer.options.selected(&self.location, node.kind == NodeKind::Dir);
        if node.kind == NodeKind::Dir {
            return self.enter(node, selected);
        }
        if !selected.itself {
            return Ok(());
        }
        match node.kind {
            NodeKind::File => self.visit_file(node),
            _ if self.pass == Pass::Verify => Ok(()),
            NodeKind::Socket => {
                self.restorer.problems.note(self.shown(), "sockets are not restored");
                Ok(())
            }
            NodeKind::Irregular => {
                self.problem("it is of a kind that cannot be restored");
                Ok(())
            }
            _ => {
                let place = self.folder_here()?;
                let Some(found) = self.look_at(&place, &node.name) else { return Ok(()) };
                if !self.may_replace(found.as_ref(), &Metadata::of(&mut node.clone())) {
                    Counters::add(&self.restorer.tally.skipped, 1);
                    return Ok(());
                }
                match (self.pass, place) {
                    (Pass::Write, Place::At(folder)) => self.restorer.make_entry(&folder, &mut node),
                    _ => {
                        Counters::add(&self.restorer.tally.others, 1);
                        Ok(())
                    }
                }
            }
        }
    }

    fn enter(&mut self, mut node: Node, selected: Selected) -> Result<()> {
        if !selected.itself && !selected.below {
            return Ok(());
        }
        let Some(tree) = node.subtree else {
            self.problem("the folder has no tree: nothing in it is restored");
            return Ok(());
        };
        if self.frames.len() >= DEPTH_MAX {
            self.problem(format!("it is more than {DEPTH_MAX} folders deep: nothing in it is restored"));
            return Ok(());
        }
        let (nodes, is_sound) = if selected.below { self.read(tree)? } else { (TreeEntries::none(), false) };
        let metadata = Metadata::of(&mut node);
        self.push_frame(nodes, Place::Unknown, node.name, Some(metadata), selected.itself, is_sound);
        if selected.itself {
            self.folder_here()?;
        }
        Ok(())
    }

    /// The sound nodes of a tree, and whether these are all.
    fn read(&mut self, tree: Id) -> Result<(TreeEntries, bool)> {
        if self.restorer.restored.lock().unreadable_trees.contains(&tree) {
            if self.pass != Pass::Verify {
                self.problem("the folder's content cannot be read, as told before of the same content");
            }
            return Ok((TreeEntries::none(), false));
        }
        match self.restorer.repository.read_tree_entries(tree) {
            Ok(nodes) => {
                self.tell_bad(nodes.bad_nodes());
                let is_sound = nodes.bad_nodes().is_empty();
                Ok((nodes, is_sound))
            }
            // What could be read before and cannot now would make the count of files wrong.
            Err(error) if self.pass == Pass::Verify || self.restorer.ends_all(&error) => Err(error),
            Err(error) => {
                self.restorer.restored.lock().unreadable_trees.insert(tree);
                self.problem(format!("the folder's content cannot be read: {error}"));
                Ok((TreeEntries::none(), false))
            }
        }
    }

    fn leave(&mut self) -> Result<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let Place::At(folder) = frame.place else {
            if frame.is_restored && matches!(frame.place, Place::Nowhere) && !self.frames.is_empty() {
                Counters::add(&self.restorer.tally.folders, 1);
            }
            return Ok(());
        };
        if let Some(kept) = frame.kept
            && frame.is_restored
            && !folder.is_new()
        {
            let is_kept = |name: &[u8]| kept.contains(name);
            self.restorer.delete_surplus(&folder, &self.location, is_kept, self.pass == Pass::Rehearse)?;
        }
        let Some(metadata) = frame.metadata.filter(|_| frame.is_restored) else { return Ok(()) };
        match self.pass {
            Pass::Write => self.batch.folders.push(LeftFolder { folder, metadata }),
            Pass::Rehearse => Counters::add(&self.restorer.tally.folders, 1),
            Pass::Verify => {}
        }
        self.send_if_full();
        Ok(())
    }

    /// The innermost folder, made with those around it if it is not there.
    fn folder_here(&mut self) -> Result<Place> {
        let known = self.frames.iter().rposition(|frame| !matches!(frame.place, Place::Unknown));
        let mut at = known.unwrap_or(0);
        while at + 1 < self.frames.len() {
            let place = match &self.frames[at].place {
                Place::At(parent) => self.find_or_make(&parent.clone(), at + 1)?,
                Place::Unknown | Place::Nowhere => Place::Nowhere,
                Place::Blocked => Place::Blocked,
            };
            at += 1;
            self.frames[at].place = place;
        }
        // What is restored changes all folders around it.
        for frame in self.frames.iter_mut().rev().take_while(|frame| !frame.is_restored) {
            frame.is_restored = true;
        }
        Ok(self.frames.last().map_or(Place::Nowhere, |frame| frame.place.clone()))
    }

    fn find_or_make(&self, parent: &Arc<TargetFolder>, frame: usize) -> Result<Place> {
        let name = &self.frames[frame].name;
        let open = &self.restorer.folders;
        if self.pass != Pass::Write {
            return Ok(parent.find(name, open).ok().flatten().map_or(Place::Nowhere, Place::At));
        }
        let why = match parent.make(name, self.restorer.options.overwrite != Overwrite::Never, open) {
            Ok(folder) => return Ok(Place::At(folder)),
            Err(FolderFault::Failed(what, error @ (Errno::NOSPC | Errno::DQUOT))) => {
                return Err(Error::local(what, parent.path_of(name), error));
            }
            Err(FolderFault::InTheWay(why)) => why.into(),
            Err(FolderFault::Failed(what, error)) => {
                format!("cannot {what}: {}", plain_reason(&error.into()))
            }
        };
        self.restorer.problems.error(parent.location_of(name), format!("{why}; nothing in it is restored"));
        Ok(Place::Blocked)
    }

    /// What stands at a place; the outer `None` if nothing can be restored there.
    fn look_at(&self, place: &Place, name: &[u8]) -> Option<Option<Stat>> {
        let folder = match place {
            Place::At(folder) if !folder.is_new() => folder,
            Place::At(_) | Place::Nowhere | Place::Unknown => return Some(None),
            Place::Blocked => return None,
        };
        let found = folder.open(&self.restorer.folders);
        match found.and_then(|parent| fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(found) => Some(Some(found)),
            Err(Errno::NOENT) => Some(None),
            Err(error) => {
                self.problem(format!("cannot look at its place: {}", plain_reason(&error.into())));
                None
            }
        }
    }

    fn may_replace(&self, found: Option<&Stat>, metadata: &Metadata) -> bool {
        let Some(found) = found else { return true };
        match self.restorer.options.overwrite {
            Overwrite::Always | Overwrite::IfChanged => true,
            Overwrite::IfNewer => metadata.is_newer_than(found),
            Overwrite::Never => false,
        }
    }

    fn send_if_full(&mut self) {
        let batch = &self.batch;
        if batch.files.len() >= self.batch_files_max
            || batch.references.len() >= REFERENCES_MAX
            || batch.links.len() >= FILES_MAX
            || batch.folders.len() >= FILES_MAX
        {
            self.send_batch();
        }
    }

    /// Whoever takes batches ends the walk at its next checkpoint if it takes no more.
    fn send_batch(&mut self) {
        if !self.batch.is_empty() {
            let _ = self.batches.send(std::mem::take(&mut self.batch));
            self.batch_files_max = (self.batch_files_max * 2).min(FILES_MAX);
        }
    }

    fn tell_bad(&self, bad_nodes: &[crate::format::BadNode]) {
        if self.pass != Pass::Verify {
            for bad in bad_nodes {
                self.problem(format!("an entry is not restored: {bad}"));
            }
        }
    }

    fn problem(&self, why: impl Into<String>) {
        self.restorer.problems.error(self.shown(), why);
    }

    fn shown(&self) -> String {
        if self.location.is_empty() {
            "/".into()
        } else {
            String::from_utf8_lossy(&self.location).into_owned()
        }
    }
}
