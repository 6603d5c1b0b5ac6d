//! One question to a repository that is kept open, from the lock to the answer.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_messages::{
    Differences, Folder, GetDifferences, GetFolder, GetMatchingEntries, GetSnapshots, MatchingEntries,
    Snapshots,
};

use super::content::{content_bytes, write_content};
use super::kept_open::KeptRepository;
use super::known_snapshots::KnownSnapshot;
use super::lookup::{Place, find_place};
use super::pages::{differences_page, folder_page, matches_page, snapshots_page};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Node, NodeKind, Snapshot};
use crate::id::Id;
use crate::repository::{Repository, Session};

/// An index that was loaded longer ago is brought up to date before it is used: another process may have pruned.
pub const INDEX_FRESH_FOR: Duration = Duration::from_secs(30);

/// A repository that somebody reads in. While it lives, the repository stays open and locked.
pub struct Reading {
    // Given up in this order: the lock before the repository.
    session: Session,
    kept: Arc<KeptRepository>,
    control: Control,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.kept.touch();
    }
}

impl Reading {
    pub(super) fn new(kept: Arc<KeptRepository>, session: Session, control: Control) -> Self {
        Self { session, kept, control }
    }

    /// The repository.
    pub fn repository(&self) -> &Arc<Repository> {
        self.session.repository()
    }

    /// A page of its snapshots.
    ///
    /// # Errors
    /// As [`snapshots_page`]; failures of the store.
    pub fn snapshots(&self, asked: &GetSnapshots) -> Result<Snapshots> {
        snapshots_page(&self.kept.snapshots.list(self.repository(), &self.control)?, asked)
    }

    /// A page of a folder.
    ///
    /// # Errors
    /// As [`Repository::find_snapshot`] and [`folder_page`].
    pub fn folder(&self, asked: &GetFolder) -> Result<Folder> {
        let (id, known) = self.find(&asked.snapshot)?;
        let tree = known.snapshot.tree;
        let was_loaded = self.freshen_index(known.seen)?;
        match folder_page(self.repository(), id, tree, asked, &self.control) {
            // An index that is a little old may name packs that are no more.
            Err(error) if !was_loaded && (matches!(error, Error::Damaged { .. }) || is_gone(&error)) => {
                self.load_index()?;
                folder_page(self.repository(), id, tree, asked, &self.control)
            }
            page => page,
        }
    }

    /// A page of what matches.
    ///
    /// # Errors
    /// As [`Repository::find_snapshot`] and [`matches_page`].
    pub fn matches(&self, asked: &GetMatchingEntries) -> Result<MatchingEntries> {
        let snapshots: Vec<(Id, Snapshot)> = if asked.snapshots.is_empty() {
            let list = self.kept.snapshots.list(self.repository(), &self.control)?;
            list.snapshots.iter().map(|(id, snapshot)| (*id, Snapshot::clone(snapshot))).collect()
        } else {
            let mut named = Vec::new();
            for name in &asked.snapshots {
                let (id, known) = self.find(name)?;
                if named.iter().all(|(other, _)| *other != id) {
                    named.push((id, Snapshot::clone(&known.snapshot)));
                }
            }
            named.sort_by_key(|(_, snapshot)| {
                std::cmp::Reverse((snapshot.time.seconds, snapshot.time.nanoseconds))
            });
            named
        };
        self.load_index()?;
        matches_page(self.repository(), &snapshots, asked, &self.control)
    }

    /// What differs between two snapshots.
    ///
    /// # Errors
    /// As [`Repository::find_snapshot`] and [`differences_page`].
    pub fn differences(&self, asked: &GetDifferences) -> Result<Differences> {
        let (older, newer) = (self.find(&asked.older)?, self.find(&asked.newer)?);
        self.load_index()?;
        let with_tree = |(id, known): (Id, KnownSnapshot)| (id, known.snapshot.tree);
        differences_page(self.repository(), with_tree(older), with_tree(newer), asked, &self.control)
    }

    /// The content of the file at `path` of a snapshot.
    ///
    /// # Errors
    /// As [`Repository::find_snapshot`] and [`find_place`]; [`Error::Invalid`] if it is no file; [`Error::Damaged`] if
    /// part of its content is known to be lost.
    pub fn file(self, snapshot: &str, path: &str) -> Result<FileContent> {
        let (_, known) = self.find(snapshot)?;
        self.load_index()?;
        let found = find_place(self.repository(), known.snapshot.tree, path.as_bytes(), &self.control)?;
        let node = match found {
            Place::Entry(node) if node.kind == NodeKind::File => node,
            Place::Entry(node) => {
                let kind = node.kind.name();
                return Err(Error::Invalid(format!("{path} is a {kind}, not a file")));
            }
            Place::Root(_) => {
                return Err(Error::Invalid("the top of a snapshot is a folder, not a file".into()));
            }
        };
        let bytes = content_bytes(self.repository(), &node, Path::new(path))?;
        Ok(FileContent { reading: self, path: path.into(), node, bytes })
    }

