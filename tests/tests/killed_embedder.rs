//! A program that embeds Keepwell is killed again and again under load, and after each start no task is lost,
//! no due time runs twice, and attempts go on counting.
//!
//! The program is a copy of this one that runs a single test, [`embeds_until_it_is_killed`]: 20 items that
//! are due at each full minute, 3 slots, and commands. Its clock is set so that each life sees missed due
//! times, or a new one, or both. Most kills come from outside at random instants; some lives kill
//! themselves between sealing a snapshot and the end of its entry in the journal: while the journal notes
//! it, before it is stored, when it is stored, and while the journal notes the end. After each kill the
//! journal and the repository are compared with each other and with what the program had told before.
//!
//! Planted and caught: a snapshot that is stored without the journal's knowing; an attempt that does not look
//! for the snapshot sealed before; attempts that are forgotten at a start; a due time that does not
//! count as covered as soon as it has a task; one that is also asked for under another command id.
//!
//! 10 kills; with `KEEPWELL_TEST_LONG=1` 100, of which 20 around a sealed snapshot.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::journal::{Found, Journal, Kept};
use keepwell_actors::{Handle, Keepwell, Settings, Told};
use keepwell_messages::{
    CommandId, DueOutcome, Event, GetActiveTasks, Item, ItemId, NumberedEvent, PerformBackup, Task, TaskEnd,
    TaskId, TaskKind, TaskState,
};
use keepwell_tests::dying_runner::{Death, Dying};
use keepwell_tests::embedding::{Scene, ShiftedClock, embed, every_minute, folder_item};
use keepwell_tests::programs::{restic, say};
use keepwell_tests::random_data::{Random, seed, write_file};
use keepwell_tests::repository_folder::stored_in;
use keepwell_tests::running::wait_for;
use uuid::Uuid;

/// Tell the copy where it works, and what kind of life it has.
const FOLDER: &str = "KEEPWELL_TEST_EMBEDDER";
const LIFE: &str = "KEEPWELL_TEST_EMBEDDER_LIFE";

const ITEMS: u64 = 20;
/// Files of each item; one of them is another one in each life.
const FILES: u64 = 3;
const FILE_BYTES: u64 = 1 << 20;
/// The next full minute comes so long after a start.
const DUE_AFTER: Duration = Duration::from_millis(300);
/// No life that is ended from outside is longer.
const LIFE_MAX: Duration = Duration::from_millis(1500);

fn items(folder: &Path) -> Vec<Item> {
    let item = |number| {
        let id = format!("item {number:02}");
        every_minute(folder_item(&id, &folder.join(&id)))
    };
    (0..ITEMS).map(item).collect()
}

// ---- The copy

/// Nothing by itself: embeds Keepwell, in the copy.
#[test]
fn embeds_until_it_is_killed() {
    let (Some(folder), Ok(life)) = (std::env::var_os(FOLDER), std::env::var(LIFE)) else { return };
    let words: Vec<&str> = life.splitn(4, ' ').collect();
    let [death, ahead, seed, commands] = words[..] else { panic!("{life}") };
    let ahead = Duration::from_nanos(ahead.parse().expect("nanoseconds"));
    let commands: Vec<(Uuid, ItemId)> = serde_json::from_str(commands).expect("commands");
    let scene = Scene::of(Path::new(&folder));
    let (death, random) = (Death::of(death), Random(seed.parse().expect("a seed")));
    let runner = Dying::new(scene.runner(scene.places()), death, random);
    let settings = Settings {
        items: items(&scene.folder().join("sources")),
        clock: Arc::new(ShiftedClock { ahead }),
        ..scene.settings_with(Arc::new(runner))
    };
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        print("started");
        actix_rt::spawn(tell_events(handle.clone()));
        for (id, item) in commands {
            let handle = handle.clone();
            actix_rt::spawn(async move {
                let command = PerformBackup { item }.into();
                let answer = handle.ask_as(CommandId(id), command).await.map_err(|error| error.to_string());
                let answer = serde_json::to_string(&answer).expect("it serialises");
                print(&format!("answered {id} {answer}"));
            });
        }
        if death != Death::Never {
            return std::future::pending().await;
        }
        // What is due in this life is due by then.
        tokio::time::sleep(2 * DUE_AFTER).await;
        while !handle.ask(GetActiveTasks {}).await.expect("an answer").tasks.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(handle.shutdown().await, []);
    });
}

