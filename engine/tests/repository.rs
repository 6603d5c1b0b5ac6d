//! What a repository keeps its word on: others read it, sessions share it, locks
//! exclude, and unfinished work is found again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use keepwell_engine::clock::{Clock, SystemClock};
use keepwell_engine::compress::Compression;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::format::{BlobKind, Snapshot, Timestamp, TreeWriter};
use keepwell_engine::id::Id;
use keepwell_engine::repository::{
    FileKind, InitOptions, LockTiming, Repository, RepositoryOptions, Session, Stored,
};
use keepwell_engine::store::{Location, StoreSettings};
use parking_lot::Mutex;
use secrecy::SecretString;

fn password() -> SecretString {
    SecretString::from("correct horse battery staple")
}

fn init(folder: &Path, options: RepositoryOptions) -> Arc<Repository> {
    let location = Location::folder(folder);
    Repository::init(&location, &StoreSettings::default(), &password(), &InitOptions::default(), options)
        .expect("a new repository")
}

fn open(folder: &Path, options: RepositoryOptions) -> Result<Arc<Repository>> {
    Repository::open(&Location::folder(folder), &StoreSettings::default(), &password(), options)
}

fn begin(repository: &Arc<Repository>) -> Session {
    let control = Control::new();
    let session = repository.begin(false, &control).expect("a session");
    repository.load_index(&control).expect("an index");
    session
}

fn store(session: &Session, kind: BlobKind, content: &[u8]) -> Stored {
    store_with(session, kind, content, Compression::Auto)
}

fn store_with(session: &Session, kind: BlobKind, content: &[u8], compression: Compression) -> Stored {
    let mut scratch = Vec::new();
    session.store_blob(kind, Id::of(content), content, compression, &mut scratch).expect("stored")
}

fn empty_tree() -> Vec<u8> {
    TreeWriter::new().finish()
}

/// A clock that a test sets.
struct SetClock(Mutex<SystemTime>);

impl SetClock {
    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for SetClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
    fn local_offset_seconds(&self, _: i64) -> i32 {
        0
    }
    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// Locks that are refreshed all the time and go stale as they always do.
fn quick_locks() -> RepositoryOptions {
    let lock_timing = LockTiming { refresh_every: Duration::from_millis(10), ..LockTiming::default() };
    RepositoryOptions { lock_timing, ..RepositoryOptions::default() }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_second_open_finds_every_blob_and_the_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = tempfile::tempdir().expect("a folder");
    let options =
        RepositoryOptions { cache_folder: Some(cache.path().into()), ..RepositoryOptions::default() };
    let repository = init(folder.path(), options.clone());
    let session = begin(&repository);
    let contents: Vec<Vec<u8>> = (0..500u32).map(|n| n.to_le_bytes().repeat(1 + n as usize)).collect();
    for content in &contents {
        assert!(matches!(store(&session, BlobKind::Data, content), Stored::New { .. }));
        assert_eq!(store(&session, BlobKind::Data, content), Stored::Known, "in flight counts as known");
    }
    store(&session, BlobKind::Tree, &empty_tree());
    session.flush().expect("flushed");
    let snapshot = Snapshot::new(Timestamp::from_unix(1, 2), Id::of(&empty_tree()), vec!["/x".into()]);
    let sealed = session.seal_snapshot(&snapshot).expect("sealed");
    let id = sealed.id;
    session.put_snapshot(sealed).expect("put");
    drop(session);

    // Twice: from the repository, then from the cache.
    for _ in 0..2 {
        let repository = open(folder.path(), options.clone()).expect("opens");
        let session = begin(&repository);
        let mut out = Vec::new();
        for content in &contents {
            repository.read_blob(BlobKind::Data, Id::of(content), &mut out).expect("there");
            assert_eq!(&out, content);
            assert_eq!(store(&session, BlobKind::Data, content), Stored::Known);
        }
        assert_eq!(repository.read_snapshot(id).expect("there"), snapshot);
    }
    assert!(matches!(
        Repository::open(
            &Location::folder(folder.path()),
            &StoreSettings::default(),
            &SecretString::from("wrong"),
            options
        ),
        Err(Error::WrongPassword { keys: 1 })
    ));
}

#[test]
fn an_exclusive_lock_excludes_and_is_gone_with_its_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let one = init(folder.path(), RepositoryOptions::default());
    let two = open(folder.path(), RepositoryOptions::default()).expect("opens");
    let exclusive = one.begin(true, &control).expect("nobody else is there");
    assert!(matches!(two.begin(false, &control), Err(Error::Locked { .. })));
    drop(exclusive);
    let shared = two.begin(false, &control).expect("free again");
    let also_shared = one.begin(false, &control).expect("shared locks share");
    assert!(matches!(one.begin(true, &control), Err(Error::Invalid(_))), "this process uses it");
    drop(also_shared);
    assert!(matches!(one.begin(true, &control), Err(Error::Locked { .. })));
    drop(shared);
    assert_eq!(one.files().ids(FileKind::Lock).expect("listed"), []);
}

