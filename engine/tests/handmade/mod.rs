//! Repositories made by hand: small sound ones to damage, and a writer that puts anything into
//! one under its right keys, as a hostile owner of the password could.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keepwell_engine::check::{CheckOptions, CheckOutcome, Finding, ReadData, check};
use keepwell_engine::compress::Compression;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::crypto::SealingKey;
use keepwell_engine::error::Result;
use keepwell_engine::format::{
    BlobKind, IndexFile, IndexedPack, KeyFile, Node, NodeKind, PackedBlob, Snapshot, Timestamp, TreeWriter,
    pack_header,
};
use keepwell_engine::id::Id;
use keepwell_engine::report::Silent;
use keepwell_engine::repository::{FileKind, InitOptions, Repository, RepositoryOptions, Session};
use keepwell_engine::store::{Location, StoreSettings};
use parking_lot::Mutex;
use secrecy::SecretString;

pub const PASSWORD: &str = "correct horse battery staple";

/// A repository in a folder that goes away with it.
pub struct Handmade {
    folder: tempfile::TempDir,
    pub key: SealingKey,
}

impl Handmade {
    /// An empty repository whose key costs nothing to open.
    pub fn empty() -> Self {
        static EMPTY: OnceLock<Handmade> = OnceLock::new();
        EMPTY.get_or_init(Self::init).copy()
    }

