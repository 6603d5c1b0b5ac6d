//! A backup by the engine through a faulty way, and what has to hold whatever happened to it.
//!
//! A script of faults is made from a seed. Whatever it does, the backup ends in time, as a whole snapshot or with an
//! error of a class that one of its faults explains; what is stored is sound; and without faults the next
//! backup succeeds and is restored byte for byte.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_engine::archive::{BackupOptions, BackupOutcome, back_up};
use keepwell_engine::check::{CheckOptions, ReadData, Severity, check};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::report::Silent;
use keepwell_engine::repository::{InitOptions, PACK_BYTES_MIN, Repository, RepositoryOptions};
use keepwell_engine::restore::{RestoreOptions, find_subtree, restore};
use keepwell_engine::source::files::{FilesOptions, FilesSource};
use keepwell_engine::store::StoreSettings;
use tempfile::TempDir;

use crate::compare::{EXACT, assert_same};
use crate::fault_proxy::FaultProxy;
use crate::fault_proxy::script::Script;
use crate::programs::{PASSWORD, Program, say, transcript};
use crate::random_data::{Random, write_file};
use crate::servers::{Server, parse};

/// As short as a loopback allows on a busy machine, so that a suite of many faults is over soon.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_TIMEOUT: Duration = Duration::from_secs(3);
/// One time-out more for a pack.
const BYTES_PER_SECOND_MIN: u64 = 4 << 20;
/// How often a request that failed is made again.
pub const RETRIES_MAX: usize = 3;
/// The longest that a backup may take: its work on a busy machine, and a handful of calls that fail one after the
/// other, each after its retry time-out and one last try. Nothing that hangs ends before it.
const BACKUP_MAX: Duration = Duration::from_secs(60);
/// Several packs of the smallest size.
const SOURCE_BYTES: u64 = 14 << 20;

/// The engine's settings for a store that is to be given up soon.
pub fn impatient(settings: StoreSettings) -> StoreSettings {
    StoreSettings {
        request_timeout: REQUEST_TIMEOUT,
        connect_timeout: REQUEST_TIMEOUT,
        retry_timeout: RETRY_TIMEOUT,
        retries_max: RETRIES_MAX,
        bytes_per_second_min: BYTES_PER_SECOND_MIN,
        ..settings
    }
}

/// What is backed up again and again, and how many requests that takes if all goes well.
pub struct FaultyBackup<'a> {
    server: &'a dyn Server,
    folder: TempDir,
    requests_when_clean: u64,
}

