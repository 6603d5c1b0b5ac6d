//! A file that several workers store together: whoever comes takes the next chunk.
//!
//! Reading and cutting happen under a lock, one after the other; hashing,
//! compressing and sealing, which take far longer, happen outside it.

use std::io::Read;
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::archive::queue::FileWork;
use crate::buffer::Buffer;
use crate::chunker::{ChunkTables, Cutter};
use crate::error::{Error, Result};
use crate::format::Node;
use crate::id::Id;
use crate::source::Problems;

use super::open_tree::Slot;

/// A file in work.
pub(super) struct LargeFile {
    reading: Mutex<Reading>,
    storing: Mutex<Storing>,
    /// Where its entry goes.
    pub slot: Slot,
    /// Its path for messages.
    pub path: String,
    /// Whether the parent snapshot has a file of this name.
    pub had_previous: bool,
}

struct Reading {
    path: String,
    /// See [`TOGETHER_BYTES`].
    together_bytes: usize,
    /// `None` once the end was reached, or reading failed.
    reader: Option<Box<dyn Read + Send>>,
    cutter: Cutter,
    buffer: Buffer,
}

struct Storing {
    node: Node,
    content: Vec<Id>,
    /// How many workers have taken chunks and not stored them yet.
    under_way: usize,
    at_end: bool,
    finished: bool,
    failure: Option<Error>,
}

/// Chunks are taken together up to the one with which they have so many bytes: enough for their digests to be taken side
/// by side, and little enough for the buffers of all workers.
const TOGETHER_BYTES: usize = 2 << 20;

/// Chunks of a large file that one worker stores, which stand one after the other in its buffer.
pub(super) struct Chunks {
    /// Which the first of them is.
    pub first: usize,
    /// Their lengths.
    pub lengths: Vec<usize>,
}

/// A file whose last chunk is stored.
pub(super) enum Finished {
    /// Not yet: others are at work on it.
    NotYet,
    /// The whole file is stored.
    Whole(Box<Node>),
    /// It could not be read to its end.
    Unreadable(Error),
}

impl LargeFile {
    /// Opens the file for chunk after chunk.
    pub(super) fn open(
        work: FileWork,
        path: String,
        tables: &ChunkTables,
        problems: &dyn Problems,
    ) -> Result<Self, (Error, Slot)> {
        let FileWork { mut node, content, slot, had_previous } = work;
        let reader = match content.open_completing(&mut node, problems) {
            Ok(reader) => reader,
            Err(error) => return Err((error, slot)),
        };
        node.size = 0;
        let reading = Reading {
            path: path.clone(),
            // A stream may take its time: none of its chunks waits for another one.
            together_bytes: if content.is_stream() { 1 } else { TOGETHER_BYTES },
            reader: Some(reader),
            cutter: Cutter::new(tables),
            buffer: Buffer::default(),
        };
        let storing = Storing {
            node,
            content: Vec::new(),
            under_way: 0,
            at_end: false,
            finished: false,
            failure: None,
        };
        Ok(Self { reading: Mutex::new(reading), storing: Mutex::new(storing), slot, path, had_previous })
    }

    /// Reads up to one of the next cuts and leaves the chunks until there at the beginning of `buffer`,
    /// whose former memory is used on. `None` at the end of the file: then ask
    /// [`LargeFile::finish_if_done`].
    pub(super) fn next_chunks(&self, buffer: &mut Buffer) -> Option<Chunks> {
        let mut reading = self.reading.lock();
        let mut lengths = Vec::new();
        let mut taken = 0;
        let mut failure = None;
        while taken < reading.together_bytes {
            match reading.read_chunk(taken) {
                Ok(Some(length)) => lengths.push(length),
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            taken = lengths.iter().sum();
        }
        let mut storing = self.storing.lock();
        if let Some(error) = failure {
            storing.failure.get_or_insert(error);
        }
        if lengths.is_empty() {
            storing.at_end = true;
            return None;
        }
        // The chunks go with their buffer; what was read beyond them begins the next one.
        buffer.clear();
        buffer.append(&reading.buffer.filled()[taken..]);
        std::mem::swap(buffer, &mut reading.buffer);
        let first = storing.content.len();
        storing.content.resize(first + lengths.len(), Id([0; 32]));
        storing.under_way += 1;
        Some(Chunks { first, lengths })
    }

    /// Chunks are stored.
    pub(super) fn chunks_stored(&self, chunks: &Chunks, ids: &[Id]) -> Finished {
        let mut storing = self.storing.lock();
        storing.content[chunks.first..chunks.first + ids.len()].copy_from_slice(ids);
        storing.node.size += chunks.lengths.iter().sum::<usize>() as u64;
        storing.under_way -= 1;
        storing.finish_if_done()
    }

    /// Tells the one caller that comes last that the file is done.
    pub(super) fn finish_if_done(&self) -> Finished {
        self.storing.lock().finish_if_done()
    }
}

impl Reading {
    /// The length of the chunk that begins `start` bytes into the buffer; `None` at the end. After an error nothing
    /// comes any more.
    fn read_chunk(&mut self, start: usize) -> Result<Option<usize>> {
        loop {
            if let Some(length) = self.cutter.find_cut(&self.buffer.filled()[start..]) {
                return Ok(Some(length));
            }
            let Some(reader) = &mut self.reader else {
                self.cutter.reset();
                let rest = self.buffer.filled().len() - start;
                return Ok((rest > 0).then_some(rest));
            };
            match self.buffer.read_from(reader) {
                Ok(0) => self.reader = None,
                Ok(_) => {}
                Err(source) => {
                    self.reader = None;
                    self.buffer.truncate(start);
                    self.cutter.reset();
                    return Err(Error::Source { path: PathBuf::from(&self.path), source });
                }
            }
        }
    }
}

impl Storing {
    fn finish_if_done(&mut self) -> Finished {
        if self.finished || self.under_way > 0 || !self.at_end {
            return Finished::NotYet;
        }
        self.finished = true;
        if let Some(error) = self.failure.take() {
            return Finished::Unreadable(error);
        }
        self.node.content = Some(std::mem::take(&mut self.content));
        Finished::Whole(Box::new(self.node.clone()))
    }
}
