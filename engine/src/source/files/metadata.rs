//! From what the system says of an entry to the node that is stored, filled as
//! restic fills it on Linux (`internal/fs/node.go`, `stat_unix.go`, `node_xattr.go`).

use std::io;

use rustix::fs::{FileType, Stat};

use super::handle::Attributes;
use super::users::UserNames;
use super::zone::ZoneOffsets;
use crate::format::{ExtendedAttribute, Node, NodeKind, go_mode};

/// When a node names the device that its file is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceIds {
    /// Always: what restic does up to 0.19 at least, so that tree ids agree.
    #[default]
    Always,
    /// Not for folders and not for what has one link: restic's `device-id-for-hardlinks`, a
    /// feature off by default. Device numbers that change between boots then cost no new trees.
    HardLinks,
}

/// Makes nodes. Shared by all threads of a source.
pub(super) struct NodeMaker {
    pub(super) users: UserNames,
    pub(super) zone: ZoneOffsets,
    pub(super) with_atime: bool,
    pub(super) device_ids: DeviceIds,
}

impl NodeMaker {
    /// The node of `name` with all but link target and extended attributes.
    pub(super) fn node(&self, name: &[u8], stat: &Stat) -> Node {
        let kind = kind_of(stat);
        let mtime = self.zone.timestamp(stat.st_mtime, stat.st_mtime_nsec);
        let atime = match self.with_atime {
            true => self.zone.timestamp(stat.st_atime, stat.st_atime_nsec),
            false => mtime,
        };
        let links = match kind {
            NodeKind::Dir | NodeKind::Fifo | NodeKind::Socket => 0,
            _ => stat.st_nlink,
        };
        let device_id = match self.device_ids {
            DeviceIds::HardLinks if links == 1 || kind == NodeKind::Dir => 0,
            _ => stat.st_dev,
        };
        Node {
            name: name.to_vec(),
            kind,
            mode: mode_of(stat),
            mtime,
            atime,
            ctime: self.zone.timestamp(stat.st_ctime, stat.st_ctime_nsec),
            uid: stat.st_uid,
            gid: stat.st_gid,
            user: self.users.user(stat.st_uid),
            group: self.users.group(stat.st_gid),
            inode: stat.st_ino,
            device_id,
            size: if kind == NodeKind::File { size_of(stat) } else { 0 },
            links,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: String::new(),
            device: if matches!(kind, NodeKind::Device | NodeKind::CharDevice) { stat.st_rdev } else { 0 },
            content: None,
            subtree: None,
            error: String::new(),
        }
    }
}

/// Reads the entry's extended attributes into the node. What cannot be read is told to
/// `failed` and left out; the rest is kept.
pub(super) fn fill_attributes(
    node: &mut Node,
    entry: &dyn Attributes,
    failed: &mut dyn FnMut(Option<&[u8]>, io::Error),
) {
    node.extended_attributes.clear();
    let attributes = match entry.names() {
        Ok(attributes) => attributes,
        Err(error) => return failed(None, error),
    };
    for attribute in attributes {
        let value = entry.value(&attribute);
        match (value, String::from_utf8(attribute)) {
            (Ok(Some(value)), Ok(name)) => node.extended_attributes.push(ExtendedAttribute { name, value }),
            // Removed since it was listed.
            (Ok(None), _) => {}
            (Ok(Some(_)), Err(raw)) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                failed(Some(raw.as_bytes()), error);
            }
            (Err(error), Ok(name)) => failed(Some(name.as_bytes()), error),
            (Err(error), Err(raw)) => failed(Some(raw.as_bytes()), error),
        }
    }
}

/// What the entry is.
pub(super) fn kind_of(stat: &Stat) -> NodeKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeKind::File,
        FileType::Directory => NodeKind::Dir,
        FileType::Symlink => NodeKind::Symlink,
        FileType::BlockDevice => NodeKind::Device,
        FileType::CharacterDevice => NodeKind::CharDevice,
        FileType::Fifo => NodeKind::Fifo,
        FileType::Socket => NodeKind::Socket,
        FileType::Unknown => NodeKind::Irregular,
    }
}

/// Bytes of a file; for a link those of its target.
pub(super) fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Go's spelling of the mode (`os.fillFileStatFromSys` for Linux).
fn mode_of(stat: &Stat) -> u32 {
    let kind = match kind_of(stat) {
        NodeKind::File => 0,
        NodeKind::Dir => go_mode::DIR,
        NodeKind::Symlink => go_mode::SYMLINK,
        NodeKind::Device => go_mode::DEVICE,
        NodeKind::CharDevice => go_mode::DEVICE | go_mode::CHAR_DEVICE,
        NodeKind::Fifo => go_mode::NAMED_PIPE,
        NodeKind::Socket => go_mode::SOCKET,
        NodeKind::Irregular => go_mode::IRREGULAR,
    };
    let special = [(0o4000, go_mode::SETUID), (0o2000, go_mode::SETGID), (0o1000, go_mode::STICKY)];
    let special = special.into_iter().filter(|(bit, _)| stat.st_mode & bit != 0).map(|(_, go)| go);
    special.fold(kind | (stat.st_mode & 0o777), |mode, bit| mode | bit)
}
