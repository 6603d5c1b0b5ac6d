//! The bytes of a pack that is being filled: the digest of the first of them, and all or the last of them in memory.
//!
//! Where the store takes drafts ([`Store::begin_draft`]), bytes leave memory as soon as the digest has taken them in, while
//! the processor still has them at hand. A draft that fails is written to no more; what it has is read back at the
//! end, and held against the digest.

use std::io;

use crate::id::Id;
use crate::sha256::Sha256;
use crate::store::{Draft, Store};

/// A digest that lags by less is not worth keeping others from the pack, and fewer bytes are not worth a draft.
pub(super) const PIECE_BYTES_MIN: usize = 512 << 10;
/// With a draft, so much may wait for digests to come; what comes then takes this one along.
const HELD_BYTES_MAX: usize = 4 << 20;

/// See the module.
pub(super) struct PackBody {
    /// What follows the draft's bytes.
    held: Vec<u8>,
    draft: Option<Draft>,
    /// Where drafts are begun, and whether one takes more: absent from the first failure on.
    drafts: Option<Store>,
    digest: Sha256,
    /// How many of the bytes held the digest has taken in.
    hashed: usize,
}

/// A pack's bytes, all there.
pub(super) enum Sealed {
    /// In memory.
    Held(Vec<u8>),
    /// In a draft; the memory is free.
    Drafted(Draft, Vec<u8>),
}

impl PackBody {
    /// An empty one that uses `memory`, which is empty; drafts are begun in `drafts`, if at all.
    pub(super) fn new(memory: Vec<u8>, drafts: Option<Store>) -> Self {
        Self { held: memory, draft: None, drafts, digest: Sha256::new(), hashed: 0 }
    }

    /// All of it.
    pub(super) fn length_bytes(&self) -> usize {
        self.draft.as_ref().map_or(0, |draft| draft.length_bytes() as usize) + self.held.len()
    }

    /// How much the digest has yet to take in.
    pub(super) fn lag_bytes(&self) -> usize {
        self.held.len() - self.hashed
    }

    /// Appends a copy.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        if self.held.len() > HELD_BYTES_MAX && self.drafts.is_some() {
            self.digest_with(|digest, late| digest.update(late));
        }
    }

    /// Has `take` give the digest what it lags by.
    pub(super) fn digest_with<T>(&mut self, take: impl FnOnce(&mut Sha256, &[u8]) -> T) -> T {
        let taken = take(&mut self.digest, &self.held[self.hashed..]);
        self.hashed = self.held.len();
        if self.hashed >= PIECE_BYTES_MIN {
            self.spill();
        }
        taken
    }

    /// Everything, if it is all in memory.
    pub(super) fn held_whole(&self) -> Option<&[u8]> {
        self.draft.is_none().then_some(&self.held)
    }

    /// Closes it with the `end` of the pack; the digest of all is its name.
    ///
    /// # Errors
    /// The draft could not be written to, nor can it be read, or it gives other bytes than it got.
    pub(super) fn seal(mut self, end: &[u8]) -> (Id, io::Result<Sealed>) {
        self.held.extend_from_slice(end);
        self.digest.update(&self.held[self.hashed..]);
        if self.draft.is_some() {
            self.spill();
        }
        let id = self.digest.finish();
        let sealed = match (self.draft, self.drafts) {
            (None, _) => Ok(Sealed::Held(self.held)),
            (Some(draft), Some(_)) => Ok(Sealed::Drafted(draft, self.held)),
            (Some(draft), None) => read_back(&draft, &self.held, id).map(Sealed::Held),
        };
        (id, sealed)
    }

    /// Its memory, for another one.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.held
    }

    /// Everything held goes into the draft, where there are any. After a failure it stays, and all that follows.
    fn spill(&mut self) {
        let Some(store) = &self.drafts else { return };
        if self.draft.is_none() {
            self.draft = store.begin_draft();
        }
        match self.draft.as_mut().map(|draft| draft.append(&self.held)) {
            Some(Ok(())) => {
                self.held.clear();
                self.hashed = 0;
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the rest of a pack is kept in memory");
                self.drafts = None;
            }
            None => self.drafts = None,
        }
    }
}

