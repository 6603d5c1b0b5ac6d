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

impl NodeKind {
    /// The word that a node's `type` holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Symlink => "symlink",
            Self::Device => "dev",
            Self::CharDevice => "chardev",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Irregular => "irregular",
        }
    }

    /// The kind of that word, `None` for any other.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "file" => Self::File,
            "dir" => Self::Dir,
            "symlink" => Self::Symlink,
            "dev" => Self::Device,
            "chardev" => Self::CharDevice,
            "fifo" => Self::Fifo,
            "socket" => Self::Socket,
            "irregular" => Self::Irregular,
            _ => return None,
        })
    }

    /// The kind that Unix's `st_mode` tells.
    pub fn from_unix(st_mode: u32) -> Self {
        match st_mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Dir,
            0o120_000 => Self::Symlink,
            0o060_000 => Self::Device,
            0o020_000 => Self::CharDevice,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            _ => Self::Irregular,
        }
    }
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

    /// Go's mode of Unix's `st_mode`, as Go's `os.Lstat` makes it on Linux.
    pub fn from_unix(st_mode: u32) -> u32 {
        use super::NodeKind;
        let kind = match NodeKind::from_unix(st_mode) {
            NodeKind::File => 0,
            NodeKind::Dir => DIR,
            NodeKind::Symlink => SYMLINK,
            NodeKind::Device => DEVICE,
            NodeKind::CharDevice => DEVICE | CHAR_DEVICE,
            NodeKind::Fifo => NAMED_PIPE,
            NodeKind::Socket => SOCKET,
            NodeKind::Irregular => IRREGULAR,
        };
        let special = [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)];
        let bits = special.into_iter().filter(|(unix, _)| st_mode & unix != 0).map(|(_, go)| go);
        bits.fold(kind | st_mode & 0o777, |mode, bit| mode | bit)
    }
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
    /// Device that holds the entry, as restic stores it; 0 where the source was told to leave it out.
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

impl Node {
    /// Unix's permission bits, at most 0o7777: the nine, and set-user-id, set-group-id, sticky.
    pub fn permissions(&self) -> u32 {
        let special = [(go_mode::SETUID, 0o4000), (go_mode::SETGID, 0o2000), (go_mode::STICKY, 0o1000)];
        let bits = special.into_iter().filter(|(go, _)| self.mode & go != 0).map(|(_, unix)| unix);
        bits.fold(self.mode & 0o777, |mode, bit| mode | bit)
    }
}

impl Node {
    /// An entry of this kind with nothing else known of it.
    pub fn empty(kind: NodeKind) -> Self {
        Self {
            name: Vec::new(),
            kind,
            mode: 0,
            mtime: Timestamp::default(),
            atime: Timestamp::default(),
            ctime: Timestamp::default(),
            uid: 0,
            gid: 0,
            user: Arc::from(""),
            group: Arc::from(""),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: String::new(),
            device: 0,
            content: None,
            subtree: None,
            error: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_words_of_the_format() {
        for (st_mode, kind, name, mode) in [
            (0o100_644, NodeKind::File, "file", 0o644),
            (0o104_755, NodeKind::File, "file", go_mode::SETUID | 0o755),
            (0o102_755, NodeKind::File, "file", go_mode::SETGID | 0o755),
            (0o041_777, NodeKind::Dir, "dir", go_mode::DIR | go_mode::STICKY | 0o777),
            (0o120_777, NodeKind::Symlink, "symlink", go_mode::SYMLINK | 0o777),
            (0o060_660, NodeKind::Device, "dev", go_mode::DEVICE | 0o660),
            (0o020_666, NodeKind::CharDevice, "chardev", go_mode::DEVICE | go_mode::CHAR_DEVICE | 0o666),
            (0o010_600, NodeKind::Fifo, "fifo", go_mode::NAMED_PIPE | 0o600),
            (0o140_755, NodeKind::Socket, "socket", go_mode::SOCKET | 0o755),
            (0o000_644, NodeKind::Irregular, "irregular", go_mode::IRREGULAR | 0o644),
        ] {
            assert_eq!(NodeKind::from_unix(st_mode), kind);
            assert_eq!(kind.name(), name);
            assert_eq!(NodeKind::from_name(name), Some(kind));
            assert_eq!(go_mode::from_unix(st_mode), mode, "{st_mode:o}");
        }
        assert_eq!(NodeKind::from_name(""), None);
        assert_eq!(NodeKind::from_name("File"), None);
    }
}
