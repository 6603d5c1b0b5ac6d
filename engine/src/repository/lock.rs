//! Locks as restic's: write one, wait where listings lag, look whether another one excludes it,
//! refresh it while working, and write nothing once it may be believed stale.
//!
//! Invariants: a lock is confirmed (listed again after the wait) before
//! [`RepositoryLock::ensure_held`] first succeeds; a lock that was not refreshed
//! for `give_up_after` of wall-clock time, sleep included, or whose file is gone,
//! is lost for good.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::LockFile;
use crate::id::Id;
use crate::repository::files::{FileKind, RepositoryFiles};
use crate::repository::identity::{Identity, this_hostname};

/// The times that all users of one repository must share.
#[derive(Clone, Copy, Debug)]
pub struct LockTiming {
    /// Between writing a lock and looking again, where a listing may lag behind.
    pub settle: Duration,
    /// Between refreshes.
    pub refresh_every: Duration,
    /// Age after which the holder itself stops writing.
    pub give_up_after: Duration,
    /// Age after which others take it for stale.
    pub stale_after: Duration,
}

impl Default for LockTiming {
    /// restic's: 0.2 s, 5 min, 22.5 min, 30 min (`internal/repository/lock.go`).
    fn default() -> Self {
        Self::with_stale_after(Duration::from_secs(30 * 60))
    }
}

impl LockTiming {
    /// restic's proportions for another staleness; for tests, and of use only where all agree on it.
    pub fn with_stale_after(stale_after: Duration) -> Self {
        Self {
            settle: Duration::from_millis(200),
            refresh_every: stale_after / 6,
            give_up_after: stale_after * 3 / 4,
            stale_after,
        }
    }
}

/// A lock that this process holds. Dropping it ends it.
pub struct RepositoryLock {
    shared: Arc<Shared>,
    looked: SystemTime,
    refresher: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    files: RepositoryFiles,
    identity: Identity,
    exclusive: bool,
    timing: LockTiming,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    id: Id,
    written: SystemTime,
    confirmed: bool,
    released: bool,
    lost: Option<String>,
}

/// What looking at the locks of others found.
struct OthersSeen {
    /// Locks of others that are alive.
    live: usize,
    /// Stale ones, deleted on the way.
    stale: usize,
}

/// What was found while a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockSurroundings {
    /// Nobody else works on the repository.
    pub alone: bool,
    /// A holder ended without taking its lock away: its work may be unfinished.
    pub stale_found: bool,
}

impl RepositoryLock {
    /// Takes a lock. While another one excludes it, tries again for `retry_for`.
    /// The lock is written when this returns, and confirmed at the first `ensure_held`.
    pub fn acquire(
        files: &RepositoryFiles,
        identity: &Identity,
        exclusive: bool,
        timing: LockTiming,
        clock: Arc<dyn Clock>,
        retry_for: Duration,
        control: &Control,
    ) -> Result<(Self, LockSurroundings)> {
        let mut waited = Duration::ZERO;
        let (looked, seen) = loop {
            let looked = clock.now();
            match look_at_others(files, exclusive, None, &timing, clock.as_ref()) {
                Err(Error::Locked { .. }) if waited < retry_for => {
                    let pause = RETRY_PAUSE.min(retry_for - waited);
                    control.sleep(pause)?;
                    waited += pause;
                }
                other => break (looked, other?),
            }
        };
        let (id, written) = write_lock(files, identity, exclusive, clock.as_ref())?;
        // Of two who each write and then list, at least one sees the other, unless listings lag.
        let settle = if files.store().lists_at_once() { Duration::ZERO } else { timing.settle };
        let shared = Arc::new(Shared {
            files: files.clone(),
            identity: identity.clone(),
            exclusive,
            timing: LockTiming { settle, ..timing },
            clock,
            state: Mutex::new(State { id, written, confirmed: false, released: false, lost: None }),
            changed: Condvar::new(),
        });
        let refresher = std::thread::Builder::new()
            .name("keepwell-lock".into())
            .spawn({
                let shared = shared.clone();
                move || shared.refresh_until_released()
            })
            .map_err(|error| Error::Crashed(format!("no thread for the lock: {error}")))?;
        let surroundings = LockSurroundings { alone: seen.live == 0, stale_found: seen.stale > 0 };
        Ok((Self { shared, looked, refresher: Some(refresher) }, surroundings))
    }

