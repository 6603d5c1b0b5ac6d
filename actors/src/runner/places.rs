//! What names stand for: repositories, sources, and the folders that restores may write to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use keepwell_engine::archive::{BackupLimits, BackupOptions};
use keepwell_engine::clock::Clock;
use keepwell_engine::compress::Compression;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::id::Id;
use keepwell_engine::job::{BackupJob, FirebirdRestoreJob, Job, MakeSource, RestoreJob};
use keepwell_engine::repository::{RepositoryAddress, SnapshotChoice};
use keepwell_engine::restore::RestoreOptions;
use keepwell_engine::source::Source;
use keepwell_engine::source::files::{Excludes, FilesOptions, FilesSource, repository_pattern};
use keepwell_messages::{
    FilesItem, Item, ItemId, ItemSource, RepositorySetup, RestoreRequest, RestoreTarget, SourceKind,
    SourceSetup, TaskKind,
};

use super::firebird::{FirebirdDatabase, FirebirdDatabases};
use super::{Attempt, KnownNames, Workshop, of_name};

/// Makes a source of the embedding program's own, a new one for each attempt. Called on the attempt's thread.
pub type MakeNamedSource = Arc<dyn Fn() -> Result<Box<dyn Source>> + Send + Sync>;

/// What the names in items and restores stand for.
#[derive(Clone)]
pub struct Places {
    repositories: BTreeMap<String, RepositoryAddress>,
    sources: BTreeMap<String, MakeNamedSource>,
    firebird: FirebirdDatabases,
    restore_roots: Vec<PathBuf>,
    compression: Compression,
    item_limits: BTreeMap<ItemId, BackupLimits>,
    clock: Arc<dyn Clock>,
    program_version: String,
}

impl Places {
    /// No name means anything yet. `program_version` is named in snapshots.
    pub fn new(clock: Arc<dyn Clock>, program_version: impl Into<String>) -> Self {
        Self {
            repositories: BTreeMap::new(),
            sources: BTreeMap::new(),
            firebird: FirebirdDatabases::default(),
            restore_roots: Vec::new(),
            compression: Compression::default(),
            item_limits: BTreeMap::new(),
            clock,
            program_version: program_version.into(),
        }
    }

    /// Gives a repository its name.
    pub fn repository(mut self, name: impl Into<String>, address: RepositoryAddress) -> Self {
        self.repositories.insert(name.into(), address);
        self
    }

    /// Gives a source of the program's own its name: what `ItemSource::Named` means.
    pub fn source(mut self, name: impl Into<String>, make: MakeNamedSource) -> Self {
        self.sources.insert(name.into(), make);
        self
    }

    /// Gives a Firebird database its name: what `ItemSource::Firebird` means, and a restore to one.
    pub fn firebird(mut self, name: impl Into<String>, database: FirebirdDatabase) -> Self {
        self.firebird.insert(name.into(), database);
        self
    }

