//! One worker: takes work from the queue until there is none.
//!
//! A unit of work goes from the disk to a pack on one thread, in memory that the
//! worker keeps, so a chunk stays in the cache from its reading to its sealing.

use std::sync::Arc;

use crate::archive::Archiver;
use crate::archive::large_file::{Finished, LargeFile};
use crate::archive::open_tree::{OpenTree, ParentSlot, Slot};
use crate::archive::previous::{self, Previous};
use crate::archive::queue::{FileWork, FolderWork, Work};
use crate::archive::small_files::Batch;
use crate::archive::tree_text::TreeText;
use crate::buffer::Buffer;
use crate::chunker::Cutter;
use crate::error::{Error, Result, plain_reason};
use crate::format::{BlobKind, Node, TreeEntries};
use crate::id::Id;
use crate::report::Counters;
use crate::repository::Stored;
use crate::source::{Entry, EntryContent, Problems};

/// Files beyond this are shared by the workers, chunk by chunk.
const LARGE_FILE_BYTES: u64 = 8 << 20;
/// A worker's memory.
pub(super) struct Worker<'a> {
    pub(super) archiver: &'a Archiver<'a>,
    buffer: Buffer,
    /// Small files, one after the other.
    pub(super) small_files: Buffer,
    sealed: Vec<u8>,
    cutter: Cutter,
}

/// A file that one worker read whole.
struct ReadFile {
    size_bytes: u64,
    content: Vec<Id>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(archiver: &'a Archiver<'a>) -> Self {
        let cutter = Cutter::new(archiver.session.repository().chunk_tables());
        Self {
            archiver,
            buffer: Buffer::default(),
            small_files: Buffer::default(),
            sealed: Vec::new(),
            cutter,
        }
    }

