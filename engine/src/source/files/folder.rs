//! Folders of a file system as the pipeline lists them, and the files in them.
//!
//! A folder holds its path and is opened to be listed. The files of one listing share
//! that opened folder, as long as few enough are open; else each opens its folder again, so
//! that no depth of folders uses up the process's descriptors.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Advice, Stat};

use super::exclude::{Devices, ExcludeRules};
use super::handle::{Attributes, FolderHandle, Purpose};
use super::metadata::{NodeMaker, fill_attributes, kind_of};
use super::targets::{Target, TargetTree};
use crate::error::{Error, Result, plain_reason};
use crate::format::{Node, NodeKind};
use crate::source::clean_path::join;
use crate::source::{Entry, EntryContent, FileContent, Folder, Problems};

/// Folders that files keep open: well below the 1024 descriptors that a process may have.
const SHARED_FOLDERS_MAX: usize = 128;

/// Files below this size are read in one go; telling the kernel so would cost more than it gives.
const ADVISED_BYTES_MIN: u64 = 1024 * 1024;

/// What a file's node says whose attributes are not all there.
const ATTRIBUTES_MISSING: &str = "its extended attributes could not all be read";

/// Takes an entry's name and what looking at it gave.
type Visitor<'a> = dyn FnMut(&[u8], io::Result<Stat>) -> ControlFlow<()> + 'a;

/// What all folders of a source share.
pub(super) struct Shared {
    pub(super) rules: ExcludeRules,
    pub(super) nodes: NodeMaker,
    pub(super) open_folders: AtomicUsize,
}

/// A folder below, or at, a path that was asked for.
#[derive(Clone)]
pub(super) struct WholeFolder {
    pub(super) shared: Arc<Shared>,
    pub(super) path: Arc<[u8]>,
    /// Devices of the paths asked for, and that of the nearest one of them above.
    pub(super) devices: Arc<Devices>,
    pub(super) allowed_device: u64,
}

/// A folder on the way to paths that were asked for.
pub(super) struct BetweenFolder {
    pub(super) shared: Arc<Shared>,
    pub(super) path: Arc<[u8]>,
    pub(super) devices: Arc<Devices>,
    pub(super) tree: TargetTree,
}

/// A folder that files of a listing keep open.
struct OpenFolder {
    shared: Arc<Shared>,
    handle: FolderHandle,
}

struct ListedFile {
    folder: Option<Arc<OpenFolder>>,
    folder_path: Arc<[u8]>,
    name: Box<[u8]>,
    size: u64,
}

impl WholeFolder {
    /// Opens the folder to be listed.
    pub(super) fn open(&self) -> io::Result<FolderHandle> {
        FolderHandle::open(&self.path, Purpose::List)
    }