#[test]
fn two_that_lock_exclusively_at_once_both_give_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let one = init(folder.path(), RepositoryOptions::default());
    let first = one.begin(true, &control).expect("written, not confirmed yet");
    // Another process wrote its lock after our first look and before our second.
    let lock = serde_json::json!({
        "time": SystemClock.now_local().to_rfc3339(), "exclusive": true,
        "hostname": "elsewhere", "username": "u", "pid": 1
    });
    one.files().write(FileKind::Lock, lock.to_string().as_bytes()).expect("written");
    assert!(matches!(first.ensure_writable(), Err(Error::Locked { .. })));
}

#[test]
fn a_holder_that_was_away_too_long_writes_nothing_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(SetClock(Mutex::new(SystemTime::now())));
    let options = RepositoryOptions { clock: clock.clone(), ..RepositoryOptions::default() };
    let repository = init(folder.path(), options);
    let session = begin(&repository);
    session.ensure_writable().expect("fresh");
    clock.advance(LockTiming::default().give_up_after + Duration::from_secs(1));
    assert!(matches!(session.ensure_writable(), Err(Error::LockLost { .. })));
    store(&session, BlobKind::Data, b"late");
    let error = session.flush().expect_err("nothing is written without a lock");
    assert_eq!(error.class(), keepwell_messages::ErrorClass::Repository);
    assert_eq!(repository.files().ids(FileKind::Pack).expect("listed"), []);
    assert_eq!(repository.files().ids(FileKind::Index).expect("listed"), []);
}

/// The machine's clock, which jumps ahead by an hour when the thread that refreshes locks
/// asks for the third time: after it has found that its lock is young and still there, and
/// before it writes the next one. So it looks to a program when its machine sleeps.
#[derive(Default)]
struct SleepingClock {
    asked: AtomicU32,
}

impl Clock for SleepingClock {
    fn now(&self) -> SystemTime {
        if std::thread::current().name() == Some("keepwell-lock") {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        let slept = if self.asked.load(Ordering::SeqCst) >= 3 { 60 * 60 } else { 0 };
        SystemTime::now() + Duration::from_secs(slept)
    }
    fn local_offset_seconds(&self, _: i64) -> i32 {
        0
    }
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[test]
fn a_lock_that_went_stale_while_it_was_being_refreshed_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = RepositoryOptions { clock: Arc::new(SleepingClock::default()), ..quick_locks() };
    let repository = init(folder.path(), options);
    let session = begin(&repository);
    wait_until(|| matches!(session.ensure_writable(), Err(Error::LockLost { .. })));
    drop(session);
    assert_eq!(repository.files().ids(FileKind::Lock).expect("listed"), []);
}

#[test]
fn stale_locks_are_passed_over_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let this_host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let now = SystemClock.now_local();
    let old = now - chrono::Duration::minutes(31);
    // (time, host, pid): too old; a dead process of this machine.
    for (time, hostname, pid) in [(old, "elsewhere", 1), (now, this_host.as_str(), i32::MAX)] {
        let lock = serde_json::json!({
            "time": time.to_rfc3339(), "exclusive": true, "hostname": hostname, "username": "u", "pid": pid
        });
        repository.files().write(FileKind::Lock, lock.to_string().as_bytes()).expect("written");
        let session = repository.begin(false, &Control::new()).expect("a stale lock excludes nobody");
        assert!(session.surroundings().stale_found);
        drop(session);
        assert_eq!(repository.files().ids(FileKind::Lock).expect("listed"), []);
    }
}

#[test]
fn packs_that_no_index_names_are_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let session = begin(&repository);
    for n in 0..100u32 {
        store(&session, BlobKind::Data, &n.to_le_bytes().repeat(1000));
    }
    session.flush().expect("flushed");
    drop(session);
    for id in repository.files().ids(FileKind::Index).expect("listed") {
        repository.files().delete(FileKind::Index, id).expect("deleted");
    }
    let repository = open(folder.path(), RepositoryOptions::default()).expect("opens");
    let session = begin(&repository);
    assert_eq!(repository.index().blob_count(), 0);
    let recovered = session.recover(&Control::new()).expect("recovers");
    assert_eq!(recovered.packs, 1);
    assert_eq!(store(&session, BlobKind::Data, &7u32.to_le_bytes().repeat(1000)), Stored::Known);
    drop(session);
    let repository = open(folder.path(), RepositoryOptions::default()).expect("opens");
    begin(&repository);
    assert_eq!(repository.index().blob_count(), 100, "the index was written");
}

