//! One entry of a tree: a file, folder, link or device with its metadata.

use std::sync::Arc;

use crate::format::timestamp::Timestamp;
use crate::id::Id;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Device,
    /// A character device.
    CharDevice,
    /// A named pipe.
    Fifo,
    /// A socket; restic names the kind, nobody stores its content.
    Socket,
    /// Anything else that a repository may name; never restored.
    Irregular,
}

/// Go's `fs.FileMode` bits beyond the nine of Unix permissions (io/fs, `ModeDir` and following).
pub mod go_mode {
    /// A folder.
    pub const DIR: u32 = 1 << 31;
    /// A symbolic link.
    pub const SYMLINK: u32 = 1 << 27;
    /// A device; with `CHAR_DEVICE` a character device.
    pub const DEVICE: u32 = 1 << 26;
    /// A named pipe.
    pub const NAMED_PIPE: u32 = 1 << 25;
    /// A socket.
    pub const SOCKET: u32 = 1 << 24;
    /// Set-user-id.
    pub const SETUID: u32 = 1 << 23;
    /// Set-group-id.
    pub const SETGID: u32 = 1 << 22;
    /// A character device.
    pub const CHAR_DEVICE: u32 = 1 << 21;
    /// The sticky bit.
    pub const STICKY: u32 = 1 << 20;
    /// Something else.
    pub const IRREGULAR: u32 = 1 << 19;
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// Its full name, name space included (`user.comment`).
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// One entry of a tree (restic: `internal/data/node.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The raw name, without its folder; any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// What the entry is.
    pub kind: NodeKind,
    /// Go's `fs.FileMode`, see [`go_mode`].
    pub mode: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last access; equals `mtime` unless asked for, as in restic.
    pub atime: Timestamp,
    /// Last change of the content or of the metadata.
    pub ctime: Timestamp,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Name of the owner, empty if unknown.
    pub user: Arc<str>,
    /// Name of the group, empty if unknown.
    pub group: Arc<str>,
    /// Inode number.
    pub inode: u64,
    /// Device that holds the entry; kept only where `links` > 1 and not for folders.
    pub device_id: u64,
    /// Bytes of content; zero but for files.
    pub size: u64,
    /// Hard links.
    pub links: u64,
    /// Target of a symbolic link, any bytes.
    pub link_target: Vec<u8>,
    /// Extended attributes in the order the system lists them.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// Windows attributes as stored: kept as they are, never interpreted. JSON text of an object, empty if none.
    pub generic_attributes: String,
    /// Device number of a device node, as `st_rdev`.
    pub device: u64,
    /// Data blobs in order; `None` (JSON `null`) but for files.
    pub content: Option<Vec<Id>>,
    /// The tree blob of a folder.
    pub subtree: Option<Id>,
    /// What restic noted while reading the entry; empty as a rule.
    pub error: String,
}