    /// Gives each entry that is not left out, in order. What could not be looked at comes with its error.
    pub(super) fn visit(&self, handle: &FolderHandle, visitor: &mut Visitor<'_>) -> io::Result<()> {
        let rules = &self.shared.rules;
        let names = handle.names()?;
        let own_device = if rules.one_file_system { handle.stat(b".", false)?.st_dev } else { 0 };
        let tags = rules.tags_in(handle, &|| lossy(&self.path));
        let mut path = join(&self.path, b"");
        let folder_length = path.len();
        for name in names {
            path.truncate(folder_length);
            path.extend_from_slice(&name);
            if tags.as_ref().is_some_and(|tags| tags.exclude(&name)) || rules.exclude_path(&path) {
                continue;
            }
            let stat = handle.stat(&name, false);
            if let Ok(stat) = &stat
                && rules.exclude_entry(stat, self.device_for(&path), own_device)
            {
                continue;
            }
            if visitor(&name, stat).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The folder `name` in this one.
    pub(super) fn below(&self, name: &[u8]) -> Self {
        let path = join(&self.path, name);
        Self { allowed_device: self.device_for(&path), path: path.into(), ..self.clone() }
    }

    fn device_for(&self, path: &[u8]) -> u64 {
        // Only a path asked for below another one asked for has a device of its own.
        let own = (self.devices.len() > 1).then(|| self.devices.get(path)).flatten();
        own.copied().unwrap_or(self.allowed_device)
    }
}

impl Folder for WholeFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        let failed = |source| Error::Source { path: path_buf(&self.path), source };
        let folder = OpenFolder::new(&self.shared, self.open().map_err(failed)?);
        let shared = folder.may_be_kept_open().then(|| Arc::clone(&folder));
        let mut outcome = Ok(());
        self.visit(&folder.handle, &mut |name, stat| {
            let told = || lossy(&join(&self.path, name));
            let node = read_node(&self.shared, &folder.handle, name, stat, false, problems, &told);
            let Some(node) = node else { return ControlFlow::Continue(()) };
            let content = match node.kind {
                NodeKind::Dir => EntryContent::Folder(Box::new(self.below(name))),
                NodeKind::File => EntryContent::File(Box::new(ListedFile {
                    folder: shared.clone(),
                    folder_path: Arc::clone(&self.path),
                    name: name.into(),
                    size: node.size,
                })),
                _ => EntryContent::Nothing,
            };
            outcome = each(Entry { node, content });
            if outcome.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(failed)?;
        outcome
    }

    fn display_path(&self) -> String {
        lossy(&self.path)
    }
}

impl BetweenFolder {
    fn entry(
        &self,
        handle: &FolderHandle,
        name: &[u8],
        target: &Target,
        problems: &dyn Problems,
    ) -> Option<Entry> {
        let path: Arc<[u8]> = join(&self.path, name).into();
        let told = || lossy(&path);
        let on_the_way = matches!(target, Target::Between(_));
        // What is on the way may be a link to a folder; what was asked for is stored as it is.
        let stat = handle.stat(name, on_the_way);
        let node = read_node(&self.shared, handle, name, stat, on_the_way, problems, &told)?;
        let content = match (target, node.kind) {
            (Target::Between(tree), NodeKind::Dir) => EntryContent::Folder(Box::new(BetweenFolder {
                shared: Arc::clone(&self.shared),
                devices: Arc::clone(&self.devices),
                tree: tree.clone(),
                path,
            })),
            (Target::Between(_), _) => {
                problems.unreadable(&told(), "it is not a folder");
                return None;
            }
            (Target::Whole, NodeKind::Dir) => EntryContent::Folder(Box::new(WholeFolder {
                shared: Arc::clone(&self.shared),
                devices: Arc::clone(&self.devices),
                allowed_device: self.devices.get(&*path).copied().unwrap_or(node.device_id),
                path,
            })),
            (Target::Whole, NodeKind::File) => EntryContent::File(Box::new(ListedFile {
                folder: None,
                folder_path: Arc::clone(&self.path),
                name: name.into(),
                size: node.size,
            })),
            (Target::Whole, _) => EntryContent::Nothing,
        };
        Some(Entry { node, content })
    }
}

impl Folder for BetweenFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        let handle = FolderHandle::open(&self.path, Purpose::Reach)
            .map_err(|source| Error::Source { path: path_buf(&self.path), source })?;
        let entries = self.tree.entries.iter();
        entries.filter_map(|(name, target)| self.entry(&handle, name, target, problems)).try_for_each(each)
    }

    fn display_path(&self) -> String {
        lossy(&self.path)
    }
}

