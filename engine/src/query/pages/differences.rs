//! What differs between two snapshots, up to a page, and how much it is in all.
//!
//! A folder is told if it is new, gone, or its own metadata differ; not because something in it does.

use keepwell_messages::{Difference as Shown, DifferenceKind, Differences, GetDifferences};

use super::Room;
use super::entry::text;
use crate::control::Control;
use crate::error::Result;
use crate::format::{Node, NodeKind};
use crate::id::Id;
use crate::query::Unreadable;
use crate::query::diff::{Change, DiffSink, Difference, differences, same_metadata};
use crate::repository::Repository;

/// Compares two snapshots, each with its tree.
///
/// # Errors
/// [`crate::error::Error::Invalid`] for a limit of zero; failures of the store.
pub fn differences_page(
    repository: &Repository,
    older: (Id, Id),
    newer: (Id, Id),
    asked: &GetDifferences,
    control: &Control,
) -> Result<Differences> {
    let room = Room::new(asked.limit)?;
    let page = Differences {
        older: older.0.to_hex(),
        newer: newer.0.to_hex(),
        differences: Vec::new(),
        more: false,
        unreadable: 0,
        added: 0,
        removed: 0,
        changed: 0,
    };
    let mut sink = Page { room, page };
    differences(repository, older.1, newer.1, control, &mut sink)?;
    Ok(sink.page)
}

struct Page {
    room: Room,
    page: Differences,
}

impl DiffSink for Page {
    fn difference(&mut self, difference: &Difference<'_>) -> Result<()> {
        let Some(kind) = kind(difference) else { return Ok(()) };
        match kind {
            DifferenceKind::Added => self.page.added += 1,
            DifferenceKind::Removed => self.page.removed += 1,
            DifferenceKind::Content | DifferenceKind::Type | DifferenceKind::Metadata => {
                self.page.changed += 1
            }
        }
        if self.room.take(difference.path.len()) {
            let slash = if difference.is_folder { "/" } else { "" };
            let bytes =
                |node: Option<&Node>| node.filter(|node| node.kind == NodeKind::File).map(|node| node.size);
            self.page.differences.push(Shown {
                path: text(difference.path) + slash,
                kind,
                bytes_before: bytes(difference.before),
                bytes_after: bytes(difference.after),
            });
        } else {
            self.page.more = true;
        }
        Ok(())
    }

    fn unreadable(&mut self, _: Unreadable) -> Result<()> {
        self.page.unreadable += 1;
        Ok(())
    }
}

/// `None` for a folder that is told only because what is in it differs.
fn kind(difference: &Difference<'_>) -> Option<DifferenceKind> {
    Some(match difference.change {
        Change::Added => DifferenceKind::Added,
        Change::Removed => DifferenceKind::Removed,
        Change::Changed { kind: true, .. } => DifferenceKind::Type,
        Change::Changed { content: true, .. } => DifferenceKind::Content,
        Change::Changed { .. } => match (difference.before, difference.after) {
            (Some(before), Some(after)) if same_metadata(before, after) => return None,
            _ => DifferenceKind::Metadata,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[test]
    fn a_page_lists_some_and_counts_all() {
        let sample = Sample::new("pages-differences");
        let (one, two) = (sample.hundred(1), sample.hundred(2));
        let mut touched = file("touched", &[one]);
        let before = sample.tree(&[file("changed", &[one]), file("gone", &[one]), touched.clone()]);
        touched.mode = 0o600;
        let after = sample.tree(&[file("changed", &[one, two]), dir("new", before), touched]);
        let same = sample.tree(&[file("x", &[one])]);
        let root = |tree| sample.tree(&[dir("a", tree), dir("same", same), file("turned", &[one])]);
        let older = root(before);
        let newer = sample.tree(&[dir("a", after), dir("same", same), dir("turned", same)]);
        let lost = root(Id([9; 32]));
        sample.session.flush().unwrap();
        let compared = |older: Id, newer: Id, limit| {
            let [older_name, newer_name] = ["older".to_owned(), "newer".to_owned()];
            let asked =
                GetDifferences { repository: "r".into(), older: older_name, newer: newer_name, limit };
            let ids = (Id([1; 32]), Id([2; 32]));
            let (older, newer) = ((ids.0, older), (ids.1, newer));
            differences_page(sample.repository(), older, newer, &asked, &Control::new()).unwrap()
        };
        let all = [
            "Content /a/changed Some(100) Some(200)",
            "Removed /a/gone Some(100) None",
            "Added /a/new/ None None",
            "Added /a/new/changed None Some(100)",
            "Added /a/new/gone None Some(100)",
            "Added /a/new/touched None Some(100)",
            "Metadata /a/touched Some(100) Some(100)",
            "Type /turned/ Some(100) None",
        ];
        for limit in [1, 3, 8, 9] {
            let page = compared(older, newer, limit);
            let line = |one: &Shown| {
                format!("{:?} {} {:?} {:?}", one.kind, one.path, one.bytes_before, one.bytes_after)
            };
            let lines: Vec<_> = page.differences.iter().map(line).collect();
            assert_eq!(lines, all[..all.len().min(limit as usize)], "{limit}");
            let counts = (page.added, page.removed, page.changed, page.more, page.unreadable);
            assert_eq!(counts, (4, 1, 3, limit < 8, 0), "{limit}");
        }
        let same = compared(older, older, 5);
        assert_eq!((same.differences.len(), same.added, same.more), (0, 0, false));
        assert_eq!((&*same.older, &*same.newer), (&*Id([1; 32]).to_hex(), &*Id([2; 32]).to_hex()));
        // What is lost on one side shows no true difference.
        let lost = compared(lost, newer, 5);
        assert_eq!((lost.unreadable, lost.changed), (1, 1), "{lost:?}");
    }
}
