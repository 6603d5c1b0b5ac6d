//! Entries of snapshots whose names match, up to a page.
//!
//! The search ends with the first entry that has no room, so that a page of a common name is found soon.

use keepwell_messages::{GetMatchingEntries, MatchingEntries, MatchingEntry};

use super::Room;
use super::entry::{entry, time};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{Snapshot, Timestamp};
use crate::id::Id;
use crate::query::Unreadable;
use crate::query::find::{EntryFound, FindSink, NameQuery, find_names};
use crate::repository::Repository;
use crate::source::filter::Patterns;

/// What matches in these snapshots, in their order.
///
/// # Errors
/// [`Error::Invalid`] for a limit of zero, and for a pattern that is none; failures of the store.
pub fn matches_page(
    repository: &Repository,
    snapshots: &[(Id, Snapshot)],
    asked: &GetMatchingEntries,
    control: &Control,
) -> Result<MatchingEntries> {
    let room = Room::new(asked.limit)?;
    let patterns = Patterns::case_insensitive(&[asked.pattern.as_bytes()])?;
    if patterns.is_empty() {
        return Err(Error::Invalid("an empty pattern matches nothing; *.txt is one".into()));
    }
    let query = NameQuery { patterns, ..NameQuery::default() };
    let page = MatchingEntries { matches: Vec::new(), more: false, unreadable: 0 };
    let times = snapshots.iter().map(|(id, snapshot)| (*id, snapshot.time)).collect();
    let mut sink = Page { room, page, times };
    match find_names(repository, snapshots, &query, control, &mut sink) {
        // The page is full: it was this sink that ended the search.
        Err(Error::Cancelled) if sink.page.more => {}
        outcome => outcome?,
    }
    Ok(sink.page)
}

struct Page {
    room: Room,
    page: MatchingEntries,
    times: std::collections::HashMap<Id, Timestamp>,
}

impl FindSink<EntryFound<'_>> for Page {
    fn found(&mut self, snapshot: Id, found: &EntryFound<'_>) -> Result<()> {
        let (entry, bytes) = entry(found.path, found.node);
        if !self.room.take(bytes) {
            self.page.more = true;
            return Err(Error::Cancelled);
        }
        let time = time(self.times.get(&snapshot).copied().unwrap_or_default());
        self.page.matches.push(MatchingEntry { snapshot: snapshot.to_hex(), time, entry });
        Ok(())
    }

    fn unreadable(&mut self, _: Id, _: Unreadable) -> Result<()> {
        self.page.unreadable += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[test]
    fn a_page_ends_the_search_and_says_whether_there_is_more() {
        let sample = Sample::new("pages-matches");
        let inner = sample.tree(&[file("B.txt", &[]), file("c.jpg", &[])]);
        let root = sample.tree(&[file("a.TXT", &[]), dir("d", inner), dir("lost", Id([1; 32]))]);
        let snapshots = [sample.snapshot(root, 2), sample.snapshot(inner, 1)];
        let found = |pattern: &str, limit| {
            let pattern = pattern.into();
            let asked = GetMatchingEntries { repository: "r".into(), snapshots: Vec::new(), pattern, limit };
            matches_page(sample.repository(), &snapshots, &asked, &Control::new())
        };
        for (pattern, limit, expected, more, unreadable) in [
            ("*.txt", 9, &["2 /a.TXT", "2 /d/B.txt", "1 /B.txt"][..], false, 1),
            ("*.txt", 3, &["2 /a.TXT", "2 /d/B.txt", "1 /B.txt"], false, 1),
            ("*.txt", 2, &["2 /a.TXT", "2 /d/B.txt"], true, 1),
            ("*.txt", 1, &["2 /a.TXT"], true, 0),
            ("/d/*", 9, &["2 /d/B.txt", "2 /d/c.jpg"], false, 0),
            ("none", 9, &[], false, 1),
        ] {
            let page = found(pattern, limit).unwrap();
            let line = |one: &MatchingEntry| format!("{} {}", one.time.timestamp(), one.entry.path);
            let lines: Vec<_> = page.matches.iter().map(line).collect();
            assert_eq!(lines, expected, "{pattern} {limit}");
            assert_eq!((page.more, page.unreadable), (more, unreadable), "{pattern} {limit}");
        }
        assert!(matches!(found("", 1), Err(Error::Invalid(_))));
        assert!(matches!(found("[", 1), Err(Error::Invalid(_))));
        let cancelled = Control::new();
        cancelled.cancel();
        let asked =
            GetMatchingEntries { repository: "r".into(), snapshots: vec![], pattern: "*".into(), limit: 1 };
        let outcome = matches_page(sample.repository(), &snapshots, &asked, &cancelled);
        assert!(matches!(outcome, Err(Error::Cancelled)));
    }
}