/// The whole node of an entry, or `None` if there is nothing to store, which is told.
fn read_node(
    shared: &Shared,
    handle: &FolderHandle,
    name: &[u8],
    stat: io::Result<Stat>,
    on_the_way: bool,
    problems: &dyn Problems,
    path: &dyn Fn() -> String,
) -> Option<Node> {
    let told = |error: io::Error| match error.kind() {
        // Deleted since the folder was listed: as good as deleted before it, as in restic.
        io::ErrorKind::NotFound if !on_the_way => {
            problems.not_stored(&path(), "it vanished during the backup")
        }
        _ => problems.unreadable(&path(), &plain_reason(&error)),
    };
    let stat = stat.map_err(told).ok()?;
    match kind_of(&stat) {
        NodeKind::Socket => {
            problems.not_stored(&path(), "it is a socket");
            return None;
        }
        NodeKind::Irregular => {
            problems.unreadable(&path(), "it is of an unknown kind");
            return None;
        }
        _ => {}
    }
    let mut node = shared.nodes.node(name, &stat);
    if node.kind == NodeKind::Symlink {
        node.link_target = handle.link_target(name).map_err(told).ok()?;
    }
    // A file's are read once it is known that it has changed.
    if node.kind != NodeKind::File {
        read_attributes(&mut node, &handle.attributes(name), on_the_way, problems, path);
    }
    Some(node)
}

fn read_attributes(
    node: &mut Node,
    entry: &dyn Attributes,
    on_the_way: bool,
    problems: &dyn Problems,
    path: &dyn Fn() -> String,
) {
    let mut is_whole = true;
    node.error.clear();
    fill_attributes(node, entry, &mut |attribute, error| {
        let what = match attribute {
            // Folders above the backed up ones need not let us look.
            None if on_the_way && error.kind() == io::ErrorKind::PermissionDenied => return,
            None if error.kind() == io::ErrorKind::NotFound => return,
            None => "its extended attributes".to_owned(),
            Some(attribute) => format!("its extended attribute {}", String::from_utf8_lossy(attribute)),
        };
        problems.unreadable(&path(), &format!("{what}: {}", plain_reason(&error)));
        is_whole = false;
    });
    if !is_whole && node.kind == NodeKind::File {
        // The next backup looks again, though the file be unchanged.
        node.error = ATTRIBUTES_MISSING.into();
    }
}

impl OpenFolder {
    fn new(shared: &Arc<Shared>, handle: FolderHandle) -> Arc<Self> {
        shared.open_folders.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { shared: Arc::clone(shared), handle })
    }

    /// Whether files may keep it open: not if too many are already.
    fn may_be_kept_open(&self) -> bool {
        self.shared.open_folders.load(Ordering::Relaxed) <= SHARED_FOLDERS_MAX
    }
}

impl Drop for OpenFolder {
    fn drop(&mut self) {
        self.shared.open_folders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ListedFile {
    fn open_file(&self) -> Result<File> {
        let opened = match &self.folder {
            Some(folder) => folder.handle.open_file(&self.name),
            None => FolderHandle::open(&self.folder_path, Purpose::Reach)
                .and_then(|folder| folder.open_file(&self.name)),
        };
        let path = || path_buf(&join(&self.folder_path, &self.name));
        let file = opened.map_err(|source| Error::Source { path: path(), source })?;
        if self.size >= ADVISED_BYTES_MIN {
            // Advice only: a file system that takes none is read all the same.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        }
        Ok(file)
    }
}

impl FileContent for ListedFile {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.open_file()?))
    }

    fn open_completing(&self, node: &mut Node, problems: &dyn Problems) -> Result<Box<dyn Read + Send>> {
        let file = self.open_file()?;
        let path = || lossy(&join(&self.folder_path, &self.name));
        read_attributes(node, &file, false, problems, &path);
        Ok(Box::new(file))
    }

    fn complete(&self, node: &mut Node, problems: &dyn Problems) {
        let path = || lossy(&join(&self.folder_path, &self.name));
        let mut read = |handle: &FolderHandle| {
            read_attributes(node, &handle.attributes(&self.name), false, problems, &path);
        };
        match &self.folder {
            Some(folder) => read(&folder.handle),
            None => match FolderHandle::open(&self.folder_path, Purpose::Reach) {
                Ok(folder) => read(&folder),
                Err(error) => {
                    let why = format!("{ATTRIBUTES_MISSING}: its folder: {}", plain_reason(&error));
                    problems.unreadable(&path(), &why);
                    node.error = ATTRIBUTES_MISSING.into();
                }
            },
        }
    }
}

pub(super) fn path_buf(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

pub(super) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
