//! Files written: made under their final name with mode 0600, filled blob by blob in any order
//! from any thread, and finished by whoever writes the last one.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{self, FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::Result;
use crate::report::Counters;
use crate::restore::Restorer;
use crate::restore::metadata::Entry;
use crate::restore::plan::{Batch, Handle, PlannedFile};

/// Zeros are left out by whole blocks of the usual page size.
const HOLE_BYTES: usize = 4096;

impl Restorer<'_> {
    /// Writes a blob to its place in a file.
    pub(super) fn write_blob(&self, batch: &Batch, reference: u32, bytes: &[u8]) -> Result<()> {
        let reference = &batch.references[reference as usize];
        let file = &batch.files[reference.file as usize];
        Counters::add(&self.counters.bytes_done, bytes.len() as u64);
        // Whoever comes last finishes with the descriptor that is open anyway.
        let mut held = None;
        if !file.has_failed() {
            let written = self.open_for_writing(file).and_then(|(descriptor, is_new)| {
                held = Some(descriptor.clone());
                self.write_at(&descriptor, is_new, bytes, reference.file_offset)
            });
            match written {
                Ok(()) => Counters::add(&self.tally.bytes_written, bytes.len() as u64),
                Err(error) => self.file_failed(file, "write", error)?,
            }
        }
        self.count_down(file)
    }

    /// One blob less to come.
    pub(super) fn count_down(&self, file: &PlannedFile) -> Result<()> {
        if file.left.fetch_sub(1, Ordering::AcqRel) == 1 { self.finish_file(file) } else { Ok(()) }
    }

    /// All blobs are there, or the file has failed.
    pub(super) fn finish_file(&self, file: &PlannedFile) -> Result<()> {
        Counters::add(&self.counters.files_done, 1);
        if file.has_failed() {
            return Ok(());
        }
        let opened = self.open_for_writing(file).and_then(|(descriptor, _)| {
            let found = fs::fstat(&descriptor)?;
            let has_size = u64::try_from(found.st_size) == Ok(file.size_bytes);
            if !has_size {
                fs::ftruncate(&descriptor, file.size_bytes)?;
            }
            Ok((descriptor, found, has_size))
        });
        let (descriptor, found, had_size) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.file_failed(file, "finish", error),
        };
        let (is_new, is_shared) = match &*file.handle.lock() {
            Handle::Made { is_new, .. } => (*is_new, found.st_nlink > 1),
            Handle::Unmade => (true, false),
        };
        // A file with other names that is kept has it all already, see `settle`.
        if is_new || !is_shared {
            let faults = file.metadata.put_on(Entry::Open(&descriptor), self.is_root);
            self.tell_faults(&file.folder, &file.name, faults);
        }
        if let Some(group) = &file.group {
            *group.restored.lock() = Some((found.st_dev, found.st_ino));
        }
        let was_written = is_new || !had_size || file.reference_count > file.there.load(Ordering::Relaxed);
        let counter = if was_written { &self.tally.files_restored } else { &self.tally.files_unchanged };
        Counters::add(counter, 1);
        Ok(())
    }

    /// A system call for a file failed: it is named, and only a full disk ends the restore.
    pub(super) fn file_failed(&self, file: &PlannedFile, what: &'static str, error: Errno) -> Result<()> {
        if file.failed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.entry_failed(&file.folder, &file.name, what, error)
    }

    /// A file cannot be whole; told once for each file.
    pub(super) fn fail_file(&self, file: &PlannedFile, why: &str) {
        if !file.failed.swap(true, Ordering::Relaxed) {
            self.problems.error(file.location(), why);
        }
    }

    /// The file's descriptor and whether this restore made it; it is made at the first call.
    fn open_for_writing(&self, file: &PlannedFile) -> Result<(Arc<OwnedFd>, bool), Errno> {
        let mut handle = file.handle.lock();
        if let Handle::Made { open, identity, is_new, is_writable } = &mut *handle {
            if let Some(descriptor) = open.upgrade() {
                return Ok((descriptor, *is_new));
            }
            let access = if *is_writable { OFlags::RDWR } else { OFlags::RDONLY };
            let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let parent = file.folder.open(&self.folders)?;
            let descriptor = fs::openat(&*parent, &*file.name, flags, Mode::empty())?;
            let found = fs::fstat(&descriptor)?;
            if (found.st_dev, found.st_ino) != *identity {
                return Err(Errno::STALE);
            }
            let descriptor = Arc::new(descriptor);
            *open = Arc::downgrade(&descriptor);
            self.files.keep(&descriptor);
            return Ok((descriptor, *is_new));
        }
        let parent = file.folder.open(&self.folders)?;
        let descriptor = match create(&parent, &file.name) {
            Err(Errno::EXIST) => {
                self.clear_place(&parent, &file.name)?;
                create(&parent, &file.name)?
            }
            other => other?,
        };
        let found = fs::fstat(&descriptor)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        if file.reference_count > 1 || self.options.sparse {
            fs::ftruncate(&descriptor, file.size_bytes)?;
        }
        let descriptor = Arc::new(descriptor);
        if file.reference_count > 1 {
            self.files.keep(&descriptor);
        }
        let (open, identity) = (Arc::downgrade(&descriptor), (found.st_dev, found.st_ino));
        *handle = Handle::Made { open, identity, is_new: true, is_writable: true };
        Ok((descriptor, true))
    }

    fn write_at(&self, file: &OwnedFd, is_new: bool, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        if !self.options.sparse {
            return write_fully(file, bytes, offset);
        }
        let mut at = 0;
        for run in bytes.chunks(HOLE_BYTES).map(is_hole).collect::<Vec<bool>>().chunk_by(|l, r| l == r) {
            let end = bytes.len().min(at + run.len() * HOLE_BYTES);
            let place = offset + at as u64;
            if !run[0] {
                write_fully(file, &bytes[at..end], place)?;
            } else if !is_new {
                // What stood there has to go; where holes cannot be made zeros are written.
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                if fs::fallocate(file, flags, place, (end - at) as u64).is_err() {
                    write_fully(file, &bytes[at..end], place)?;
                }
            }
            at = end;
        }
        Ok(())
    }
}

fn is_hole(block: &[u8]) -> bool {
    block.len() == HOLE_BYTES && block.iter().all(|byte| *byte == 0)
}

fn create(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
}

fn write_fully(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
