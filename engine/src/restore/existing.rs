//! What stands in a file's place already: compared blob by blob, so that only what differs is
//! fetched and written; and files read back to verify them, which is the same comparison.
//!
//! A file that has other names may be shared with somebody outside the target: it is left as
//! it is if all of it is right, metadata included, else its name is given to a new file. A file that
//! may not be written to (read-only for us, or being run) is treated alike.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::{Result, plain_reason};
use crate::id::Id;
use crate::report::Counters;
use crate::restore::batch::Scratch;
use crate::restore::metadata::Entry;
use crate::restore::plan::{Batch, BlobReference, Found, Handle, PlannedFile};
use crate::restore::target_folder::change_mode;
use crate::restore::{Pass, Restorer};

/// References compared by one thread at a time: some 64 MiB.
const PIECE_REFERENCES: usize = 64;
/// Read at a time: fits a core's cache, so that hashing finds it there.
const READ_BYTES: usize = 256 << 10;

impl Batch {
    /// Ranges of references to compare with what the disk holds, each of one file.
    pub(super) fn pieces_to_compare(&self, pass: Pass) -> Vec<Range<usize>> {
        let compared = |file: &&PlannedFile| pass == Pass::Verify || matches!(file.found, Found::File);
        let ranges = self.files.iter().filter(compared).map(PlannedFile::references);
        ranges.flat_map(|range| split(range, PIECE_REFERENCES)).collect()
    }
}

fn split(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(length).map(move |start| start..end.min(start + length))
}

