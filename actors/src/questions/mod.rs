//! Questions to repositories: off the actors, each on a thread of its own, a few at once.
//!
//! Whoever goes away while he waits ends his question at its next checkpoint. Its thread keeps its turn until it has
//! ended, which a store that does not answer may delay: threads are bounded, and one repository cannot have them all.

mod download;
mod due_times;
pub(crate) mod explanation;
mod turns;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use keepwell_engine::control::Control;
use keepwell_messages::{DueTimes, ErrorClass, Failure, GetDueTimes, Refusal, Reply, Setup as SetupNow};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::handle::AskError;
use crate::runner::{RepositoryQuestion, RepositoryReader, Runner, WantedFile, no_repositories};
use crate::setup::Setup;

pub use download::{DOWNLOADS_AT_ONCE_MAX, FileDownload, STALL_MAX};
use turns::{Turn, Turns};

/// Questions that are answered at once. Each takes a core, or waits for a store, and some 20 MiB at most.
pub const QUESTIONS_AT_ONCE_MAX: usize = 8;
/// Of these, questions to one repository: one that does not answer must not keep the others from being asked.
pub const QUESTIONS_A_REPOSITORY_MAX: usize = 4;
/// Questions that wait for their turn; people and pages ask a few at once.
pub const QUESTIONS_WAITING_MAX: usize = 64;
/// Downloads that wait for their turn, beside them.
pub const DOWNLOADS_WAITING_MAX: usize = 16;
/// How long one may wait for its turn. Whoever asked learns that it is busy while he still remembers what he asked.
pub const TURN_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a question may take. A search through all snapshots of a large repository takes minutes.
pub const QUESTION_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a shutdown waits for threads to end, so that they give their locks back. A local read takes less.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Questions {
    setup: Arc<Setup>,
    questions: Turns,
    /// They may last as long as who takes them is slow.
    downloads: Turns,
    /// Turns by repository, those that somebody has or waits for.
    lines: Mutex<HashMap<String, Weak<Semaphore>>>,
    asked: Arc<Mutex<Asked>>,
}

/// What is being asked.
#[derive(Default)]
struct Asked {
    next: u64,
    controls: HashMap<u64, Control>,
    is_over: bool,
}

impl Questions {
    pub(crate) fn new(setup: Arc<Setup>) -> Self {
        Self {
            setup,
            questions: Turns::new("questions", QUESTIONS_AT_ONCE_MAX, QUESTIONS_WAITING_MAX),
            downloads: Turns::new("downloads", DOWNLOADS_AT_ONCE_MAX, DOWNLOADS_WAITING_MAX),
            lines: Mutex::default(),
            asked: Arc::default(),
        }
    }

    fn runner(&self) -> Arc<dyn Runner> {
        self.setup.configured().runner.clone()
    }

    /// What is set up.
    pub(crate) fn setup(&self) -> SetupNow {
        let names = self.runner().names();
        SetupNow {
            version: self.setup.program_version.clone(),
            time_zone: self.setup.time_zone.clone(),
            now: self.setup.now(),
            repositories: names.repositories,
            sources: names.sources,
            restore_roots: names.restore_roots,
        }
    }

