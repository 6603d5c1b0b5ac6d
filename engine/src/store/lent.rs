//! Objects read into memory that is kept for the next: a store in a folder of this machine needs no other, and fresh
//! memory for each pack costs as much as reading it, or as much memory as all threads of the store ever had.

use std::fs::File;
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::Store;
use super::traffic::Direction;
use crate::buffer::Buffer;
use crate::error::Result;

/// What was read.
pub enum Content<'a> {
    /// It lies in the memory that was lent.
    Lent(&'a [u8]),
    /// It came with memory of its own.
    Owned(Bytes),
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Store {
    /// As [`Store::read`].
    pub(crate) fn read_into<'a>(
        &self,
        path: &str,
        size_bytes_max: u64,
        memory: &'a mut Buffer,
    ) -> Result<Content<'a>> {
        self.pass(path, Direction::Up, 0);
        if self.read_local(path, memory, |size| 0..size.min(size_bytes_max.saturating_add(1))).is_some()
            && memory.filled().len() as u64 <= size_bytes_max
        {
            self.pass(path, Direction::Down, memory.filled().len());
            return Ok(Content::Lent(memory.filled()));
        }
        self.read(path, size_bytes_max).map(Content::Owned)
    }

    /// As [`Store::read_range`].
    pub(crate) fn read_range_into<'a>(
        &self,
        path: &str,
        range: Range<u64>,
        memory: &'a mut Buffer,
    ) -> Result<Content<'a>> {
        self.pass(path, Direction::Up, 0);
        if self.read_local(path, memory, |_| range.clone()).is_some() {
            self.pass(path, Direction::Down, memory.filled().len());
            return Ok(Content::Lent(memory.filled()));
        }
        self.read_range(path, range).map(Content::Owned)
    }

    /// `None` if the object is no file here, or anything is wrong with it: the other way says what.
    fn read_local(
        &self,
        path: &str,
        memory: &mut Buffer,
        range_of: impl FnOnce(u64) -> Range<u64>,
    ) -> Option<()> {
        let file = File::open(self.is_local()?.join(path)).ok()?;
        let size = file.metadata().ok()?.len();
        let range = range_of(size);
        if range.end > size {
            return None;
        }
        memory.clear();
        let room = memory.extend(usize::try_from(range.end.checked_sub(range.start)?).ok()?);
        file.read_exact_at(room, range.start).ok()
    }
}
