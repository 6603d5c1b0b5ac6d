//! Where data comes from. A folder of files and a database dump are both
//! sources: a tree of entries with metadata, whose contents are readers.
//!
//! The archive pipeline pulls: it lists folders and opens contents from several
//! threads at once, and asks for nothing that it has no room for.

pub mod files;
pub mod filter;
pub mod firebird;
pub mod sqlite;
pub mod stream;

pub(crate) mod clean_path;
mod glob;
mod one_file;
mod scratch;

use std::io::Read;

use crate::control::Control;
use crate::error::Result;
use crate::format::Node;

/// One entry: its metadata, and how to get at what is in it.
pub struct Entry {
    /// Metadata. `content` and `subtree` are empty: the pipeline fills them.
    pub node: Node,
    /// What is in it.
    pub content: EntryContent,
}

/// What is in an entry.
pub enum EntryContent {
    /// Metadata is all there is: links, devices, pipes.
    Nothing,
    /// A file's bytes.
    File(Box<dyn FileContent>),
    /// More entries.
    Folder(Box<dyn Folder>),
}

/// A file that can be opened, once or several times.
pub trait FileContent: Send {
    /// Opens it for reading from its beginning.
    fn open(&self) -> Result<Box<dyn Read + Send>>;

    /// Whether its length is not known before it was read: a dump, a pipe.
    fn is_stream(&self) -> bool {
        false
    }

    /// Completes the file's node with what costs a look of its own: extended attributes. Called for a file that is new or has
    /// changed, and where it is not sure that the parent snapshot has all of them; else a file whose time of change is
    /// what it was has the attributes that it had there.
    /// What it had of these is replaced. What cannot be read is told to `problems` and left out.
    fn complete(&self, _node: &mut Node, _problems: &dyn Problems) {}

    /// Completes the file's node, and opens it. To be overridden where both at once cost less.
    fn open_completing(&self, node: &mut Node, problems: &dyn Problems) -> Result<Box<dyn Read + Send>> {
        self.complete(node, problems);
        self.open()
    }
}

/// A folder that can be listed.
pub trait Folder: Send {
    /// Gives its entries one by one to `each`, sorted by the bytes of their names, no name twice.
    /// What cannot be read is told to `problems` and left out; what is excluded is left out.
    /// An error means that the folder itself could not be listed, or comes from `each`.
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()>;

    /// The path as a person knows it, for messages.
    fn display_path(&self) -> String;
}

/// Takes note of entries that cannot be backed up. Called from many threads.
pub trait Problems: Sync {
    /// `path` could not be read for the reason `why`: an error of the backup.
    fn unreadable(&self, path: &str, why: &str);
    /// `path` is of a kind that is not stored (a socket): told, not an error.
    fn not_stored(&self, path: &str, why: &str);
}

/// How much there is to read, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Where a backup's data comes from.
pub trait Source: Send + Sync {
    /// The paths that the snapshot names, absolute for files.
    fn paths(&self) -> Vec<String>;

    /// Gets ready: starts a dump, checks that the paths exist. Blocks; looks at `control`.
    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()>;

    /// The top of the tree. Called once, after `prepare`.
    fn root(&self) -> Result<Box<dyn Folder>>;

    /// Counts what there is, telling `found` every now and then what was added since the last call, nothing
    /// included: `found` waits while the job is paused. Runs beside the backup, only where somebody watches.
    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()>;

    /// Called after the last byte was read, before the snapshot is sealed: the
    /// place to find that a dump's command failed. An error leaves no snapshot.
    fn finish(&self) -> Result<()>;

    /// Wakes readers that block; they then fail. Called at most once, from any thread.
    fn cancel(&self);
}

/// A folder's entries at once, for tests.
#[cfg(test)]
pub(crate) fn list_all(folder: &dyn Folder, problems: &dyn Problems) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    folder.list(problems, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok(entries)
}
