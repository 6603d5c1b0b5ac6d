//! A running command whose output is backed up: started in a process group of its own, watched by
//! a thread, ended by exit, by a cancel or with this process.
//!
//! The command stays unreaped until nothing more is sent to its group, so that a
//! signal never meets another process that got its number.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::parent_death::die_with_spawning_thread;
use crate::error::{Error, Result, plain_reason};

/// How much of the end of stderr is kept.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// How long a command may take to end after SIGTERM: whoever cancels waits for it.
const TERMINATION_GRACE: Duration = Duration::from_secs(3);

/// How long the rest of stderr is waited for after the exit: a process left behind may hold it open.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables set beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs; this process's folder if `None`.
    pub working_folder: Option<PathBuf>,
}

/// A started command.
pub(super) struct SourceCommand {
    name: String,
    group: Pid,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How it ended: empty for success.
    exit: Option<String>,
    /// Nothing more is sent to the group: it may be reaped.
    released: bool,
    stderr_ended: bool,
    stderr: VecDeque<u8>,
}

impl SourceCommand {
    /// Starts the command; gives its standard output.
    pub(super) fn start(line: CommandLine) -> Result<(Self, ChildStdout)> {
        let file_name = Path::new(&line.program).file_name().unwrap_or(&line.program);
        let name = file_name.to_string_lossy().into_owned();
        let failed = |why: String| Error::SourceCommand { command: name.clone(), why };
        let watch = Arc::new(Watch::default());
        let (started, start) = sync_channel(1);
        let keeper = Arc::clone(&watch);
        let thread = thread::Builder::new().name("source command".into());
        let spawned = thread.spawn(move || match spawn(&line) {
            Ok((mut child, group, stdout)) => {
                let stderr = child.stderr.take();
                let _ = started.send(Ok((group, stdout)));
                keeper.keep(child, group, stderr);
            }
            Err(error) => drop(started.send(Err(error))),
        });
        spawned.map_err(|error| failed(plain_reason(&error)))?;
        let start = start.recv().map_err(|_| failed("its thread ended".into()))?;
        let (group, stdout) = start.map_err(|error| failed(format!("cannot start it: {error}")))?;
        Ok((Self { name, group, watch }, stdout))
    }

    /// Waits for its end; an error unless it exited with 0.
    pub(super) fn finish(&self) -> Result<()> {
        let mut state = self.watch.state.lock();
        while state.exit.is_none() {
            self.watch.changed.wait(&mut state);
        }
        let deadline = Instant::now() + STDERR_GRACE;
        while !state.stderr_ended {
            if self.watch.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.released = true;
        self.watch.changed.notify_all();
        let exit = state.exit.clone().unwrap_or_default();
        drop(state);
        if exit.is_empty() { Ok(()) } else { Err(self.failure(&exit)) }
    }

    /// The error for a failure: what happened, and the end of stderr.
    pub(super) fn failure(&self, what: &str) -> Error {
        let stderr: Vec<u8> = self.watch.state.lock().stderr.iter().copied().collect();
        let stderr = String::from_utf8_lossy(&stderr);
        let why = match stderr.trim() {
            "" => what.to_owned(),
            stderr => format!("{what}: {stderr}"),
        };
        Error::SourceCommand { command: self.name.clone(), why }
    }

    /// Ends the whole group: asks, waits up to [`TERMINATION_GRACE`], kills.
    pub(super) fn cancel(&self) {
        self.end(TERMINATION_GRACE);
    }

    fn end(&self, grace: Duration) {
        let mut state = self.watch.state.lock();
        if state.released {
            return;
        }
        // Fails only if the group is gone, which is what is wanted.
        let _ = kill_process_group(self.group, Signal::TERM);
        let deadline = Instant::now() + grace;
        while state.exit.is_none() {
            if self.watch.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        if !state.released {
            let _ = kill_process_group(self.group, Signal::KILL);
            state.released = true;
        }
        self.watch.changed.notify_all();
    }
}

impl Drop for SourceCommand {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl Watch {
    /// Runs on the thread that spawned the child, until the child is reaped.
    fn keep(self: &Arc<Self>, mut child: Child, group: Pid, stderr: Option<ChildStderr>) {
        let drain = Arc::clone(self);
        let drained = thread::Builder::new().name("source stderr".into()).spawn(move || drain.drain(stderr));
        if drained.is_err() {
            self.state.lock().stderr_ended = true;
        }
        let exit = wait_unreaped(group);
        let mut state = self.state.lock();
        state.exit = Some(exit);
        self.changed.notify_all();
        while !state.released {
            self.changed.wait(&mut state);
        }
        drop(state);
        // It has ended or was killed: this reaps it.
        let _ = child.wait();
    }

    fn drain(&self, stderr: Option<ChildStderr>) {
        let mut chunk = [0; 4096];
        if let Some(mut stderr) = stderr {
            loop {
                let length = match stderr.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let mut state = self.state.lock();
                state.stderr.extend(chunk.get(..length).unwrap_or_default());
                let excess = state.stderr.len().saturating_sub(STDERR_BYTES_MAX);
                state.stderr.drain(..excess);
            }
        }
        self.state.lock().stderr_ended = true;
        self.changed.notify_all();
    }
}

fn spawn(line: &CommandLine) -> io::Result<(Child, Pid, ChildStdout)> {
    let mut command = Command::new(&line.program);
    command.args(&line.arguments).envs(line.environment.iter().cloned());
    if let Some(folder) = &line.working_folder {
        command.current_dir(folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_spawning_thread(&mut command);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let group = Pid::from_child(&child);
    Ok((child, group, stdout))
}

/// Waits for the end and leaves the process as it is; says how it ended, empty for success.
fn wait_unreaped(process: Pid) -> String {
    loop {
        return match waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(rustix::io::Errno::INTR) | Ok(None) => continue,
            Err(error) => format!("its end is unknown: {error}"),
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(0), _) => String::new(),
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("ended by signal {signal}"),
                (None, None) => "it ended in an unknown way".into(),
            },
        };
    }
}
