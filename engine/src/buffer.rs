//! Working memory that is filled from a reader and never zeroed twice.

use std::io::{self, ErrorKind, Read};

/// Bytes asked for at once: large enough to make system calls cheap, small enough
/// that little is read beyond a cut.
const READ_BYTES: usize = 256 << 10;

/// A growing buffer whose memory is initialised once and then reused.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was read.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets the content, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Appends a copy.
    pub(super) fn append(&mut self, more: &[u8]) {
        self.make_room(more.len());
        self.bytes[self.filled..self.filled + more.len()].copy_from_slice(more);
        self.filled += more.len();
    }

    /// Removes the first `length` bytes.
    pub(super) fn remove_front(&mut self, length: usize) {
        self.bytes.copy_within(length..self.filled, 0);
        self.filled -= length;
    }

    /// Appends what one read gives; 0 at the end.
    pub(super) fn read_from(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
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
