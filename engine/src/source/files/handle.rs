//! Folders held open, and what is reached through them by name: metadata, attributes
//! and files of any path length.
//!
//! Names are looked up relative to the folder's descriptor, so that a folder moved
//! meanwhile cannot mix two places, and nothing but the folder's own path is resolved. A
//! path longer than the kernel takes is opened piece by piece. Reading leaves access times as
//! they are where the system allows it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::source::clean_path::join;

/// Longest path that one call takes, without its closing NUL (`PATH_MAX` of Linux is 4096).
const PATH_BYTES_MAX: usize = 4095;

/// Room for the entries that one `getdents64` gives; glibc's choice.
const LISTING_BUFFER_BYTES: usize = 32 * 1024;

/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` of Linux.
const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;

/// Attributes of most files fit; a larger list takes a second call.
const ATTRIBUTE_BYTES_FIRST: usize = 1024;

/// An open folder.
pub(super) struct FolderHandle {
    descriptor: OwnedFd,
    /// Where the folder is found for calls that take no descriptor, with a closing slash.
    attribute_prefix: Vec<u8>,
}

/// What a handle is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Listing it. The folder itself is not a link.
    List,
    /// Reaching entries by name; needs no right to list.
    Reach,
}

impl FolderHandle {
    /// Opens the folder at `path`, absolute and clean, of any length.
    pub(super) fn open(path: &[u8], purpose: Purpose) -> io::Result<Self> {
        let mut descriptor = None;
        let mut rest = path;
        while rest.len() > PATH_BYTES_MAX {
            let head = rest.get(..PATH_BYTES_MAX).unwrap_or_default();
            let slash = head.iter().rposition(|byte| *byte == b'/').filter(|at| *at > 0);
            let (piece, after) = rest.split_at(slash.ok_or(Errno::NAMETOOLONG)?);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            descriptor = Some(open_below(descriptor.as_ref(), piece, flags)?);
            rest = after.get(1..).unwrap_or_default();
        }
        let flags = match purpose {
            Purpose::List => OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME,
            Purpose::Reach => OFlags::PATH,
        };
        let descriptor = open_below(descriptor.as_ref(), rest, flags | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        let attribute_prefix = format!("/proc/self/fd/{}/", descriptor.as_raw_fd()).into_bytes();
        // Without /proc the folder's own path will do, if it is short enough.
        let attribute_prefix = if proc_is_there() { attribute_prefix } else { join(path, b"") };
        Ok(Self { descriptor, attribute_prefix })
    }

    /// All names but `.` and `..`, sorted by their bytes, none twice.
    pub(super) fn names(&self) -> io::Result<Vec<Box<[u8]>>> {
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER_BYTES];
        let mut listing = RawDir::new(self.descriptor.as_fd(), &mut buffer);
        let mut names: Vec<Box<[u8]>> = Vec::new();
        while let Some(entry) = listing.next() {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        names.push(name.into());
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Metadata of the entry itself, or of what it points to.
    pub(super) fn stat(&self, name: &[u8], follow: bool) -> io::Result<Stat> {
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        Ok(rustix::fs::statat(&self.descriptor, name, flags)?)
    }

    /// Where a symbolic link points to.
    pub(super) fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.descriptor, name, Vec::new())?.into_bytes())
    }

    /// Opens a regular file for reading; refuses anything else without waiting for it.
    pub(super) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        // O_NONBLOCK: a pipe that took the file's place must not block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
        let descriptor = match open_below(Some(&self.descriptor), name, flags | OFlags::NONBLOCK) {
            // Somebody holds a lease on it, which only regular files have: wait for its end.
            Err(Errno::AGAIN) => open_below(Some(&self.descriptor), name, flags)?,
            opened => opened?,
        };
        let stat = rustix::fs::fstat(&descriptor)?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::Error::other("it is no longer a regular file"));
        }
        Ok(File::from(descriptor))
    }

    /// `llistxattr` and its like take no descriptor of a folder; through /proc they
    /// reach an entry of one, and do not follow the entry itself.
    pub(super) fn attributes(&self, name: &[u8]) -> impl Attributes {
        AttributesAt([&self.attribute_prefix, name].concat())
    }
}

/// The extended attributes of one entry.
pub(super) trait Attributes {
    /// As `listxattr`.
    fn list(&self, room: &mut [u8]) -> Result<usize, Errno>;

    /// As `getxattr`.
    fn get(&self, attribute: &[u8], room: &mut [u8]) -> Result<usize, Errno>;

    /// Their names, in the system's order; none where the file system has no such thing.
    fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let list = match grown(|room| self.list(room)) {
            Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(Vec::new()),
            list => list?,
        };
        Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    /// The value of one; `None` if it is gone.
    fn value(&self, attribute: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match grown(|room| self.get(attribute, room)) {
            Err(Errno::NODATA) => Ok(None),
            value => Ok(Some(value?)),
        }
    }
}

/// Of what stands at a path, not of what it points to.
struct AttributesAt(Vec<u8>);

impl Attributes for AttributesAt {
    fn list(&self, room: &mut [u8]) -> Result<usize, Errno> {
        rustix::fs::llistxattr(&*self.0, room)
    }

    fn get(&self, attribute: &[u8], room: &mut [u8]) -> Result<usize, Errno> {
        rustix::fs::lgetxattr(&*self.0, attribute, room)
    }
}

/// Of an opened file: no path is looked up again.
impl Attributes for File {
    fn list(&self, room: &mut [u8]) -> Result<usize, Errno> {
        rustix::fs::flistxattr(self, room)
    }

    fn get(&self, attribute: &[u8], room: &mut [u8]) -> Result<usize, Errno> {
        rustix::fs::fgetxattr(self, attribute, room)
    }
}

/// Calls with room that fits as a rule, then with as much as the kernel ever gives.
fn grown(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut first = [0; ATTRIBUTE_BYTES_FIRST];
    match call(&mut first) {
        Ok(length) => Ok(first.get(..length).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {
            let mut room = vec![0; ATTRIBUTE_BYTES_MAX];
            let length = call(&mut room)?;
            room.truncate(length);
            Ok(room)
        }
        Err(error) => Err(error),
    }
}

/// `openat`, again without `O_NOATIME` where only the owner may have that.
fn open_below(folder: Option<&OwnedFd>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = folder.map_or(CWD, AsFd::as_fd);
    let path = Path::new(OsStr::from_bytes(path));
    let open = |flags| {
        loop {
            match rustix::fs::openat(folder, path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                opened => return opened,
            }
        }
    };
    match open(flags) {
        Err(Errno::PERM) if flags.contains(OFlags::NOATIME) => open(flags - OFlags::NOATIME),
        opened => opened,
    }
}

fn proc_is_there() -> bool {
    static THERE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *THERE.get_or_init(|| Path::new("/proc/self/fd").is_dir())
}