impl<'a> FaultyBackup<'a> {
    /// Makes a small tree, and backs it up once without faults.
    pub fn new(server: &'a dyn Server) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("small")).expect("a folder");
        write_file(&tree.join("large"), SOURCE_BYTES, 1).expect("a file");
        for number in 0..50u64 {
            let path = tree.join("small").join(number.to_string());
            std::fs::write(path, Random(number).bytes(2000)).expect("a file");
        }
        let mut scene = Self { server, folder, requests_when_clean: 0 };
        let proxy = FaultProxy::start(server.port(), Script::clean());
        // A server that has just begun may take its time for a first answer.
        let settings = server.settings(proxy.port());
        scene.init_and_back_up(proxy.port(), "clean", &settings).expect("nothing is in its way");
        scene.requests_when_clean = proxy.traffic().request_count();
        scene
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Backs up as the script of this seed lets it; then all that has to hold is looked at.
    pub fn survives(&self, seed: u64, restics: &[Program]) {
        let script = match self.server.ignores_cut_requests() {
            true => Script::from_seed(seed),
            false => Script::from_seed(seed).with_whole_requests(),
        };
        let (rules, classes) = (format!("{:?}", script.rules()), script.classes());
        let what = format!("on {}, KEEPWELL_FAULT_SEED={seed}, {rules}", self.server.name());
        let name = format!("seed-{seed}");
        let proxy = FaultProxy::start(self.server.port(), script);
        let begun = Instant::now();
        let settings = impatient(self.server.settings(proxy.port()));
        let result = self.init_and_back_up(proxy.port(), &name, &settings);
        let (took, requests) = (begun.elapsed(), proxy.traffic().request_count());
        drop(proxy);
        let ended = match &result {
            Ok(_) => "a snapshot".to_owned(),
            Err(error) => format!("{:?}: {error}", error.class()),
        };
        say(&format!("{what}: {ended}, after {took:.1?} and {requests} requests"));

        assert!(took < BACKUP_MAX, "{what}: it took {took:?}");
        let requests_max = (self.requests_when_clean + 10) * (RETRIES_MAX as u64 + 1);
        assert!(requests <= requests_max, "{what}: {requests} requests, more than {requests_max}");
        if let Err(error) = &result {
            assert!(classes.contains(&error.class()), "{what}: {ended} is none of {classes:?}: {error:?}");
        }

        let whole =
            |done: Result<()>| done.unwrap_or_else(|error| panic!("{what}: afterwards: {error} ({error:?})"));
        if result.is_ok() || self.is_there(&name) {
            whole(self.is_sound(&name));
            for restic in restics {
                self.is_sound_for(restic, &name, &what);
            }
        }
        whole(self.back_up_again_and_restore(&name, result.ok()));
    }

    fn init_and_back_up(&self, port: u16, name: &str, settings: &StoreSettings) -> Result<BackupOutcome> {
        let location = self.server.location(port, name);
        let repository = Repository::init(
            &parse(&location),
            settings,
            &PASSWORD.into(),
            &InitOptions::default(),
            options(),
        )?;
        self.back_up(&repository)
    }

    /// The straight way, on which nothing hurries.
    fn place(&self, name: &str) -> (String, StoreSettings) {
        let port = self.server.port();
        (self.server.location(port, name), self.server.settings(port))
    }

    fn open(&self, name: &str) -> Result<Arc<Repository>> {
        let (location, settings) = self.place(name);
        Repository::open(&parse(&location), &settings, &PASSWORD.into(), options())
    }

    fn is_there(&self, name: &str) -> bool {
        self.server.store(name).size("config").expect("nothing is in its way").is_some()
    }

    fn back_up(&self, repository: &Arc<Repository>) -> Result<BackupOutcome> {
        let control = Control::new();
        let session = repository.begin(false, &control)?;
        let source = FilesSource::new(vec![self.tree()], FilesOptions::default(), Arc::new(SystemClock))?;
        let compute = ComputeSlots::of_this_machine();
        back_up(&session, &source, &BackupOptions::default(), &control, &compute, &Silent)
    }

    /// Every byte that an index names is there and right. Packs that none names are waste, no damage.
    fn is_sound(&self, name: &str) -> Result<()> {
        let repository = self.open(name)?;
        let found = parking_lot::Mutex::new(Vec::new());
        let outcome = check(
            &repository.begin_unlocked(),
            &CheckOptions { read_data: ReadData::All, ..CheckOptions::default() },
            &Control::new(),
            &ComputeSlots::of_this_machine(),
            &Silent,
            &|finding| {
                if finding.severity == Severity::Error {
                    found.lock().push(finding.to_string());
                }
            },
        )?;
        if outcome.is_sound() { Ok(()) } else { Err(Error::Invalid(format!("{:?}", found.lock()))) }
    }

    /// restic finds nothing wrong. The lock that a cut off backup left may still look alive.
    fn is_sound_for(&self, restic: &Program, name: &str, what: &str) {
        let port = self.server.port();
        let home = self.folder.path().join(format!("home for {name}"));
        let mut command = restic.command_at(OsStr::new(&self.server.location(port, name)), &home);
        command.envs(self.server.variables(port)).args(["check", "--read-data", "--no-lock", "--no-cache"]);
        let output = command.output().expect("restic starts");
        assert!(output.status.success(), "{what}: {}: {}", restic.name, transcript(&output));
    }

    fn back_up_again_and_restore(&self, name: &str, first: Option<BackupOutcome>) -> Result<()> {
        let repository = if self.is_there(name) {
            self.open(name)?
        } else {
            let (location, settings) = self.place(name);
            let init = InitOptions::default();
            Repository::init(&parse(&location), &settings, &PASSWORD.into(), &init, options())?;
            // Opened anew, lest what the first try left behind go unnoticed.
            self.open(name)?
        };
        repository.unlock(true)?;
        let second = self.back_up(&repository)?;
        for (outcome, target) in first.iter().chain([&second]).zip(["first", "second"]) {
            let target = self.folder.path().join(format!("{name} {target}"));
            self.restore(&repository, outcome, &target)?;
            assert_same(&self.tree(), &target, EXACT);
            std::fs::remove_dir_all(&target).expect("no longer needed");
        }
        Ok(())
    }

    fn restore(&self, repository: &Arc<Repository>, outcome: &BackupOutcome, target: &Path) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let snapshot = repository.read_snapshot(outcome.id)?;
        let tree = self.tree();
        // The folder itself, so that its own metadata are restored, too.
        let parent = tree.parent().expect("it lies somewhere").as_os_str().as_bytes();
        let what = find_subtree(repository, snapshot.tree, parent)?;
        let session = repository.begin_unlocked();
        let beside = target.with_extension("restored");
        let compute = ComputeSlots::of_this_machine();
        let control = Control::new();
        let outcome =
            restore(&session, what, &beside, &RestoreOptions::default(), &control, &compute, &Silent)?;
        assert_eq!(outcome.errors, 0);
        std::fs::rename(beside.join("tree"), target).expect("the folder was restored");
        std::fs::remove_dir(&beside).expect("nothing else was restored");
        Ok(())
    }
}

fn options() -> RepositoryOptions {
    RepositoryOptions { pack_bytes: PACK_BYTES_MIN, ..RepositoryOptions::default() }
}