    /// Works until the queue is empty or something failed.
    pub(super) fn run(mut self) {
        /// A worker that panics must not leave the others waiting for it.
        struct Guard<'a>(&'a Archiver<'a>);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.queue.fail(Error::Crashed("while reading the source".into()));
                }
                self.0.queue.done();
            }
        }
        while let Some(work) = self.archiver.queue.take() {
            let _guard = Guard(self.archiver);
            let outcome = match work {
                Work::Files(batch) => self.store_files(batch),
                Work::Large(file) => self.store_next_chunks(&file),
                Work::Folder(folder) => self.list_folder(folder),
            };
            if let Err(error) = outcome {
                self.archiver.queue.fail(error);
            }
        }
    }

    fn list_folder(&mut self, work: FolderWork) -> Result<()> {
        self.archiver.control.checkpoint()?;
        let mut previous = self.previous_entries(work.previous);
        let mut folders = Vec::new();
        let mut batch = Batch::default();
        let tree = &work.tree;
        let archiver = self.archiver;
        let listed = work.folder.list(&archiver.problems, &mut |entry| {
            archiver.control.checkpoint()?;
            let before = previous.find(&entry.node.name);
            self.place_entry(entry, before, tree, &mut batch, &mut folders)
        });
        match listed {
            Ok(()) => {}
            Err(error) if is_about_the_source(&error) => {
                archiver.problems.unreadable(&work.folder.display_path(), &reason(&error));
                if folders.is_empty()
                    && batch.files.is_empty()
                    && tree.parent.is_some()
                    && !tree.has_entries()
                {
                    return self.leave_out(tree);
                }
            }
            Err(error) => return Err(error),
        }
        archiver.queue.push_folders(folders);
        self.push_batch(batch)?;
        match tree.finish_listing()? {
            Some(text) => self.close_tree(tree.clone(), text),
            None => Ok(()),
        }
    }

    fn previous_entries(&self, tree: Option<Id>) -> Previous {
        let Some(id) = tree else { return Previous::new(TreeEntries::none()) };
        match self.archiver.session.repository().read_tree_entries(id) {
            Ok(entries) => Previous::new(entries),
            Err(error) => {
                tracing::warn!(%error, "the parent snapshot's folder cannot be read; its files are read again");
                Previous::new(TreeEntries::none())
            }
        }
    }

    /// Decides what an entry needs: nothing more, reading, or listing.
    fn place_entry(
        &mut self,
        entry: Entry,
        before: Option<Node>,
        tree: &Arc<OpenTree>,
        batch: &mut Batch,
        folders: &mut Vec<FolderWork>,
    ) -> Result<()> {
        let Entry { mut node, content } = entry;
        match content {
            EntryContent::Nothing => {
                let slot = tree.add_slot();
                self.fill(&slot, Some(&node))
            }
            EntryContent::Folder(folder) => {
                let previous = before.and_then(|before| before.subtree);
                let parent = ParentSlot { slot: tree.add_slot(), node, previous };
                let level = self.archiver.long_tree_level();
                let tree = OpenTree::new(Some(parent), folder.display_path(), level);
                folders.push(FolderWork { folder, tree, previous });
                Ok(())
            }
            EntryContent::File(content) => {
                let slot = tree.add_slot();
                if let Some(before) = &before
                    && !content.is_stream()
                    && previous::is_unchanged(&node, before, self.archiver.options.change_detection)
                    && previous::is_stored(before, self.archiver.session.repository())
                {
                    node.content = before.content.clone();
                    // Whoever sets an attribute changes the ctime.
                    if !self.archiver.trusts_attributes || !before.error.is_empty() {
                        content.complete(&mut node, &self.archiver.problems);
                    } else if node.extended_attributes.is_empty() {
                        node.extended_attributes = before.extended_attributes.clone();
                    }
                    self.count_file(&node, true, true);
                    Counters::add(&self.archiver.counters.bytes_done, node.size);
                    return self.fill(&slot, Some(&node));
                }
                let work = FileWork { node, content, slot, had_previous: before.is_some() };
                if work.content.is_stream() || work.node.size > LARGE_FILE_BYTES {
                    return self.open_large(work);
                }
                if let Some(full) = batch.add(work) {
                    self.push_batch(full)?;
                }
                Ok(())
            }
        }
    }

    fn push_batch(&mut self, batch: Batch) -> Result<()> {
        if batch.files.is_empty() {
            return Ok(());
        }
        match self.archiver.queue.push_files(batch.files) {
            Some(first) => self.store_files(first),
            None => Ok(()),
        }
    }

    pub(super) fn store_file(&mut self, mut file: FileWork) -> Result<()> {
        match self.read_and_store(&mut file) {
            Ok(read) => self.finish_file(file, read.size_bytes, read.content),
            Err(error) => self.file_failed(&file, error),
        }
    }

    pub(super) fn finish_file(&mut self, file: FileWork, size_bytes: u64, content: Vec<Id>) -> Result<()> {
        let FileWork { mut node, slot, had_previous, .. } = file;
        node.size = size_bytes;
        node.content = Some(content);
        self.count_file(&node, had_previous, false);
        self.fill(&slot, Some(&node))
    }

    /// A file that cannot be read is told of and left out; any other error ends the backup.
    pub(super) fn file_failed(&mut self, file: &FileWork, error: Error) -> Result<()> {
        if !is_about_the_source(&error) {
            return Err(error);
        }
        self.archiver.problems.unreadable(&path_of(&file.slot.tree, &file.node), &reason(&error));
        self.fill(&file.slot, None)
    }

    fn read_and_store(&mut self, work: &mut FileWork) -> Result<ReadFile> {
        let mut reader = work.content.open_completing(&mut work.node, &self.archiver.problems)?;
        let mut file = ReadFile { size_bytes: 0, content: Vec::new() };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.cutter.reset();
        let outcome = loop {
            if let Some(length) = self.cutter.find_cut(buffer.filled()) {
                match self.store_data(&[&buffer.filled()[..length]]) {
                    Ok(ids) => file.content.extend(ids),
                    Err(error) => break Err(error),
                }
                file.size_bytes += length as u64;
                buffer.remove_front(length);
                continue;
            }
            match buffer.read_from(&mut reader) {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(source) => break Err(Error::Source { path: Default::default(), source }),
            }
            if let Err(error) = self.archiver.control.checkpoint() {
                break Err(error);
            }
        };
        let outcome = outcome.and_then(|()| {
            if !buffer.filled().is_empty() {
                file.content.extend(self.store_data(&[buffer.filled()])?);
                file.size_bytes += buffer.filled().len() as u64;
            }
            Ok(file)
        });
        self.buffer = buffer;
        outcome
    }

    fn open_large(&mut self, work: FileWork) -> Result<()> {
        let path = path_of(&work.slot.tree, &work.node);
        let tables = self.archiver.session.repository().chunk_tables();
        match LargeFile::open(work, path.clone(), tables, &self.archiver.problems) {
            Ok(file) => {
                let mut first = self.archiver.queue.push_large(Arc::new(file));
                // Too many are open: work on the oldest until it is done with.
                while let Some(file) = first {
                    self.store_next_chunks(&file)?;
                    first = self.archiver.queue.large_if_too_many();
                }
                Ok(())
            }
            Err((error, slot)) if is_about_the_source(&error) => {
                self.archiver.problems.unreadable(&path, &reason(&error));
                self.fill(&slot, None)
            }
            Err((error, _)) => Err(error),
        }
    }

    fn store_next_chunks(&mut self, file: &Arc<LargeFile>) -> Result<()> {
        self.archiver.control.checkpoint()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let Some(chunks) = file.next_chunks(&mut buffer) else {
            self.buffer = buffer;
            self.archiver.queue.forget_large(file);
            return self.finish_large(file, file.finish_if_done());
        };
        let mut rest = buffer.filled();
        let cut = |length: &usize| {
            let (chunk, after) = rest.split_at(*length);
            rest = after;
            chunk
        };
        let texts: Vec<&[u8]> = chunks.lengths.iter().map(cut).collect();
        let stored = self.store_data(&texts);
        self.buffer = buffer;
        self.finish_large(file, file.chunks_stored(&chunks, &stored?))
    }

    fn finish_large(&mut self, file: &LargeFile, finished: Finished) -> Result<()> {
        match finished {
            Finished::NotYet => Ok(()),
            Finished::Whole(node) => {
                self.count_file(&node, file.had_previous, false);
                self.fill(&file.slot, Some(&node))
            }
            Finished::Unreadable(error) => {
                self.archiver.problems.unreadable(&file.path, &reason(&error));
                self.fill(&file.slot, None)
            }
        }
    }

    /// Holds a compute slot for these chunks: reading may stand still for as long as the job is paused.
    pub(super) fn store_data(&mut self, chunks: &[&[u8]]) -> Result<Vec<Id>> {
        let archiver = self.archiver;
        if let Some(pace) = &archiver.read_pace {
            pace.make_up_for(chunks.iter().map(|chunk| chunk.len() as u64).sum(), archiver.control)?;
        }
        let slot = archiver.compute.take();
        let ids = archiver.session.ids_of(chunks);
        let mut all_stored_bytes = 0;
        for (id, chunk) in ids.iter().zip(chunks) {
            let stored = archiver.session.store_blob(
                BlobKind::Data,
                *id,
                chunk,
                archiver.options.compression,
                &mut self.sealed,
            )?;
            archiver.count_data(chunk.len() as u64, stored);
            if let Stored::New { stored_bytes } = stored {
                all_stored_bytes += stored_bytes;
            }
        }
        drop(slot);
        if let Some(pace) = &archiver.stored_pace {
            pace.make_up_for(all_stored_bytes, archiver.control)?;
        }
        Ok(ids)
    }

    /// Puts an entry in its place and closes every folder that this completes.
    fn fill(&mut self, slot: &Slot, node: Option<&Node>) -> Result<()> {
        match slot.fill(node)? {
            Some(text) => self.close_tree(slot.tree.clone(), text),
            None => Ok(()),
        }
    }

    /// A folder that could not be listed at all is left out, as restic does.
    fn leave_out(&mut self, tree: &OpenTree) -> Result<()> {
        match &tree.parent {
            Some(parent) => self.fill(&parent.slot, None),
            None => Ok(()),
        }
    }

    fn close_tree(&mut self, tree: Arc<OpenTree>, text: TreeText) -> Result<()> {
        let (mut tree, mut text) = (tree, text);
        loop {
            let id = self.store_tree(text)?;
            let archiver = self.archiver;
            let Some(parent) = &tree.parent else {
                archiver.set_root(id);
                return Ok(());
            };
            archiver.tally.folders.count(parent.previous.is_some(), parent.previous == Some(id));
            let mut node = parent.node.clone();
            node.subtree = Some(id);
            match parent.slot.fill(Some(&node))? {
                Some(parents_text) => text = parents_text,
                None => return Ok(()),
            }
            tree = parent.slot.tree.clone();
        }
    }

    fn store_tree(&mut self, text: TreeText) -> Result<Id> {
        let (archiver, sealed) = (self.archiver, &mut self.sealed);
        let (id, plaintext_bytes, stored) = match text {
            TreeText::Plain(text) => {
                let (id, compression) = (Id::of(&text), archiver.options.compression);
                let stored = archiver.session.store_blob(BlobKind::Tree, id, &text, compression, sealed)?;
                (id, text.len() as u64, stored)
            }
            TreeText::Compressed(frame) => {
                let stored = archiver.session.store_compressed_blob(BlobKind::Tree, &frame, sealed)?;
                (frame.id, frame.plaintext_bytes, stored)
            }
        };
        archiver.count_tree(plaintext_bytes, stored);
        Ok(id)
    }

    fn count_file(&self, node: &Node, had_previous: bool, unmodified: bool) {
        self.archiver.tally.files.count(had_previous, unmodified);
        Counters::add(&self.archiver.tally.processed_bytes, node.size);
        Counters::add(&self.archiver.counters.files_done, 1);
    }
}

/// Errors of single entries are told and the backup goes on; all others end it.
fn is_about_the_source(error: &Error) -> bool {
    matches!(error, Error::Source { .. })
}

/// The reason without the path, which the report names beside it.
fn reason(error: &Error) -> String {
    match error {
        Error::Source { source, .. } => plain_reason(source),
        other => other.to_string(),
    }
}

fn path_of(tree: &OpenTree, node: &Node) -> String {
    format!("{}/{}", tree.path.trim_end_matches('/'), String::from_utf8_lossy(&node.name))
}