/// One line to whoever started the copy.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").and_then(|()| out.flush()).expect("somebody reads");
}

async fn tell_events(handle: Handle) {
    let mut events = handle.subscribe(None).expect("it runs");
    while let Some(told) = events.next().await {
        match told {
            Told::Event(event) => {
                print(&format!("told {}", serde_json::to_string(&*event).expect("it serialises")));
            }
            Told::Progress(_) => {}
            Told::Missed { after } => panic!("events after {after} were missed"),
        }
    }
}

// ---- The one who kills

/// What is known of the program, from what it told and what its journal held after each life.
struct Book {
    scene: Scene,
    random: Random,
    /// The last full minute at which something was due.
    due: DateTime<Utc>,
    lives: u64,
    events: Vec<NumberedEvent>,
    /// The commands that were sent, and the task that each was first answered with.
    commands: BTreeMap<Uuid, (ItemId, Option<TaskId>)>,
    /// Tasks that ran when the program was killed, with their attempts.
    ran: BTreeMap<TaskId, u32>,
    deaths: BTreeMap<Death, u64>,
}

impl Book {
    fn new() -> Self {
        let scene = Scene::new();
        let now: DateTime<Utc> = SystemTime::now().into();
        let due = DateTime::from_timestamp(now.timestamp() / 60 * 60, 0).expect("a time");
        let mut book = Self {
            scene,
            random: Random(seed()),
            due,
            lives: 0,
            events: Vec::new(),
            commands: BTreeMap::new(),
            ran: BTreeMap::new(),
            deaths: BTreeMap::new(),
        };
        for item in items(&book.sources()) {
            std::fs::create_dir_all(book.sources().join(item.id.0)).expect("a folder");
        }
        for file in 1..FILES {
            book.change_sources(file);
        }
        book
    }

    fn sources(&self) -> std::path::PathBuf {
        self.scene.folder().join("sources")
    }

    fn change_sources(&mut self, file: u64) {
        for item in items(&self.sources()) {
            let path = self.sources().join(item.id.0).join(format!("{file}"));
            write_file(&path, FILE_BYTES, self.random.number()).expect("a file");
        }
    }

