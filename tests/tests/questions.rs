//! Questions to a real repository through the handle of a running system: pages, what is not there, who may not, and
//! files out of snapshots, byte for byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepwell_actors::{AskError, FileDownload, Handle, Keepwell, Settings};
use keepwell_engine::control::Control;
use keepwell_engine::repository::{Repository, RepositoryAddress, RepositoryOptions};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::{
    DifferenceKind, ErrorClass, GetDifferences, GetFolder, GetItemExplanation, GetMatchingEntries, GetSetup,
    GetSnapshots, GetTask, PauseBackup, PerformBackup, Refusal, Request, ResumeBackup, SnapshotNow, TaskEnd,
    TaskState,
};
use keepwell_tests::embedding::{REPOSITORY, Scene, Witness, embed, folder_item, observed_item, patiently};
use keepwell_tests::observed_source::Observer;
use keepwell_tests::programs::PASSWORD;
use keepwell_tests::random_data::{Random, write_file};
use keepwell_tests::repository_folder::stored_in;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const MIB: u64 = 1 << 20;

/// A folder that is backed up as the item `papers`.
struct Papers {
    scene: Scene,
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        Self { scene: Scene::new(), folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a path in a snapshot.
    fn stored(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("a name in UTF-8").trim_end_matches('/').to_owned()
    }

    fn settings(&self) -> Settings {
        let runner = Arc::new(self.scene.runner(self.scene.places()));
        Settings {
            items: vec![folder_item("papers", self.folder.path())],
            ..self.scene.settings_with(runner)
        }
    }

    /// Lives with a system that has these papers.
    fn live<T>(&self, life: impl AsyncFnOnce(Handle) -> T) -> T {
        live(self.settings(), life)
    }

    /// No lock is left behind.
    fn assert_unlocked(&self) {
        assert!(stored_in(&self.scene.repository(), "locks").is_empty());
    }
}

fn live<T>(settings: Settings, life: impl AsyncFnOnce(Handle) -> T) -> T {
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let given = life(handle.clone()).await;
        assert_eq!(handle.shutdown().await, []);
        given
    })
}

/// Backs an item up, and gives the snapshot's id.
async fn back_up(handle: &Handle, item: &str) -> String {
    let mut witness = Witness::of(handle);
    let task = handle.ask(PerformBackup { item: item.into() }).await.expect("a task").task;
    match witness.end_of(task).await {
        TaskEnd::BackedUp(done) => done.snapshot,
        other => panic!("{other:?}"),
    }
}

async fn ask<R: Request>(handle: &Handle, request: R) -> R::Reply {
    patiently("an answer", handle.ask(request)).await.expect("it is answered")
}

