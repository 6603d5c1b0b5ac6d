//! An entry's metadata: what a restore needs of a node besides content, and putting it in place.
//!
//! Order: owner first, for it clears set-user-id and capabilities; then extended
//! attributes, which need the right to write; then the mode, then times, which all the
//! others would change. Nothing follows a link.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::format::{ExtendedAttribute, Node, NodeKind, Timestamp};
use crate::restore::target_folder::change_mode;

/// Lists of names longer than this cannot be: Linux allows 64 KiB.
const NAME_LIST_BYTES_MAX: usize = 64 << 10;
/// The longest value that Linux allows.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What is put on an entry once its content is there.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    permissions: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    atime: (i64, u32),
    attributes: Box<[ExtendedAttribute]>,
}

/// The entry that metadata is put on.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    /// A file or folder that is open.
    Open(&'a OwnedFd),
    /// Anything else, by its name in its folder.
    Named(&'a OwnedFd, &'a [u8], NodeKind),
}

/// One thing that could not be put in place.
#[derive(Debug)]
pub(super) struct MetadataFault {
    /// What could not be done, as in "cannot …".
    pub what: String,
    /// Why.
    pub error: Errno,
    /// Whether nothing else could be expected of this user or file system.
    pub is_expected: bool,
}

impl Metadata {
    /// Takes it out of a node.
    pub(super) fn of(node: &mut Node) -> Self {
        let instant = |time: Timestamp| (time.seconds, time.nanoseconds);
        Self {
            permissions: node.permissions(),
            uid: node.uid,
            gid: node.gid,
            mtime: instant(node.mtime),
            atime: instant(node.atime),
            attributes: std::mem::take(&mut node.extended_attributes).into_boxed_slice(),
        }
    }

    /// Whether its owner may not enter, list or change a folder with this mode.
    pub(super) fn bars_its_owner(&self) -> bool {
        self.permissions & 0o700 != 0o700
    }

    /// Whether the content was changed at this very time.
    pub(super) fn has_mtime_of(&self, found: &Stat) -> bool {
        self.mtime == mtime_of(found)
    }

    /// Whether the content is newer than that of what was found.
    pub(super) fn is_newer_than(&self, found: &Stat) -> bool {
        self.mtime > mtime_of(found)
    }

    /// Whether a file has it all already. Owners count only for those who may set them.
    pub(super) fn is_on(&self, file: &OwnedFd, found: &Stat, is_root: bool) -> bool {
        let owner = !is_root || (found.st_uid, found.st_gid) == (self.uid, self.gid);
        let entry = Entry::Open(file);
        owner
            && found.st_mode & 0o7777 == self.permissions
            && self.has_mtime_of(found)
            && self.attributes.iter().all(|attribute| entry.holds(attribute))
            && self.surplus_attributes(entry).is_ok_and(|surplus| surplus.is_empty())
    }

    /// Puts it on `entry`; does as much as it can and tells what it could not.
    pub(super) fn put_on(&self, entry: Entry<'_>, is_root: bool) -> Vec<MetadataFault> {
        let mut faults = Vec::new();
        let mut permissions = self.permissions;
        if let Err(error) = entry.set_owner(self.uid, self.gid) {
            // Who gets a file of somebody else's must not run it as if it were theirs.
            let special = permissions & 0o6000 != 0;
            permissions &= !0o6000;
            let what = if special { "set the owner, so not set-user-id either," } else { "set the owner" };
            let is_expected = !is_root && matches!(error, Errno::PERM | Errno::INVAL);
            faults.push(MetadataFault { what: what.into(), error, is_expected: is_expected && !special });
        }
        self.set_attributes(entry, is_root, &mut faults);
        if let Err(error) = entry.set_mode(permissions) {
            faults.push(MetadataFault { what: "set the mode".into(), error, is_expected: false });
        }
        if let Err(error) = entry.set_times(&self.times()) {
            faults.push(MetadataFault { what: "set the times".into(), error, is_expected: false });
        }
        faults
    }

