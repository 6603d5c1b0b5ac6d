//! Index files among themselves, and against the listing of packs.

use parking_lot::Mutex;

use super::Checker;
use super::finding::FindingKind;
use super::pack_table::{EntrySums, Named, PackTable, are_contiguous};
use crate::error::Result;
use crate::format::IndexFile;
use crate::id::Id;
use crate::repository::FileKind;

impl Checker<'_> {
    /// Reads every index file once. Returns what they say of packs, and how many files there are.
    pub(super) fn check_indexes(&self) -> Result<(PackTable, u64)> {
        let state = Mutex::new((PackTable::default(), 0));
        self.repository.load_index_leniently(self.control, &|id, outcome| {
            self.count_known(1);
            match outcome {
                Ok(file) => {
                    let mut state = state.lock();
                    state.1 += 1;
                    self.note_packs(&mut state.0, id, file);
                }
                // Replaced since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    state.lock().1 += 1;
                    let (object, why) = self.as_damage(FileKind::Index.path(id), error)?;
                    self.findings.tell(FindingKind::IndexDamaged, object, why);
                }
            }
            self.count_done();
            Ok(())
        })?;
        Ok(state.into_inner())
    }

    fn note_packs(&self, table: &mut PackTable, id: Id, file: &IndexFile) {
        let object = FileKind::Index.path(id);
        let number = table.add_index(id);
        for pack in &file.packs {
            let path = FileKind::Pack.path(pack.id);
            if !are_contiguous(&pack.blobs) {
                let why = format!("it says of {path} that its blobs overlap or leave gaps");
                self.findings.tell(FindingKind::IndexDamaged, object.clone(), why);
            }
            match table.name(pack.id, EntrySums::of(&pack.blobs), number) {
                Named::First => {}
                Named::AgainBy(other) => {
                    let why = format!("it names {path}, which {} names too", FileKind::Index.path(other));
                    self.findings.tell(FindingKind::PackIndexedTwice, object.clone(), why);
                }
                Named::OtherwiseBy(other) => {
                    let why = format!("it says of {path} other things than {}", FileKind::Index.path(other));
                    self.findings.tell(FindingKind::IndexesDisagree, object.clone(), why);
                }
            }
        }
    }

    /// Lists the packs once: each that an index names is there and has its exact size.
    pub(super) fn check_listing(&self, mut table: PackTable) -> Result<PackTable> {
        self.repository.files().store().list(FileKind::Pack.folder(), |pack| {
            self.control.checkpoint()?;
            if pack.path != FileKind::Pack.path(pack.id) {
                let why = "it lies in the wrong folder, where nobody looks for it";
                self.findings.tell(FindingKind::PackOrphaned, pack.path, why);
                return Ok(());
            }
            match table.note_stored(&pack.id, pack.size_bytes) {
                Some((expected, _)) if expected == pack.size_bytes => {}
                Some((expected, index)) => {
                    let (size, index) = (pack.size_bytes, FileKind::Index.path(index));
                    let why = format!("it is {size} bytes long, but {expected} by {index}");
                    self.findings.tell(FindingKind::PackSizeWrong, pack.path, why);
                }
                None => {
                    let why = "no index names it: an unfinished backup left it, or one runs now";
                    self.findings.tell(FindingKind::PackOrphaned, pack.path, why);
                }
            }
            Ok(())
        })?;
        for (pack, index) in table.missing() {
            let why = format!("it is not there, but {} names it", FileKind::Index.path(index));
            self.findings.tell(FindingKind::PackMissing, FileKind::Pack.path(pack), why);
        }
        Ok(table)
    }
}
