//! A program that embeds Keepwell: a repository, items, a system that runs in this very process.
//!
//! The engine is the real one and works on real files. Delays before retries are milliseconds, so that
//! a retry is seen within a test; everything else is as it is for users.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keepwell_actors::retry::{Backoff, RetryPolicy};
use keepwell_actors::runner::{EngineRunner, MakeNamedSource, Places};
use keepwell_actors::{Handle, Settings, Subscription, Told};
use keepwell_engine::clock::{Clock, SystemClock};
use keepwell_engine::format::Snapshot;
use keepwell_engine::job::Engine;
use keepwell_engine::repository::{
    InitOptions, Repository, RepositoryAddress, RepositoryOptions, SnapshotChoice,
};
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::{
    ActorRef, Event, FilesItem, Item, ItemId, ItemSource, NumberedEvent, ScheduleText, TaskEnd, TaskId,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::programs::PASSWORD;
use crate::running::PATIENCE;

/// The name of the repository in items.
pub const REPOSITORY: &str = "local";

/// Folders of one embedding program.
pub struct Scene {
    folder: PathBuf,
    /// Removes the folder in the end, if it is this scene's own.
    _kept: Option<TempDir>,
}

impl Scene {
    /// A folder with an empty repository.
    pub fn new() -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let scene = Self { folder: kept.path().to_path_buf(), _kept: Some(kept) };
        let options = RepositoryOptions::default();
        let (location, store) = (scene.location(), StoreSettings::default());
        Repository::init(&location, &store, &PASSWORD.into(), &InitOptions::default(), options)
            .expect("a new repository");
        scene
    }

    /// The scene that another process made in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), _kept: None }
    }

    /// Where it all lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// Where the journal lives.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn location(&self) -> Location {
        Location::folder(self.repository())
    }

    /// How the engine gets at the repository.
    pub fn address(&self) -> RepositoryAddress {
        let password = Arc::new(|| Ok(PASSWORD.into()));
        RepositoryAddress { location: self.location(), settings: StoreSettings::default(), password }
    }

    /// The snapshots in the repository, by id.
    pub fn snapshots(&self) -> BTreeMap<String, Snapshot> {
        // The engine blocks, which an actor's thread may not.
        std::thread::scope(|scope| scope.spawn(|| self.read_snapshots()).join().expect("they are read"))
    }

    fn read_snapshots(&self) -> BTreeMap<String, Snapshot> {
        let address = self.address();
        let password = (address.password)().expect("it is known");
        let options = RepositoryOptions::default();
        let repository = Repository::open(&address.location, &address.settings, &password, options);
        let repository = repository.expect("it opens");
        let mut unreadable = |id, error| panic!("snapshot {id} cannot be read: {error}");
        let found = repository.snapshots(&SnapshotChoice::default(), &mut unreadable).expect("a list");
        found.into_iter().map(|(id, snapshot)| (id.to_hex(), snapshot)).collect()
    }

    /// The repository under its name, and nothing else.
    pub fn places(&self) -> Places {
        Places::new(Arc::new(SystemClock), "the tests").repository(REPOSITORY, self.address())
    }

    /// The real engine.
    pub fn engine(&self) -> Engine {
        Engine::new(RepositoryOptions::default())
    }

    /// The real engine in these places.
    pub fn runner(&self, places: Places) -> EngineRunner<Engine> {
        EngineRunner::new(self.engine(), places)
    }

    /// A system with the real engine, in which `make` is the source called `observed`.
    pub fn settings(&self, make: MakeNamedSource) -> Settings {
        let runner = self.runner(self.places().source(OBSERVED, make));
        self.settings_with(Arc::new(runner))
    }

    /// A system with this runner.
    pub fn settings_with(&self, runner: Arc<dyn keepwell_actors::runner::Runner>) -> Settings {
        let at_once = Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(100) };
        let retries = RetryPolicy { ordinary: at_once, network: at_once, ..RetryPolicy::default() };
        Settings { retries: retries.into(), ..Settings::new(self.data_folder(), runner) }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of the source that a test makes itself.
pub const OBSERVED: &str = "observed";

/// An item that is backed up when asked.
pub fn item(id: &str, source: ItemSource) -> Item {
    Item {
        id: id.into(),
        source,
        repository: REPOSITORY.into(),
        schedule: None,
        enabled: true,
        tags: Vec::new(),
    }
}