    /// Lets restores write into folders below this one, which is absolute.
    pub fn restore_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.restore_roots.push(folder.into());
        self
    }

    /// Compresses backups as hard as this.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Backups of this item go no faster, whatever its repository allows.
    pub fn item_limits(mut self, item: ItemId, limits: BackupLimits) -> Self {
        self.item_limits.insert(item, limits);
        self
    }

    fn address(&self, name: &str) -> Result<&RepositoryAddress, String> {
        of_name("repository", name, &self.repositories)
    }

    fn named_source(&self, name: &str) -> Result<&MakeNamedSource, String> {
        of_name("source", name, &self.sources)
    }

    /// The root below which a restore may write to `target`, by its names. That no folder on the way is a
    /// link is seen by the restore itself.
    fn root_of(&self, target: &str) -> Result<&Path, String> {
        let path = Path::new(target);
        let plain = |component| matches!(component, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(plain) {
            return Err(format!("the target {target} is not an absolute path without .."));
        }
        if let Some(root) = self.restore_roots.iter().find(|root| path.starts_with(root)) {
            return Ok(root);
        }
        if self.restore_roots.is_empty() {
            return Err("no folder is configured to take restores; name one as a restore root".into());
        }
        let roots: Vec<_> = self.restore_roots.iter().map(|root| root.display().to_string()).collect();
        Err(format!("the target {target} is not below a restore root: {}", roots.join(", ")))
    }

    fn backup(&self, attempt: &Attempt, item: &Item) -> Result<Job> {
        let repository = self.address(&item.repository).map_err(Error::Invalid)?.clone();
        let sealed = attempt.sealed.as_deref().map(str::parse::<Id>).transpose();
        let sealed_before = sealed.map_err(|error| Error::Invalid(error.to_string()))?;
        let (source, excludes): (MakeSource, _) = match &item.source {
            ItemSource::Files(files) => {
                let (files, clock) = (files.clone(), self.clock.clone());
                let excludes = files.excludes.clone();
                let location = repository.location.clone();
                let make = move || {
                    let source = files_source(&files, &location, clock)?;
                    Ok(Box::new(source) as Box<dyn Source>)
                };
                (Box::new(make), excludes)
            }
            ItemSource::Named(name) => {
                let make = self.named_source(name).map_err(Error::Invalid)?.clone();
                (Box::new(move || make()), Vec::new())
            }
            ItemSource::Firebird(name) => {
                let make = self.firebird.source(name, self.clock.clone()).map_err(Error::Invalid)?;
                (make, Vec::new())
            }
        };
        let options = BackupOptions {
            tags: item.tags.clone(),
            excludes,
            compression: self.compression,
            limits: self.item_limits.get(&item.id).copied().unwrap_or_default(),
            program_version: self.program_version.clone(),
            ..BackupOptions::default()
        };
        Ok(Job::Backup(BackupJob { repository, source, options, sealed_before }))
    }

    fn restore(&self, request: &RestoreRequest) -> Result<Job> {
        let repository = self.address(&request.repository).map_err(Error::Invalid)?.clone();
        let (snapshot, path) = (request.snapshot.clone(), request.path.clone().into_bytes());
        let choice = SnapshotChoice::default();
        let target = match &request.target {
            RestoreTarget::Folder(target) => target,
            RestoreTarget::Firebird(wanted) => {
                let target = self.firebird.target(wanted, |path| self.root_of(path));
                let target = target.map_err(Error::Invalid)?;
                let job = FirebirdRestoreJob { repository, snapshot, choice, path, target };
                return Ok(Job::RestoreFirebird(job));
            }
        };
        let root = self.root_of(target).map_err(Error::Invalid)?;
        let options = RestoreOptions {
            // Links that an earlier restore wrote lead nowhere.
            beneath: Some(root.to_path_buf()),
            verify: request.verify,
            ..RestoreOptions::default()
        };
        Ok(Job::Restore(RestoreJob { repository, snapshot, choice, path, target: target.into(), options }))
    }
}

impl Workshop<Job> for Places {
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String> {
        match (kind, item) {
            (TaskKind::Restore(request), _) => {
                self.address(&request.repository)?;
                match &request.target {
                    RestoreTarget::Folder(target) => self.root_of(target).map(|_| ()),
                    RestoreTarget::Firebird(wanted) => {
                        self.firebird.target(wanted, |path| self.root_of(path)).map(|_| ())
                    }
                }
            }
            (TaskKind::Backup(_), Some(item)) => {
                self.address(&item.repository)?;
                match &item.source {
                    ItemSource::Files(_) => Ok(()),
                    ItemSource::Named(name) => self.named_source(name).map(|_| ()),
                    ItemSource::Firebird(name) => self.firebird.find(name).map(|_| ()),
                }
            }
            (TaskKind::Backup(item), None) => Err(format!("nothing is known of item {item}")),
        }
    }

    fn job(&self, attempt: &Attempt) -> Result<Job> {
        match (&attempt.kind, &attempt.item) {
            (TaskKind::Backup(_), Some(item)) => self.backup(attempt, item),
            (TaskKind::Backup(id), None) => {
                Err(Error::Invalid(format!("the task of item {id} has lost its item")))
            }
            (TaskKind::Restore(request), _) => self.restore(request),
        }
    }

    fn repository(&self, name: &str) -> Result<RepositoryAddress, String> {
        self.address(name).cloned()
    }

    fn names(&self) -> KnownNames {
        let repositories = self.repositories.iter();
        let setup = |(name, address): (&String, &RepositoryAddress)| RepositorySetup {
            name: name.clone(),
            location: address.location.to_string(),
        };
        let of_kind = |kind| move |name: &str| SourceSetup { name: name.into(), kind };
        let named = self.sources.keys().map(String::as_str).map(of_kind(SourceKind::Named));
        let firebird = self.firebird.names().map(of_kind(SourceKind::Firebird));
        let mut sources: Vec<SourceSetup> = named.chain(firebird).collect();
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        KnownNames {
            repositories: repositories.map(setup).collect(),
            sources,
            restore_roots: self.restore_roots.iter().map(|root| root.display().to_string()).collect(),
        }
    }
}

fn files_source(
    files: &FilesItem,
    repository: &keepwell_engine::store::Location,
    clock: Arc<dyn Clock>,
) -> Result<FilesSource> {
    let paths: Vec<PathBuf> = files.paths.iter().map(PathBuf::from).collect();
    let mut patterns: Vec<OsString> = files.excludes.iter().map(OsString::from).collect();
    patterns.extend(repository_pattern(&paths, repository));
    let excludes = Excludes { patterns, ..Excludes::default() };
    FilesSource::new(paths, FilesOptions { excludes, ..FilesOptions::default() }, clock)
}
