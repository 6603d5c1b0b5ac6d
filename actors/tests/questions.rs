//! Questions to repositories, as far as the repositories do not matter: how many at once, who waits, who goes away; and
//! that every command has somebody who answers it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keepwell_actors::runner::{
    Attempt, KnownNames, RepositoryQuestion, RepositoryReader, Runner, WantedFile,
};
use keepwell_actors::{
    AskError, Handle, Keepwell, QUESTIONS_A_REPOSITORY_MAX, QUESTIONS_AT_ONCE_MAX, QUESTIONS_WAITING_MAX,
    Settings,
};
use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::job::{JobOutcome, JobSink};
use keepwell_engine::query::FileContent;
use keepwell_messages::{
    Command, CommandId, ErrorClass, FilesItem, GetSetup, GetSnapshots, Item, ItemSource, PerformBackup,
    Refusal, Reply, RepositorySetup, SetItem, Snapshots, TaskKind,
};
use parking_lot::Mutex;
use uuid::Uuid;

/// Gives up waiting where a test would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A runner whose repositories answer when they are let.
#[derive(Default)]
struct Pretended {
    reads: bool,
    running: Mutex<Vec<String>>,
    released: AtomicBool,
    cancelled: AtomicUsize,
}

impl Runner for Pretended {
    fn accepts(&self, _: &TaskKind, _: Option<&Item>) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, _: Attempt, _: Control, sink: Arc<dyn JobSink>) {
        sink.ended(JobOutcome::Failed(Error::Invalid("nothing is done here".into())));
    }

    fn names(&self) -> KnownNames {
        let repositories = vec![RepositorySetup { name: "a".into(), location: "memory://a".into() }];
        KnownNames { repositories, ..KnownNames::default() }
    }

    fn reader(&self) -> Option<&dyn RepositoryReader> {
        self.reads.then_some(self)
    }
}

impl RepositoryReader for Pretended {
    fn answer(&self, question: &RepositoryQuestion, control: &Control) -> Result<Reply, Refusal> {
        let repository = question.repository().to_owned();
        assert!(repository != "panics", "as a defect would");
        self.running.lock().push(repository.clone());
        while !self.released.load(Ordering::SeqCst) {
            if control.sleep(Duration::from_millis(5)).is_err() {
                break;
            }
        }
        let mut running = self.running.lock();
        if let Some(place) = running.iter().position(|one| *one == repository) {
            running.swap_remove(place);
        }
        if control.is_cancelled() {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Reply::GetSnapshots(Snapshots { snapshots: Vec::new(), more: false, unreadable: 0 }))
    }

    fn open_file(&self, _: &WantedFile, _: &Control) -> Result<FileContent, Refusal> {
        Err(Refusal::Invalid("there is no file".into()))
    }
}

fn life<T>(pretended: &Arc<Pretended>, program: impl AsyncFnOnce(Handle) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path().join("data"), pretended.clone());
    actix_rt::System::new().block_on(async {
        let handle = Keepwell::start(settings).await.unwrap();
        let given = program(handle.clone()).await;
        handle.shutdown().await;
        given
    })
}

fn ask(handle: &Handle, repository: &str) -> tokio::task::JoinHandle<Result<Snapshots, AskError>> {
    let (handle, repository) = (handle.clone(), repository.to_owned());
    actix_rt::spawn(async move { handle.ask(GetSnapshots { repository, after: None, limit: 1 }).await })
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

async fn patiently<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.expect("it is answered")
}

#[test]
fn a_system_answers_until_it_has_shut_down() {
    let pretended = Arc::new(Pretended::default());
    let handle = life(&pretended, async |handle: Handle| {
        assert!(patiently(handle.answers()).await && patiently(handle.lives()).await);
        handle
    });
    actix_rt::System::new().block_on(async {
        assert!(!patiently(handle.answers()).await && !patiently(handle.lives()).await);
    });
}