fn read_back(draft: &Draft, held: &[u8], id: Id) -> io::Result<Vec<u8>> {
    let mut all = draft.read_back(held.len())?;
    all.extend_from_slice(held);
    if Id::of(&all) == id { Ok(all) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

    use super::*;
    use crate::store::{Location, StoreSettings};

    fn store_at(location: &str) -> Store {
        Store::open(&Location::parse(location, Path::new("/")).unwrap(), &StoreSettings::default()).unwrap()
    }

    /// A draft that has room for so many bytes.
    fn narrow_draft(room_bytes: usize) -> Draft {
        let file = memfd_create("draft", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&file, room_bytes as u64).unwrap();
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        Draft::over(file.into())
    }

    /// Appends pieces, with digests taken now and then; returns what was appended and what became of it.
    fn fill(mut body: PackBody, memory_max: usize) -> (Vec<u8>, Id, Sealed) {
        let mut all = Vec::new();
        for number in 0..60_usize {
            let piece: Vec<u8> = (0..1 + number * 37_003 % 700_000).map(|at| (at * number) as u8).collect();
            body.append(&piece);
            all.extend_from_slice(&piece);
            if number % 5 == 0 {
                body.digest_with(|digest, late| digest.update(late));
            }
            assert_eq!(body.length_bytes(), all.len());
            assert!(body.held.len() <= memory_max, "{} bytes held", body.held.len());
        }
        all.extend_from_slice(b"end");
        let (id, sealed) = body.seal(b"end");
        (all, id, sealed.unwrap())
    }

    #[test]
    fn a_pack_has_the_same_bytes_and_name_with_and_without_a_draft_and_when_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let (here, memory) = (store_at(folder.path().to_str().unwrap()), store_at("memory://pack-body"));
        let plain = PackBody::new(Vec::new(), Some(memory));
        let drafted = PackBody::new(Vec::new(), Some(here.clone()));
        let (all, id, sealed) = fill(plain, usize::MAX);
        assert!(matches!(sealed, Sealed::Held(bytes) if bytes == all));
        assert_eq!(id, Id::of(&all));

        let (again, drafted_id, sealed) = fill(drafted, HELD_BYTES_MAX);
        assert!(
            matches!(sealed, Sealed::Drafted(draft, memory) if draft.read_back(0).unwrap() == all && memory.is_empty())
        );
        assert!(again == all && drafted_id == id);

        for room_bytes in [0, 1, 3_000_000, all.len() - 1] {
            let draft = Some(narrow_draft(room_bytes));
            let narrow = PackBody { draft, ..PackBody::new(Vec::new(), Some(here.clone())) };
            let (_, narrow_id, sealed) = fill(narrow, usize::MAX);
            assert!(matches!(sealed, Sealed::Held(bytes) if bytes == all), "room for {room_bytes}");
            assert_eq!(narrow_id, id);
        }
    }

    #[test]
    fn a_failed_draft_that_gives_other_bytes_than_it_got_makes_no_pack() {
        let draft = narrow_draft(PIECE_BYTES_MIN);
        let behind = draft.file();
        let drafts = Some(store_at("memory://pack-body"));
        let mut body = PackBody { draft: Some(draft), ..PackBody::new(Vec::new(), drafts) };
        for _ in 0..2 {
            body.append(&[7; PIECE_BYTES_MIN]);
            body.digest_with(|digest, late| digest.update(late));
        }
        behind.write_all_at(&[8], 1000).unwrap();
        let (_, sealed) = body.seal(&[]);
        assert_eq!(sealed.err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
    }

    #[test]
    fn little_needs_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let mut body = PackBody::new(Vec::new(), Some(store_at(folder.path().to_str().unwrap())));
        body.append(&[7; PIECE_BYTES_MIN - 1]);
        body.digest_with(|digest, late| digest.update(late));
        let (_, sealed) = body.seal(&[]);
        assert!(matches!(sealed, Ok(Sealed::Held(bytes)) if bytes.len() == PIECE_BYTES_MIN - 1));
    }
}
