//! Answers to what doors ask of a repository, page by page, in the vocabulary of messages.
//!
//! Each function takes an open repository whose index is loaded, reads, and gives one page: at most as many entries
//! as were asked for, and at most [`ANSWER_BYTES_MAX`] of text, whatever the repository holds. A page always has
//! its first entry, so that whoever asks for page after page comes to the end.

mod differences;
mod entry;
mod folder;
mod matches;
mod snapshots;

pub use differences::differences_page;
pub use folder::folder_page;
pub use matches::matches_page;
pub use snapshots::snapshots_page;

use keepwell_messages::PAGE_MAX;

use crate::error::{Error, Result};

/// Text after which a page ends early. Ordinary entries take some 300 bytes, so that a full page stays far below.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What an entry takes beside its texts: an estimate for the bound only.
const ENTRY_BYTES: usize = 200;

/// What is left of a page.
struct Room {
    entries_left: usize,
    bytes_left: usize,
    is_fresh: bool,
}

impl Room {
    /// # Errors
    /// [`Error::Invalid`] for a page that could have no entry.
    fn new(limit: u32) -> Result<Self> {
        if limit == 0 {
            return Err(Error::Invalid(format!("a limit of 0 asks for nothing; ask for 1 to {PAGE_MAX}")));
        }
        let entries_left = limit.min(PAGE_MAX) as usize;
        Ok(Self { entries_left, bytes_left: ANSWER_BYTES_MAX, is_fresh: true })
    }

    /// Takes room for an entry with so many bytes of text; false if there is none, and then for no later one either.
    fn take(&mut self, text_bytes: usize) -> bool {
        let bytes = text_bytes.saturating_add(ENTRY_BYTES);
        let fits = self.entries_left > 0 && (self.is_fresh || bytes <= self.bytes_left);
        self.is_fresh = false;
        self.entries_left = if fits { self.entries_left - 1 } else { 0 };
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_entries_or_at_its_bytes_and_always_has_a_first_one() {
        for (limit, sizes, expected) in [
            (2, &[0, 0, 0][..], &[true, true, false][..]),
            (5000, &[ANSWER_BYTES_MAX, 0], &[true, false]),
            (5000, &[ANSWER_BYTES_MAX / 2, ANSWER_BYTES_MAX / 2, 0], &[true, false, false]),
            (5000, &[usize::MAX, 0], &[true, false]),
            (1, &[10, 0], &[true, false]),
        ] {
            let mut room = Room::new(limit).unwrap();
            let taken: Vec<bool> = sizes.iter().map(|bytes| room.take(*bytes)).collect();
            assert_eq!(taken, expected, "{limit} {sizes:?}");
        }
        let mut room = Room::new(u32::MAX).unwrap();
        assert_eq!((0..2000).filter(|_| room.take(0)).count(), PAGE_MAX as usize);
        assert!(Room::new(0).is_err());
    }
}