#[test]
fn the_lock_is_gone_when_the_last_session_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    for n in 0..100u32 {
        let session = begin(&repository);
        store(&session, BlobKind::Data, &n.to_le_bytes());
        session.flush().expect("flushed");
        drop(session);
        // A process may end here.
        assert_eq!(repository.files().ids(FileKind::Lock).expect("listed"), [], "round {n}");
    }
}

#[test]
fn what_a_session_left_unindexed_is_not_relied_on_by_later_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let blob = |n: u32| Id::of(&n.to_le_bytes()).0.repeat(1 << 15);
    let session = begin(&repository);
    for n in 0..100 {
        store_with(&session, BlobKind::Data, &blob(n), Compression::Off);
    }
    // It ends without a flush, and somebody else prunes what no index names.
    drop(session);
    let exclusive = open(folder.path(), RepositoryOptions::default()).expect("opens");
    let pruning = loop {
        // Uploads that are still under way hold the lock until they have ended.
        match exclusive.begin(true, &Control::new()) {
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            other => break other.expect("a session"),
        }
    };
    let packs = exclusive.files().ids(FileKind::Pack).expect("listed");
    assert!(!packs.is_empty(), "some packs were full");
    for id in packs {
        exclusive.files().delete(FileKind::Pack, id).expect("deleted");
    }
    drop(pruning);
    let session = begin(&repository);
    for n in 0..100 {
        let stored = store_with(&session, BlobKind::Data, &blob(n), Compression::Off);
        assert!(matches!(stored, Stored::New { .. }), "blob {n} is gone");
    }
    session.flush().expect("flushed");
    drop(session);
    let reopened = open(folder.path(), RepositoryOptions::default()).expect("opens");
    begin(&reopened);
    let stored = reopened.files().ids(FileKind::Pack).expect("listed");
    assert!(stored.iter().all(|id| reopened.index().contains_pack(id)));
    assert_eq!(reopened.index().blob_count(), 100);
}

#[test]
fn a_pack_that_lacks_only_its_name_is_kept_and_one_that_broke_off_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let session = begin(&repository);
    for content in [b"whole".as_slice(), b"broken off"] {
        store(&session, BlobKind::Data, content);
        session.flush().expect("flushed");
    }
    drop(session);
    for id in repository.files().ids(FileKind::Index).expect("listed") {
        repository.files().delete(FileKind::Index, id).expect("deleted");
    }
    // As a writer leaves them that is killed, one before the rename, the other while it writes.
    let mut packs = Vec::new();
    repository.files().list(FileKind::Pack, |pack| packs.push(pack)).expect("listed");
    packs.sort_unstable_by_key(|pack| pack.size_bytes);
    for pack in &packs {
        let path = folder.path().join(FileKind::Pack.path(pack.id));
        std::fs::rename(&path, path.with_file_name(format!("{}#1230001", pack.id))).expect("renamed");
    }
    let broken_off = folder.path().join(format!("{}#1230001", FileKind::Pack.path(packs[1].id)));
    let file = std::fs::File::options().write(true).open(&broken_off).expect("opens");
    file.set_len(packs[1].size_bytes - 1).expect("a length");
    drop(file);

    let repository = open(folder.path(), RepositoryOptions::default()).expect("opens");
    let session = begin(&repository);
    let recovered = session.recover(&Control::new()).expect("recovers");
    assert_eq!((recovered.packs, recovered.staging_files), (1, 1));
    assert!(repository.files().store().staging_files().expect("listed").is_empty());
    assert_eq!(store(&session, BlobKind::Data, b"whole"), Stored::Known);
    assert!(matches!(store(&session, BlobKind::Data, b"broken off"), Stored::New { .. }));
}

#[test]
fn staging_files_of_those_who_began_later_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), quick_locks());
    let session = begin(&repository);
    let lock = repository.files().ids(FileKind::Lock).expect("listed");
    let staging = folder.path().join("data/00/of another process#1230001");
    let file = std::fs::File::create(&staging).expect("made");
    file.set_modified(SystemTime::now()).expect("a finer time than the file system's own");
    // However late recovery comes, and however often the lock was refreshed before.
    wait_until(|| repository.files().ids(FileKind::Lock).expect("listed") != lock);
    assert_eq!(session.recover(&Control::new()).expect("recovers").staging_files, 0);
    assert!(staging.exists());
}

