//! What stands in a restored folder and is not in the snapshot: deleted if that was asked for.
//!
//! Nothing is deleted in a folder of which a name could not be read. Links are deleted as such.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Dir, FileType};
use rustix::io::Errno;

use crate::error::Result;
use crate::report::Counters;
use crate::restore::Restorer;
use crate::restore::target_folder::{TargetFolder, open_folder};

/// Folders inside each other that are deleted; each takes a descriptor while it is.
const DEPTH_MAX: usize = 256;

impl Restorer<'_> {
    /// Deletes what `is_kept` does not know and the selection takes. `location` is the folder's
    /// path in the snapshot. With `rehearse` nothing is deleted, only counted.
    pub(super) fn delete_surplus(
        &self,
        folder: &Arc<TargetFolder>,
        location: &[u8],
        is_kept: impl Fn(&[u8]) -> bool,
        rehearse: bool,
    ) -> Result<()> {
        let listed =
            folder.open(&self.folders).and_then(|descriptor| Ok((names_in(&descriptor)?, descriptor)));
        let (names, descriptor) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.entry_failed(folder, b"", "list", error),
        };
        for name in names.into_iter().filter(|name| !is_kept(name)) {
            self.checkpoint()?;
            let mut path = location.to_vec();
            path.push(b'/');
            path.extend_from_slice(&name);
            if !self.options.selected(&path, false).itself {
                continue;
            }
            let deleted = if rehearse { Ok(()) } else { delete(&descriptor, &name, DEPTH_MAX) };
            match deleted {
                Ok(()) => Counters::add(&self.tally.deleted, 1),
                Err(error) => self.entry_failed(folder, &name, "delete", error)?,
            }
        }
        Ok(())
    }
}

fn names_in(folder: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn delete(parent: &OwnedFd, name: &[u8], depth_left: usize) -> Result<(), Errno> {
    let found = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return fs::unlinkat(parent, name, AtFlags::empty());
    }
    if depth_left == 0 {
        return Err(Errno::NAMETOOLONG);
    }
    let folder = open_folder(parent, name)?;
    for inner in names_in(&folder)? {
        delete(&folder, &inner, depth_left - 1)?;
    }
    fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}
