//! The plan of one batch: files, the blobs that they need, and in which order packs are read.
//!
//! Pure data and decisions; nothing here touches a disk. A batch is bounded in files and blob
//! references, which bounds the memory of a restore of any size.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::format::{BlobKind, PackedBlob};
use crate::id::Id;
use crate::repository::BlobPlace;
use crate::restore::hard_links::{LinkGroup, PlannedLink};
use crate::restore::metadata::Metadata;
use crate::restore::target_folder::TargetFolder;
use crate::restore::walk::LeftFolder;

/// References of a batch, unless a single file has more: 16 MiB of them.
pub(super) const REFERENCES_MAX: usize = 1 << 18;
/// Files of a batch: some 20 MiB. Two batches are in memory at a time.
pub(super) const FILES_MAX: usize = 1 << 16;
/// Files of the first batch; each further one is twice as large, so that writing starts early.
pub(super) const FILES_FIRST: usize = 1 << 12;
/// What lies unneeded between two blobs and is read with them rather than asked for apart.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// Read at once, unless a single blob is larger.
const FETCH_BYTES_MAX: u64 = 8 << 20;
/// Written from one fetch; a blob that is needed more often is fetched again by another thread.
const FETCH_WRITES_BYTES_MAX: u64 = 64 << 20;

/// One batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) files: Vec<PlannedFile>,
    pub(super) references: Vec<BlobReference>,
    pub(super) packs: Vec<Id>,
    pack_numbers: HashMap<Id, u32>,
    /// Further names of files of this batch and earlier ones.
    pub(super) links: Vec<PlannedLink>,
    /// Folders that the walk is through with, the inner ones first.
    pub(super) folders: Vec<LeftFolder>,
}

/// What stood in a file's place when the walk came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No regular file.
    Nothing,
    /// A file of the right size and time of change, trusted to be the same.
    TakenAsSame,
    /// A file to compare with. It is changed in place if it has no other name.
    File,
}

/// One file to restore.
pub(super) struct PlannedFile {
    pub(super) folder: Arc<TargetFolder>,
    pub(super) name: Box<[u8]>,
    pub(super) metadata: Metadata,
    /// The sum of its blobs.
    pub(super) size_bytes: u64,
    pub(super) found: Found,
    /// Its references, as a range of the batch's.
    pub(super) first_reference: u32,
    pub(super) reference_count: u32,
    /// Its place in the walk.
    pub(super) ordinal: u64,
    /// Where its other names find it, if it has any.
    pub(super) group: Option<Arc<LinkGroup>>,
    /// Blobs that it had in place.
    pub(super) there: AtomicU32,
    /// Blobs still to come.
    pub(super) left: AtomicU32,
    pub(super) failed: AtomicBool,
    pub(super) handle: Mutex<Handle>,
}

/// The file on disk.
#[derive(Default)]
pub(super) enum Handle {
    /// Not made yet, or to be replaced.
    #[default]
    Unmade,
    /// It is this one, open or not.
    Made {
        /// Its descriptor while somebody has it open.
        open: Weak<OwnedFd>,
        /// Device and inode: a file of the same name that is another one is not written to.
        identity: (u64, u64),
        /// Whether this restore made it.
        is_new: bool,
        /// Whether it can be written to in place.
        is_writable: bool,
    },
}

impl PlannedFile {
    /// The range of its references.
    pub(super) fn references(&self) -> std::ops::Range<usize> {
        let first = self.first_reference as usize;
        first..first + self.reference_count as usize
    }

    /// Where it stands in the snapshot, for messages.
    pub(super) fn location(&self) -> String {
        self.folder.location_of(&self.name)
    }

    /// Whether it failed already.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// One blob in its place in a file.
pub(super) struct BlobReference {
    id: Id,
    pub(super) file_offset: u64,
    pub(super) file: u32,
    pack: u32,
    offset_bytes: u32,
    length_bytes: u32,
    uncompressed_bytes: u32,
    /// Whether the file has it already.
    pub(super) is_there: AtomicBool,
}

impl BlobReference {
    /// The blob as the index names it.
    pub(super) fn blob(&self) -> PackedBlob {
        PackedBlob {
            id: self.id,
            kind: BlobKind::Data,
            offset_bytes: self.offset_bytes,
            length_bytes: self.length_bytes,
            uncompressed_bytes: self.uncompressed_bytes,
        }
    }

    /// Bytes that it has in the file.
    pub(super) fn plaintext_bytes(&self) -> u64 {
        self.blob().plaintext_bytes().into()
    }

    fn end_bytes(&self) -> u64 {
        u64::from(self.offset_bytes) + u64::from(self.length_bytes)
    }
}

/// Part of a pack that is read at once, and the references that want it, in the order of the pack.
pub(super) struct Fetch {
    pub(super) pack: u32,
    pub(super) start_bytes: u64,
    pub(super) end_bytes: u64,
    /// A range of [`FetchPlan::order`].
    pub(super) wanted: std::ops::Range<usize>,
}

/// All fetches of a batch.
pub(super) struct FetchPlan {
    /// References by number, sorted by pack and place.
    pub(super) order: Vec<u32>,
    pub(super) fetches: Vec<Fetch>,
}

impl Batch {
    /// Adds the blobs of the file that is pushed next, one after the other.
    pub(super) fn push_reference(&mut self, place: &BlobPlace, file_offset: u64) {
        let pack = *self.pack_numbers.entry(place.pack).or_insert_with(|| {
            self.packs.push(place.pack);
            (self.packs.len() - 1) as u32
        });
        self.references.push(BlobReference {
            id: place.blob.id,
            file_offset,
            file: self.files.len() as u32,
            pack,
            offset_bytes: place.blob.offset_bytes,
            length_bytes: place.blob.length_bytes,
            uncompressed_bytes: place.blob.uncompressed_bytes,
            is_there: AtomicBool::new(false),
        });
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.links.is_empty() && self.folders.is_empty()
    }

    /// Decides what is read, in which order: packs as they are first needed.
    pub(super) fn plan_fetches(&self) -> FetchPlan {
        let needed = self.references.iter().enumerate().filter(|(_, reference)| {
            !reference.is_there.load(Ordering::Relaxed) && !self.files[reference.file as usize].has_failed()
        });
        let mut keyed: Vec<(u64, u32)> = needed
            .map(|(number, at)| (u64::from(at.pack) << 32 | u64::from(at.offset_bytes), number as u32))
            .collect();
        keyed.sort_unstable();
        let order: Vec<u32> = keyed.into_iter().map(|(_, number)| number).collect();
        let mut fetches: Vec<Fetch> = Vec::new();
        let mut writes_bytes = 0;
        for (position, &number) in order.iter().enumerate() {
            let at = &self.references[number as usize];
            let (start, end) = (u64::from(at.offset_bytes), at.end_bytes());
            let joined = fetches.last_mut().filter(|last| {
                last.pack == at.pack
                    && start <= last.end_bytes.saturating_add(GAP_BYTES_MAX)
                    && end.saturating_sub(last.start_bytes) <= FETCH_BYTES_MAX
                    && writes_bytes + at.plaintext_bytes() <= FETCH_WRITES_BYTES_MAX
            });
            if let Some(last) = joined {
                last.end_bytes = last.end_bytes.max(end);
                last.wanted.end = position + 1;
                writes_bytes += at.plaintext_bytes();
            } else {
                fetches.push(Fetch {
                    pack: at.pack,
                    start_bytes: start,
                    end_bytes: end,
                    wanted: position..position + 1,
                });
                writes_bytes = at.plaintext_bytes();
            }
        }
        FetchPlan { order, fetches }
    }
}
