//! Small repositories for tests, made blob by blob.

use std::sync::Arc;

use secrecy::SecretString;

use crate::compress::Compression;
use crate::control::Control;
use crate::format::{BlobKind, Node, NodeKind, Snapshot, Timestamp, TreeWriter};
use crate::id::Id;
use crate::repository::{InitOptions, Repository, RepositoryOptions, Session};
use crate::store::{Location, StoreSettings};

/// The password of every sample.
pub const PASSWORD: &str = "sample";

/// A repository and a session that writes to it.
pub struct Sample {
    pub session: Session,
}

/// A file of these blobs; its size is their number times a hundred.
pub fn file(name: &str, content: &[Id]) -> Node {
    let mut node = Node::empty(NodeKind::File);
    node.name = name.as_bytes().to_vec();
    node.mode = 0o644;
    node.links = 1;
    node.size = 100 * content.len() as u64;
    node.content = Some(content.to_vec());
    node
}

/// A folder.
pub fn dir(name: &str, tree: Id) -> Node {
    let mut node = Node::empty(NodeKind::Dir);
    node.name = name.as_bytes().to_vec();
    node.mode = crate::format::go_mode::DIR | 0o755;
    node.subtree = Some(tree);
    node
}

impl Sample {
    /// A repository in memory. Its name must be the test's own.
    pub fn new(name: &str) -> Self {
        let location = Location::parse(&format!("memory://query-{name}"), std::path::Path::new("/")).unwrap();
        Self::at(&location, &InitOptions::default())
    }

    /// A repository anywhere.
    pub fn at(location: &Location, init: &InitOptions) -> Self {
        let password = SecretString::from(PASSWORD);
        let options = RepositoryOptions::default();
        let repository =
            Repository::init(location, &StoreSettings::default(), &password, init, options).unwrap();
        Self { session: repository.begin(false, &Control::new()).unwrap() }
    }

    pub fn repository(&self) -> &Arc<Repository> {
        self.session.repository()
    }

    /// Stores a data blob.
    pub fn blob(&self, plaintext: &[u8]) -> Id {
        self.store(BlobKind::Data, plaintext)
    }

    /// Stores a data blob of a hundred bytes, all `byte`.
    pub fn hundred(&self, byte: u8) -> Id {
        self.blob(&[byte; 100])
    }

    /// Stores a tree.
    pub fn tree(&self, nodes: &[Node]) -> Id {
        let mut writer = TreeWriter::new();
        nodes.iter().for_each(|node| writer.push(node).unwrap());
        self.store(BlobKind::Tree, &writer.finish())
    }

    /// Stores a snapshot of `tree`, after all that was stored until now.
    pub fn snapshot(&self, tree: Id, seconds: i64) -> (Id, Snapshot) {
        let snapshot = Snapshot::new(Timestamp::from_unix(seconds, 0), tree, vec!["/".into()]);
        self.put(snapshot)
    }

    /// Stores this snapshot.
    pub fn put(&self, snapshot: Snapshot) -> (Id, Snapshot) {
        self.session.flush().unwrap();
        let sealed = self.session.seal_snapshot(&snapshot).unwrap();
        (self.session.put_snapshot(sealed).unwrap(), snapshot)
    }

    pub fn store(&self, kind: BlobKind, plaintext: &[u8]) -> Id {
        let id = Id::of(plaintext);
        let compression = Compression::default();
        self.session.store_blob(kind, id, plaintext, compression, &mut Vec::new()).unwrap();
        id
    }
}
