//! Whether two folders hold the same: every byte, every piece of metadata.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::awkward_tree::entries;

/// What one entry is, as far as a restore can bring it back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Described {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    device: u64,
    content: Vec<u8>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first entry, in name order, that is the same file.
    same_file_as: Option<PathBuf>,
}

/// What is looked at beside names, kinds and contents.
#[derive(Clone, Copy, Debug)]
pub struct Strictness {
    /// Owners and groups.
    pub owners: bool,
    /// Times of symbolic links, which not every program restores.
    pub symlink_times: bool,
}

/// Everything.
pub const EXACT: Strictness = Strictness { owners: true, symlink_times: true };

/// Fails, naming every difference, unless `left` and `right` hold the same.
pub fn assert_same(left: &Path, right: &Path, strictness: Strictness) {
    let (left_entries, right_entries) = (describe(left, strictness), describe(right, strictness));
    let mut differences = Vec::new();
    for (path, entry) in &left_entries {
        match right_entries.get(path) {
            None => differences.push(format!("{path:?} is missing")),
            Some(other) if other != entry => {
                differences.push(format!("{path:?} differs:\n  {}\n  {}", show(entry), show(other)));
            }
            Some(_) => {}
        }
    }
    let more = right_entries.keys().filter(|path| !left_entries.contains_key(*path));
    differences.extend(more.map(|path| format!("{path:?} is too many")));
    assert!(
        differences.is_empty(),
        "{} and {} differ in {} entries:\n{}",
        left.display(),
        right.display(),
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

fn show(entry: &Described) -> String {
    let mut shown = entry.clone();
    shown.content.truncate(32);
    format!("{shown:?}")
}

fn describe(top: &Path, strictness: Strictness) -> BTreeMap<PathBuf, Described> {
    let mut first_names: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut described = BTreeMap::new();
    for path in entries(top) {
        let name = path.strip_prefix(top).expect("below the top").to_path_buf();
        let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let kind = metadata.file_type();
        let content = if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            Sha256::digest(&bytes).iter().copied().chain(metadata.len().to_le_bytes()).collect()
        } else if kind.is_symlink() {
            fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let times = strictness.symlink_times || !kind.is_symlink();
        let is_device = kind.is_block_device() || kind.is_char_device();
        let file = (metadata.dev(), metadata.ino());
        let shared = kind.is_file() && metadata.nlink() > 1;
        let first = shared.then(|| first_names.entry(file).or_insert_with(|| name.clone()).clone());
        let entry = Described {
            kind: format!("{kind:?}"),
            mode: if kind.is_symlink() { 0 } else { metadata.mode() },
            owner: if strictness.owners { (metadata.uid(), metadata.gid()) } else { (0, 0) },
            mtime: if times { (metadata.mtime(), metadata.mtime_nsec()) } else { (0, 0) },
            device: if is_device { metadata.rdev() } else { 0 },
            content,
            attributes: attributes(&path),
            same_file_as: first,
        };
        described.insert(name, entry);
    }
    described
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0u8; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value) {
            value.truncate(length);
            found.insert(name.to_vec(), value);
        }
    }
    found
}