async fn refused<R: Request<Reply: std::fmt::Debug>>(handle: &Handle, request: R) -> Refusal {
    match patiently("a refusal", handle.ask(request)).await {
        Err(AskError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn snapshots(limit: u32, after: Option<&str>) -> GetSnapshots {
    GetSnapshots { repository: REPOSITORY.into(), after: after.map(Into::into), limit }
}

fn folder(snapshot: &str, path: &str) -> GetFolder {
    let (snapshot, path) = (snapshot.into(), path.into());
    GetFolder { repository: REPOSITORY.into(), snapshot, path, after: None, limit: 1000 }
}

fn ids(snapshots: &[SnapshotNow]) -> Vec<&str> {
    snapshots.iter().map(|snapshot| snapshot.id.as_str()).collect()
}

#[test]
fn snapshots_and_folders_come_page_by_page() {
    let papers = Papers::new();
    let names: [&[u8]; 7] = [b"b.txt", b"a", b"c\xff", b"c\xfe", "ä".as_bytes(), b"100%20", b"empty"];
    for name in names {
        fs::write(papers.path(OsStr::from_bytes(name)), name).expect("a file");
    }
    papers.live(async |handle: Handle| {
        let none = ask(&handle, snapshots(10, None)).await;
        assert_eq!((none.snapshots.len(), none.more), (0, false));
        let mut made = Vec::new();
        for round in 0..5 {
            fs::write(papers.path("a"), format!("round {round}")).expect("a file");
            made.insert(0, back_up(&handle, "papers").await);
        }
        let (mut listed, mut after) = (Vec::new(), None);
        while listed.is_empty() || after.is_some() {
            let page = ask(&handle, snapshots(2, after.as_deref())).await;
            assert!(page.snapshots.len() <= 2);
            listed.extend(page.snapshots);
            after = page.more.then(|| listed.last().expect("one").id.clone());
        }
        assert_eq!(ids(&listed), made.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(listed[0].paths, [papers.stored("")]);
        assert_eq!(listed[0].files, Some(names.len() as u64));

        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let shown: Vec<String> =
            sorted.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        for limit in [1, 2, 3, 7, 1000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page =
                    ask(&handle, GetFolder { after, limit, ..folder("latest", &papers.stored("")) }).await;
                assert_eq!((&page.snapshot, page.unreadable), (&made[0], 0));
                found.extend(page.entries.into_iter().map(|entry| entry.name));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, shown, "pages of {limit}");
        }
        // From the top of the snapshot down to the folder itself.
        let mut path = String::new();
        while path != papers.stored("") {
            let page = ask(&handle, folder(&made[1][..8], &path)).await;
            assert_eq!((page.entries.len(), &page.snapshot), (1, &made[1]), "{path}");
            path = page.entries[0].path.clone();
        }
    });
    papers.assert_unlocked();
}

#[test]
fn what_is_not_there_is_told_in_words_and_so_is_what_is_set_up() {
    let papers = Papers::new();
    fs::write(papers.path("f"), b"f").expect("a file");
    papers.live(async |handle: Handle| {
        let mut made = vec![back_up(&handle, "papers").await];
        // Of 17 ids two begin with the same digit.
        while made.iter().all(|id| made.iter().filter(|other| other[..1] == id[..1]).count() == 1) {
            made.push(back_up(&handle, "papers").await);
        }
        let twice = made.iter().find(|id| made.iter().filter(|other| other[..1] == id[..1]).count() > 1);
        let twice = &twice.expect("two of one beginning")[..1];
        let unknown = "0123456789abcdef0123456789";
        let file = papers.stored("f");
        for (asked, why) in [
            (folder("latest", &file), format!("{file} is a file, not a folder")),
            (folder("latest", "/nowhere"), "/nowhere not found".to_owned()),
            (folder(unknown, "/"), format!("snapshot {unknown} not found")),
            (folder(twice, "/"), format!("snapshot {twice} is ambiguous: ")),
            (folder("", "/"), "an empty name is no snapshot".to_owned()),
            (GetFolder { limit: 0, ..folder("latest", "/") }, "a limit of 0 asks for nothing".to_owned()),
            (
                GetFolder { repository: "locl".into(), ..folder("latest", "/") },
                "there is no repository locl; did you mean local?".to_owned(),
            ),
        ] {
            match refused(&handle, asked).await {
                Refusal::Invalid(told) => assert!(told.starts_with(&why), "{told}"),
                other => panic!("{other:?}"),
            }
        }
        for (path, why) in [
            (papers.stored(""), "is a dir, not a file"),
            ("/nowhere".to_owned(), "not found"),
            ("/".to_owned(), "is a folder, not a file"),
        ] {
            match handle.open_file(REPOSITORY, "latest", &path).await.map(drop) {
                Err(AskError::Refused(Refusal::Invalid(told))) => assert!(told.contains(why), "{told}"),
                other => panic!("{path}: {other:?}"),
            }
        }
        let gone = refused(&handle, snapshots(1, Some(unknown))).await;
        assert!(matches!(&gone, Refusal::Invalid(why) if why.contains("is not there any more")), "{gone}");
        let setup = ask(&handle, GetSetup {}).await;
        assert_eq!(setup.repositories.len(), 1);
        assert_eq!(setup.repositories[0].name, REPOSITORY);
        assert_eq!(setup.repositories[0].location, papers.scene.repository().to_str().expect("UTF-8"));
    });
}

#[test]
fn names_are_found_and_snapshots_compared() {
    let papers = Papers::new();
    fs::create_dir(papers.path("inner")).expect("a folder");
    for (name, content) in
        [("inner/Report.PDF", "one"), ("report.pdf", "two"), ("gone", "three"), ("same", "s")]
    {
        fs::write(papers.path(name), content).expect("a file");
    }
    papers.live(async |handle: Handle| {
        let older = back_up(&handle, "papers").await;
        fs::remove_file(papers.path("gone")).expect("removed");
        fs::write(papers.path("report.pdf"), "two and more").expect("a file");
        fs::write(papers.path("inner/new"), "").expect("a file");
        let newer = back_up(&handle, "papers").await;
        let matching = |pattern: &str, snapshots: &[&str], limit| GetMatchingEntries {
            repository: REPOSITORY.into(),
            snapshots: snapshots.iter().map(|name| (*name).to_owned()).collect(),
            pattern: pattern.into(),
            limit,
        };
        for (asked, expected, more) in [
            (
                matching("*.pdf", &[], 10),
                vec![
                    (&newer, "inner/Report.PDF"),
                    (&newer, "report.pdf"),
                    (&older, "inner/Report.PDF"),
                    (&older, "report.pdf"),
                ],
                false,
            ),
            (
                matching("*.pdf", &[], 3),
                vec![(&newer, "inner/Report.PDF"), (&newer, "report.pdf"), (&older, "inner/Report.PDF")],
                true,
            ),
            (matching("GONE", &["latest"], 10), vec![], false),
            (matching("GONE", &[&older[..10], &older], 10), vec![(&older, "gone")], false),
        ] {
            let shown = format!("{asked:?}");
            let answer = ask(&handle, asked).await;
            let found: Vec<_> =
                answer.matches.iter().map(|one| (&one.snapshot, one.entry.path.clone())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(id, name)| (id, papers.stored(name))).collect();
            assert_eq!((found, answer.more, answer.unreadable), (expected, more, 0), "{shown}");
        }
        let compare = GetDifferences {
            repository: REPOSITORY.into(),
            older: older[..12].into(),
            newer: "latest".into(),
            limit: 1000,
        };
        let answer = ask(&handle, compare).await;
        assert_eq!((&answer.older, &answer.newer, answer.more), (&older, &newer, false));
        let told: Vec<_> = answer.differences.iter().filter(|one| !one.path.ends_with('/')).collect();
        let told: Vec<_> =
            told.iter().map(|one| (one.path.clone(), one.kind, one.bytes_before, one.bytes_after)).collect();
        assert_eq!(
            told,
            [
                (papers.stored("gone"), DifferenceKind::Removed, Some(5), None),
                (papers.stored("inner/new"), DifferenceKind::Added, None, Some(0)),
                (papers.stored("report.pdf"), DifferenceKind::Content, Some(3), Some(12)),
            ]
        );
        assert_eq!((answer.added, answer.removed, answer.unreadable), (1, 1, 0));
    });
}

#[test]
fn who_may_not_read_and_what_cannot_be_read_is_told_with_its_class() {
    let papers = Papers::new();
    let at = |folder: PathBuf, password: &'static str| RepositoryAddress {
        location: Location::folder(folder),
        settings: StoreSettings::default(),
        password: Arc::new(move || Ok(password.into())),
    };
    let places = papers.scene.places();
    let places = places.repository("stranger", at(papers.scene.repository(), "a wrong one"));
    let places = places.repository("nowhere", at(papers.path("nowhere"), PASSWORD));
    let settings = papers.scene.settings_with(Arc::new(papers.scene.runner(places)));
    live(settings, async |handle: Handle| {
        let asked = |repository: &str| GetSnapshots { repository: repository.into(), ..snapshots(1, None) };
        // Open already, for who knows the password.
        ask(&handle, asked(REPOSITORY)).await;
        for (repository, class, why) in [
            ("stranger", ErrorClass::Credentials, "wrong password"),
            ("nowhere", ErrorClass::Settings, "no repository at"),
        ] {
            match refused(&handle, asked(repository)).await {
                Refusal::Failed(failure) => {
                    assert_eq!(failure.class, class);
                    assert!(failure.why.contains(why), "{}", failure.why);
                }
                other => panic!("{other:?}"),
            }
        }
        // As another process would that prunes.
        let address = papers.scene.address();
        let (locked, done) = (tokio::sync::oneshot::channel(), std::sync::mpsc::channel::<()>());
        let (tell, wait) = (locked.0, done.1);
        let holder = std::thread::spawn(move || {
            let options = RepositoryOptions::default();
            let other = Repository::open(&address.location, &address.settings, &PASSWORD.into(), options);
            let session =
                other.expect("it opens").begin(true, &Control::new()).expect("nobody else is there");
            let _ = tell.send(());
            let _ = wait.recv();
            drop(session);
        });
        patiently("the lock", locked.1).await.expect("it is locked");
        match refused(&handle, asked(REPOSITORY)).await {
            Refusal::Failed(failure) => {
                assert_eq!(failure.class, ErrorClass::Repository);
                assert!(failure.why.contains("is locked by process"), "{}", failure.why);
            }
            other => panic!("{other:?}"),
        }
        drop(done.0);
        tokio::task::spawn_blocking(|| holder.join()).await.expect("no panic").expect("no panic");
        ask(&handle, asked(REPOSITORY)).await;
    });
    papers.assert_unlocked();
}

#[test]
fn a_question_is_answered_in_a_pause_and_the_paused_backup_still_reads_and_stores_nothing() {
    let (papers, observer) = (Papers::new(), Observer::default());
    write_file(&papers.path("large"), 64 * MIB, 7).expect("a file");
    let source = observer.source_of(papers.folder.path());
    let items = vec![observed_item("large")];
    let settings = Settings { items, ..papers.scene.settings(source) };
    live(settings, async |handle: Handle| {
        let mut witness = Witness::of(&handle);
        observer.slow_down_to(8 * MIB);
        let task = handle.ask(PerformBackup { item: "large".into() }).await.expect("a task").task;
        wait_until("it reads", || observer.bytes() > 4 * MIB).await;
        handle.ask(PauseBackup { task: Some(task) }).await.expect("it is paused");
        let mut before = u64::MAX;
        wait_until("it stands still", || {
            std::mem::replace(&mut before, observer.bytes()) == observer.bytes()
        })
        .await;
        sleep(Duration::from_secs(1)).await;
        let data = || stored_in(&papers.scene.repository(), "data");
        let (read, stored) = (observer.bytes(), data());
        for _ in 0..5 {
            let none = ask(&handle, snapshots(10, None)).await;
            assert_eq!(none.snapshots.len(), 0);
            let refusal = refused(&handle, folder("latest", "/")).await;
            assert!(matches!(refusal, Refusal::Invalid(_)), "there is no snapshot yet: {refusal}");
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!((observer.bytes(), data()), (read, stored), "the pause holds");
        assert_eq!(handle.ask(GetTask { task }).await.expect("it is there").state, TaskState::Paused);
        observer.slow_down_to(0);
        handle.ask(ResumeBackup { task: Some(task) }).await.expect("it goes on");
        assert!(matches!(witness.end_of(task).await, TaskEnd::BackedUp(_)));
        let list = ask(&handle, snapshots(10, None)).await;
        assert_eq!(list.snapshots.len(), 1, "a new snapshot is seen at once");
        let page = ask(&handle, folder("latest", &papers.stored(""))).await;
        assert_eq!(page.entries[0].bytes, 64 * MIB);
    });
    papers.assert_unlocked();
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    patiently(what, waited).await;
}

#[test]
fn twenty_ask_at_once_and_some_go_away() {
    let papers = Papers::new();
    for number in 0..50 {
        fs::write(papers.path(format!("{number}.txt")), format!("{number}")).expect("a file");
    }
    papers.live(async |handle: Handle| {
        let snapshot = back_up(&handle, "papers").await;
        let path = papers.stored("");
        let ask_one = |number: usize| {
            let (handle, snapshot, path) = (handle.clone(), snapshot.clone(), path.clone());
            actix_rt::spawn(async move {
                match number % 4 {
                    0 => ask(&handle, snapshots(10, None)).await.snapshots.len(),
                    1 => ask(&handle, folder(&snapshot, &path)).await.entries.len() - 49,
                    2 => {
                        let (repository, pattern) = (REPOSITORY.into(), "17.*".into());
                        let asked =
                            GetMatchingEntries { repository, snapshots: Vec::new(), pattern, limit: 5 };
                        ask(&handle, asked).await.matches.len()
                    }
                    _ => {
                        let file = format!("{path}/{}.txt", number % 10);
                        let opened = patiently("a file", handle.open_file(REPOSITORY, "latest", &file)).await;
                        content_of(opened.expect("it opens")).await.len()
                    }
                }
            })
        };
        let asked: Vec<_> = (0..20).map(ask_one).collect();
        for (number, answered) in asked.into_iter().enumerate() {
            assert_eq!(answered.await.expect("no panic"), 1, "question {number}");
        }
        // Who goes away, at whatever moment, leaves no lock and keeps nobody's turn.
        let mut random = Random(11);
        for number in 0..60 {
            let asked = ask_one(number);
            sleep(Duration::from_micros(random.below(4000))).await;
            asked.abort();
        }
        let asked: Vec<_> = (0..20).map(ask_one).collect();
        for answered in asked {
            assert_eq!(answered.await.expect("no panic"), 1);
        }
        wait_until("no lock is left", || stored_in(&papers.scene.repository(), "locks").is_empty()).await;
    });
}

async fn content_of(mut download: FileDownload) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(piece) = patiently("a piece", download.next()).await {
        content.extend_from_slice(&piece.expect("it is read"));
    }
    assert_eq!(content.len() as u64, download.bytes());
    content
}

#[test]
fn a_file_comes_byte_for_byte_and_no_faster_than_it_is_taken() {
    let papers = Papers::new();
    fs::write(papers.path("empty"), "").expect("a file");
    fs::write(papers.path("one byte"), "x").expect("a file");
    write_file(&papers.path("random"), 20 * MIB + 17, 3).expect("a file");
    let mut sparse = File::create(papers.path("sparse")).expect("a file");
    sparse.set_len(200 * MIB).expect("long");
    for place in [0, 77 * MIB + 5, 200 * MIB - 3] {
        sparse.seek(SeekFrom::Start(place)).expect("there");
        sparse.write_all(b"abc").expect("written");
    }
    drop(sparse);
    papers.live(async |handle: Handle| {
        back_up(&handle, "papers").await;
        for name in ["empty", "one byte", "random", "sparse"] {
            let opened = handle.open_file(REPOSITORY, "latest", &papers.stored(name)).await;
            let mut download = opened.expect("it opens");
            let mut file = File::open(papers.path(name)).expect("it is there");
            assert_eq!((download.name(), download.bytes()), (name, file.metadata().expect("known").len()));
            let mut there = Vec::new();
            let mut bytes = 0;
            while let Some(piece) = patiently("a piece", download.next()).await {
                let piece = piece.expect("it is read");
                there.resize(piece.len(), 0);
                file.read_exact(&mut there).expect("as much is there");
                assert!(piece == there, "{name} differs after {bytes}");
                bytes += piece.len() as u64;
            }
            assert_eq!(bytes, download.bytes(), "{name}");
        }
        // Who takes one piece and goes away ends it: the lock is given back.
        let opened = handle.open_file(REPOSITORY, "latest", &papers.stored("sparse")).await;
        let mut download = opened.expect("it opens");
        patiently("a piece", download.next()).await.expect("one").expect("it is read");
        assert_eq!(stored_in(&papers.scene.repository(), "locks").len(), 1);
        drop(download);
        wait_until("the lock is given back", || stored_in(&papers.scene.repository(), "locks").is_empty())
            .await;
    });
}

#[test]
fn a_damaged_pack_ends_a_download_with_an_error() {
    let papers = Papers::new();
    write_file(&papers.path("large"), 40 * MIB, 5).expect("a file");
    papers.live(async |handle: Handle| {
        back_up(&handle, "papers").await;
        let data = papers.scene.repository().join("data");
        let packs = stored_in(&papers.scene.repository(), "data");
        let (pack, length) = packs.iter().max_by_key(|(_, bytes)| **bytes).expect("a pack");
        let path = data.join(pack);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
        let mut file = File::options().read(true).write(true).open(&path).expect("it opens");
        let mut byte = [0];
        file.seek(SeekFrom::Start(length / 2)).expect("there");
        file.read_exact(&mut byte).expect("a byte");
        file.seek(SeekFrom::Start(length / 2)).expect("there");
        file.write_all(&[!byte[0]]).expect("written");
        let opened = handle.open_file(REPOSITORY, "latest", &papers.stored("large")).await;
        let mut download = opened.expect("it opens");
        let (mut bytes, mut end) = (0, None);
        while let Some(piece) = patiently("a piece", download.next()).await {
            assert_eq!(end, None, "an error is the last that comes");
            match piece {
                Ok(piece) => bytes += piece.len() as u64,
                Err(refusal) => end = Some(refusal),
            }
        }
        assert!(bytes < 40 * MIB);
        match end {
            Some(Refusal::Failed(failure)) => {
                assert_eq!(failure.class, ErrorClass::Repository);
                assert!(failure.why.contains(&papers.stored("large")), "{}", failure.why);
            }
            other => panic!("{other:?}"),
        }
    });
    papers.assert_unlocked();
}

#[test]
fn an_item_says_why_it_did_not_run() {
    let papers = Papers::new();
    fs::write(papers.path("f"), "f").expect("a file");
    let mut gone = folder_item("gone", &papers.path("nowhere"));
    gone.repository = REPOSITORY.into();
    let settings = papers.settings();
    let items = [settings.items.clone(), vec![gone]].concat();
    live(Settings { items, ..settings }, async |handle: Handle| {
        let explain = async |item: &str| {
            let explained = ask(&handle, GetItemExplanation { item: item.into() }).await;
            explained.reasons.into_iter().map(|reason| (reason.text, reason.advice)).collect::<Vec<_>>()
        };
        let reasons = explain("papers").await;
        assert!(reasons[0].0.contains("it has no schedule"), "{reasons:?}");
        back_up(&handle, "papers").await;
        let reasons = explain("papers").await;
        assert!(reasons[1].0.contains("it ran, and made a snapshot"), "{reasons:?}");
        let mut witness = Witness::of(&handle);
        let task = handle.ask(PerformBackup { item: "gone".into() }).await.expect("a task").task;
        assert!(matches!(witness.end_of(task).await, TaskEnd::Failed(_)));
        let reasons = explain("gone").await;
        let advice = reasons[1].1.as_deref().unwrap_or_default();
        assert!(reasons[1].0.contains("it failed: ") && advice.contains("keepwell run gone"), "{reasons:?}");
        let unknown = refused(&handle, GetItemExplanation { item: "nobody".into() }).await;
        assert_eq!(unknown, Refusal::UnknownItem("nobody".into()));
    });
}

#[test]
fn who_browses_does_not_wait_for_the_key_derivation_at_each_click() {
    let papers = Papers::new();
    fs::write(papers.path("f"), "f").expect("a file");
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = asked.clone();
    let password = Arc::new(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(PASSWORD.into())
    });
    let address = RepositoryAddress { password, ..papers.scene.address() };
    let runner = Arc::new(papers.scene.runner(papers.scene.places().repository(REPOSITORY, address)));
    let items = vec![folder_item("papers", papers.folder.path())];
    live(Settings { items, ..papers.scene.settings_with(runner) }, async |handle: Handle| {
        back_up(&handle, "papers").await;
        let first = Instant::now();
        ask(&handle, snapshots(10, None)).await;
        let opened = (first.elapsed(), asked.load(std::sync::atomic::Ordering::SeqCst));
        let then = Instant::now();
        for _ in 0..20 {
            ask(&handle, folder("latest", &papers.stored(""))).await;
        }
        keepwell_tests::programs::say(&format!(
            "the first question took {:?}, the 20 after it {:?}",
            opened.0,
            then.elapsed()
        ));
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), opened.1, "it stays open");
    });
}
