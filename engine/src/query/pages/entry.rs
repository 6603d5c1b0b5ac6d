//! Entries, names and times of a repository in the vocabulary of messages.

use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Utc};
use keepwell_messages::{Entry, EntryKind};

use crate::format::{Node, NodeKind, Timestamp};

/// Raw bytes for people: what is not UTF-8 becomes U+FFFD.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An entry, and how many bytes its texts have.
pub(super) fn entry(path: &[u8], node: &Node) -> (Entry, usize) {
    let owner = |name: &Arc<str>, id: u32| if name.is_empty() { id.to_string() } else { name.to_string() };
    let entry = Entry {
        name: text(&node.name),
        path: text(path),
        kind: kind(node.kind),
        bytes: if node.kind == NodeKind::File { node.size } else { 0 },
        modified: time(node.mtime),
        mode: node.permissions(),
        user: owner(&node.user, node.uid),
        group: owner(&node.group, node.gid),
        link_target: (node.kind == NodeKind::Symlink).then(|| text(&node.link_target)),
    };
    let target_bytes = entry.link_target.as_ref().map_or(0, String::len);
    let bytes = entry.name.len() + entry.path.len() + entry.user.len() + entry.group.len() + target_bytes;
    (entry, bytes)
}

fn kind(kind: NodeKind) -> EntryKind {
    match kind {
        NodeKind::File => EntryKind::File,
        NodeKind::Dir => EntryKind::Folder,
        NodeKind::Symlink => EntryKind::Link,
        NodeKind::Device | NodeKind::CharDevice | NodeKind::Fifo | NodeKind::Socket | NodeKind::Irregular => {
            EntryKind::Other
        }
    }
}

/// The instant and the offset that it is stored with.
pub(super) fn time(stored: Timestamp) -> DateTime<FixedOffset> {
    // What is read from a repository is of the years 0 to 9999, and all of these can be shown.
    let instant = DateTime::<Utc>::from_timestamp(stored.seconds, stored.nanoseconds).unwrap_or_default();
    let offset = FixedOffset::east_opt(stored.offset_seconds).or(FixedOffset::east_opt(0));
    offset.map_or_else(|| instant.fixed_offset(), |offset| instant.with_timezone(&offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{dir, file};

    #[test]
    fn times_keep_their_instant_and_their_offset() {
        for text in [
            "1970-01-01T00:00:00+00:00",
            "2026-11-25T04:28:00.5+05:30",
            "0001-01-01T00:00:00+00:00",
            "9999-12-31T23:59:59-11:00",
        ] {
            let stored = Timestamp::parse_rfc3339(text).unwrap();
            assert_eq!(time(stored), DateTime::parse_from_rfc3339(text).unwrap(), "{text}");
            assert_eq!(time(stored).offset().local_minus_utc(), stored.offset_seconds, "{text}");
        }
        // No repository holds these, and nothing panics over them.
        time(Timestamp { seconds: i64::MAX, nanoseconds: u32::MAX, offset_seconds: i32::MAX });
        time(Timestamp { seconds: i64::MIN, nanoseconds: 0, offset_seconds: i32::MIN });
    }

    #[test]
    fn an_entry_tells_what_it_is_and_whose() {
        let mut link = file("l", &[]);
        link.kind = NodeKind::Symlink;
        link.link_target = b"to\xff".to_vec();
        link.uid = 7;
        link.user = "ada".into();
        let (shown, bytes) = entry(b"/a/l", &link);
        assert_eq!((shown.kind, shown.bytes, shown.mode), (EntryKind::Link, 0, 0o644));
        assert_eq!((&*shown.user, &*shown.group), ("ada", "0"));
        assert_eq!(shown.link_target.as_deref(), Some("to\u{fffd}"));
        assert_eq!(bytes, "l/a/lada0to\u{fffd}".len());
        let id = crate::id::Id([1; 32]);
        assert_eq!(entry(b"/f", &file("f", &[id, id])).0.bytes, 200);
        assert_eq!(entry(b"/d", &dir("d", id)).0.kind, EntryKind::Folder);
    }
}
