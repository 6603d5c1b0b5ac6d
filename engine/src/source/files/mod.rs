//! Files and folders of this machine as a source.
//!
//! The paths asked for make one tree below the root, with the metadata of the folders on
//! the way, so that the trees are those which restic makes of the same absolute paths.
//! Links are stored, never followed, but for those on the way to a path asked for.
//! Paths are bytes; messages show what is not UTF-8 as U+FFFD.

mod exclude;
mod folder;
mod handle;
mod metadata;
mod own_repository;
mod scan;
mod targets;
mod users;
mod zone;

use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

pub use exclude::Excludes;
pub use metadata::DeviceIds;
pub use own_repository::repository_pattern;

use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, Result, plain_reason};
use crate::format::NodeKind;
use crate::source::clean_path::{clean, join};
use crate::source::{Folder, Problems, Source, Totals};
use exclude::{Devices, ExcludeRules};
use folder::{BetweenFolder, Shared, WholeFolder, lossy, path_buf};
use handle::{FolderHandle, Purpose};
use metadata::{NodeMaker, kind_of, size_of};
use targets::{Target, TargetTree, target_tree};
use zone::ZoneOffsets;

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct FilesOptions {
    /// What relative paths are relative to; absolute.
    pub working_folder: PathBuf,
    /// Keeps access times; without, they are those of the last change, as in restic.
    pub with_atime: bool,
    /// When nodes name their device.
    pub device_ids: DeviceIds,
    /// What is left out.
    pub excludes: Excludes,
}

/// Files and folders. See the module.
pub struct FilesSource {
    shared: Arc<Shared>,
    /// Absolute, clean, none twice, in the order asked for.
    asked: Vec<Vec<u8>>,
    prepared: Mutex<Option<Prepared>>,
}

/// What `prepare` found.
#[derive(Clone)]
struct Prepared {
    existing: Vec<Vec<u8>>,
    devices: Arc<Devices>,
}

impl FilesSource {
    /// A source of `paths`. Looks at no file yet. Fails with `Error::Invalid` if there is no path, an
    /// empty one, one with a NUL byte, a relative one without an absolute working
    /// folder, or for malformed excludes.
    pub fn new(paths: Vec<PathBuf>, options: FilesOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut asked: Vec<Vec<u8>> = Vec::with_capacity(paths.len());
        for path in paths {
            let path = absolute(path, &options)?;
            if !asked.contains(&path) {
                asked.push(path);
            }
        }
        if asked.is_empty() {
            return Err(Error::Invalid("no path to back up".into()));
        }
        let nodes = NodeMaker {
            users: users::UserNames::default(),
            zone: ZoneOffsets::new(clock),
            with_atime: options.with_atime,
            device_ids: options.device_ids,
        };
        let rules = ExcludeRules::new(&options.excludes)?;
        let shared = Arc::new(Shared { rules, nodes, open_folders: AtomicUsize::new(0) });
        Ok(Self { shared, asked, prepared: Mutex::new(None) })
    }

    fn prepared(&self) -> Result<Prepared> {
        let prepared = self.prepared.lock().clone();
        prepared.ok_or_else(|| Error::Invalid("the source was not prepared".into()))
    }

    fn whole(&self, prepared: &Prepared, path: &[u8]) -> WholeFolder {
        WholeFolder {
            shared: Arc::clone(&self.shared),
            path: path.into(),
            devices: Arc::clone(&prepared.devices),
            allowed_device: prepared.devices.get(path).copied().unwrap_or(0),
        }
    }

    fn count_tree(
        &self,
        prepared: &Prepared,
        tree: &TargetTree,
        path: &[u8],
        control: &Control,
        found: &dyn Fn(Totals),
    ) -> Result<()> {
        for (name, target) in &tree.entries {
            let path = join(path, name);
            match target {
                Target::Between(tree) => self.count_tree(prepared, tree, &path, control, found)?,
                Target::Whole => match stat_path(&path).map(|stat| (kind_of(&stat), size_of(&stat))) {
                    Ok((NodeKind::Dir, _)) => {
                        scan::count_folder(self.whole(prepared, &path), control, found)?;
                    }
                    Ok((NodeKind::File, bytes)) => found(Totals { files: 1, bytes }),
                    _ => {}
                },
            }
        }
        Ok(())
    }
}

impl Source for FilesSource {
    /// All paths asked for before `prepare`, those that exist after it.
    fn paths(&self) -> Vec<String> {
        let prepared = self.prepared.lock();
        let paths = prepared.as_ref().map_or(&self.asked, |prepared| &prepared.existing);
        paths.iter().map(|path| lossy(path)).collect()
    }

    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        let mut existing = Vec::new();
        let mut devices = Devices::new();
        let mut first_error = None;
        for path in &self.asked {
            control.checkpoint()?;
            match stat_path(path) {
                Ok(stat) => {
                    devices.insert(path.clone(), stat.st_dev);
                    existing.push(path.clone());
                }
                Err(source) => {
                    let why = match source.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "it does not exist".into(),
                        _ => plain_reason(&source),
                    };
                    problems.unreadable(&lossy(path), &why);
                    first_error = first_error.or(Some(Error::Source { path: path_buf(path), source }));
                }
            }
        }
        match first_error {
            Some(error) if existing.is_empty() => Err(error),
            _ => {
                *self.prepared.lock() = Some(Prepared { existing, devices: Arc::new(devices) });
                Ok(())
            }
        }
    }

    fn root(&self) -> Result<Box<dyn Folder>> {
        let prepared = self.prepared()?;
        Ok(match target_tree(prepared.existing.iter().map(Vec::as_slice)) {
            Target::Whole => Box::new(self.whole(&prepared, b"/")),
            Target::Between(tree) => Box::new(BetweenFolder {
                shared: Arc::clone(&self.shared),
                path: b"/".as_slice().into(),
                devices: prepared.devices,
                tree,
            }),
        })
    }

    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        let prepared = self.prepared()?;
        match target_tree(prepared.existing.iter().map(Vec::as_slice)) {
            Target::Whole => scan::count_folder(self.whole(&prepared, b"/"), control, found),
            Target::Between(tree) => self.count_tree(&prepared, &tree, b"/", control, found),
        }
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Reading files is not woken: each read ends by itself.
    fn cancel(&self) {}
}

/// Metadata of what is at an absolute, clean path of any length; links are not followed.
fn stat_path(path: &[u8]) -> io::Result<rustix::fs::Stat> {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let (folder, name) = path.split_at(slash);
    let folder = if folder.is_empty() { b"/" } else { folder };
    let name = name.strip_prefix(b"/").filter(|name| !name.is_empty()).unwrap_or(b".");
    FolderHandle::open(folder, Purpose::Reach)?.stat(name, false)
}

fn absolute(path: PathBuf, options: &FilesOptions) -> Result<Vec<u8>> {
    let shown = || path.display().to_string();
    if path.as_os_str().is_empty() {
        return Err(Error::Invalid("an empty path cannot be backed up".into()));
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Error::Invalid(format!("{:?} holds a NUL byte", shown())));
    }
    if path.is_relative() && !options.working_folder.is_absolute() {
        return Err(Error::Invalid(format!("{} is relative, and no working folder is known", shown())));
    }
    let path = options.working_folder.join(path);
    Ok(clean(&path.into_os_string().into_vec()))
}

#[cfg(test)]
mod tests;
