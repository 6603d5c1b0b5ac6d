//! Entries without content: symbolic links, pipes, devices; and what may stand in the place of an entry.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::error::{Error, Result, plain_reason};
use crate::format::{Node, NodeKind};
use crate::report::Counters;
use crate::restore::Restorer;
use crate::restore::metadata::{Entry, Metadata, MetadataFault};
use crate::restore::target_folder::TargetFolder;

impl Restorer<'_> {
    /// Makes a link, pipe or device, in place of what has its name.
    pub(super) fn make_entry(&self, folder: &Arc<TargetFolder>, node: &mut Node) -> Result<()> {
        let made = folder.open(&self.folders).and_then(|parent| {
            match self.create(&parent, node) {
                Err(Errno::EXIST) => {
                    self.clear_place(&parent, &node.name)?;
                    self.create(&parent, node)?;
                }
                other => other?,
            }
            Ok(parent)
        });
        let parent = match made {
            Ok(parent) => parent,
            Err(error) => {
                let what = match node.kind {
                    NodeKind::Symlink => "make the symbolic link",
                    NodeKind::Fifo => "make the pipe",
                    _ => "make the device",
                };
                return self.entry_failed(folder, &node.name, what, error);
            }
        };
        let metadata = Metadata::of(node);
        let faults = metadata.put_on(Entry::Named(&parent, &node.name, node.kind), self.is_root);
        self.tell_faults(folder, &node.name, faults);
        Counters::add(&self.tally.others, 1);
        Ok(())
    }

    fn create(&self, parent: &OwnedFd, node: &Node) -> Result<(), Errno> {
        let name = node.name.as_slice();
        let mode = Mode::RUSR | Mode::WUSR;
        match node.kind {
            NodeKind::Symlink => fs::symlinkat(node.link_target.as_slice(), parent, name),
            NodeKind::Fifo => fs::mknodat(parent, name, FileType::Fifo, mode, 0),
            NodeKind::Device => fs::mknodat(parent, name, FileType::BlockDevice, mode, node.device),
            NodeKind::CharDevice => fs::mknodat(parent, name, FileType::CharacterDevice, mode, node.device),
            _ => Err(Errno::INVAL),
        }
    }

    /// Removes what has the name of an entry to be made: a link as such, a folder only if it is empty.
    pub(super) fn clear_place(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        match fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(parent, name, AtFlags::REMOVEDIR),
            other => other,
        }
    }

    /// An entry could not be made or written: it is named, and only a full disk ends the restore.
    pub(super) fn entry_failed(
        &self,
        folder: &TargetFolder,
        name: &[u8],
        what: &'static str,
        error: Errno,
    ) -> Result<()> {
        if matches!(error, Errno::NOSPC | Errno::DQUOT) {
            let path: PathBuf = folder.path_of(name);
            return Err(Error::local(what, path, error));
        }
        let why = match error {
            Errno::NOTEMPTY => "a folder that is not empty stands in its place".into(),
            Errno::LOOP => format!("cannot {what}: a symbolic link stands in the way"),
            Errno::STALE => format!("cannot {what}: the file was replaced meanwhile"),
            _ => format!("cannot {what}: {}", plain_reason(&error.into())),
        };
        self.problems.error(folder.location_of(name), why);
        Ok(())
    }

    /// Tells what of an entry's metadata could not be set. Owners are only counted where
    /// nothing else could be expected, as there may be one for every file.
    pub(super) fn tell_faults(&self, folder: &TargetFolder, name: &[u8], faults: Vec<MetadataFault>) {
        for fault in faults {
            if fault.is_expected && fault.what == "set the owner" {
                Counters::add(&self.tally.owners_not_set, 1);
                continue;
            }
            let why = format!("cannot {}: {}", fault.what, plain_reason(&fault.error.into()));
            let location = folder.location_of(name);
            if fault.is_expected {
                self.problems.note(location, why)
            } else {
                self.problems.error(location, why)
            }
        }
    }
}
