//! A page of a repository's snapshots, the newest first.

use std::sync::Arc;

use keepwell_messages::{GetSnapshots, SnapshotNow, Snapshots};

use super::Room;
use super::entry::time;
use crate::error::{Error, Result};
use crate::format::Snapshot;
use crate::id::Id;
use crate::query::SnapshotList;

/// A page of `list`.
///
/// # Errors
/// [`Error::Invalid`] for a limit of zero, and if the snapshot that the page is to follow is not there any more.
pub fn snapshots_page(list: &SnapshotList, asked: &GetSnapshots) -> Result<Snapshots> {
    let mut room = Room::new(asked.limit)?;
    let first = match &asked.after {
        None => 0,
        Some(after) => {
            let position = list.snapshots.iter().position(|(id, _)| id.to_hex() == *after);
            1 + position.ok_or_else(|| {
                Error::Invalid(format!(
                    "the snapshot {after} is not there any more; begin with the newest again"
                ))
            })?
        }
    };
    let mut page = Snapshots { snapshots: Vec::new(), more: false, unreadable: list.unreadable };
    for (id, snapshot) in list.snapshots.iter().skip(first) {
        if !room.take(text_bytes(snapshot)) {
            page.more = true;
            break;
        }
        page.snapshots.push(shown(*id, snapshot));
    }
    Ok(page)
}

fn text_bytes(snapshot: &Snapshot) -> usize {
    let lists = snapshot.paths.iter().chain(&snapshot.tags).map(String::len).sum::<usize>();
    lists + snapshot.hostname.len() + snapshot.username.len()
}

fn shown(id: Id, snapshot: &Arc<Snapshot>) -> SnapshotNow {
    let summary = snapshot.summary.as_ref();
    SnapshotNow {
        id: id.to_hex(),
        time: time(snapshot.time),
        host: snapshot.hostname.clone(),
        user: snapshot.username.clone(),
        paths: snapshot.paths.clone(),
        tags: snapshot.tags.clone(),
        files: summary.map(|summary| summary.total_files_processed),
        bytes: summary.map(|summary| summary.total_bytes_processed),
        bytes_stored: summary.map(|summary| summary.data_added_packed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Timestamp;

    #[test]
    fn pages_begin_after_the_snapshot_that_is_named() {
        let snapshot = |seconds| {
            let snapshot = Snapshot::new(Timestamp::from_unix(seconds, 0), Id([0; 32]), vec!["/a".into()]);
            (Id([seconds as u8; 32]), Arc::new(snapshot))
        };
        let list = SnapshotList { snapshots: [3, 2, 1].map(snapshot).into(), unreadable: 4 };
        let hex = |number: u8| Id([number; 32]).to_hex();
        for (after, limit, expected, more) in [
            (None, 10, &[3, 2, 1][..], false),
            (None, 2, &[3, 2], true),
            (Some(2), 10, &[1], false),
            (Some(3), 1, &[2], true),
            (Some(1), 1, &[], false),
        ] {
            let asked = GetSnapshots { repository: "r".into(), after: after.map(hex), limit };
            let page = snapshots_page(&list, &asked).unwrap();
            let ids: Vec<_> = page.snapshots.iter().map(|snapshot| snapshot.id.clone()).collect();
            assert_eq!(ids, expected.iter().map(|number| hex(*number)).collect::<Vec<_>>(), "{after:?}");
            assert_eq!((page.more, page.unreadable), (more, 4), "{after:?}");
        }
        let gone = GetSnapshots { repository: "r".into(), after: Some(hex(9)), limit: 1 };
        assert!(snapshots_page(&list, &gone).unwrap_err().to_string().contains("begin with the newest"));
    }
}
