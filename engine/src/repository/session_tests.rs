//! Two sessions that share packs: neither's snapshot may come before what the other one stores for both.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::format::IndexFile;
use crate::query::sample::Sample;

const SHARED: &[u8] = b"content that two sessions store";
/// Who does not wait where it should, has returned by then.
const A_WHILE: Duration = Duration::from_millis(200);

fn other_session(sample: &Sample) -> Session {
    sample.repository().begin(false, &Control::new()).unwrap()
}

fn store(session: &Session) -> Stored {
    let scratch = &mut Vec::new();
    session.store_blob(BlobKind::Data, Id::of(SHARED), SHARED, Compression::Auto, scratch).unwrap()
}

/// Whether an index file of the store names the shared blob.
fn is_indexed(repository: &Repository) -> bool {
    let files = repository.files();
    files.ids(FileKind::Index).unwrap().into_iter().any(|id| {
        let index = IndexFile::from_json(&files.read(FileKind::Index, id).unwrap()).unwrap();
        index.packs.iter().flat_map(|pack| &pack.blobs).any(|blob| blob.id == Id::of(SHARED))
    })
}

/// Flushes the session on a thread of its own, and tells whether the shared blob was indexed by then.
fn flush_and_look(session: Session) -> mpsc::Receiver<bool> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        session.flush().unwrap();
        let _ = tell.send(is_indexed(session.repository()));
    });
    told
}

#[test]
fn a_flush_waits_for_a_pack_that_another_session_took_and_has_no_room_to_send() {
    let sample = Sample::new("flush-waits-for-room");
    let (repository, one, two) =
        (sample.repository().clone(), other_session(&sample), other_session(&sample));
    let rooms: Vec<u64> = (0..repository.files().store().uploads_at_once())
        .map(|_| {
            let ticket = repository.uploads.promise();
            repository.uploads.wait_for_room(ticket);
            ticket
        })
        .collect();
    assert!(matches!(store(&one), Stored::New { .. }));
    let first = std::thread::spawn(move || one.flush().unwrap());
    while repository.uploads.waiting() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(store(&two), Stored::Known);
    let second = flush_and_look(two);
    assert_eq!(second.recv_timeout(A_WHILE), Err(mpsc::RecvTimeoutError::Timeout));
    for ticket in rooms {
        repository.uploads.end(ticket, Ok(()));
    }
    assert!(second.recv().unwrap(), "its snapshot would have come before its data");
    first.join().unwrap();
}

#[test]
fn a_flush_waits_for_a_blob_that_another_session_is_about_to_pack() {
    let sample = Sample::new("flush-waits-for-claims");
    let (repository, one, two) =
        (sample.repository().clone(), other_session(&sample), other_session(&sample));
    let (kind, id) = (BlobKind::Data, Id::of(SHARED));
    let storing = repository.storing.read();
    let claim = one.claim(kind, id).unwrap();
    assert_eq!(store(&two), Stored::Known);
    let told = flush_and_look(two);
    assert_eq!(told.recv_timeout(A_WHILE), Err(mpsc::RecvTimeoutError::Timeout));
    let mut sealed = Vec::new();
    let uncompressed_bytes = one.seal_blob(kind, SHARED, Compression::Off, &mut sealed).unwrap();
    let blob = BlobToPack { kind, id, sealed: &sealed, uncompressed_bytes };
    assert!(repository.packer.add(blob).unwrap().is_none());
    claim.keep();
    drop(storing);
    assert!(told.recv().unwrap(), "its snapshot would have come before its data");
}

#[test]
fn a_flush_fails_when_a_pack_of_another_session_was_dropped_before_it_was_sent() {
    let sample = Sample::new("flush-fails-with-others");
    let (one, two) = (other_session(&sample), other_session(&sample));
    assert!(matches!(store(&one), Stored::New { .. }));
    assert_eq!(store(&two), Stored::Known);
    drop(one.promise_open());
    assert!(matches!(two.flush(), Err(Error::Upload(_))));
    assert!(matches!(store(&other_session(&sample)), Stored::New { .. }), "nobody relies on it any more");
}

#[test]
fn a_session_paused_while_it_loads_the_index_holds_nobody_up() {
    let sample = Sample::new("paused-while-loading");
    store(&sample.session);
    sample.session.flush().unwrap();
    let repository = sample.repository().clone();
    let paused = Control::new();
    paused.pause();
    // As it is when the pause comes after the lock was taken.
    let (loading, control) = (repository.clone(), paused.clone());
    let loader = std::thread::spawn(move || loading.load_index(&control));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..100 {
            *repository.index.write() = crate::repository::Index::default();
            repository.index_files.lock().clear();
            repository.load_index(&Control::new()).unwrap();
        }
        tell.send(repository.index().contains(BlobKind::Data, &Id::of(SHARED)))
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(true));
    paused.resume();
    loader.join().unwrap().unwrap();
}
