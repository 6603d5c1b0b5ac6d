//! A folder inside the target, reached without ever following a link.
//!
//! A folder is known by its parent and its name and opened by `openat` from the nearest
//! ancestor that is open, with `O_NOFOLLOW`: a symbolic link that stands, or is put, in the
//! place of a folder is an error, never a way out, and no path is longer than one name, so
//! depth has no limit from `PATH_MAX`. Descriptors are kept open as long as they are recent;
//! using an open one takes no lock but the folder's own.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Descriptors of the most recently opened files or folders, so that few are opened twice.
pub(super) struct OpenDescriptors {
    recent: Mutex<VecDeque<Arc<OwnedFd>>>,
    kept_max: usize,
}

impl OpenDescriptors {
    /// Keeps at most `kept_max` open.
    pub(super) fn new(kept_max: usize) -> Self {
        Self { recent: Mutex::new(VecDeque::with_capacity(kept_max)), kept_max }
    }

    /// Keeps this one open for a while.
    pub(super) fn keep(&self, descriptor: &Arc<OwnedFd>) {
        let mut recent = self.recent.lock();
        let oldest = if recent.len() >= self.kept_max { recent.pop_front() } else { None };
        recent.push_back(descriptor.clone());
        drop(recent);
        // Closing may take a while: not under the lock.
        drop(oldest);
    }

    /// Closes all that nobody uses.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.recent.lock());
        drop(all);
    }
}

/// One folder of the target.
pub(super) struct TargetFolder {
    parent: Option<Arc<TargetFolder>>,
    name: Box<[u8]>,
    is_new: bool,
    descriptor: Mutex<Weak<OwnedFd>>,
    /// Only of the target itself: always open.
    root: Option<Arc<OwnedFd>>,
}

/// What became of the wish for a folder.
pub(super) enum FolderFault {
    /// Something that must stay stands in its place.
    InTheWay(&'static str),
    /// A system call failed.
    Failed(&'static str, Errno),
}

impl TargetFolder {
    /// The target itself, which may be reached through links: its path is the user's own.
    /// `path` names it in messages.
    pub(super) fn root(path: &Path, is_new: bool) -> Result<Arc<Self>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::opened(path, is_new, fs::open(path, flags, Mode::empty())?))
    }

