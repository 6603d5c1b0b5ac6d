//! Small files: handed out in batches, and stored together, so that their digests are taken side by side.

use crate::archive::queue::FileWork;
use crate::archive::worker::Worker;
use crate::buffer::{Buffer, READ_BYTES};
use crate::chunker::CHUNK_SIZE_BYTES_MIN;
use crate::error::{Error, Result};
use crate::source::Problems;

/// Small files are handed out in batches of at most so many …
const BATCH_FILES: usize = 32;
/// … or so many bytes.
const BATCH_BYTES: u64 = 1 << 20;

impl Worker<'_> {
    /// Files of one chunk are read one after the other and stored together, the others each by itself.
    pub(super) fn store_files(&mut self, batch: Vec<FileWork>) -> Result<()> {
        let mut small = std::mem::take(&mut self.small_files);
        small.clear();
        let mut read = Vec::with_capacity(batch.len());
        for mut file in batch {
            self.archiver.control.checkpoint()?;
            if self.archiver.queue.has_failed() {
                return Ok(());
            }
            let start = small.filled().len();
            match read_small(&mut file, &mut small, &self.archiver.problems) {
                Ok(true) if small.filled().len() == start => self.finish_file(file, 0, Vec::new())?,
                Ok(true) => read.push((file, start..small.filled().len())),
                Ok(false) => self.store_file(file)?,
                Err(error) => self.file_failed(&file, error)?,
            }
        }
        let texts: Vec<&[u8]> = read.iter().map(|(_, range)| &small.filled()[range.clone()]).collect();
        let ids = self.store_data(&texts)?;
        for ((file, range), id) in read.into_iter().zip(ids) {
            self.finish_file(file, range.len() as u64, vec![id])?;
        }
        self.small_files = small;
        Ok(())
    }
}

/// Appends the content of a file that is at most one chunk. `false`, and nothing is appended, if it is more.
fn read_small(file: &mut FileWork, buffer: &mut Buffer, problems: &dyn Problems) -> Result<bool> {
    let start = buffer.filled().len();
    if file.node.size >= CHUNK_SIZE_BYTES_MIN as u64 {
        return Ok(false);
    }
    let mut reader = file.content.open_completing(&mut file.node, problems)?;
    loop {
        let read = buffer.read_from(&mut reader);
        let length = buffer.filled().len() - start;
        match read {
            Ok(0) => return Ok(true),
            // Less came than was asked for, and that is all: asking again would say so.
            Ok(more) if more < READ_BYTES && length as u64 == file.node.size => return Ok(true),
            Ok(_) if length < CHUNK_SIZE_BYTES_MIN => {}
            // It has grown since it was listed.
            Ok(_) => {
                buffer.truncate(start);
                return Ok(false);
            }
            Err(source) => {
                buffer.truncate(start);
                return Err(Error::Source { path: Default::default(), source });
            }
        }
    }
}

/// Small files on their way into the queue.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) files: Vec<FileWork>,
    bytes: u64,
}

impl Batch {
    /// Adds a file; returns a full batch.
    pub(super) fn add(&mut self, work: FileWork) -> Option<Batch> {
        self.bytes += work.node.size;
        self.files.push(work);
        let full = self.files.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES;
        full.then(|| std::mem::take(self))
    }
}
