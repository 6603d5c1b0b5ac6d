//! A snapshot's entries below some paths, as `ls` shows them.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::query::walk::{Descent, Unreadable, Visitor, WalkedEntry, walk};
use crate::repository::Repository;
use crate::source::clean_path::clean;

/// Which entries are listed.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Absolute paths; none means everything, at every depth.
    pub paths: Vec<Vec<u8>>,
    /// What lies in folders below these paths, too.
    pub recursive: bool,
}

/// Takes what is listed.
pub trait ListSink {
    /// An entry of the listing; a path that was asked for comes before what is in it.
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<()>;
    /// A tree or an entry that cannot be read.
    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()>;
}

/// Lists entries below `tree` in the order of a walk.
///
/// # Errors
/// [`Error::Invalid`] if a path is not absolute; what the sink returns; see [`walk`].
pub fn list(
    repository: &Repository,
    tree: Id,
    options: &ListOptions,
    control: &Control,
    sink: &mut dyn ListSink,
) -> Result<()> {
    let paths = options.paths.iter().map(|path| clean_absolute(path)).collect::<Result<Vec<_>>>()?;
    walk(repository, tree, b"/", control, &mut Lister { paths, recursive: options.recursive, sink })
}

struct Lister<'a> {
    paths: Vec<Vec<u8>>,
    recursive: bool,
    sink: &'a mut dyn ListSink,
}

impl Visitor for Lister<'_> {
    fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<Descent> {
        let all = self.paths.is_empty();
        if all || self.paths.iter().any(|path| contains(path, entry.path)) {
            self.sink.entry(entry)?;
            if self.recursive {
                return Ok(Descent::Into);
            }
        }
        let leads_on = all || self.paths.iter().any(|path| contains(entry.path, path));
        Ok(if leads_on { Descent::Into } else { Descent::Skip })
    }

    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.sink.unreadable(unreadable)
    }
}

/// Whether `path` is `folder` or lies in it, by their text.
fn contains(folder: &[u8], path: &[u8]) -> bool {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The path without `.`, `..`, doubled slashes and a slash at its end.
fn clean_absolute(path: &[u8]) -> Result<Vec<u8>> {
    if path.first() != Some(&b'/') {
        let shown = String::from_utf8_lossy(path);
        return Err(Error::Invalid(format!("{shown}: a path to list must be absolute; begin it with /")));
    }
    Ok(clean(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    struct Paths(Vec<String>);

    impl ListSink for Paths {
        fn entry(&mut self, entry: &WalkedEntry<'_>) -> Result<()> {
            self.0.push(String::from_utf8_lossy(entry.path).into_owned());
            Ok(())
        }

        fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
            Err(unreadable.error)
        }
    }

    #[test]
    fn paths_and_depth_choose_what_is_listed() {
        let sample = Sample::new("list");
        let c = sample.tree(&[file("deep", &[])]);
        let a = sample.tree(&[dir("c", c), file("f", &[])]);
        let root = sample.tree(&[dir("a", a), dir("ab", c), file("z", &[])]);
        sample.session.flush().unwrap();
        let everything = ["/a", "/a/c", "/a/c/deep", "/a/f", "/ab", "/ab/deep", "/z"];
        for (paths, recursive, expected) in [
            (&[][..], false, &everything[..]),
            (&["/"], true, &everything),
            // The top is no entry, but what stands in it is listed.
            (&["/"], false, &["/a", "/ab", "/z"]),
            (&["/a"], false, &["/a", "/a/c", "/a/f"]),
            (&["/a/"], true, &["/a", "/a/c", "/a/c/deep", "/a/f"]),
            (&["/a/./c/../c"], false, &["/a/c", "/a/c/deep"]),
            (&["/z", "/ab"], false, &["/ab", "/ab/deep", "/z"]),
            (&["/none"], true, &[]),
        ] {
            let options =
                ListOptions { paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(), recursive };
            let mut listed = Paths(Vec::new());
            list(sample.repository(), root, &options, &Control::new(), &mut listed).unwrap();
            assert_eq!(listed.0, expected, "{paths:?} {recursive}");
        }
        let relative = ListOptions { paths: vec![b"a".to_vec()], recursive: false };
        let outcome = list(sample.repository(), root, &relative, &Control::new(), &mut Paths(Vec::new()));
        assert!(matches!(outcome, Err(Error::Invalid(_))));
    }
}
