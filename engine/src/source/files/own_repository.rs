//! A repository that lies in the folder that is backed up into it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::store::Location;

/// A repository that lies within what is backed up into it would grow by itself with every
/// backup. The pattern that leaves it out, if it does. Looks at the file system.
pub fn repository_pattern(paths: &[PathBuf], repository: &Location) -> Option<OsString> {
    let folder = fs::canonicalize(repository.as_folder()?).ok()?;
    let inside = |path: &PathBuf| {
        // Links within the tree are not followed, so only where it starts matters.
        fs::canonicalize(path).is_ok_and(|start| folder.starts_with(&start) && folder != start)
    };
    let around = paths.iter().find(|path| inside(path))?;
    let start = fs::canonicalize(around).ok()?;
    let below = folder.strip_prefix(&start).ok()?;
    Some(as_pattern(&std::path::absolute(around).ok()?.join(below)))
}

/// A pattern that matches this path only.
fn as_pattern(path: &Path) -> OsString {
    let mut pattern = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if b"\\*?[]$!".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    OsString::from_vec(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_pattern_that_matches_it_alone() {
        assert_eq!(as_pattern(Path::new("/a/b*[c]?\\")), r"/a/b\*\[c\]\?\\");
    }
}