    fn set_attributes(&self, entry: Entry<'_>, is_root: bool, faults: &mut Vec<MetadataFault>) {
        let mut fault = |what: &str, name: &[u8], error: Errno| {
            let what = format!("{what} the extended attribute {}", String::from_utf8_lossy(name));
            let is_expected = error == Errno::OPNOTSUPP || (!is_root && error == Errno::PERM);
            faults.push(MetadataFault { what, error, is_expected });
        };
        for attribute in &self.attributes {
            if let Err(error) = entry.set_attribute(attribute)
                && !entry.holds(attribute)
            {
                fault("set", attribute.name.as_bytes(), error);
            }
        }
        match self.surplus_attributes(entry) {
            Ok(surplus) => {
                for name in surplus {
                    if let Err(error) = entry.remove_attribute(&name) {
                        fault("remove", name.to_bytes(), error);
                    }
                }
            }
            // Where there are no attributes there is none too many.
            Err(Errno::OPNOTSUPP) => {}
            Err(error) => fault("list", b"names", error),
        }
    }

    /// Attributes that the node does not have: of users, and access lists that a new
    /// entry inherits. Labels of security modules are the system's business.
    fn surplus_attributes(&self, entry: Entry<'_>) -> Result<Vec<CString>, Errno> {
        let mut list = Vec::new();
        let length = entry.list_attributes(&mut list)?;
        let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let surplus = names.filter(|name| {
            (name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_"))
                && !self.attributes.iter().any(|attribute| attribute.name.as_bytes() == *name)
        });
        Ok(surplus.filter_map(|name| CString::new(name).ok()).collect())
    }

    fn times(&self) -> Timestamps {
        let time = |(seconds, nanoseconds): (i64, u32)| Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.min(999_999_999).into(),
        };
        Timestamps { last_access: time(self.atime), last_modification: time(self.mtime) }
    }
}

fn mtime_of(found: &Stat) -> (i64, u32) {
    (found.st_mtime, found.st_mtime_nsec as u32)
}

impl Entry<'_> {
    fn set_owner(self, uid: u32, gid: u32) -> Result<(), Errno> {
        // The highest number means "leave it" to the system call; nobody has it.
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Errno::INVAL);
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(file) => fs::fchown(file, uid, gid),
            Self::Named(folder, name, _) => fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn set_mode(self, permissions: u32) -> Result<(), Errno> {
        match self {
            Self::Open(file) => fs::fchmod(file, Mode::from_raw_mode(permissions)),
            // The mode of a link means nothing, and cannot be set.
            Self::Named(_, _, NodeKind::Symlink) => Ok(()),
            Self::Named(folder, name, _) => change_mode(folder, name, permissions),
        }
    }

    fn set_times(self, times: &Timestamps) -> Result<(), Errno> {
        match self {
            Self::Open(file) => fs::futimens(file, times),
            Self::Named(folder, name, _) => fs::utimensat(folder, name, times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// For calls that know no descriptor: the last name is not followed by their `l` forms.
    fn path(folder: &OwnedFd, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    fn set_attribute(self, attribute: &ExtendedAttribute) -> Result<(), Errno> {
        let (name, value, flags) = (attribute.name.as_str(), &attribute.value, XattrFlags::empty());
        match self {
            Self::Open(file) => fs::fsetxattr(file, name, value, flags),
            Self::Named(folder, entry, _) => fs::lsetxattr(Self::path(folder, entry), name, value, flags),
        }
    }

    fn remove_attribute(self, name: &CString) -> Result<(), Errno> {
        match self {
            Self::Open(file) => fs::fremovexattr(file, name),
            Self::Named(folder, entry, _) => fs::lremovexattr(Self::path(folder, entry), name),
        }
    }

    fn holds(self, attribute: &ExtendedAttribute) -> bool {
        let mut value = vec![0; VALUE_BYTES_MAX];
        let length = match self {
            Self::Open(file) => fs::fgetxattr(file, attribute.name.as_str(), value.as_mut_slice()),
            Self::Named(folder, entry, _) => {
                fs::lgetxattr(Self::path(folder, entry), attribute.name.as_str(), value.as_mut_slice())
            }
        };
        length.is_ok_and(|length| value[..length] == *attribute.value)
    }

    /// Fills `list` with names that end in NUL; most entries have none, which costs one call.
    fn list_attributes(self, list: &mut Vec<u8>) -> Result<usize, Errno> {
        let ask = |list: &mut [u8]| match self {
            Self::Open(file) => fs::flistxattr(file, list),
            Self::Named(folder, entry, _) => fs::llistxattr(Self::path(folder, entry), list),
        };
        let mut first = [0; 256];
        match ask(&mut first) {
            Ok(length) => {
                list.extend_from_slice(&first[..length]);
                Ok(length)
            }
            Err(Errno::RANGE) => {
                list.resize(NAME_LIST_BYTES_MAX, 0);
                ask(list)
            }
            Err(error) => Err(error),
        }
    }
}