    /// Succeeds while writing is allowed. To be called before every write.
    pub fn ensure_held(&self) -> Result<()> {
        self.shared.ensure_held()
    }

    /// When the look began that found who else holds a lock. Who was not seen then had
    /// no lock, so whatever others wrote before is by those who were seen, or nobody's.
    pub fn looked(&self) -> SystemTime {
        self.looked
    }
}

impl Drop for RepositoryLock {
    fn drop(&mut self) {
        self.shared.state.lock().released = true;
        self.shared.changed.notify_all();
        if let Some(refresher) = self.refresher.take() {
            let _ = refresher.join();
        }
        let id = self.shared.state.lock().id;
        if let Err(error) = self.shared.files.delete(FileKind::Lock, id) {
            tracing::warn!(%error, "the lock could not be taken away; others will find it stale");
        }
    }
}

/// Between two tries to take a lock that another one excludes.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Tries to read a lock that is listed but cannot be read: some stores show a file before it is whole.
const UNREADABLE_TRIES: u32 = 4;

impl Shared {
    fn ensure_held(&self) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(why) = &state.lost {
            return Err(Error::LockLost { why: why.clone() });
        }
        let age = age(state.written, self.clock.now());
        if age > self.timing.give_up_after {
            let why = format!("it was not refreshed for {} s", age.as_secs());
            state.lost = Some(why.clone());
            return Err(Error::LockLost { why });
        }
        if !state.confirmed {
            if let Some(rest) = self.timing.settle.checked_sub(age) {
                self.clock.sleep(rest);
            }
            look_at_others(&self.files, self.exclusive, Some(state.id), &self.timing, self.clock.as_ref())?;
            state.confirmed = true;
        }
        Ok(())
    }

    fn refresh_until_released(&self) {
        let mut wait = self.timing.refresh_every;
        loop {
            let mut state = self.state.lock();
            if !state.released {
                self.changed.wait_for(&mut state, wait);
            }
            if state.released || state.lost.is_some() {
                return;
            }
            if age(state.written, self.clock.now()) < wait {
                continue;
            }
            let old = state.id;
            drop(state);
            wait = match self.refresh(old) {
                Ok(()) => self.timing.refresh_every,
                Err(error) => {
                    tracing::warn!(%error, "the lock could not be refreshed");
                    self.timing.refresh_every / 5
                }
            };
        }
    }

    /// Writes a new lock, then deletes the old one, so that one is there at any time.
    fn refresh(&self, old: Id) -> Result<()> {
        if age(self.state.lock().written, self.clock.now()) > self.timing.give_up_after {
            return self.ensure_held();
        }
        if self.files.store().size(&FileKind::Lock.path(old))?.is_none() {
            let why = String::from("somebody removed its file");
            self.state.lock().lost = Some(why.clone());
            return Err(Error::LockLost { why });
        }
        let (id, written) = write_lock(&self.files, &self.identity, self.exclusive, self.clock.as_ref())?;
        {
            let mut state = self.state.lock();
            // The machine may have slept meanwhile: then the old lock went stale before the new
            // one was there, and between them others may have had the repository to themselves.
            let age = age(state.written, self.clock.now());
            if age > self.timing.give_up_after {
                let why = format!("it was not refreshed for {} s", age.as_secs());
                state.lost = Some(why.clone());
                drop(state);
                self.files.delete(FileKind::Lock, id)?;
                return Err(Error::LockLost { why });
            }
            state.id = id;
            state.written = written;
        }
        self.files.delete(FileKind::Lock, old)
    }
}

fn age(written: SystemTime, now: SystemTime) -> Duration {
    // A wall clock set back makes the lock look young again; the next refresh puts that right.
    now.duration_since(written).unwrap_or_default()
}

fn write_lock(
    files: &RepositoryFiles,
    identity: &Identity,
    exclusive: bool,
    clock: &dyn Clock,
) -> Result<(Id, SystemTime)> {
    let written = clock.now();
    let lock = LockFile {
        time: clock.now_local().to_rfc3339_opts(SecondsFormat::Nanos, true),
        exclusive,
        // Others ask this machine's kernel whether the process lives, so its own name stands here.
        hostname: this_hostname(),
        username: identity.username.clone(),
        pid: std::process::id(),
        uid: identity.uid,
        gid: identity.gid,
    };
    let json = serde_json::to_vec(&lock).expect("strings and numbers always serialise");
    Ok((files.write(FileKind::Lock, &json)?, written))
}

