//! A file's content, or a folder as a tar archive, written to any `Write`.
//!
//! The archive holds paths from the snapshot's top on, as restic's does; the folder itself is no
//! entry of it. Hard links are files of their own. Sockets and entries of unknown kinds have no
//! place in an archive: they are told, like entries that cannot be read.

use std::io::Write;
use std::path::Path;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Node, NodeKind};
use crate::id::Id;
use crate::query::content::{content_bytes, of_file, write_content};
use crate::query::lookup::{Place, find_place};
use crate::query::tar::{EntryKind, TarEntry, TarWriter};
use crate::query::walk::{Descent, Unreadable, Visitor, WalkedEntry, walk};
use crate::repository::Repository;
use crate::source::clean_path::clean;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumped {
    /// A file's content.
    File {
        /// How long it is.
        bytes: u64,
    },
    /// A tar archive.
    Archive {
        /// Entries in it.
        entries: u64,
    },
}

/// Whether the path names a folder, of which an archive would be made: to be asked before
/// [`dump`] by who would not send that to a terminal.
pub fn is_archive(repository: &Repository, tree: Id, path: &[u8], control: &Control) -> Result<bool> {
    Ok(match find_place(repository, tree, path, control)? {
        Place::Root(_) => true,
        Place::Entry(node) => node.kind == NodeKind::Dir,
    })
}

/// Writes what stands at `path` below `tree`.
///
/// # Errors
/// [`Error::NotFound`] if nothing stands there, [`Error::Invalid`] if it is neither file nor folder.
/// [`Error::Damaged`] names the file whose content cannot be read; what is written until then is
/// no whole file or archive. A tree that cannot be read is told to `unreadable`, the rest is written.
pub fn dump(
    repository: &Repository,
    tree: Id,
    path: &[u8],
    out: &mut dyn Write,
    control: &Control,
    unreadable: &mut dyn FnMut(Unreadable) -> Result<()>,
) -> Result<Dumped> {
    let node = match find_place(repository, tree, path, control)? {
        Place::Root(tree) => return dump_tree(repository, tree, b"/", out, control, unreadable),
        Place::Entry(node) => node,
    };
    let shown = String::from_utf8_lossy(path);
    match node.kind {
        NodeKind::File => {
            let bytes = content_bytes(repository, &node, Path::new(&*shown))?;
            write_content(repository, &node, path, out, control)?;
            out.flush().map_err(|error| Error::local("write", &*shown, error))?;
            Ok(Dumped::File { bytes })
        }
        NodeKind::Dir => {
            let tree = node.subtree.ok_or_else(|| Error::damaged(&*shown, "the folder names no tree"))?;
            let root = clean(&[b"/", path].concat());
            dump_tree(repository, tree, &root, out, control, unreadable)
        }
        other => Err(Error::Invalid(format!("{shown} is a {}, neither file nor folder", other.name()))),
    }
}

fn dump_tree(
    repository: &Repository,
    tree: Id,
    root: &[u8],
    out: &mut dyn Write,
    control: &Control,
    unreadable: &mut dyn FnMut(Unreadable) -> Result<()>,
) -> Result<Dumped> {
    let mut archiver = Archiver { repository, tar: TarWriter::new(out), entries: 0, control, unreadable };
    walk(repository, tree, root, control, &mut archiver)?;
    let entries = archiver.entries;
    archiver.tar.finish().map_err(|error| Error::local("write", "the archive", error))?;
    Ok(Dumped::Archive { entries })
}

struct Archiver<'a> {
    repository: &'a Repository,
    tar: TarWriter<&'a mut dyn Write>,
    entries: u64,
    control: &'a Control,
    unreadable: &'a mut dyn FnMut(Unreadable) -> Result<()>,
}

impl Visitor for Archiver<'_> {
    fn entry(&mut self, walked: &WalkedEntry<'_>) -> Result<Descent> {
        let (path, node) = (walked.path, walked.node);
        let Some(kind) = entry_kind(node.kind) else {
            let why = format!("a {} has no place in an archive", node.kind.name());
            let error = Error::Invalid(format!("{}: {why}", String::from_utf8_lossy(path)));
            (self.unreadable)(Unreadable { path: path.to_vec(), error })?;
            return Ok(Descent::Into);
        };
        let failed = |error| Error::local("write", String::from_utf8_lossy(path).into_owned(), error);
        let size = match kind {
            EntryKind::File => {
                content_bytes(self.repository, node, Path::new(&*String::from_utf8_lossy(path)))?
            }
            _ => 0,
        };
        self.tar.begin_entry(&tar_entry(path, node, kind, size)).map_err(failed)?;
        if size > 0 {
            write_content(self.repository, node, path, &mut self.tar.content(), self.control)?;
        }
        self.tar.end_entry().map_err(failed)?;
        self.entries += 1;
        Ok(Descent::Into)
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        let error = of_file(&unreadable.path, unreadable.error);
        (self.unreadable)(Unreadable { path: unreadable.path, error })
    }
}

fn entry_kind(kind: NodeKind) -> Option<EntryKind> {
    match kind {
        NodeKind::File => Some(EntryKind::File),
        NodeKind::Dir => Some(EntryKind::Folder),
        NodeKind::Symlink => Some(EntryKind::Symlink),
        NodeKind::Device => Some(EntryKind::BlockDevice),
        NodeKind::CharDevice => Some(EntryKind::CharDevice),
        NodeKind::Fifo => Some(EntryKind::Fifo),
        NodeKind::Socket | NodeKind::Irregular => None,
    }
}

fn tar_entry<'a>(path: &'a [u8], node: &'a Node, kind: EntryKind, size: u64) -> TarEntry<'a> {
    TarEntry {
        path: path.strip_prefix(b"/").unwrap_or(path),
        kind,
        permissions: node.permissions(),
        uid: node.uid,
        gid: node.gid,
        user: &node.user,
        group: &node.group,
        size,
        mtime: node.mtime,
        link_target: if kind == EntryKind::Symlink { &node.link_target } else { &[] },
        device: device_numbers(node.device),
        extended_attributes: node
            .extended_attributes
            .iter()
            .map(|attribute| (attribute.name.as_str(), attribute.value.as_slice()))
            .collect(),
    }
}

/// Major and minor number as Linux packs them into `st_rdev`, cut to what the kernel has: 12 and 20 bits.
fn device_numbers(device: u64) -> (u32, u32) {
    let major = (device >> 8 & 0xfff) as u32;
    let minor = (device & 0xff | device >> 12 & 0xf_ff00) as u32;
    (major, minor)
}

#[cfg(test)]
mod tests;
