//! A page of a folder, in the order in which its entries are stored.
//!
//! Entries come one by one from a tree that is never held whole, so that a page of a huge folder costs no more memory
//! than one of a small one. The next page begins after a name. A name that is not UTF-8 is spelled in hexadecimal
//! digits behind a mark, as no two such names must be taken for one.

use keepwell_messages::{Folder, GetFolder};

use super::Room;
use super::entry::{entry, text};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::query::lookup::find_folder;
use crate::query::walk::push_name;
use crate::repository::Repository;
use crate::source::clean_path::clean;

/// What a name begins with in `after` and `next` that is spelled in digits. A plain name that begins with it is, too.
const SPELLED: char = '\u{fffd}';

/// A page of the folder at the path asked for, below `tree`, which is that of `snapshot`.
///
/// # Errors
/// Those of [`find_folder`]; [`Error::Damaged`] if the folder itself cannot be read; [`Error::Invalid`] for a limit of
/// zero, and for an `after` that no answer gave.
pub fn folder_page(
    repository: &Repository,
    snapshot: Id,
    tree: Id,
    asked: &GetFolder,
    control: &Control,
) -> Result<Folder> {
    let mut room = Room::new(asked.limit)?;
    let after = asked.after.as_deref().map(read_cursor).transpose()?;
    let mut path = clean(&[b"/", asked.path.as_bytes()].concat());
    let nodes = repository.read_tree_entries(find_folder(repository, tree, &path, control)?)?;
    let mut folder = Folder {
        snapshot: snapshot.to_hex(),
        path: text(&path),
        entries: Vec::new(),
        more: false,
        next: None,
        unreadable: nodes.bad_nodes().len() as u64,
    };
    let path_bytes = path.len();
    let mut last = Vec::new();
    for node in nodes {
        control.checkpoint()?;
        if after.as_ref().is_some_and(|after| node.name <= *after) {
            continue;
        }
        path.truncate(path_bytes);
        push_name(&mut path, &node.name);
        let (entry, bytes) = entry(&path, &node);
        if !room.take(bytes) {
            folder.more = true;
            folder.next = Some(write_cursor(&last));
            break;
        }
        folder.entries.push(entry);
        last = node.name;
    }
    Ok(folder)
}

fn write_cursor(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) if !name.starts_with(SPELLED) => name.to_owned(),
        _ => {
            let digits: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{SPELLED}{digits}")
        }
    }
}

fn read_cursor(after: &str) -> Result<Vec<u8>> {
    let Some(digits) = after.strip_prefix(SPELLED) else { return Ok(after.into()) };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let name: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    name.ok_or_else(|| {
        Error::Invalid("no answer gave this as the place of the next page; begin again".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{BlobKind, Node, TreeWriter};
    use crate::query::sample::{Sample, dir, file};

    fn asked(path: &str, after: Option<&str>, limit: u32) -> GetFolder {
        GetFolder {
            repository: "sample".into(),
            snapshot: "latest".into(),
            path: path.into(),
            after: after.map(Into::into),
            limit,
        }
    }

    fn named(name: &[u8]) -> Node {
        Node { name: name.to_vec(), ..file("", &[]) }
    }

    /// The names of all pages, page by page.
    fn pages(sample: &Sample, root: Id, path: &str, limit: u32) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let asked = asked(path, after.as_deref(), limit);
            let page = folder_page(sample.repository(), Id([5; 32]), root, &asked, &Control::new()).unwrap();
            assert_eq!(page.more, page.next.is_some());
            assert_eq!(page.snapshot, Id([5; 32]).to_hex());
            pages.push(page.entries.into_iter().map(|entry| entry.name).collect());
            match page.next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_whatever_the_names() {
        let sample = Sample::new("pages-folder");
        let names: [&[u8]; 6] = [b"a", b"b%20", b"\xef\xbf\xbd", b"\xfe", b"\xff", b"\xffz"];
        let inner = sample.tree(&names.map(named));
        let (root, empty) = (sample.tree(&[dir("d", inner)]), sample.tree(&[]));
        sample.session.flush().unwrap();
        let all = ["a", "b%20", "\u{fffd}", "\u{fffd}", "\u{fffd}", "\u{fffd}z"];
        for limit in 1..=7 {
            let pages = pages(&sample, root, "/d", limit);
            let expected: Vec<Vec<String>> = all
                .chunks(limit as usize)
                .map(|page| page.iter().map(|name| (*name).into()).collect())
                .collect();
            assert_eq!(pages, expected, "{limit}");
        }
        assert_eq!(pages(&sample, empty, "", 3), [Vec::<String>::new()]);
    }

    #[test]
    fn a_huge_folder_is_paged_from_its_stream() {
        const ENTRIES: usize = 300_000;
        let sample = Sample::new("pages-folder-huge");
        let mut writer = TreeWriter::new();
        for number in 0..ENTRIES {
            writer.push(&named(format!("{number:06}").as_bytes())).unwrap();
        }
        let root = sample.store(BlobKind::Tree, &writer.finish());
        sample.session.flush().unwrap();
        let page = |after: Option<&str>| {
            let asked = asked("/", after, u32::MAX);
            folder_page(sample.repository(), Id([5; 32]), root, &asked, &Control::new()).unwrap()
        };
        for (after, first, count, more) in [
            (None, 0, 1000, true),
            (Some("149999"), 150_000, 1000, true),
            (Some("299899"), 299_900, 100, false),
        ] {
            let page = page(after);
            assert_eq!((page.entries.len(), page.more), (count, more), "{after:?}");
            assert_eq!(page.entries[0].name, format!("{first:06}"));
            assert_eq!(page.entries[count - 1].name, format!("{:06}", first + count - 1));
        }
    }

    #[test]
    fn what_is_no_folder_is_refused_in_words_and_a_page_may_begin_anywhere() {
        let sample = Sample::new("pages-folder-refused");
        let root = sample.tree(&[file("a", &[]), file("c", &[])]);
        sample.session.flush().unwrap();
        let page = |path: &str, after: Option<&str>, limit| {
            let asked = asked(path, after, limit);
            let page = folder_page(sample.repository(), Id([5; 32]), root, &asked, &Control::new());
            page.map(|page| page.entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(page("", Some("b"), 9), Ok(vec!["/c".into()]));
        assert_eq!(page("x/..", None, 1), Ok(vec!["/a".into()]));
        assert_eq!(page("/a", None, 1), Err("/a is a file, not a folder".into()));
        assert_eq!(page("/b", None, 1), Err("/b not found".into()));
        for after in ["\u{fffd}", "\u{fffd}6", "\u{fffd}6x", "\u{fffd}+1", "\u{fffd}ä"] {
            let begins_again = page("", Some(after), 1);
            let refused = begins_again.as_ref().is_err_and(|why| why.contains("begin again"));
            assert_eq!(refused, after != "\u{fffd}", "{after}: {begins_again:?}");
        }
        assert!(page("", None, 0).is_err());
    }
}
