//! Hard links: the first name of a file is restored, the others are linked to it.
//!
//! A link is only ever made to a file that this restore wrote or found whole, and that is still
//! the same file. Nodes are one file if inode and device say so and their content is the
//! same: where they differ in content, each is restored by itself.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use parking_lot::Mutex;
use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use crate::error::Result;
use crate::format::Node;
use crate::report::Counters;
use crate::restore::Restorer;
use crate::restore::target_folder::TargetFolder;

/// A file with several names.
pub(super) struct LinkGroup {
    folder: Arc<TargetFolder>,
    name: Box<[u8]>,
    /// Device and inode, once it is restored.
    pub(super) restored: Mutex<Option<(u64, u64)>>,
}

/// A further name of a file.
pub(super) struct PlannedLink {
    pub(super) folder: Arc<TargetFolder>,
    pub(super) name: Box<[u8]>,
    pub(super) group: Arc<LinkGroup>,
}

/// The groups whose further names are still to come.
#[derive(Default)]
pub(super) struct LinkGroups {
    groups: HashMap<(u64, u64, u64), (Arc<LinkGroup>, u64)>,
    rehearsed: HashSet<(u64, u64, u64)>,
    hashing: DefaultHashBuilder,
}

impl LinkGroups {
    /// The group of a node that was seen before under another name. Once as many names were
    /// seen as the node has links the group is forgotten.
    pub(super) fn known(&mut self, node: &Node) -> Option<Arc<LinkGroup>> {
        let key = self.key(node)?;
        let (group, names_left) = self.groups.get_mut(&key)?;
        let group = group.clone();
        *names_left -= 1;
        if *names_left == 0 {
            self.groups.remove(&key);
        }
        Some(group)
    }

    /// Makes the group of a node whose first name this is.
    pub(super) fn begin(&mut self, node: &Node, folder: &Arc<TargetFolder>) -> Option<Arc<LinkGroup>> {
        let key = self.key(node)?;
        let name = node.name.as_slice().into();
        let group = Arc::new(LinkGroup { folder: folder.clone(), name, restored: Mutex::new(None) });
        self.groups.insert(key, (group.clone(), node.links - 1));
        Some(group)
    }

    /// For a rehearsal: whether the node's file was seen before under another name.
    pub(super) fn is_repeated(&mut self, node: &Node) -> bool {
        self.key(node).is_some_and(|key| !self.rehearsed.insert(key))
    }

    fn key(&self, node: &Node) -> Option<(u64, u64, u64)> {
        if node.links < 2 {
            return None;
        }
        Some((node.inode, node.device_id, self.hashing.hash_one(&node.content)))
    }
}

impl Restorer<'_> {
    /// Makes one link, unless it is there already.
    pub(super) fn make_link(&self, link: &PlannedLink) -> Result<()> {
        self.checkpoint()?;
        let Some(identity) = *link.group.restored.lock() else {
            let first = link.group.folder.location_of(&link.group.name);
            let why = format!("it is a link to {first}, which could not be restored");
            self.problems.error(link.folder.location_of(&link.name), why);
            return Ok(());
        };
        match self.link(link, identity) {
            Ok(()) => Counters::add(&self.tally.others, 1),
            Err(error) => self.entry_failed(&link.folder, &link.name, "make the hard link", error)?,
        }
        Counters::add(&self.counters.files_done, 1);
        Ok(())
    }

    fn link(&self, link: &PlannedLink, identity: (u64, u64)) -> Result<(), Errno> {
        let group = &link.group;
        let from = group.folder.open(&self.folders)?;
        let to = link.folder.open(&self.folders)?;
        let identity_of = |folder, name: &[u8]| {
            let found = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok::<_, Errno>((found.st_dev, found.st_ino))
        };
        if identity_of(&*from, &group.name)? != identity {
            return Err(Errno::STALE);
        }
        let make = || fs::linkat(&*from, &*group.name, &*to, &*link.name, AtFlags::empty());
        match make() {
            Err(Errno::EXIST) if identity_of(&*to, &link.name)? == identity => Ok(()),
            Err(Errno::EXIST) => {
                self.clear_place(&to, &link.name)?;
                make()
            }
            other => other,
        }
    }
}