    fn find(&self, name: &str) -> Result<(Id, KnownSnapshot)> {
        self.kept.snapshots.find(self.repository(), name, &self.control)
    }

    /// Loads the index unless it has all that a snapshot needs which was there at `seen`. True if it was loaded.
    fn freshen_index(&self, seen: Instant) -> Result<bool> {
        let loaded = *self.kept.index_loaded.lock();
        let is_fresh = loaded.is_some_and(|at| at > seen && at.elapsed() < INDEX_FRESH_FOR);
        if is_fresh && self.repository().has_index() {
            return Ok(false);
        }
        self.load_index()?;
        Ok(true)
    }

    fn load_index(&self) -> Result<()> {
        let begun = Instant::now();
        self.repository().load_index(&self.control)?;
        *self.kept.index_loaded.lock() = Some(begun);
        Ok(())
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Store { .. }) && error.is_not_found()
}

/// A file in a snapshot, ready to be read.
pub struct FileContent {
    reading: Reading,
    path: String,
    node: Box<Node>,
    bytes: u64,
}

impl FileContent {
    /// Its name, without its path.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.node.name).into_owned()
    }

    /// Bytes that [`FileContent::write_to`] will write.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes all of it to `out`, each piece only once it was checked.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the file; what was written by then is right, and less than all. [`Error::Local`] if
    /// `out` fails; [`Error::Cancelled`].
    pub fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let repository = self.reading.repository();
        write_content(repository, &self.node, self.path.as_bytes(), out, &self.reading.control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::KeptOpen;
    use crate::query::sample::{PASSWORD, Sample, dir, file};
    use crate::repository::{FileKind, Repositories, RepositoryAddress, RepositoryOptions};
    use crate::store::{Location, StoreSettings};

    fn address(name: &str) -> RepositoryAddress {
        let location = Location::parse(&format!("memory://query-{name}"), Path::new("/")).unwrap();
        let password = Arc::new(|| Ok(PASSWORD.into()));
        RepositoryAddress { location, settings: StoreSettings::default(), password }
    }

    fn folder(path: &str) -> GetFolder {
        let (repository, snapshot) = ("r".into(), "latest".into());
        GetFolder { repository, snapshot, path: path.into(), after: None, limit: 100 }
    }

    #[test]
    fn what_others_stored_since_is_seen_at_once_and_the_lock_goes_with_the_question() {
        let sample = Sample::new("reading-fresh");
        let (repositories, kept) = (Repositories::new(RepositoryOptions::default()), KeptOpen::default());
        let address = address("reading-fresh");
        let ask = || kept.begin(&repositories, &address, &Control::new()).unwrap();
        let names = |path: &str| -> Vec<String> {
            ask().folder(&folder(path)).unwrap().entries.into_iter().map(|entry| entry.name).collect()
        };
        sample.snapshot(sample.tree(&[file("one", &[])]), 1);
        assert_eq!(names("/"), ["one"]);
        // The sample is another process, as far as the kept repository knows.
        let inner = sample.tree(&[file("x", &[])]);
        sample.snapshot(sample.tree(&[dir("d", inner), file("two", &[])]), 2);
        assert_eq!(names("/"), ["d", "two"]);
        assert_eq!(names("/d"), ["x"]);
        let locks = || sample.repository().files().ids(FileKind::Lock).unwrap().len();
        let reading = ask();
        assert_eq!(locks(), 2);
        drop(reading);
        assert_eq!(locks(), 1, "the sample's own");
    }

    #[test]
    fn a_file_comes_whole_or_with_an_error() {
        let sample = Sample::new("reading-file");
        let (one, two, lost) = (sample.hundred(1), sample.hundred(2), Id([9; 32]));
        let entries =
            [dir("d", sample.tree(&[])), file("empty", &[]), file("f", &[one, two]), file("l", &[one, lost])];
        sample.snapshot(sample.tree(&entries), 1);
        let (repositories, kept) = (Repositories::new(RepositoryOptions::default()), KeptOpen::default());
        let address = address("reading-file");
        let open = |path: &str| {
            kept.begin(&repositories, &address, &Control::new())
                .and_then(|reading| reading.file("latest", path))
        };
        for (path, expected) in [("/empty", Vec::new()), ("/f", [[1; 100], [2; 100]].concat())] {
            let content = open(path).unwrap();
            let mut out = Vec::new();
            content.write_to(&mut out).unwrap();
            assert_eq!((content.bytes(), &out), (expected.len() as u64, &expected), "{path}");
            assert_eq!(content.name(), path[1..]);
        }
        for (path, why) in [
            ("/d", "/d is a dir, not a file"),
            ("/", "the top of a snapshot is a folder, not a file"),
            ("/g", "/g not found"),
        ] {
            assert_eq!(open(path).map(drop).unwrap_err().to_string(), why);
        }
        assert!(matches!(open("/l"), Err(Error::Damaged { .. })));
    }
}