impl Restorer<'_> {
    /// Notes which of a piece's blobs the file has in their places.
    pub(super) fn compare(
        &self,
        batch: &Batch,
        piece: &Range<usize>,
        pass: Pass,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let references = &batch.references[piece.clone()];
        let Some(file) = references.first().map(|reference| &batch.files[reference.file as usize]) else {
            return Ok(());
        };
        // A file that cannot be opened has nothing of use: it is replaced, or reported as not verified.
        let Ok(descriptor) = self.open_existing(file, pass) else { return Ok(()) };
        for reference in references {
            self.checkpoint()?;
            let Some(digest) = self.digest(&descriptor, reference, scratch) else { break };
            let is_there = digest == reference.blob().id;
            reference.is_there.store(is_there, Ordering::Relaxed);
            if pass == Pass::Verify {
                Counters::add(&self.counters.bytes_done, reference.plaintext_bytes());
            }
        }
        Ok(())
    }

    /// The digest of what the file holds in a blob's place; `None` if it ends before or cannot be read.
    fn digest(&self, file: &OwnedFd, reference: &BlobReference, scratch: &mut Scratch) -> Option<Id> {
        let mut hasher = Sha256::new();
        let (mut at, end) = (reference.file_offset, reference.file_offset + reference.plaintext_bytes());
        while at < end {
            let length = (end - at).min(READ_BYTES as u64) as usize;
            if scratch.bytes.len() < length {
                scratch.bytes.resize(length, 0);
            }
            let bytes = scratch.bytes.get_mut(..length)?;
            read_fully(file, bytes, at)?;
            let _slot = self.compute.take();
            hasher.update(bytes);
            at += length as u64;
        }
        Some(Id(hasher.finalize().into()))
    }

    /// Opens what stands in a file's place, for writing too if that is possible.
    fn open_existing(&self, file: &PlannedFile, pass: Pass) -> Result<Arc<OwnedFd>, Errno> {
        let mut handle = file.handle.lock();
        if let Handle::Made { open, .. } = &*handle
            && let Some(descriptor) = open.upgrade()
        {
            return Ok(descriptor);
        }
        let parent = file.folder.open(&self.folders)?;
        let common = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Reading must not change the time of access, which is restored, too.
        let open = |access| match fs::openat(
            &*parent,
            &*file.name,
            access | common | OFlags::NOATIME,
            Mode::empty(),
        ) {
            Err(Errno::PERM) => fs::openat(&*parent, &*file.name, access | common, Mode::empty()),
            other => other,
        };
        let wants_write = pass == Pass::Write;
        let (descriptor, mut is_writable) =
            match if wants_write { open(OFlags::RDWR) } else { Err(Errno::ACCESS) } {
                Ok(descriptor) => (descriptor, true),
                Err(Errno::ACCESS | Errno::PERM | Errno::TXTBSY | Errno::ROFS) => {
                    match open(OFlags::RDONLY) {
                        Err(Errno::ACCESS) if pass == Pass::Verify => {
                            (self.open_unreadable(&parent, &file.name)?, false)
                        }
                        other => (other?, false),
                    }
                }
                Err(error) => return Err(error),
            };
        let found = fs::fstat(&descriptor)?;
        if fs::FileType::from_raw_mode(found.st_mode) != fs::FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        // Looked at again: since the walk came by it may have got another name.
        is_writable &= found.st_nlink == 1;
        let descriptor = Arc::new(descriptor);
        self.files.keep(&descriptor);
        let open = Arc::downgrade(&descriptor);
        *handle = Handle::Made { open, identity: (found.st_dev, found.st_ino), is_new: false, is_writable };
        Ok(descriptor)
    }

    /// Opens a restored file whose final mode forbids its owner to read it.
    fn open_unreadable(&self, parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let found = fs::statat(parent, name, fs::AtFlags::SYMLINK_NOFOLLOW)?;
        change_mode(parent, name, found.st_mode & 0o7777 | 0o400)?;
        let opened = fs::openat(
            parent,
            name,
            OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        );
        change_mode(parent, name, found.st_mode & 0o7777)?;
        opened
    }

    /// Decides what is left to do for a file once it was compared, and finishes it if that is nothing.
    pub(super) fn settle(&self, batch: &Batch, file: &PlannedFile) -> Result<()> {
        match file.found {
            Found::Nothing => {
                if file.reference_count == 0 {
                    self.finish_file(file)?;
                }
                return Ok(());
            }
            Found::TakenAsSame => return self.keep_unchanged(file),
            Found::File => {}
        }
        let references = &batch.references[file.references()];
        let there = references.iter().filter(|reference| reference.is_there.load(Ordering::Relaxed));
        let there_bytes: u64 = there.clone().map(|reference| reference.plaintext_bytes()).sum();
        let there_count = there.count();
        let state = self.open_existing(file, Pass::Write).and_then(|descriptor| {
            let is_writable = matches!(&*file.handle.lock(), Handle::Made { is_writable: true, .. });
            let found = fs::fstat(&descriptor)?;
            Ok((descriptor, found, is_writable))
        });
        let stays = state.is_ok_and(|(descriptor, found, is_writable)| {
            let is_whole =
                there_count == references.len() && u64::try_from(found.st_size) == Ok(file.size_bytes);
            let is_shared = found.st_nlink > 1;
            is_writable
                || (is_whole && (!is_shared || file.metadata.is_on(&descriptor, &found, self.is_root)))
        });
        if !stays {
            *file.handle.lock() = Handle::Unmade;
            for reference in references {
                reference.is_there.store(false, Ordering::Relaxed);
            }
            return if references.is_empty() { self.finish_file(file) } else { Ok(()) };
        }
        Counters::add(&self.counters.bytes_done, there_bytes);
        file.there.store(there_count as u32, Ordering::Relaxed);
        file.left.fetch_sub(there_count as u32, Ordering::AcqRel);
        if there_count == references.len() {
            return self.finish_file(file);
        }
        // What is written now is for its owner only until the final mode is set.
        let closed = self
            .open_existing(file, Pass::Write)
            .and_then(|descriptor| fs::fchmod(&*descriptor, Mode::RUSR | Mode::WUSR));
        closed.or_else(|error| self.file_failed(file, "restrict the mode of", error))
    }

    /// A file that is taken to be right gets its metadata only.
    fn keep_unchanged(&self, file: &PlannedFile) -> Result<()> {
        Counters::add(&self.tally.files_unchanged, 1);
        Counters::add(&self.counters.files_done, 1);
        Counters::add(&self.counters.bytes_done, file.size_bytes);
        let opened = self.open_existing(file, Pass::Write);
        let parent = file.folder.open(&self.folders);
        let faults = match (&opened, &parent) {
            (Ok(descriptor), _) => file.metadata.put_on(Entry::Open(descriptor), self.is_root),
            (Err(_), Ok(parent)) => {
                let entry = Entry::Named(parent, &file.name, crate::format::NodeKind::File);
                file.metadata.put_on(entry, self.is_root)
            }
            (Err(_), Err(error)) => {
                return self.entry_failed(&file.folder, &file.name, "open its folder", *error);
            }
        };
        self.tell_faults(&file.folder, &file.name, faults);
        if let (Some(group), Handle::Made { identity, .. }) = (&file.group, &*file.handle.lock()) {
            *group.restored.lock() = Some(*identity);
        }
        Ok(())
    }

    /// Counts what a restore would do for a file.
    pub(super) fn rehearse(&self, batch: &Batch, file: &PlannedFile) -> Result<()> {
        let references = &batch.references[file.references()];
        let missing = references.iter().filter(|reference| !reference.is_there.load(Ordering::Relaxed));
        let missing_bytes: u64 = missing.map(|reference| reference.plaintext_bytes()).sum();
        let is_unchanged = match file.found {
            Found::Nothing => false,
            Found::TakenAsSame => true,
            Found::File => missing_bytes == 0 && self.has_size(file),
        };
        if is_unchanged {
            Counters::add(&self.tally.files_unchanged, 1);
        } else {
            Counters::add(&self.tally.files_restored, 1);
            Counters::add(&self.tally.bytes_written, missing_bytes);
        }
        Counters::add(&self.counters.files_done, 1);
        Counters::add(&self.counters.bytes_done, file.size_bytes);
        Ok(())
    }

    /// Tells whether a restored file reads as it should.
    pub(super) fn tell_verified(&self, batch: &Batch, file: &PlannedFile) -> Result<()> {
        let references = &batch.references[file.references()];
        let wrong = references.iter().filter(|reference| !reference.is_there.load(Ordering::Relaxed)).count();
        let why = match self.open_existing(file, Pass::Verify) {
            Err(error) => format!("cannot be read back: {}", plain_reason(&error.into())),
            Ok(_) if wrong > 0 => format!("{wrong} of its {} blobs read back wrong", references.len()),
            Ok(_) if !self.has_size(file) => "it has another size than was restored".into(),
            Ok(_) => {
                Counters::add(&self.tally.files_verified, 1);
                return Ok(());
            }
        };
        self.problems.error(file.location(), why);
        Ok(())
    }

    fn has_size(&self, file: &PlannedFile) -> bool {
        let found = self.open_existing(file, Pass::Verify).and_then(|descriptor| fs::fstat(&descriptor));
        found.is_ok_and(|found| u64::try_from(found.st_size) == Ok(file.size_bytes))
    }
}

/// Fills `bytes`; `None` if the file ends before or cannot be read.
fn read_fully(file: &OwnedFd, bytes: &mut [u8], offset: u64) -> Option<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => return None,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(())
}
