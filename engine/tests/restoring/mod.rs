//! A repository that a test fills entry by entry, and a target to restore into.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_engine::compress::Compression;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::format::{BlobKind, Node, NodeKind, Timestamp, TreeWriter, go_mode};
use keepwell_engine::id::Id;
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_engine::repository::{InitOptions, Repository, RepositoryOptions, Session};
use keepwell_engine::restore::{RestoreOptions, RestoreOutcome, Subtree, restore};
use keepwell_engine::store::{Location, StoreSettings};
use parking_lot::Mutex;
use secrecy::SecretString;
use tempfile::TempDir;

/// Takes note of problems.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Problem>>);

impl ReportSink for Told {
    fn progress(&self, _: &keepwell_messages::Progress) {}
    fn problem(&self, problem: &Problem) {
        self.0.lock().push(problem.clone());
    }
}

/// A repository, a folder beside the target that nothing may touch, and the target.
pub struct Stand {
    pub repository: Arc<Repository>,
    pub session: Session,
    pub folder: TempDir,
}

impl Stand {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::folder(folder.path().join("repository"));
        let repository = Repository::init(
            &location,
            &StoreSettings::default(),
            &SecretString::from("password"),
            &InitOptions::default(),
            RepositoryOptions::default(),
        )
        .unwrap();
        let session = repository.begin(false, &Control::new()).unwrap();
        Self { repository, session, folder }
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    pub fn packs(&self) -> PathBuf {
        self.folder.path().join("repository/data")
    }

    pub fn blob(&self, kind: BlobKind, bytes: &[u8]) -> Id {
        let id = Id::of(bytes);
        self.session.store_blob(kind, id, bytes, Compression::Auto, &mut Vec::new()).unwrap();
        id
    }

    /// A file whose blobs are these.
    pub fn file(&self, name: &str, blobs: &[&[u8]]) -> Node {
        let mut node = node(name, NodeKind::File, 0o644);
        node.size = blobs.iter().map(|blob| blob.len() as u64).sum();
        node.content = Some(blobs.iter().map(|blob| self.blob(BlobKind::Data, blob)).collect());
        node
    }

    pub fn dir(&self, name: &str, nodes: Vec<Node>) -> Node {
        let mut node = node(name, NodeKind::Dir, go_mode::DIR | 0o755);
        node.subtree = Some(self.tree(nodes));
        node
    }

    pub fn tree(&self, mut nodes: Vec<Node>) -> Id {
        nodes.sort_by(|left, right| left.name.cmp(&right.name));
        let mut writer = TreeWriter::new();
        for node in &nodes {
            writer.push(node).unwrap();
        }
        self.blob(BlobKind::Tree, &writer.finish())
    }

    pub fn try_restore(
        &self,
        what: impl Into<Subtree>,
        options: &RestoreOptions,
    ) -> (Result<RestoreOutcome>, Vec<Problem>) {
        self.session.flush().unwrap();
        let told = Told::default();
        let compute = ComputeSlots::new(3);
        let control = Control::new();
        let outcome = restore(&self.session, what, &self.target(), options, &control, &compute, &told);
        (outcome, told.0.into_inner())
    }

    pub fn restore(
        &self,
        what: impl Into<Subtree>,
        options: &RestoreOptions,
    ) -> (RestoreOutcome, Vec<Problem>) {
        let (outcome, problems) = self.try_restore(what, options);
        (outcome.unwrap(), problems)
    }

    /// Restores without any problem.
    pub fn restore_cleanly(&self, what: impl Into<Subtree>, options: &RestoreOptions) -> RestoreOutcome {
        let (outcome, problems) = self.restore(what, options);
        assert_eq!(problems, []);
        outcome
    }
}

/// Owned by whoever runs the test, changed at a time before 1970.
pub fn node(name: &str, kind: NodeKind, mode: u32) -> Node {
    let mut node = Node::empty(kind);
    node.name = name.into();
    node.mode = mode;
    node.mtime = Timestamp::from_unix(-86_401, 123_456_789);
    node.atime = Timestamp::from_unix(-5, 7);
    node.uid = rustix::process::geteuid().as_raw();
    node.gid = rustix::process::getegid().as_raw();
    node.links = 1;
    node
}

pub fn mode_of(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

pub fn mtime_of(path: &Path) -> (i64, i64) {
    let found = path.symlink_metadata().unwrap();
    (found.mtime(), found.mtime_nsec())
}
