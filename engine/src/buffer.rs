//! Working memory that is filled again and again, and never zeroed twice.

use std::io::{self, ErrorKind, Read};

/// Bytes asked for at once: large enough to make system calls cheap, small enough
/// that little is read beyond a cut.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// A growing buffer whose memory is initialised once and then reused.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was read.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets the content, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Appends a copy.
    pub(crate) fn append(&mut self, more: &[u8]) {
        self.make_room(more.len());
        self.bytes[self.filled..self.filled + more.len()].copy_from_slice(more);
        self.filled += more.len();
    }

    /// Appends `length` bytes for the caller to overwrite: they hold whatever stood there before.
    pub(crate) fn extend(&mut self, length: usize) -> &mut [u8] {
        self.make_room(length);
        let start = self.filled;
        self.filled += length;
        &mut self.bytes[start..self.filled]
    }

    /// Removes the last bytes, down to `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.filled = self.filled.min(length);
    }

    /// How much memory it holds, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Removes the first `length` bytes.
    pub(crate) fn remove_front(&mut self, length: usize) {
        self.bytes.copy_within(length..self.filled, 0);
        self.filled -= length;
    }

    /// Appends what one read gives; 0 at the end.
    pub(crate) fn read_from(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        self.make_room(READ_BYTES);
        loop {
            match reader.read(&mut self.bytes[self.filled..self.filled + READ_BYTES]) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_room(&mut self, more: usize) {
        let needed = self.filled + more;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_multiple_of(READ_BYTES), 0);
        }
    }
}
