//! A server that is a program: started, waited for, and killed with all that it started.
//!
//! It leads a process group of its own, which is killed when the value is dropped. The kernel kills it when
//! the thread that started it ends, so that it outlives no test process, however that dies; that thread is there
//! for nothing else and lives as long as the value.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

/// The longest that a server may take until it answers; some take four seconds on an idle machine.
const START_MAX: Duration = Duration::from_secs(120);
/// Between two looks whether it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What is shown of its log if it does not.
const LOG_SHOWN_BYTES: usize = 4096;

/// A server's program under way.
pub struct ServerProcess {
    name: &'static str,
    id: Pid,
    folder: TempDir,
    /// Dropped to let the keeper end it.
    end: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl ServerProcess {
    /// Starts `program`, told what to do by `arrange`, which is given a folder for the server's data.
    pub fn start(name: &'static str, program: &Path, arrange: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a server");
        // setpriv asks the kernel for the signal at the end of whoever started it, and becomes the program.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder for a server");
        arrange(&mut command, &data);
        let log = File::create(folder.path().join("log")).expect("a file for its log");
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a second handle")).stdout(log);
        command.process_group(0).current_dir(&data);
        let (end, ends) = channel();
        let (told, tells) = channel();
        let keeper = std::thread::spawn(move || keep(command, &told, &ends));
        let id = tells.recv().expect("the keeper tells").unwrap_or_else(|why| panic!("{name}: {why}"));
        Self { name, id, folder, end: Some(end), keeper: Some(keeper) }
    }

    /// Waits until `answers` says so; fails with the end of the log if it ends before, or never does.
    pub fn wait_until(&self, mut answers: impl FnMut() -> bool) {
        let started = Instant::now();
        while !answers() {
            let waited = started.elapsed();
            assert!(
                !self.has_ended() && waited < START_MAX,
                "{} does not answer after {waited:?}:\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Sends a signal to it and to all that it started.
    pub fn signal(&self, signal: Signal) {
        kill_process_group(self.id, signal).expect("one may signal one's children");
    }

    /// The folder that was made for its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_SHOWN_BYTES)..]).into_owned()
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.id), options).is_ok_and(|status| status.is_some())
    }
}

/// Starts it, tells its id, and ends it when nobody holds the other end of `ends`.
fn keep(mut command: Command, told: &Sender<Result<Pid, String>>, ends: &Receiver<()>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return drop(told.send(Err(format!("{command:?} does not start: {error}")))),
    };
    let id = Pid::from_child(&child);
    let _ = told.send(Ok(id));
    let _ = ends.recv();
    // It was not waited for, so that the group's id cannot be anybody else's.
    let _ = kill_process_group(id, Signal::KILL);
    let _ = child.wait();
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