    fn init() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::folder(folder.path());
        let (settings, options) = (StoreSettings::default(), RepositoryOptions::default());
        let password = SecretString::from(PASSWORD);
        let repository =
            Repository::init(&location, &settings, &password, &InitOptions::default(), options).unwrap();
        let key_path = folder.path().join(FileKind::Key.path(repository.key_id()));
        let file: KeyFile = serde_json::from_slice(&fs::read(&key_path).unwrap()).unwrap();
        let key = file.open(PASSWORD).unwrap().expect("the right password");
        fs::remove_file(key_path).unwrap();
        // The 256 folders of packs are made again where they are needed: most of these tests' time otherwise.
        for folder in fs::read_dir(folder.path().join("data")).unwrap() {
            fs::remove_dir(folder.unwrap().path()).unwrap();
        }
        let made = Self { folder, key };
        made.add_key(PASSWORD);
        made
    }

    /// Two snapshots of two folders, each with its own index file, data pack and tree pack.
    pub fn sound() -> Self {
        static SOUND: OnceLock<Handmade> = OnceLock::new();
        SOUND.get_or_init(Self::two_snapshots).copy()
    }

    fn two_snapshots() -> Self {
        let made = Self::empty();
        for round in 0..2u8 {
            let repository = made.open().unwrap();
            let session = repository.begin(false, &Control::new()).unwrap();
            repository.load_index(&Control::new()).unwrap();
            store_snapshot(&session, round);
        }
        made
    }

    /// A copy to damage.
    pub fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(self.path(), folder.path());
        Self { folder, key: self.key.clone() }
    }

    /// Adds a key file with scrypt's smallest cost.
    pub fn add_key(&self, password: &str) -> PathBuf {
        let salt = [7u8; 64];
        let mut derived = [0u8; 64];
        let parameters = scrypt::Params::new(1, 1, 1).unwrap();
        scrypt::scrypt(password.as_bytes(), &salt, &parameters, &mut derived).unwrap();
        let data = SealingKey::from_bytes(&derived).seal(&self.key.to_json()).unwrap();
        let json = format!(
            "{{\"created\":\"2024-01-02T03:04:05Z\",\"username\":\"u\",\"hostname\":\"h\",\"kdf\":\"scrypt\",\
             \"N\":2,\"r\":1,\"p\":1,\"salt\":\"{}\",\"data\":\"{}\"}}",
            BASE64.encode(salt),
            BASE64.encode(data)
        );
        let path = self.path().join(FileKind::Key.path(Id::of(json.as_bytes())));
        fs::write(&path, json).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn open(&self) -> Result<Arc<Repository>> {
        let password = SecretString::from(PASSWORD);
        let location = Location::folder(self.path());
        Repository::open(&location, &StoreSettings::default(), &password, RepositoryOptions::default())
    }

    /// Opens and checks it.
    pub fn check(&self, read_data: ReadData) -> Result<(CheckOutcome, Vec<Finding>)> {
        let session = self.open()?.begin_unlocked();
        check_session(&session, read_data)
    }

    /// The files of a kind as paths in the repository, sorted.
    pub fn files(&self, kind: FileKind) -> Vec<String> {
        let all = self.all_files().into_iter();
        all.filter(|path| path.starts_with(&format!("{}/", kind.folder()))).collect()
    }

    /// The packs whose blobs are of one kind.
    pub fn packs(&self, kind: BlobKind) -> Vec<String> {
        let mut packs = Vec::new();
        for path in self.files(FileKind::Index) {
            for pack in self.read_index(&path).packs {
                if pack.blobs[0].kind == kind {
                    packs.push(FileKind::Pack.path(pack.id));
                }
            }
        }
        packs.sort();
        packs
    }

    pub fn read_index(&self, path: &str) -> IndexFile {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        let json = self.open().unwrap().files().read(FileKind::Index, id).unwrap();
        IndexFile::from_json(&json).unwrap()
    }

    pub fn all_files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(self.path()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    pub fn flip(&self, path: &str, at: usize) {
        let path = self.path().join(path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        self.overwrite(&path, &bytes);
    }

    pub fn truncate(&self, path: &str, length: usize) {
        let path = self.path().join(path);
        let bytes = fs::read(&path).unwrap();
        self.overwrite(&path, &bytes[..length]);
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).unwrap();
    }

    pub fn size(&self, path: &str) -> usize {
        fs::metadata(self.path().join(path)).unwrap().len() as usize
    }

    /// Seals and stores text under its right name.
    pub fn put(&self, kind: FileKind, text: &[u8]) -> String {
        let sealed = self.key.seal(text).unwrap();
        let path = kind.path(Id::of(&sealed));
        fs::create_dir_all(self.path().join(kind.folder())).unwrap();
        fs::write(self.path().join(&path), sealed).unwrap();
        path
    }

    pub fn put_index(&self, packs: Vec<IndexedPack>) -> String {
        self.put(FileKind::Index, &IndexFile { packs }.to_json())
    }

    pub fn put_snapshot(&self, tree: Id) -> String {
        let snapshot = Snapshot::new(Timestamp::from_unix(1_700_000_000, 0), tree, vec!["/made".into()]);
        self.put(FileKind::Snapshot, &snapshot.encode())
    }

    /// Stores a pack of these blobs with a right header and name. The index is told what the header says.
    pub fn put_pack(&self, blobs: &[HandmadeBlob]) -> IndexedPack {
        let mut bytes = Vec::new();
        let mut packed = Vec::new();
        for blob in blobs {
            let sealed = self.key.seal(&blob.stored).unwrap();
            packed.push(PackedBlob {
                id: blob.id,
                kind: blob.kind,
                offset_bytes: bytes.len() as u32,
                length_bytes: sealed.len() as u32,
                uncompressed_bytes: blob.uncompressed_bytes,
            });
            bytes.extend_from_slice(&sealed);
        }
        let header = self.key.seal(&pack_header::encode(&packed)).unwrap();
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        IndexedPack { id: self.put_pack_bytes(&bytes), blobs: packed }
    }

    pub fn put_pack_bytes(&self, bytes: &[u8]) -> Id {
        let id = Id::of(bytes);
        let path = self.path().join(FileKind::Pack.path(id));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        id
    }

    /// A snapshot of one tree, whose text this is.
    pub fn put_tree_and_snapshot(&self, text: &[u8]) -> Id {
        let blob = HandmadeBlob::plain(BlobKind::Tree, text);
        self.put_index(vec![self.put_pack(std::slice::from_ref(&blob))]);
        self.put_snapshot(blob.id);
        blob.id
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) {
        // restic makes its files read-only.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A blob as a pack holds it.
#[derive(Clone)]
pub struct HandmadeBlob {
    pub kind: BlobKind,
    pub id: Id,
    pub stored: Vec<u8>,
    pub uncompressed_bytes: u32,
}

impl HandmadeBlob {
    /// A sound one, not compressed.
    pub fn plain(kind: BlobKind, plaintext: &[u8]) -> Self {
        Self { kind, id: Id::of(plaintext), stored: plaintext.to_vec(), uncompressed_bytes: 0 }
    }
}

pub fn check_session(session: &Session, read_data: ReadData) -> Result<(CheckOutcome, Vec<Finding>)> {
    let findings = Mutex::new(Vec::new());
    let options = CheckOptions { read_data, seed: Some(1) };
    let outcome = check(session, &options, &Control::new(), &ComputeSlots::new(2), &Silent, &|finding| {
        findings.lock().push(finding);
    })?;
    let findings = findings.into_inner();
    assert_eq!(outcome.errors + outcome.warnings, findings.len() as u64);
    Ok((outcome, findings))
}

pub fn file_node(name: &str, content: Vec<Id>, size: u64) -> Node {
    let mut node = Node::empty(NodeKind::File);
    node.name = name.into();
    node.mode = 0o644;
    node.size = size;
    node.content = Some(content);
    node
}

pub fn folder_node(name: &str, subtree: Id) -> Node {
    let mut node = Node::empty(NodeKind::Dir);
    node.name = name.into();
    node.mode = keepwell_engine::format::go_mode::DIR | 0o755;
    node.subtree = Some(subtree);
    node
}

pub fn tree_text(nodes: &[Node]) -> Vec<u8> {
    let mut writer = TreeWriter::new();
    for node in nodes {
        writer.push(node).unwrap();
    }
    writer.finish()
}

/// `/docs/{large,small}` and `/top`, whose bytes depend on `round`.
fn store_snapshot(session: &Session, round: u8) {
    let mut scratch = Vec::new();
    let mut store = |kind, plaintext: &[u8]| {
        let id = Id::of(plaintext);
        session.store_blob(kind, id, plaintext, Compression::Auto, &mut scratch).unwrap();
        id
    };
    let noise: Vec<u8> =
        (0..2000u32).flat_map(|n| Id::of(&[&n.to_le_bytes()[..], &[round]].concat()).0).collect();
    let text = [b'a' + round; 5000];
    let (first, second) = (store(BlobKind::Data, &noise), store(BlobKind::Data, &text));
    let top = store(BlobKind::Data, b"the same in both");
    let docs = tree_text(&[
        file_node("large", vec![first, second], 64_000 + 5000),
        file_node("small", vec![second], 5000),
    ]);
    let docs = store(BlobKind::Tree, &docs);
    let root = tree_text(&[folder_node("docs", docs), file_node("top", vec![top], 16)]);
    let root = store(BlobKind::Tree, &root);
    session.flush().unwrap();
    let time = Timestamp::from_unix(1_700_000_000 + i64::from(round), 0);
    let snapshot = Snapshot::new(time, root, vec!["/made".into()]);
    let sealed = session.seal_snapshot(&snapshot).unwrap();
    session.put_snapshot(sealed).unwrap();
}

/// Copies the files, and only the folders that hold any.
fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::create_dir_all(to).unwrap();
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