#[test]
fn a_few_are_answered_at_once_some_wait_and_the_rest_are_refused() {
    let pretended = Arc::new(Pretended { reads: true, ..Pretended::default() });
    life(&pretended, async |handle: Handle| {
        let slow: Vec<_> = (0..10).map(|_| ask(&handle, "slow")).collect();
        until("four run", || pretended.running.lock().len() == QUESTIONS_A_REPOSITORY_MAX).await;
        let others: Vec<_> =
            (0..QUESTIONS_WAITING_MAX - 2).map(|number| ask(&handle, &format!("r{number}"))).collect();
        until("eight run", || pretended.running.lock().len() == QUESTIONS_AT_ONCE_MAX).await;
        let of_slow = pretended.running.lock().iter().filter(|one| *one == "slow").count();
        assert_eq!(of_slow, QUESTIONS_A_REPOSITORY_MAX, "one repository does not have all turns");
        // Of 72, eight run and 64 wait.
        let refused = patiently(ask(&handle, "a")).await.unwrap();
        assert_eq!(refused, Err(Refusal::QueueFull(QUESTIONS_WAITING_MAX as u32).into()));
        pretended.released.store(true, Ordering::SeqCst);
        for answered in slow.into_iter().chain(others) {
            assert!(patiently(answered).await.unwrap().is_ok());
        }
        assert_eq!(pretended.cancelled.load(Ordering::SeqCst), 0);
        assert!(patiently(ask(&handle, "a")).await.unwrap().is_ok());
    });
}

#[test]
fn a_question_ends_when_nobody_waits_for_it_any_more() {
    let pretended = Arc::new(Pretended { reads: true, ..Pretended::default() });
    life(&pretended, async |handle: Handle| {
        let asked: Vec<_> = (0..6).map(|_| ask(&handle, "a")).collect();
        until("four run", || pretended.running.lock().len() == QUESTIONS_A_REPOSITORY_MAX).await;
        asked.iter().for_each(tokio::task::JoinHandle::abort);
        until("none runs", || pretended.running.lock().is_empty()).await;
        assert_eq!(
            pretended.cancelled.load(Ordering::SeqCst),
            QUESTIONS_A_REPOSITORY_MAX,
            "those that waited never began"
        );
    });
}

#[test]
fn a_shutdown_ends_questions_and_one_that_panics_is_answered() {
    let pretended = Arc::new(Pretended { reads: true, ..Pretended::default() });
    life(&pretended, async |handle: Handle| {
        match patiently(ask(&handle, "panics")).await.unwrap() {
            Err(AskError::Refused(Refusal::Failed(failure))) => assert_eq!(failure.class, ErrorClass::Crash),
            other => panic!("{other:?}"),
        }
        let asked = ask(&handle, "a");
        until("it runs", || !pretended.running.lock().is_empty()).await;
        patiently(handle.shutdown()).await;
        assert!(pretended.running.lock().is_empty(), "its thread has ended");
        assert_eq!(pretended.cancelled.load(Ordering::SeqCst), 1);
        let _ = patiently(asked).await;
        let after = patiently(ask(&handle, "a")).await.unwrap();
        assert_eq!(after, Err(Refusal::ShuttingDown.into()));
        let download = handle.open_file("a", "latest", "/f").await.map(drop);
        assert_eq!(download, Err(Refusal::ShuttingDown.into()));
    });
}

#[test]
fn a_system_without_repositories_says_so_and_knows_its_setup() {
    life(&Arc::new(Pretended::default()), async |handle: Handle| {
        let none = Refusal::Invalid("this system has no repositories that can be asked".into());
        assert_eq!(patiently(ask(&handle, "a")).await.unwrap(), Err(none.clone().into()));
        assert_eq!(handle.open_file("a", "latest", "/f").await.map(drop), Err(none.into()));
        let setup = handle.ask(GetSetup {}).await.unwrap();
        assert_eq!((&*setup.repositories[0].name, &*setup.time_zone), ("a", "UTC"));
        assert!(!setup.version.is_empty());
    });
}

