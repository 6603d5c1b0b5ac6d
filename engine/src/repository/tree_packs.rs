//! Tree packs kept in memory while trees are read one after the other.
//!
//! Trees are small and their packs hold thousands: after a few single reads from
//! one pack it is fetched whole. The memory held is bounded.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::id::Id;

/// All kept packs together.
const KEPT_BYTES_MAX: usize = 40 << 20;
/// Single reads after which a pack is fetched whole.
const SINGLE_READS: u32 = 3;
/// Packs whose reads are counted or that are kept.
const KNOWN_PACKS_MAX: usize = 64;

struct Known {
    pack: Id,
    reads: u32,
    whole: Option<Arc<OnceLock<Option<Bytes>>>>,
}

/// The packs that trees were read from lately, the latest last.
#[derive(Default)]
pub struct TreePacks {
    known: Mutex<Vec<Known>>,
}

impl TreePacks {
    /// The whole pack, if it is worth having: fetched by `fetch` once, by one thread.
    pub fn whole(&self, pack: Id, fetch: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        let cell = {
            let mut known = self.known.lock();
            let mut entry = match known.iter().position(|entry| entry.pack == pack) {
                Some(position) => known.remove(position),
                None => Known { pack, reads: 0, whole: None },
            };
            entry.reads += 1;
            if entry.reads > SINGLE_READS && entry.whole.is_none() {
                entry.whole = Some(Arc::default());
            }
            let cell = entry.whole.clone();
            known.push(entry);
            if known.len() > KNOWN_PACKS_MAX {
                known.remove(0);
            }
            cell?
        };
        let bytes = cell.get_or_init(fetch).clone();
        self.forget_oldest();
        bytes
    }

    fn forget_oldest(&self) {
        let mut known = self.known.lock();
        let mut kept = 0;
        for entry in known.iter_mut().rev() {
            let held = entry.whole.as_ref().and_then(|cell| cell.get()?.as_ref().map(Bytes::len));
            kept += held.unwrap_or(0);
            if kept > KEPT_BYTES_MAX && held.is_some() {
                entry.whole = None;
            }
        }
    }
}
