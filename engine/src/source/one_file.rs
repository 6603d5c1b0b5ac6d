//! A tree of one file, and of the folders on the way to it: what sources give that are no folder of files.

use std::sync::Arc;

use super::{Entry, EntryContent, FileContent, Folder, Problems};
use crate::clock::Clock;
use crate::error::Result;
use crate::format::{Node, NodeKind, Timestamp, go_mode};

/// Makes the file's content, once.
pub(super) type MakeContent = Arc<dyn Fn() -> Box<dyn FileContent> + Send + Sync>;

/// A folder on the way to the file: the one of the path's first `depth` components less one.
pub(super) struct OneFileFolder {
    path: Arc<[u8]>,
    depth: usize,
    /// The file's metadata, but for its name.
    file: Arc<Node>,
    content: MakeContent,
}

impl OneFileFolder {
    /// The root above the file at `path`, which is absolute, clean and not the root.
    pub(super) fn root(path: &[u8], file: Node, content: MakeContent) -> Self {
        Self { path: path.into(), depth: 1, file: Arc::new(file), content }
    }
}

impl Folder for OneFileFolder {
    fn list(&self, _: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        let mut rest = self.path.split(|byte| *byte == b'/').skip(self.depth);
        let name = rest.next().unwrap_or_default().to_vec();
        if rest.next().is_none() {
            let node = Node { name, ..(*self.file).clone() };
            return each(Entry { node, content: EntryContent::File((self.content)()) });
        }
        let folder = Self {
            path: self.path.clone(),
            depth: self.depth + 1,
            file: self.file.clone(),
            content: self.content.clone(),
        };
        let node = Node { name, ..made_node(NodeKind::Dir, go_mode::DIR | 0o755, self.file.mtime) };
        each(Entry { node, content: EntryContent::Folder(Box::new(folder)) })
    }

    fn display_path(&self) -> String {
        let parts: Vec<&[u8]> = self.path.split(|byte| *byte == b'/').take(self.depth).collect();
        format!("{}/", String::from_utf8_lossy(&parts.join(&b'/')).trim_end_matches('/'))
    }
}

/// Metadata of what this process makes up: restic fills nothing but this (`internal/fs/fs_reader.go`). The size
/// comes from what is read.
pub(super) fn made_node(kind: NodeKind, mode: u32, time: Timestamp) -> Node {
    Node {
        mode,
        mtime: time,
        atime: time,
        ctime: time,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        ..Node::empty(kind)
    }
}

/// The time now, in this machine's zone.
pub(super) fn time_now(clock: &dyn Clock) -> Timestamp {
    let now = clock.now_local();
    Timestamp {
        seconds: now.timestamp(),
        nanoseconds: now.timestamp_subsec_nanos().min(999_999_999),
        offset_seconds: now.offset().local_minus_utc(),
    }
}
