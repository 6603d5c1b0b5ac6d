//! One entry of a snapshot in words: its path, its long line, its fields in JSON.

use std::borrow::Cow;

use keepwell_engine::format::{Node, NodeKind};
use serde::Serialize;

use crate::quantities::{shown_bytes, shown_time};

/// How entries are listed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct EntryStyle {
    /// Show mode, owner, size and time too
    #[arg(short, long)]
    pub long: bool,
    /// Show sizes in units
    #[arg(long)]
    pub human_readable: bool,
}

/// An entry's fields, in restic's words.
#[derive(Serialize)]
pub struct EntryFields<'a> {
    name: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    path: Cow<'a, str>,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mode: u32,
    permissions: String,
    mtime: String,
    atime: String,
    ctime: String,
    inode: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_target: Option<Cow<'a, str>>,
}

/// Raw bytes for people: other bytes than UTF-8 are shown as U+FFFD.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The entry's fields.
pub fn fields<'a>(path: &'a [u8], node: &'a Node) -> EntryFields<'a> {
    EntryFields {
        name: text(&node.name),
        kind: node.kind.name(),
        path: text(path),
        uid: node.uid,
        gid: node.gid,
        size: (node.kind == NodeKind::File).then_some(node.size),
        mode: node.mode,
        permissions: permissions(node.kind, node.permissions()),
        mtime: node.mtime.to_string(),
        atime: node.atime.to_string(),
        ctime: node.ctime.to_string(),
        inode: node.inode,
        link_target: (node.kind == NodeKind::Symlink).then(|| text(&node.link_target)),
    }
}

/// The entry as a line: its path alone, or as `ls -l` shows it.
pub fn line(path: &[u8], node: &Node, style: EntryStyle) -> String {
    let path = text(path);
    if !style.long {
        return path.into_owned();
    }
    let size = match style.human_readable {
        true => format!("{:>11}", shown_bytes(node.size)),
        false => format!("{:6}", node.size),
    };
    let target = match node.kind {
        NodeKind::Symlink => format!(" -> {}", text(&node.link_target)),
        _ => String::new(),
    };
    let (mode, time) = (permissions(node.kind, node.permissions()), shown_time(node.mtime));
    format!("{mode} {:5} {:5} {size} {time} {path}{target}", node.uid, node.gid)
}

/// As `ls -l` writes kind and mode: `drwxr-sr-x`.
fn permissions(kind: NodeKind, bits: u32) -> String {
    let letter = match kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Device => 'b',
        NodeKind::CharDevice => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
        NodeKind::Irregular => '?',
    };
    let mut text = String::from(letter);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let has = |bit: u32| bits >> shift & bit != 0;
        text.push(if has(4) { 'r' } else { '-' });
        text.push(if has(2) { 'w' } else { '-' });
        text.push(match (bits & special != 0, has(1)) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_does() {
        for (st_mode, shown) in [
            (0o100_644, "-rw-r--r--"),
            (0o041_777, "drwxrwxrwt"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_640, "-rw-r-S---"),
            (0o120_777, "lrwxrwxrwx"),
            (0o010_000, "p---------"),
        ] {
            assert_eq!(permissions(NodeKind::from_unix(st_mode), st_mode & 0o7777), shown);
        }
    }
}