    /// One life, to its end, and what is there after it.
    fn live(&mut self, death: Death) {
        self.lives += 1;
        self.change_sources(0);
        let mut child = self.start(death);
        let out = child.stdout.take().expect("it is piped");
        let lines = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines();
            // A line that was cut off by the kill was not told.
            lines.map_while(Result::ok).collect::<Vec<String>>()
        });
        if death == Death::Random {
            std::thread::sleep(Duration::from_micros(self.random.below(LIFE_MAX.as_micros() as u64)));
            child.kill().expect("one may kill one's children");
        }
        let status = wait_for(&format!("the end of life {} ({death:?})", self.lives), || {
            child.try_wait().expect("a child")
        });
        let lines = lines.join().expect("lines are read");
        if death == Death::Never {
            assert!(status.success(), "{status}: {lines:?}");
        } else {
            assert_eq!(
                std::os::unix::process::ExitStatusExt::signal(&status),
                Some(9),
                "{death:?}: {lines:?}"
            );
            *self.deaths.entry(death).or_default() += 1;
        }
        self.look(&lines, death);
    }

    fn start(&mut self, death: Death) -> Child {
        // What is missed is caught up if it is more than a minute late.
        let missed = [0, 0, 1, 3][self.random.below(4) as usize];
        self.due += TimeDelta::minutes(missed + 1);
        let begin: SystemTime = (self.due - DUE_AFTER).into();
        let ahead = begin.duration_since(SystemTime::now()).unwrap_or_default().as_nanos();
        let fresh = if death == Death::Never { 0 } else { self.random.below(4) };
        for _ in 0..fresh {
            let item = ItemId(format!("item {:02}", self.random.below(ITEMS)));
            self.commands.insert(Uuid::now_v7(), (item, None));
        }
        // A sender that has no answer asks again, and so may one that has.
        let newest = self.commands.iter().rev().take(8);
        let commands: Vec<(&Uuid, &ItemId)> = newest.map(|(id, (item, _))| (id, item)).collect();
        let commands = serde_json::to_string(&commands).expect("they serialise");
        let life = format!("{death:?} {ahead} {} {commands}", self.random.number());
        Command::new(std::env::current_exe().expect("a running test has a path"))
            .args(["--exact", "embeds_until_it_is_killed", "--nocapture"])
            .env(FOLDER, self.scene.folder())
            .env(LIFE, life)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a copy of this program")
    }

    /// Looks at all that a life has left.
    fn look(&mut self, lines: &[String], death: Death) {
        let what = format!("life {} ({death:?})", self.lives);
        let now = SystemTime::now().into();
        let (journal, opened) = Journal::open(&self.scene.data_folder(), now).expect("the journal opens");
        assert!(self.lives == 1 || opened.found == Found::Whole, "{what}: {:?}", opened.found);
        let kept = opened.kept;
        self.read_events(&journal, kept.last_event, &what);
        self.compare_with_told(lines, &what);
        let tasks = self.read_tasks(&journal, &kept, &what);
        self.compare_attempts(&tasks, &what);
        self.compare_due_times(&journal, &kept, &tasks, &what);
        self.compare_snapshots(&kept, &tasks, &what);
        self.compare_last_words(lines, &kept, &what);
        let running = tasks.values().filter(|task| task.state == TaskState::Running);
        self.ran = running.map(|task| (task.id, task.attempt)).collect();
    }

    /// Events have numbers without a gap.
    fn read_events(&mut self, journal: &Journal, last: u64, what: &str) {
        loop {
            let after = self.events.len() as u64;
            let page = journal.events(after, 1000).expect("it is read").events;
            if page.is_empty() {
                break;
            }
            for event in page {
                assert_eq!(event.number, self.events.len() as u64 + 1, "{what}");
                self.events.push(event);
            }
        }
        assert_eq!(self.events.len() as u64, last, "{what}");
    }

    /// What the program told, of events and to commands, is what the journal holds.
    fn compare_with_told(&mut self, lines: &[String], what: &str) {
        for line in lines {
            if let Some(event) = line.strip_prefix("told ") {
                let Ok(event) = serde_json::from_str::<NumberedEvent>(event) else { continue };
                assert_eq!(self.events.get(event.number as usize - 1), Some(&event), "{what}: it was told");
            }
            if let Some((id, answer)) = line.strip_prefix("answered ").and_then(|line| line.split_once(' ')) {
                let answer: Result<keepwell_messages::Reply, String> =
                    serde_json::from_str(answer).expect("an answer");
                self.compare_answer(id.parse().expect("an id"), answer, what);
            }
        }
    }

    fn compare_answer(&mut self, id: Uuid, answer: Result<keepwell_messages::Reply, String>, what: &str) {
        let (item, before) = self.commands.get_mut(&id).expect("it was sent");
        match answer {
            Ok(keepwell_messages::Reply::PerformBackup(made)) => {
                let same = *before.get_or_insert(made.task);
                assert_eq!(same, made.task, "{what}: a command is carried out once");
                let is_made = |told: &NumberedEvent| match &told.event {
                    Event::TaskCreated(created) => {
                        created.task == made.task && created.kind == TaskKind::Backup(item.clone())
                    }
                    _ => false,
                };
                assert!(self.events.iter().any(is_made), "{what}: task {} was told of", made.task);
            }
            Ok(other) => panic!("{what}: {other:?}"),
            Err(why) => assert!(before.is_none() && why.contains("has not ended"), "{what}: {why}"),
        }
    }

    /// Every task that was ever made is there, and has ended if and as that was told.
    fn read_tasks(&self, journal: &Journal, kept: &Kept, what: &str) -> BTreeMap<TaskId, Task> {
        let mut ends: BTreeMap<TaskId, TaskEnd> = BTreeMap::new();
        let mut tasks = BTreeMap::new();
        for told in &self.events {
            match &told.event {
                Event::TaskCreated(created) => {
                    let task = journal.task(created.task).expect("it is read");
                    let task = task.unwrap_or_else(|| panic!("{what}: task {} is lost", created.task)).task;
                    assert!(tasks.insert(created.task, task).is_none(), "{what}: made twice");
                }
                Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended) => {
                    let before = ends.insert(ended.task, ended.end.clone());
                    assert_eq!(before, None, "{what}: task {} ended twice", ended.task);
                }
                _ => {}
            }
        }
        let active: BTreeSet<TaskId> = kept.tasks.iter().map(|record| record.task.id).collect();
        for (id, task) in &tasks {
            assert_eq!(task.end.as_ref(), ends.get(id), "{what}: task {id}");
            assert_eq!(active.contains(id), task.end.is_none(), "{what}: task {id} is {}", task.state);
        }
        assert!(active.iter().all(|id| tasks.contains_key(id)), "{what}: nothing comes from nowhere");
        let running = tasks.values().filter(|task| task.state == TaskState::Running).count();
        assert!(running <= 3, "{what}: {running} run");
        tasks
    }

    /// Each attempt is one more than the one before, and a task that was running is not taken for new.
    fn compare_attempts(&self, tasks: &BTreeMap<TaskId, Task>, what: &str) {
        let mut attempts: BTreeMap<TaskId, u32> = BTreeMap::new();
        for told in &self.events {
            if let Event::TaskStatusUpdate(update) = &told.event
                && update.to == TaskState::Running
            {
                let attempt = attempts.entry(update.task).or_default();
                assert_eq!(update.attempt, *attempt + 1, "{what}: task {}", update.task);
                *attempt = update.attempt;
            }
        }
        for (id, task) in tasks {
            assert_eq!(task.attempt, attempts.get(id).copied().unwrap_or(0), "{what}: task {id}");
            assert!(task.attempt <= task.attempts_max, "{what}: task {id}");
            let failed_early =
                matches!(&task.end, Some(TaskEnd::Failed(_))) && task.attempt < task.attempts_max;
            assert!(!failed_early, "{what}: task {id} {:?}", task.end);
        }
        for (id, attempt) in &self.ran {
            assert!(tasks[id].attempt >= *attempt, "{what}: task {id}");
        }
    }

    /// A due time belongs to one task at most, and has one outcome at most: that of its task.
    fn compare_due_times(&self, journal: &Journal, kept: &Kept, tasks: &BTreeMap<TaskId, Task>, what: &str) {
        let mut of_tasks: BTreeMap<(&ItemId, DateTime<Utc>), TaskId> = BTreeMap::new();
        for task in tasks.values() {
            let TaskKind::Backup(item) = &task.kind else { panic!("{task:?}") };
            for due in
                task.trigger.due_times().into_iter().flat_map(|missed| minutes(missed.since, missed.due))
            {
                let before = of_tasks.insert((item, due), task.id);
                assert_eq!(before, None, "{what}: {item} at {due} runs twice, as {}", task.id);
            }
        }
        for item in &kept.items {
            let id = &item.item.id;
            let mut decided = BTreeMap::new();
            for outcome in journal.outcomes(id, 1000).expect("they are read").outcomes {
                for due in minutes(outcome.since, outcome.due) {
                    let before = decided.insert(due, outcome.outcome.clone());
                    assert_eq!(before, None, "{what}: {id} at {due} has two outcomes");
                    if let Some(task) = of_tasks.get(&(id, due)) {
                        let its_own = [DueOutcome::Ran(*task), DueOutcome::CoveredBy(*task)];
                        assert!(its_own.contains(&outcome.outcome), "{what}: {id} at {due}: {outcome:?}");
                        assert!(tasks[task].end.is_some(), "{what}: {id} at {due}: {outcome:?}");
                    }
                }
            }
            // Up to there nothing is lost: each due time has its outcome, or its task.
            for due in minutes(next_minute(item.anchor), item.covered_until) {
                let task = of_tasks.get(&(id, due)).filter(|task| tasks[task].end.is_none());
                assert!(decided.contains_key(&due) || task.is_some(), "{what}: {id} at {due} is lost");
            }
            let after: Vec<_> =
                of_tasks.keys().filter(|(of, due)| *of == id && *due > item.covered_until).collect();
            assert_eq!(after, Vec::<&(&ItemId, DateTime<Utc>)>::new(), "{what}: they would be due again");
        }
    }

    /// Each task that ended well has its snapshot, and there is none besides but what a task is about to find.
    fn compare_snapshots(&self, kept: &Kept, tasks: &BTreeMap<TaskId, Task>, what: &str) {
        let stored = self.snapshots();
        let mut of_tasks = BTreeSet::new();
        for task in tasks.values() {
            if let Some(TaskEnd::BackedUp(backed_up)) = &task.end {
                assert!(of_tasks.insert(backed_up.snapshot.clone()), "{what}: one snapshot of two tasks");
                assert_eq!((backed_up.files, backed_up.errors), (FILES, 0), "{what}: {backed_up:?}");
            }
        }
        assert!(of_tasks.is_subset(&stored), "{what}: a snapshot is lost");
        let sealed: BTreeSet<String> = kept.tasks.iter().filter_map(|record| record.sealed.clone()).collect();
        let besides: BTreeSet<&String> = stored.difference(&of_tasks).collect();
        assert!(besides.iter().all(|id| sealed.contains(*id)), "{what}: {besides:?} are nobody's");
    }

    /// Once a worker may store its snapshot, the journal knows it.
    fn compare_last_words(&self, lines: &[String], kept: &Kept, what: &str) {
        let words = lines.iter().find_map(|line| line.strip_prefix("dies ")?.split_once(' '));
        let Some((death, snapshot)) = words else { return };
        let is_noted = kept.tasks.iter().any(|record| record.sealed.as_deref() == Some(snapshot));
        match Death::of(death) {
            Death::Noted | Death::Stored => assert!(is_noted, "{what}: {snapshot} is not noted"),
            _ => {}
        }
        if Death::of(death) == Death::Stored {
            assert!(self.snapshots().contains(snapshot), "{what}: {snapshot} is not stored");
        }
    }

    fn snapshots(&self) -> BTreeSet<String> {
        let stored = stored_in(&self.scene.repository(), "snapshots").into_keys();
        stored.map(|name| name.to_str().expect("hexadecimal").to_owned()).collect()
    }

    fn say_what_happened(&self) {
        let count =
            |wanted: fn(&Event) -> bool| self.events.iter().filter(|told| wanted(&told.event)).count();
        let made = count(|event| matches!(event, Event::TaskCreated(_)));
        let completed = count(|event| matches!(event, Event::TaskCompleted(_)));
        let failed = count(|event| matches!(event, Event::TaskFailed(_)));
        let retries = count(|event| matches!(event, Event::TaskRetry(_)));
        let told = self.events.len();
        say(&format!(
            "{:?}: {made} tasks, {completed} completed, {failed} failed, {retries} retries, {told} events",
            self.deaths
        ));
    }
}

