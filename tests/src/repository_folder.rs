//! A repository in a folder, looked at from outside while programs work on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files by their path inside the repository, with their sizes.
pub type Files = BTreeMap<PathBuf, u64>;

/// All files of the repository, staging files too. What vanishes meanwhile is left out.
pub fn files(repository: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![repository.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) => {
                    let name = path.strip_prefix(repository).expect("below the repository");
                    found.insert(name.to_path_buf(), metadata.len());
                }
                Err(_) => {}
            }
        }
    }
    found
}

/// The files in one of its folders that have their final names.
pub fn stored_in(repository: &Path, folder: &str) -> Files {
    let mut found = files(&repository.join(folder));
    found.retain(|path, _| !is_staging(path));
    found
}

/// What a backup leaves for good: packs, index files and snapshots.
pub fn stored(repository: &Path) -> Files {
    let mut found = files(repository);
    found.retain(|path, _| {
        !is_staging(path) && ["data", "index", "snapshots"].iter().any(|folder| path.starts_with(folder))
    });
    found
}

/// Files that some program, keepwell or another, has not given their final name: what
/// is neither the configuration nor named by 64 hexadecimal digits.
pub fn unfinished(repository: &Path) -> Files {
    let mut found = files(repository);
    found.retain(|path, _| is_staging(path));
    found
}

fn is_staging(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name != "config" && !(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The sum of the sizes.
pub fn bytes(files: &Files) -> u64 {
    files.values().sum()
}