/// Lists the locks of others: deletes stale ones, fails if a live one excludes ours.
fn look_at_others(
    files: &RepositoryFiles,
    exclusive: bool,
    own: Option<Id>,
    timing: &LockTiming,
    clock: &dyn Clock,
) -> Result<OthersSeen> {
    let mut ids = Vec::new();
    files.list(FileKind::Lock, |file| {
        // An empty file is a write that broke off on a store without atomic writes.
        if Some(file.id) != own && file.size_bytes > 0 {
            ids.push(file.id);
        }
    })?;
    let mut seen = OthersSeen { live: 0, stale: 0 };
    for id in ids {
        let Some(lock) = read_lock(files, id, clock, timing)? else { continue };
        if is_stale(&lock, timing, clock.now()) {
            tracing::info!(pid = lock.pid, hostname = lock.hostname, "removing a stale lock");
            files.delete(FileKind::Lock, id)?;
            seen.stale += 1;
        } else if exclusive || lock.exclusive {
            return Err(Error::Locked {
                pid: lock.pid,
                hostname: lock.hostname,
                username: lock.username,
                since: lock.time,
            });
        } else {
            seen.live += 1;
        }
    }
    Ok(seen)
}

/// `None` if the lock is gone meanwhile.
fn read_lock(
    files: &RepositoryFiles,
    id: Id,
    clock: &dyn Clock,
    timing: &LockTiming,
) -> Result<Option<LockFile>> {
    let mut tries = 1;
    loop {
        let parsed = files.read(FileKind::Lock, id).and_then(|json| {
            serde_json::from_slice(&json)
                .map_err(|error| Error::damaged(FileKind::Lock.path(id), error.to_string()))
        });
        match parsed {
            Ok(lock) => return Ok(Some(lock)),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if tries == UNREADABLE_TRIES => return Err(error),
            Err(_) => clock.sleep(timing.settle),
        }
        tries += 1;
    }
}

/// Whether the holder of a lock is known to be gone (doc/design.rst, "Locks").
fn is_stale(lock: &LockFile, timing: &LockTiming, now: SystemTime) -> bool {
    let Ok(written) = DateTime::parse_from_rfc3339(&lock.time) else { return false };
    if age(SystemTime::from(written), now) > timing.stale_after {
        return true;
    }
    lock.hostname == this_hostname() && !process_lives(lock.pid)
}

fn process_lives(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    // EPERM means that it lives and belongs to somebody else.
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// The locks whose holders are gone, or that cannot be read, each with the reason. Deletes nothing.
pub(crate) fn stale_locks(
    files: &RepositoryFiles,
    timing: &LockTiming,
    clock: &dyn Clock,
) -> Result<Vec<(Id, String)>> {
    let mut stale = Vec::new();
    for id in files.ids(FileKind::Lock)? {
        match read_lock(files, id, clock, timing) {
            Ok(Some(lock)) if is_stale(&lock, timing, clock.now()) => {
                let LockFile { pid, hostname, time, .. } = lock;
                stale.push((id, format!("process {pid} on {hostname} took it at {time} and is gone")));
            }
            Ok(_) => {}
            Err(Error::Damaged { why, .. }) => stale.push((id, format!("it cannot be read: {why}"))),
            Err(error) => return Err(error),
        }
    }
    Ok(stale)
}

/// Deletes stale locks, or all of them; returns how many. For `unlock`.
pub fn remove_locks(
    files: &RepositoryFiles,
    all: bool,
    timing: &LockTiming,
    clock: &dyn Clock,
) -> Result<usize> {
    let mut removed = 0;
    for id in files.ids(FileKind::Lock)? {
        let gone = all
            || match read_lock(files, id, clock, timing)? {
                Some(lock) => is_stale(&lock, timing, clock.now()),
                None => false,
            };
        if gone {
            files.delete(FileKind::Lock, id)?;
            removed += 1;
        }
    }
    Ok(removed)
}