#[test]
fn every_command_is_answered_by_who_knows_it() {
    let task = "0190a000-0000-7000-8000-000000000001";
    let item =
        r#"{"id":"i","source":{"named":"n"},"repository":"a","schedule":null,"enabled":true,"tags":[]}"#;
    let restore =
        r#"{"repository":"a","snapshot":"latest","path":"","target":{"folder":"/r"},"verify":false}"#;
    let schedule = r#"{"spec":"daily 02:00","time_zone":"UTC"}"#;
    let bodies = |name: &str| match name {
        "set-item" => format!(r#"{{"item":{item}}}"#),
        "perform-restore" => format!(r#"{{"restore":{restore}}}"#),
        "cancel-task" | "get-task" => format!(r#"{{"task":"{task}"}}"#),
        "set-max-concurrent-tasks" => r#"{"max_concurrent_tasks":2}"#.into(),
        "enable-item" => r#"{"item":"i","enabled":false}"#.into(),
        "perform-backup" | "perform-firebird-backup" | "remove-item" | "get-item-explanation" => {
            r#"{"item":"i"}"#.into()
        }
        "get-schedule-outcomes" => r#"{"item":"i","limit":1}"#.into(),
        "get-history" => r#"{"limit":1}"#.into(),
        "get-events" => r#"{"after":0,"limit":1}"#.into(),
        "get-due-times" => format!(r#"{{"schedule":{schedule},"limit":1}}"#),
        "get-snapshots" => r#"{"repository":"a","limit":1}"#.into(),
        "get-folder" => r#"{"repository":"a","snapshot":"latest","path":"","limit":1}"#.into(),
        "get-matching-entries" => r#"{"repository":"a","snapshots":[],"pattern":"*","limit":1}"#.into(),
        "get-differences" => r#"{"repository":"a","older":"1","newer":"2","limit":1}"#.into(),
        _ => "{}".into(),
    };
    life(&Arc::new(Pretended::default()), async |handle: Handle| {
        for name in Command::NAMES {
            let command = format!(r#"{{"{name}":{}}}"#, bodies(name));
            let command: Command =
                serde_json::from_str(&command).unwrap_or_else(|error| panic!("{name}: {error}"));
            let answer = patiently(handle.ask_as(CommandId(Uuid::now_v7()), command)).await;
            match &answer {
                Ok(reply) => assert_eq!(reply.name(), *name),
                Err(AskError::Refused(refusal)) => {
                    let why = refusal.to_string();
                    assert!(!why.contains("this command"), "{name}: {why}");
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    });
}

/// A repository that does not answer before a worker, which goes on until it is told to end, is told so.
#[derive(Default)]
struct Deaf {
    asked: AtomicBool,
    works: AtomicBool,
    told: AtomicBool,
    told_meanwhile: AtomicBool,
}

/// A shutdown waits for questions a second longer.
const DEAF_FOR: Duration = Duration::from_secs(4);

struct DeafRunner(Arc<Deaf>);

impl Runner for DeafRunner {
    fn accepts(&self, _: &TaskKind, _: Option<&Item>) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, _: Attempt, control: Control, sink: Arc<dyn JobSink>) {
        let deaf = self.0.clone();
        std::thread::spawn(move || {
            deaf.works.store(true, Ordering::SeqCst);
            while control.sleep(Duration::from_millis(5)).is_ok() {}
            deaf.told.store(true, Ordering::SeqCst);
            sink.ended(JobOutcome::Failed(Error::Cancelled));
        });
    }

    fn reader(&self) -> Option<&dyn RepositoryReader> {
        Some(&*self.0)
    }
}

impl RepositoryReader for Deaf {
    fn answer(&self, _: &RepositoryQuestion, control: &Control) -> Result<Reply, Refusal> {
        self.asked.store(true, Ordering::SeqCst);
        while control.sleep(Duration::from_millis(5)).is_ok() {}
        let asked_to_end = std::time::Instant::now();
        while !self.told.load(Ordering::SeqCst) && asked_to_end.elapsed() < DEAF_FOR {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.told_meanwhile.store(self.told.load(Ordering::SeqCst), Ordering::SeqCst);
        Err(Refusal::ShuttingDown)
    }

    fn open_file(&self, _: &WantedFile, _: &Control) -> Result<FileContent, Refusal> {
        Err(Refusal::Invalid("there is no file".into()))
    }
}

#[test]
fn tasks_hear_of_a_shutdown_though_a_repository_does_not_answer() {
    let deaf = Arc::new(Deaf::default());
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path().join("data"), Arc::new(DeafRunner(deaf.clone())));
    actix_rt::System::new().block_on(async {
        let handle = Keepwell::start(settings).await.unwrap();
        let files = FilesItem { paths: vec!["/data".into()], excludes: Vec::new() };
        let item = Item {
            id: "papers".into(),
            source: ItemSource::Files(files),
            repository: "a".into(),
            schedule: None,
            enabled: true,
            tags: Vec::new(),
        };
        handle.ask(SetItem { item }).await.unwrap();
        handle.ask(PerformBackup { item: "papers".into() }).await.unwrap();
        let _asked = ask(&handle, "a");
        until("both are under way", || {
            deaf.asked.load(Ordering::SeqCst) && deaf.works.load(Ordering::SeqCst)
        })
        .await;
        handle.shutdown().await;
    });
    assert!(deaf.told_meanwhile.load(Ordering::SeqCst));
}