fn minutes(since: DateTime<Utc>, until: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    std::iter::successors(Some(since), |due| Some(*due + TimeDelta::minutes(1)))
        .take_while(move |due| *due <= until)
}

fn next_minute(after: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp((after.timestamp() / 60 + 1) * 60, 0).expect("a time")
}

#[test]
fn no_task_is_lost_and_no_due_time_runs_twice_however_often_the_program_is_killed() {
    let is_long = std::env::var_os("KEEPWELL_TEST_LONG").is_some_and(|value| value == "1");
    let (kills, around_sealed) = if is_long { (100, 20) } else { (10, 4) };
    let mut book = Book::new();
    let every = kills / around_sealed;
    for kill in 0..kills {
        let death = match (kill % every, kill / every) {
            (0, number) if number < around_sealed => Death::AROUND_SEALED[number % 4],
            _ => Death::Random,
        };
        book.live(death);
    }
    book.live(Death::Never);
    book.say_what_happened();
    assert_eq!(book.deaths.values().sum::<u64>(), kills as u64);
    assert!(book.ran.is_empty(), "{:?}", book.ran);
    let stored = book.snapshots().len();
    let completed = book.events.iter().filter(|told| matches!(told.event, Event::TaskCompleted(_))).count();
    assert_eq!(stored, completed, "one snapshot for each task that ended well");
    assert!(stored_in(&book.scene.repository(), "locks").is_empty(), "no lock is left");
    if let Some(restic) = restic() {
        restic.check_data(&book.scene.repository());
    }
}
