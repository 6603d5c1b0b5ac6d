//! Paths made clean by their letters alone, as Go's `filepath.Clean` does it:
//! no double slashes, no `.`, each `..` taken together with what it undoes.
//!
//! The file system is not asked, so `a/link/..` is `a` whatever `link` points to.
//! Works on bytes: a path need not be UTF-8.

/// The shortest path that is spelled the same but for `.`, `..` and slashes.
/// The empty path is `.`; `..` directly below the root goes nowhere.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            name => parts.push(name),
        }
    }
    let mut cleaned = Vec::with_capacity(path.len().max(1));
    if rooted {
        cleaned.push(b'/');
    }
    cleaned.extend_from_slice(&parts.join(&b'/'));
    if cleaned.is_empty() {
        cleaned.push(b'.');
    }
    cleaned
}

/// `name` below `folder`, which is clean. `name` is one component or empty.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does_it() {
        let cases = [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("..", ".."),
            ("../..", "../.."),
            ("a/..", "."),
            ("a/../..", ".."),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../b", "/b"),
            ("a/b/../../../c", "../c"),
            ("...", "..."),
        ];
        for (path, expected) in cases {
            assert_eq!(clean(path.as_bytes()), expected.as_bytes(), "{path:?}");
        }
        assert_eq!(clean(b"/\xff/./\xfe/"), b"/\xff/\xfe");
    }

    #[test]
    fn a_name_joins_below_the_root_without_a_second_slash() {
        assert_eq!(join(b"/", b"a"), b"/a");
        assert_eq!(join(b"/a", b"b"), b"/a/b");
    }
}