    /// What the system's clock shows.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.setup.now()
    }

    /// When a schedule would be due.
    pub(crate) fn due_times(&self, asked: &GetDueTimes) -> Result<DueTimes, Refusal> {
        due_times::due_times(asked, self.setup.now())
    }

    /// The answer to a question. Dropped, the question ends.
    pub(crate) async fn ask(&self, question: RepositoryQuestion) -> Result<Reply, AskError> {
        let runner = self.reading_runner()?;
        let line = self.line(question.repository());
        let turn = self.questions.turn(Some(&line)).await?;
        let asker = self.begin()?;
        let control = asker.control.clone();
        Ok(answer_of(&runner, turn, move |reader| reader.answer(&question, &control)).await?)
    }

    /// Opens a file; its content follows as it is taken.
    pub(crate) async fn open_file(&self, wanted: WantedFile) -> Result<FileDownload, AskError> {
        let runner = self.reading_runner()?;
        let turn = self.downloads.turn(None).await?;
        Ok(download::begin(runner, turn, self.begin()?, wanted).await?)
    }

    /// Questions and downloads that somebody waits for, those that wait for a turn among them.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().controls.len() + self.questions.waiting() + self.downloads.waiting()
    }

    /// Ends all questions, and refuses those that come.
    pub(crate) async fn close(&self) {
        let controls = {
            let mut asked = self.asked.lock();
            asked.is_over = true;
            std::mem::take(&mut asked.controls)
        };
        controls.values().for_each(Control::cancel);
        let ended = async {
            let _ = self.questions.turns.acquire_many(QUESTIONS_AT_ONCE_MAX as u32).await;
            let _ = self.downloads.turns.acquire_many(DOWNLOADS_AT_ONCE_MAX as u32).await;
        };
        if timeout(ENDING_MAX, ended).await.is_err() {
            tracing::warn!("questions to repositories go on after the end: a store does not answer");
        }
    }

    fn reading_runner(&self) -> Result<Arc<dyn Runner>, Refusal> {
        let runner = self.runner();
        let reads = runner.reader().is_some();
        if reads { Ok(runner) } else { Err(no_repositories()) }
    }

    fn line(&self, repository: &str) -> Arc<Semaphore> {
        let mut lines = self.lines.lock();
        lines.retain(|_, line| line.strong_count() > 0);
        if let Some(line) = lines.get(repository).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::new(Semaphore::new(QUESTIONS_A_REPOSITORY_MAX));
        lines.insert(repository.to_owned(), Arc::downgrade(&line));
        line
    }

    fn begin(&self) -> Result<Asker, Refusal> {
        let mut asked = self.asked.lock();
        if asked.is_over {
            return Err(Refusal::ShuttingDown);
        }
        asked.next += 1;
        let asker = Asker { number: asked.next, control: Control::new(), asked: self.asked.clone() };
        asked.controls.insert(asker.number, asker.control.clone());
        Ok(asker)
    }
}

/// Somebody who waits for an answer. Dropped, his question ends.
struct Asker {
    number: u64,
    control: Control,
    asked: Arc<Mutex<Asked>>,
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.asked.lock().controls.remove(&self.number);
        self.control.cancel();
    }
}

/// Asks on a thread of its own, which keeps `turn` until it has ended.
async fn answer_of<T: Send + 'static>(
    runner: &Arc<dyn Runner>,
    turn: Turn,
    ask: impl FnOnce(&dyn RepositoryReader) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (answered, answer) = oneshot::channel();
    let runner = runner.clone();
    on_a_thread(turn, move || {
        let asked = catch_unwind(AssertUnwindSafe(|| match runner.reader() {
            Some(reader) => ask(reader),
            None => Err(no_repositories()),
        }));
        // Whoever asked may have gone.
        let _ = answered.send(asked.unwrap_or_else(|_| Err(panicked())));
    })?;
    in_time(answer).await
}

fn on_a_thread(turn: Turn, work: impl FnOnce() + Send + 'static) -> Result<(), Refusal> {
    let thread = std::thread::Builder::new().name("keepwell-question".into());
    let began = thread.spawn(move || {
        work();
        drop(turn);
    });
    let failed = |error| failed(ErrorClass::Crash, format!("no thread for a question: {error}"));
    began.map(drop).map_err(failed)
}

async fn in_time<T>(answer: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
    match timeout(QUESTION_TIME_MAX, answer).await {
        Ok(answered) => answered.unwrap_or_else(|_| Err(panicked())),
        Err(_) => {
            let minutes = QUESTION_TIME_MAX.as_secs() / 60;
            Err(failed(ErrorClass::Server, format!("the repository gave no answer within {minutes} minutes")))
        }
    }
}

fn panicked() -> Refusal {
    failed(ErrorClass::Crash, "the thread of a question panicked; the log says more".into())
}

fn failed(class: ErrorClass, why: String) -> Refusal {
    Refusal::Failed(Failure { class, why })
}