    /// The target below `root`, reached from there through no link; folders that are missing are made.
    /// Fails with `Errno::LOOP` or `Errno::NOTDIR` where a link or a file stands in the way.
    pub(super) fn beneath(root: &Path, path: &Path) -> Result<Arc<Self>, Errno> {
        let way = path.strip_prefix(root).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut descriptor = fs::open(root, flags, Mode::empty())?;
        let mut is_new = false;
        for component in way.components() {
            let std::path::Component::Normal(name) = component else { return Err(Errno::INVAL) };
            match fs::mkdirat(&descriptor, name, Mode::RWXU) {
                Ok(()) => is_new = true,
                Err(Errno::EXIST) => is_new = false,
                Err(error) => return Err(error),
            }
            descriptor = fs::openat(&descriptor, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(Self::opened(path, is_new, descriptor))
    }

    fn opened(path: &Path, is_new: bool, descriptor: OwnedFd) -> Arc<Self> {
        let descriptor = Arc::new(descriptor);
        Arc::new(Self {
            parent: None,
            name: path.as_os_str().as_bytes().into(),
            is_new,
            descriptor: Mutex::new(Arc::downgrade(&descriptor)),
            root: Some(descriptor),
        })
    }

    /// Whether this restore made it, so that nothing else stands in it.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Its name in its parent.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The folder that it is in; `None` for the target.
    pub(super) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Its path, or that of an entry in it, for messages only.
    pub(super) fn path_of(&self, name: &[u8]) -> PathBuf {
        let mut names = vec![name];
        let mut folder = Some(self);
        while let Some(at) = folder {
            names.push(&at.name);
            folder = at.parent.as_deref();
        }
        names.iter().rev().map(|name| OsStr::from_bytes(name)).collect()
    }

    /// Where an entry of it stands in the snapshot, as a person reads it.
    pub(super) fn location_of(&self, name: &[u8]) -> String {
        let mut names = vec![name];
        let mut folder = self;
        while let Some(parent) = folder.parent.as_deref() {
            names.push(&folder.name);
            folder = parent;
        }
        names.iter().rev().map(|name| format!("/{}", String::from_utf8_lossy(name))).collect()
    }

    /// Its descriptor, opened if need be.
    pub(super) fn open(&self, open: &OpenDescriptors) -> Result<Arc<OwnedFd>, Errno> {
        let mut closed: Vec<&Self> = Vec::new();
        let mut at = self;
        let mut descriptor = loop {
            if let Some(descriptor) = at.root.clone().or_else(|| at.descriptor.lock().upgrade()) {
                break descriptor;
            }
            closed.push(at);
            at = at.parent.as_deref().expect("only the target has no parent, and it is always open");
        };
        for folder in closed.into_iter().rev() {
            let opened = Arc::new(open_folder(&descriptor, &folder.name)?);
            *folder.descriptor.lock() = Arc::downgrade(&opened);
            open.keep(&opened);
            descriptor = opened;
        }
        Ok(descriptor)
    }

    /// The folder `name` in this one, if there is a real one.
    pub(super) fn find(
        self: &Arc<Self>,
        name: &[u8],
        open: &OpenDescriptors,
    ) -> Result<Option<Arc<Self>>, Errno> {
        let parent = self.open(open)?;
        match open_folder(&parent, name) {
            Ok(descriptor) => Ok(Some(self.child(name, false, descriptor, open))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder `name` in this one, made with mode 0700 if there is none. Anything else of
    /// that name is removed first if `replace`.
    pub(super) fn make(
        self: &Arc<Self>,
        name: &[u8],
        replace: bool,
        open: &OpenDescriptors,
    ) -> Result<Arc<Self>, FolderFault> {
        let parent = self.open(open).map_err(|error| FolderFault::Failed("open its folder", error))?;
        let make = || fs::mkdirat(&*parent, name, Mode::RWXU);
        let is_new = match make() {
            Ok(()) => true,
            Err(Errno::EXIST) => {
                let found = fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW);
                let found = found.map_err(|error| FolderFault::Failed("look at", error))?;
                let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
                if !is_folder {
                    if !replace {
                        return Err(FolderFault::InTheWay("something that is no folder stands in its place"));
                    }
                    let removed = fs::unlinkat(&*parent, name, AtFlags::empty()).and_then(|()| make());
                    removed.map_err(|error| FolderFault::Failed("replace by a folder", error))?;
                }
                !is_folder
            }
            Err(error) => return Err(FolderFault::Failed("make the folder", error)),
        };
        let descriptor = match open_folder(&parent, name) {
            Err(Errno::ACCESS) => make_passable(&parent, name).and_then(|()| open_folder(&parent, name)),
            other => other,
        };
        let descriptor = descriptor.map_err(|error| FolderFault::Failed("open the folder", error))?;
        if !is_new {
            ensure_writable(&descriptor);
        }
        Ok(self.child(name, is_new, descriptor, open))
    }

    fn child(
        self: &Arc<Self>,
        name: &[u8],
        is_new: bool,
        descriptor: OwnedFd,
        open: &OpenDescriptors,
    ) -> Arc<Self> {
        let descriptor = Arc::new(descriptor);
        open.keep(&descriptor);
        Arc::new(Self {
            parent: Some(self.clone()),
            name: name.into(),
            is_new,
            descriptor: Mutex::new(Arc::downgrade(&descriptor)),
            root: None,
        })
    }
}

/// Opens a folder by its name in another, never through a link.
pub(super) fn open_folder(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// Changes the mode of an entry that cannot be opened, without following a link.
pub(super) fn change_mode(parent: &OwnedFd, name: &[u8], mode: u32) -> Result<(), Errno> {
    let handle = fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fs::fstat(&handle)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    // A descriptor opened as a path takes no fchmod; its name in /proc means the entry itself.
    fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::from_raw_mode(mode))
}

/// A folder from an earlier restore may have its final mode, which may forbid entering it.
fn make_passable(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    change_mode(parent, name, 0o700)
}

/// The owner of an existing folder needs all rights in it while it is filled; its final
/// mode comes last. What does not work shows when something is made in it.
fn ensure_writable(folder: &OwnedFd) {
    if let Ok(found) = fs::fstat(folder)
        && found.st_mode & 0o700 != 0o700
    {
        let _ = fs::fchmod(folder, Mode::from_raw_mode(found.st_mode & 0o7777 | 0o700));
    }
}