/// A folder as an item.
pub fn folder_item(id: &str, folder: &Path) -> Item {
    let paths = vec![folder.to_str().expect("a name in UTF-8").to_owned()];
    item(id, ItemSource::Files(FilesItem { paths, excludes: Vec::new() }))
}

/// The source called `observed` as an item.
pub fn observed_item(id: &str) -> Item {
    item(id, ItemSource::Named(OBSERVED.into()))
}

/// The same item, due at every full minute.
pub fn every_minute(item: Item) -> Item {
    let schedule = ScheduleText { spec: "* * * * *".into(), time_zone: "UTC".into(), jitter_seconds: None };
    Item { schedule: Some(schedule), ..item }
}

/// The machine's clock, shifted: a due time comes when a test wants it to.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedClock {
    /// How far it is ahead.
    pub ahead: Duration,
}

impl ShiftedClock {
    /// A clock that shows a full minute after `left`, and is ahead by less than that and a minute.
    pub fn full_minute_in(left: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let then = Duration::from_nanos((now + left).as_nanos().next_multiple_of(60_000_000_000) as u64);
        Self { ahead: then - now - left }
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    fn local_offset_seconds(&self, _: i64) -> i32 {
        0
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Runs an embedding program to its end.
pub fn embed<T>(program: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(program)
}

/// Gives up waiting where a test would hang.
pub async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, wait).await {
        Ok(waited) => waited,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// A subscriber that remembers every event since the journal began.
pub struct Witness {
    subscription: Subscription,
    seen: Vec<NumberedEvent>,
}

impl Witness {
    /// Hears everything from number 1 on.
    pub fn of(handle: &Handle) -> Self {
        Self { subscription: handle.subscribe(Some(0)).expect("it runs"), seen: Vec::new() }
    }

    /// What was told so far, in order.
    pub fn seen(&self) -> &[NumberedEvent] {
        &self.seen
    }

    /// The first event, from the beginning on, in which `look` finds what is waited for.
    pub async fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|told| look(&told.event)) {
            return found;
        }
        loop {
            let told = patiently(what, self.subscription.next()).await;
            match told.unwrap_or_else(|| panic!("it shut down before {what}")) {
                Told::Progress(_) => {}
                Told::Missed { after } => panic!("events after {after} were missed"),
                Told::Event(told) => {
                    assert_eq!(told.number, self.seen.len() as u64 + 1, "numbers have no gap: {told:?}");
                    self.seen.push(NumberedEvent::clone(&told));
                    if let Some(found) = look(&told.event) {
                        return found;
                    }
                }
            }
        }
    }

    /// How `task` ended.
    pub async fn end_of(&mut self, task: TaskId) -> TaskEnd {
        self.until(&format!("the end of {task}"), |event| end_of(event, task)).await
    }

    /// What an actor died of.
    pub async fn crash_of(&mut self, actor: ActorRef) -> String {
        let crash = |event: &Event| match event {
            Event::ActorCrashed(crashed) if crashed.actor == actor => Some(crashed.failure.why.clone()),
            _ => None,
        };
        self.until(&format!("the crash of {actor:?}"), crash).await
    }

    /// Waits for a new actor in a post.
    pub async fn restart_of(&mut self, actor: ActorRef) {
        let restarted = |event: &Event| (*event == Event::ActorRestarted(actor.clone())).then_some(());
        self.until(&format!("the restart of {actor:?}"), restarted).await;
    }

    /// The number of the first event that is `wanted`.
    pub fn number_of(&self, wanted: impl Fn(&Event) -> bool) -> Option<u64> {
        self.seen.iter().find(|told| wanted(&told.event)).map(|told| told.number)
    }

    /// The tasks that were made of an item.
    pub fn tasks_of(&self, item: &ItemId) -> Vec<TaskId> {
        let made = |told: &NumberedEvent| match &told.event {
            Event::TaskCreated(made) if made.kind == keepwell_messages::TaskKind::Backup(item.clone()) => {
                Some(made.task)
            }
            _ => None,
        };
        self.seen.iter().filter_map(made).collect()
    }
}

/// How a task ended, if this event tells it.
pub fn end_of(event: &Event, task: TaskId) -> Option<TaskEnd> {
    match event {
        Event::TaskCompleted(ended) | Event::TaskFailed(ended) | Event::TaskCancelled(ended)
            if ended.task == task =>
        {
            Some(ended.end.clone())
        }
        _ => None,
    }
}