#[test]
fn a_failed_upload_is_known_to_whoever_relied_on_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let first = begin(&repository);
    let second = begin(&repository);
    store(&first, BlobKind::Data, b"shared");
    assert_eq!(store(&second, BlobKind::Data, b"shared"), Stored::Known);
    // The lock goes away under both: nothing can be stored.
    for id in repository.files().ids(FileKind::Lock).expect("listed") {
        repository.files().delete(FileKind::Lock, id).expect("deleted");
    }
    std::fs::remove_dir_all(folder.path().join("data")).expect("removed");
    std::fs::write(folder.path().join("data"), b"not a folder").expect("written");
    assert!(first.flush().is_err());
    assert!(second.flush().is_err(), "it relied on the first one's blob");
    drop((first, second));
    let third = begin(&repository);
    assert!(matches!(store(&third, BlobKind::Data, b"shared"), Stored::New { .. }), "nobody has it");
}

#[test]
fn several_passwords_open_and_the_one_in_use_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let second = SecretString::from("second");
    let id = repository.add_key(&second).expect("added");
    assert_eq!(repository.keys().expect("listed").len(), 2);
    assert!(matches!(repository.remove_key(repository.key_id()), Err(Error::Invalid(_))));
    let location = Location::folder(folder.path());
    let again = Repository::open(&location, &StoreSettings::default(), &second, RepositoryOptions::default());
    assert_eq!(again.expect("opens").key_id(), id);
    repository.remove_key(id).expect("removed");
    let third = SecretString::from("third");
    repository.change_password(&third).expect("changed");
    assert!(matches!(open(folder.path(), RepositoryOptions::default()), Err(Error::WrongPassword { .. })));
    Repository::open(&location, &StoreSettings::default(), &third, RepositoryOptions::default())
        .expect("opens with the new one");
}

#[test]
fn a_pause_of_every_session_holds_up_their_reading_but_no_lock_and_nobody_who_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = init(folder.path(), RepositoryOptions::default());
    let paused = Control::new();
    let session = repository.begin(false, &paused).expect("a session");
    paused.pause();
    let wrong = SecretString::from("another");
    assert!(matches!(repository.ensure_opens_with(&wrong), Err(Error::WrongPassword { .. })));
    let read = || {
        let repository = repository.clone();
        std::thread::spawn(move || repository.reread_config())
    };
    let reading = read();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!reading.is_finished(), "it waits");
    // Another session needs no end of that pause.
    let other = repository.begin(false, &Control::new()).expect("a session");
    reading.join().expect("no panic").expect("it is read");
    drop(other);
    let reading = read();
    // Its lock goes away while nothing else moves.
    drop(session);
    reading.join().expect("no panic").expect("nobody is paused any more");
}

#[test]
fn an_init_that_was_cut_off_leaves_no_key_in_the_way_of_the_next() {
    // Keys are tried in the order of their random names: some rounds have the old one first.
    for _ in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        drop(init(folder.path(), RepositoryOptions::default()));
        let config = folder.path().join("config");
        let saved = std::fs::read(&config).unwrap();
        std::fs::remove_file(&config).unwrap();
        let left = std::fs::read_dir(folder.path().join("keys")).unwrap().next().unwrap().unwrap();
        let (left_path, left_key) = (left.path(), std::fs::read(left.path()).unwrap());
        drop(init(folder.path(), RepositoryOptions::default()));
        let again = open(folder.path(), RepositoryOptions::default()).expect("its own key opens it");
        assert_eq!(again.keys().unwrap().len(), 1);
        // One that could not be deleted is in nobody's way.
        std::fs::write(&left_path, left_key).unwrap();
        drop(open(folder.path(), RepositoryOptions::default()).expect("its own key opens it"));
        // A config that belongs to no key that is there is damaged, whatever opens.
        std::fs::remove_file(&left_path).unwrap();
        std::fs::remove_file(&config).unwrap();
        std::fs::write(&config, saved).unwrap();
        let error = open(folder.path(), RepositoryOptions::default()).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Damaged { object, .. } if object == "config"), "{error}");
    }
}

#[test]
fn no_repository_is_made_over_the_data_of_one_that_lost_its_config() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(folder.path(), RepositoryOptions::default());
    let session = begin(&repository);
    store(&session, BlobKind::Data, b"the only copy");
    session.flush().unwrap();
    drop((session, repository));
    std::fs::remove_file(folder.path().join("config")).unwrap();
    let location = Location::folder(folder.path());
    let (settings, options) = (StoreSettings::default(), RepositoryOptions::default());
    let error = Repository::init(&location, &settings, &password(), &InitOptions::default(), options);
    let error = error.map(drop).unwrap_err().to_string();
    assert!(error.contains("no config") && error.contains("put it back"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path().join("keys")).unwrap().count(), 1, "the key is still there");
}
