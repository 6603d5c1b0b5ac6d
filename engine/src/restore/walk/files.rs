//! Files on the walk: what stands in a file's place is looked at, its blobs are looked up, and
//! it joins the batch, or is a further name of a file that did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use parking_lot::Mutex;
use rustix::fs::{FileType, Stat};

use crate::error::Result;
use crate::format::{BlobKind, Node};
use crate::report::Counters;
use crate::repository::{BLOB_BYTES_MAX, BlobPlace};
use crate::restore::Pass;
use crate::restore::hard_links::PlannedLink;
use crate::restore::metadata::Metadata;
use crate::restore::options::Overwrite;
use crate::restore::plan::{Found, Handle, PlannedFile};
use crate::restore::target_folder::TargetFolder;
use crate::restore::walk::{Place, Walk};

impl Walk<'_, '_> {
    /// Plans a file unless what stands in its place stays.
    pub(super) fn visit_file(&mut self, mut node: Node) -> Result<()> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        if self.pass == Pass::Verify && !self.restorer.restored.lock().contains(ordinal) {
            return Ok(());
        }
        let place = self.folder_here()?;
        let Some(found) = self.look_at(&place, &node.name) else { return Ok(()) };
        let metadata = Metadata::of(&mut node);
        Counters::add(&self.restorer.counters.files_total, u64::from(self.pass != Pass::Verify));
        if self.pass != Pass::Verify && !self.may_replace(found.as_ref(), &metadata) {
            Counters::add(&self.restorer.tally.skipped, 1);
            Counters::add(&self.restorer.counters.files_done, 1);
            return Ok(());
        }
        if self.pass == Pass::Rehearse && self.links.is_repeated(&node) {
            Counters::add(&self.restorer.tally.others, 1);
            Counters::add(&self.restorer.counters.files_done, 1);
            return Ok(());
        }
        let Place::At(folder) = place else { return self.rehearse_absent(&node) };
        if self.pass == Pass::Write
            && let Some(group) = self.links.known(&node)
        {
            let name = node.name.into_boxed_slice();
            self.batch.links.push(PlannedLink { folder, name, group });
            self.send_if_full();
            return Ok(());
        }
        self.plan_file(node, metadata, folder, found, ordinal)
    }

    fn rehearse_absent(&mut self, node: &Node) -> Result<()> {
        if self.pass == Pass::Verify {
            self.problem("it is gone");
            return Ok(());
        }
        let tally = &self.restorer.tally;
        Counters::add(&tally.files_restored, 1);
        Counters::add(&tally.bytes_written, node.size);
        Counters::add(&tally.bytes_total, node.size);
        Counters::add(&self.restorer.counters.files_done, 1);
        Ok(())
    }

    fn plan_file(
        &mut self,
        node: Node,
        metadata: Metadata,
        folder: Arc<TargetFolder>,
        found: Option<Stat>,
        ordinal: u64,
    ) -> Result<()> {
        let first_reference = self.batch.references.len();
        let size_bytes = match self.push_references(&node) {
            Ok(size_bytes) => size_bytes,
            Err(why) => {
                self.batch.references.truncate(first_reference);
                Counters::add(&self.restorer.counters.files_done, 1);
                self.problem(why);
                return Ok(());
            }
        };
        if size_bytes != node.size && self.pass == Pass::Write {
            let why =
                format!("its blobs hold {size_bytes} bytes and its size says {}; the blobs count", node.size);
            self.problem(why);
        }
        let found = self.judge(found.as_ref(), &metadata, size_bytes);
        if found == Found::TakenAsSame {
            self.batch.references.truncate(first_reference);
        }
        let reference_count = (self.batch.references.len() - first_reference) as u32;
        Counters::add(&self.restorer.counters.bytes_total, size_bytes);
        if self.pass != Pass::Verify {
            Counters::add(&self.restorer.tally.bytes_total, size_bytes);
            if self.restorer.options.verify && !self.restorer.options.dry_run {
                // Each byte passes twice.
                Counters::add(&self.restorer.counters.bytes_total, size_bytes);
            }
        }
        let group = if self.pass == Pass::Write { self.links.begin(&node, &folder) } else { None };
        self.batch.files.push(PlannedFile {
            folder,
            name: node.name.into_boxed_slice(),
            metadata,
            size_bytes,
            found,
            first_reference: first_reference as u32,
            reference_count,
            ordinal,
            group,
            there: AtomicU32::new(0),
            left: AtomicU32::new(reference_count),
            failed: AtomicBool::new(false),
            handle: Mutex::new(Handle::default()),
        });
        self.send_if_full();
        Ok(())
    }

    /// Looks up all blobs; the error says why the file cannot be restored at all: without a
    /// blob's length nothing after it has a place.
    fn push_references(&mut self, node: &Node) -> Result<u64, String> {
        let index = self.restorer.repository.index();
        let mut offset = 0_u64;
        for id in node.content.as_deref().unwrap_or_default() {
            let place = index.find(BlobKind::Data, id).filter(is_possible);
            let Some(place) = place else {
                return Err(format!(
                    "it is not restored: no index names its blob {id}; its pack may be lost"
                ));
            };
            self.batch.push_reference(&place, offset);
            offset += u64::from(place.blob.plaintext_bytes());
        }
        Ok(offset)
    }

    fn judge(&self, found: Option<&Stat>, metadata: &Metadata, size_bytes: u64) -> Found {
        let is_file = |found: &&Stat| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        let Some(found) = found.filter(is_file) else { return Found::Nothing };
        let trusts = self.restorer.options.overwrite == Overwrite::IfChanged && self.pass != Pass::Verify;
        let has_size = u64::try_from(found.st_size) == Ok(size_bytes);
        if trusts && has_size && found.st_nlink == 1 && metadata.has_mtime_of(found) {
            return Found::TakenAsSame;
        }
        Found::File
    }
}

fn is_possible(place: &BlobPlace) -> bool {
    place.blob.plaintext_bytes() <= BLOB_BYTES_MAX && place.blob.length_bytes <= BLOB_BYTES_MAX
}
