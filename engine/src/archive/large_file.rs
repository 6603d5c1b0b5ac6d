//! A file that several workers store together: whoever comes takes the next chunk.
//!
//! Reading and cutting happen under a lock, one after the other; hashing,
//! compressing and sealing, which take far longer, happen outside it.

use std::io::Read;
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::archive::buffer::Buffer;
use crate::archive::queue::FileWork;
use crate::chunker::{ChunkTables, Cutter};
use crate::error::{Error, Result};
use crate::format::Node;
use crate::id::Id;

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
    /// `None` once the end was reached, or reading failed.
    reader: Option<Box<dyn Read + Send>>,
    cutter: Cutter,
    buffer: Buffer,
    chunks: usize,
}

struct Storing {
    node: Node,
    content: Vec<Id>,
    /// Chunks taken and not stored yet.
    under_way: usize,
    at_end: bool,
    finished: bool,
    failure: Option<Error>,
}

/// One chunk of a large file.
pub(super) struct Chunk {
    /// Which one.
    pub number: usize,
    /// How many bytes of the buffer it is.
    pub length: usize,
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
    pub(super) fn open(work: FileWork, path: String, tables: &ChunkTables) -> Result<Self, (Error, Slot)> {
        let FileWork { mut node, content, slot, had_previous } = work;
        let reader = match content.open() {
            Ok(reader) => reader,
            Err(error) => return Err((error, slot)),
        };
        node.size = 0;
        let reading = Reading {
            path: path.clone(),
            reader: Some(reader),
            cutter: Cutter::new(tables),
            buffer: Buffer::default(),
            chunks: 0,
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

    /// Reads up to the next cut and leaves that chunk at the beginning of `buffer`,
    /// whose former memory is used on. `None` at the end of the file: then ask
    /// [`LargeFile::finish_if_done`].
    pub(super) fn next_chunk(&self, buffer: &mut Buffer) -> Option<Chunk> {
        let mut reading = self.reading.lock();
        let chunk = reading.read_chunk();
        let mut storing = self.storing.lock();
        let length = match chunk {
            Ok(Some(length)) => length,
            Ok(None) => {
                storing.at_end = true;
                return None;
            }
            Err(error) => {
                storing.at_end = true;
                storing.failure.get_or_insert(error);
                return None;
            }
        };
        // The chunk goes with its buffer; what was read beyond it begins the next one.
        buffer.clear();
        buffer.append(&reading.buffer.filled()[length..]);
        std::mem::swap(buffer, &mut reading.buffer);
        storing.under_way += 1;
        storing.content.push(Id([0; 32]));
        reading.chunks += 1;
        Some(Chunk { number: reading.chunks - 1, length })
    }

    /// A chunk is stored.
    pub(super) fn chunk_stored(&self, chunk: &Chunk, id: Id) -> Finished {
        let mut storing = self.storing.lock();
        storing.content[chunk.number] = id;
        storing.node.size += chunk.length as u64;
        storing.under_way -= 1;
        storing.finish_if_done()
    }

    /// Tells the one caller that comes last that the file is done.
    pub(super) fn finish_if_done(&self) -> Finished {
        self.storing.lock().finish_if_done()
    }
}

impl Reading {
    /// The length of the next chunk, which then stands at the buffer's beginning; `None` at the end.
    fn read_chunk(&mut self) -> Result<Option<usize>> {
        loop {
            if let Some(length) = self.cutter.find_cut(self.buffer.filled()) {
                return Ok(Some(length));
            }
            let Some(reader) = &mut self.reader else {
                self.cutter.reset();
                let rest = self.buffer.filled().len();
                return Ok((rest > 0).then_some(rest));
            };
            match self.buffer.read_from(reader) {
                Ok(0) => self.reader = None,
                Ok(_) => {}
                Err(source) => {
                    self.reader = None;
                    self.buffer.clear();
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
