//! What a backup of files leaves out, with the rules of restic's `--exclude…` options
//! (`internal/archiver/exclude.go`). Paths that were asked for by name are never left out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::Stat;

use super::handle::FolderHandle;
use super::metadata::{kind_of, size_of};
use crate::error::{Error, Result};
use crate::format::NodeKind;
use crate::source::filter::Patterns;

/// The file that marks a cache folder, and how it begins (bford.info/cachedir).
const CACHE_TAG: (&[u8], &[u8]) = (b"CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55");

/// What to leave out.
#[derive(Clone, Debug, Default)]
pub struct Excludes {
    /// `--exclude`, and the lines of `--exclude-file`, in their order.
    pub patterns: Vec<OsString>,
    /// `--iexclude`: the same whatever the case of letters.
    pub patterns_any_case: Vec<OsString>,
    /// `--exclude-caches`: what is in folders with a valid `CACHEDIR.TAG`, but for that file.
    pub caches: bool,
    /// `--exclude-if-present NAME[:HEADER]`: what is in folders that hold a file of that
    /// name, which begins with the header if one is given, but for that file.
    pub if_present: Vec<OsString>,
    /// `--one-file-system`: what is on another device than the path asked for. Mount points
    /// stay, as empty folders.
    pub one_file_system: bool,
    /// `--exclude-larger-than`: all but folders of more bytes than this.
    pub larger_than_bytes: Option<u64>,
}

/// Parsed [`Excludes`].
pub(super) struct ExcludeRules {
    patterns: Patterns,
    patterns_any_case: Patterns,
    tags: Vec<Tag>,
    pub(super) one_file_system: bool,
    larger_than_bytes: Option<u64>,
}

struct Tag {
    name: Vec<u8>,
    header: Vec<u8>,
}

/// Devices of the paths asked for, by path.
pub(super) type Devices = HashMap<Vec<u8>, u64>;

impl ExcludeRules {
    pub(super) fn new(excludes: &Excludes) -> Result<Self> {
        let bytes = |patterns: &[OsString]| -> Vec<Vec<u8>> {
            patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect()
        };
        let mut tags =
            excludes.if_present.iter().map(|text| Tag::parse(text.as_bytes())).collect::<Result<Vec<_>>>()?;
        if excludes.caches {
            tags.push(Tag { name: CACHE_TAG.0.to_vec(), header: CACHE_TAG.1.to_vec() });
        }
        Ok(Self {
            patterns: Patterns::new(&bytes(&excludes.patterns))?,
            patterns_any_case: Patterns::case_insensitive(&bytes(&excludes.patterns_any_case))?,
            tags,
            one_file_system: excludes.one_file_system,
            larger_than_bytes: excludes.larger_than_bytes,
        })
    }

    /// Whether the path alone is reason enough.
    pub(super) fn exclude_path(&self, path: &[u8]) -> bool {
        self.patterns.matches(path).matched || self.patterns_any_case.matches(path).matched
    }

    /// Whether what the entry is, is reason enough. `allowed_device` is that of the
    /// path asked for, `folder_device` that of the folder the entry is in.
    pub(super) fn exclude_entry(&self, stat: &Stat, allowed_device: u64, folder_device: u64) -> bool {
        let folder = kind_of(stat) == NodeKind::Dir;
        if !folder && self.larger_than_bytes.is_some_and(|most| size_of(stat) > most) {
            return true;
        }
        // A mount point is a folder on another device in a folder that is not.
        let mount_point = folder && folder_device == allowed_device;
        self.one_file_system && stat.st_dev != allowed_device && !mount_point
    }

    /// The tag files that leave everything else out of this folder; `None` if there are none.
    pub(super) fn tags_in(
        &self,
        folder: &FolderHandle,
        display_path: &dyn Fn() -> String,
    ) -> Option<TagsFound<'_>> {
        let present = |tag: &&Tag| {
            tag.applies(folder).unwrap_or_else(|why| {
                // Nothing is left out then, which is the safe side.
                tracing::warn!("{}/{}: {why}", display_path(), String::from_utf8_lossy(&tag.name));
                false
            })
        };
        let found: Vec<&[u8]> = self.tags.iter().filter(present).map(|tag| tag.name.as_slice()).collect();
        (!found.is_empty()).then_some(TagsFound(found))
    }
}

/// Names of tag files that apply to a folder.
pub(super) struct TagsFound<'a>(Vec<&'a [u8]>);

impl TagsFound<'_> {
    /// Whether the entry is left out: each tag spares its own file only.
    pub(super) fn exclude(&self, name: &[u8]) -> bool {
        self.0.iter().any(|tag| *tag != name)
    }
}

impl Tag {
    fn parse(text: &[u8]) -> Result<Self> {
        let mut parts = text.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            let text = String::from_utf8_lossy(text);
            return Err(Error::Invalid(format!("{text:?} does not begin with the name of a file")));
        }
        Ok(Self { name: name.to_vec(), header: parts.next().unwrap_or_default().to_vec() })
    }

    fn applies(&self, folder: &FolderHandle) -> io::Result<bool> {
        match folder.stat(&self.name, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            stat => stat?,
        };
        if self.header.is_empty() {
            return Ok(true);
        }
        let mut begins = vec![0; self.header.len()];
        folder.open_file(&self.name)?.read_exact(&mut begins)?;
        if begins != self.header {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with the signature"));
        }
        Ok(true)
    }
}
