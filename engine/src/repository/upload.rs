//! One pack's way from the packer to the store.
//!
//! It has a ticket from the moment it leaves the packer until it has landed or failed, whatever becomes of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::{IndexedPack, PackedBlob};
use crate::id::Id;
use crate::repository::Repository;
use crate::repository::files::FileKind;
use crate::repository::lock::RepositoryLock;
use crate::repository::pack_body::Sealed;
use crate::repository::packer::{OpenPack, Packer};
use crate::store::Draft;

/// A pack that has left the packer and is not sent yet. Dropped, it counts as failed.
#[must_use]
pub struct Upload {
    pack: OpenPack,
    ticket: Ticket,
}

impl Upload {
    /// Takes a ticket for a pack. Call it while nobody can miss the pack: before `storing` is let go.
    pub fn promise(repository: &Arc<Repository>, mut pack: OpenPack) -> Self {
        let (number, blobs) = (repository.uploads.promise(), pack.take_blobs());
        Self { pack, ticket: Ticket { repository: repository.clone(), number, blobs, ended: false } }
    }

    /// Seals the pack, waits for room, and sends it on a thread of its own.
    pub fn begin(self, lock: Option<Arc<RepositoryLock>>) -> Result<()> {
        let Self { pack, ticket } = self;
        let repository = &ticket.repository;
        let (id, sealed) = pack.seal(&ticket.blobs, repository.files.key())?;
        let body = repository.body_of(id, sealed);
        repository.uploads.wait_for_room(ticket.number);
        std::thread::Builder::new()
            .name("keepwell-upload".into())
            .spawn(move || ticket.send(id, body, lock))
            .map(drop)
            .map_err(|error| Error::Crashed(format!("no thread for an upload: {error}")))
    }
}

/// What is sent.
enum Body {
    Held(Bytes),
    Drafted(Draft),
}

impl Repository {
    fn body_of(&self, id: Id, sealed: io::Result<Sealed>) -> Result<Body> {
        match sealed {
            Ok(Sealed::Held(bytes)) => {
                Ok(Body::Held(Bytes::from_owner(PackBuffer { bytes, packer: self.packer.clone() })))
            }
            Ok(Sealed::Drafted(draft, memory)) => {
                self.packer.give_back(memory);
                Ok(Body::Drafted(draft))
            }
            Err(error) => Err(self.files.store().draft_lost(&FileKind::Pack.path(id), error)),
        }
    }
}

/// What others wait for. Dropped before its end, it counts as failed.
struct Ticket {
    repository: Arc<Repository>,
    number: u64,
    blobs: Vec<PackedBlob>,
    ended: bool,
}

impl Ticket {
    fn send(mut self, id: Id, body: Result<Body>, lock: Option<Arc<RepositoryLock>>) {
        let outcome = self.store(id, body, lock.as_deref());
        // Before the end is told: whoever waits for it may be the last to hold the lock, and end the process.
        drop(lock);
        self.end(outcome);
    }

    fn store(&self, id: Id, body: Result<Body>, lock: Option<&RepositoryLock>) -> Result<()> {
        let Some(lock) = lock else {
            return Err(Error::Invalid("the repository was opened for reading only".into()));
        };
        lock.ensure_held()?;
        let (store, path) = (self.repository.files.store(), FileKind::Pack.path(id));
        match body? {
            Body::Held(bytes) => store.write(&path, bytes)?,
            Body::Drafted(draft) => store.write_draft(&path, id, draft)?,
        }
        self.repository.note_stored(IndexedPack { id, blobs: self.blobs.clone() });
        Ok(())
    }

    fn end(&mut self, outcome: Result<()>) {
        self.ended = true;
        let mut in_flight = self.repository.in_flight.lock();
        for blob in &self.blobs {
            in_flight.remove(&(blob.kind, blob.id));
        }
        drop(in_flight);
        self.repository.uploads.end(self.number, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Err(Error::Crashed("an upload ended without an outcome".into())));
        }
    }
}

/// A pack's memory, which goes back to the packer once the store has no use for it.
struct PackBuffer {
    bytes: Vec<u8>,
    packer: Arc<Packer>,
}

impl AsRef<[u8]> for PackBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PackBuffer {
    fn drop(&mut self) {
        self.packer.give_back(std::mem::take(&mut self.bytes));
    }
}
