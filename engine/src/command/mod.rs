//! A running command: started in a process group of its own, watched by a thread, ended by exit, by a cancel
//! or with this process. It gives its output to a reader, may be fed through its standard input, and what it
//! says on stderr is kept as far as a person would read it.
//!
//! The command stays unreaped until nothing more is sent to its group, so that a signal never meets another
//! process that got its number. What its words mean is for whoever started it.

mod parent_death;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::control::Control;
use crate::error::{Error, Result};
use parent_death::die_with_spawning_thread;

/// How much of the end of what it says is kept.
const SAID_BYTES_MAX: usize = 64 * 1024;

/// How long a command may take to end after SIGTERM: whoever cancels waits for it.
const TERMINATION_GRACE: Duration = Duration::from_secs(3);

/// How long the rest of stderr is waited for after the exit: a process left behind may hold it open.
const SAID_GRACE: Duration = Duration::from_secs(1);

/// How often a command that is waited for is held against the job's reins.
const LOOK_AT_CONTROL_EVERY: Duration = Duration::from_millis(100);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables set beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables of this process that it does not get.
    pub environment_removed: Vec<OsString>,
    /// Where it runs; this process's folder if `None`.
    pub working_folder: Option<PathBuf>,
    /// Whether it is cut off from our terminal, for one that would ask a person there.
    pub own_session: bool,
    /// How long it may take to end after SIGTERM; a few seconds if `None`.
    pub termination_grace: Option<Duration>,
}

impl CommandLine {
    /// The program's name, without its folder.
    pub(crate) fn name(&self) -> String {
        let file_name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        file_name.to_string_lossy().into_owned()
    }
}

/// What becomes of a command's standard streams. There is no input unless it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Its output is read.
    Output,
    /// It is fed; its output is kept as what it says.
    Input,
    /// Its output is kept as what it says.
    Said,
}

/// Our ends of its streams.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Of its input, if it is fed.
    pub(crate) input: Option<ChildStdin>,
    /// Of its output, if that is read.
    pub(crate) output: Option<ChildStdout>,
}

/// A started command.
pub(crate) struct RunningCommand {
    group: Pid,
    grace: Duration,
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
    /// Streams that are kept and have not ended.
    speaking: usize,
    said: VecDeque<u8>,
}

impl RunningCommand {
    /// Starts the command. Fails as the system does: `NotFound` if there is no such program.
    pub(crate) fn start(line: CommandLine, streams: Streams) -> io::Result<(Self, Pipes)> {
        let grace = line.termination_grace.unwrap_or(TERMINATION_GRACE);
        let watch = Arc::new(Watch::default());
        let (started, start) = sync_channel(1);
        let keeper = Arc::clone(&watch);
        thread::Builder::new().name("command".into()).spawn(move || match spawn(&line, streams) {
            Ok(mut child) => {
                let group = Pid::from_child(&child);
                let pipes = keeper.listen(&mut child, streams);
                let _ = started.send(Ok((group, pipes)));
                keeper.keep(child, group);
            }
            Err(error) => drop(started.send(Err(error))),
        })?;
        let (group, pipes) = start.recv().map_err(|_| io::Error::other("its thread ended"))??;
        Ok((Self { group, grace, watch }, pipes))
    }

    /// Waits for its end: how it ended, empty for success. Nothing is sent to it any more.
    pub(crate) fn finish(&self) -> String {
        let mut state = self.watch.state.lock();
        while state.exit.is_none() {
            self.watch.changed.wait(&mut state);
        }
        let deadline = Instant::now() + SAID_GRACE;
        while state.speaking > 0 {
            if self.watch.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.released = true;
        self.watch.changed.notify_all();
        state.exit.clone().unwrap_or_default()
    }

    /// As `finish`, and stands still while the job is paused. Fails with `Error::Cancelled` once the job is, or
    /// when it has worked for `limit`; then it is gone.
    pub(crate) fn finish_with(&self, control: &Control, limit: Option<Duration>) -> Result<String> {
        let mut worked = Duration::ZERO;
        let mut stopped = false;
        loop {
            let mut state = self.watch.state.lock();
            if state.exit.is_some() {
                break;
            }
            self.watch.changed.wait_for(&mut state, LOOK_AT_CONTROL_EVERY);
            if state.exit.is_some() {
                break;
            }
            drop(state);
            worked += if stopped { Duration::ZERO } else { LOOK_AT_CONTROL_EVERY };
            if control.is_cancelled() || limit.is_some_and(|limit| worked > limit) {
                self.cancel();
                return Err(Error::Cancelled);
            }
            if control.is_paused() != stopped {
                stopped = !stopped;
                self.send(if stopped { Signal::STOP } else { Signal::CONT });
            }
        }
        Ok(self.finish())
    }

    /// The end of what it said, trimmed.
    pub(crate) fn said(&self) -> String {
        let said: Vec<u8> = self.watch.state.lock().said.iter().copied().collect();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// Ends the whole group: asks, waits as long as it is granted, kills.
    pub(crate) fn cancel(&self) {
        self.end(self.grace);
    }

    fn send(&self, signal: Signal) {
        let state = self.watch.state.lock();
        if !state.released {
            // Fails only if the group is gone.
            let _ = kill_process_group(self.group, signal);
        }
    }

    fn end(&self, grace: Duration) {
        let mut state = self.watch.state.lock();
        if state.released {
            return;
        }
        // Fails only if the group is gone, which is what is wanted. What is stopped does not hear the first.
        let _ = kill_process_group(self.group, Signal::TERM);
        let _ = kill_process_group(self.group, Signal::CONT);
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

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl Watch {
    /// Begins to keep what it says; gives the other streams.
    fn listen(self: &Arc<Self>, child: &mut Child, streams: Streams) -> Pipes {
        if let Some(stderr) = child.stderr.take() {
            self.drain(stderr);
        }
        let output = child.stdout.take();
        let output = match streams {
            Streams::Output => output,
            Streams::Input | Streams::Said => {
                output.into_iter().for_each(|output| self.drain(output));
                None
            }
        };
        Pipes { input: child.stdin.take(), output }
    }

    /// Runs on the thread that spawned the child, until the child is reaped.
    fn keep(&self, mut child: Child, group: Pid) {
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

    /// Keeps what comes, on a thread of its own.
    fn drain(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.state.lock().speaking += 1;
        let keeper = Arc::clone(self);
        let thread = thread::Builder::new().name("command says".into());
        if thread.spawn(move || keeper.keep_said(stream)).is_err() {
            self.end_stream();
        }
    }

    fn keep_said(&self, mut stream: impl Read) {
        let mut chunk = [0; 4096];
        loop {
            let length = match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut state = self.state.lock();
            state.said.extend(chunk.get(..length).unwrap_or_default());
            let excess = state.said.len().saturating_sub(SAID_BYTES_MAX);
            state.said.drain(..excess);
        }
        self.end_stream();
    }

    fn end_stream(&self) {
        let mut state = self.state.lock();
        state.speaking = state.speaking.saturating_sub(1);
        self.changed.notify_all();
    }
}

fn spawn(line: &CommandLine, streams: Streams) -> io::Result<Child> {
    let mut command = Command::new(&line.program);
    command.args(&line.arguments).envs(line.environment.iter().cloned());
    for name in &line.environment_removed {
        command.env_remove(name);
    }
    if let Some(folder) = &line.working_folder {
        command.current_dir(folder);
    }
    let input = if streams == Streams::Input { Stdio::piped() } else { Stdio::null() };
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !line.own_session {
        command.process_group(0);
    }
    die_with_spawning_thread(&mut command, line.own_session);
    command.spawn()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, streams: Streams) -> (RunningCommand, Pipes) {
        let arguments = vec!["-c".into(), script.into()];
        let line =
            CommandLine { program: "sh".into(), arguments, own_session: true, ..CommandLine::default() };
        // Long enough for none of these, which are told to ignore it.
        let line = CommandLine { termination_grace: Some(Duration::from_millis(50)), ..line };
        RunningCommand::start(line, streams).unwrap()
    }

    fn state_of(command: &RunningCommand) -> Option<char> {
        let id = command.group.as_raw_nonzero();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn what_is_fed_comes_back_and_what_is_said_is_kept() {
        let (command, mut pipes) = shell("cat; echo why >&2; exit 3", Streams::Input);
        std::io::Write::write_all(pipes.input.as_mut().unwrap(), b"fed ").unwrap();
        drop(pipes);
        assert_eq!(command.finish(), "exit status 3");
        let said = command.said();
        assert!(said.contains("fed") && said.contains("why"), "{said}");
    }

    #[test]
    fn a_command_of_a_session_of_its_own_has_no_terminal() {
        let (command, _) = shell("cut -d' ' -f1,6,7 /proc/$$/stat", Streams::Said);
        assert_eq!(command.finish(), "");
        let said = command.said();
        let [id, session, terminal] = said.split(' ').collect::<Vec<_>>()[..] else { panic!("{said}") };
        assert_eq!((id, terminal), (session, "0"), "it leads its session");
    }

    #[test]
    fn a_command_that_is_waited_for_stands_still_in_a_pause_and_is_gone_after_a_cancel() {
        let (command, _) = shell("trap '' TERM; while :; do :; done", Streams::Said);
        let control = Control::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| command.finish_with(&control, None));
            control.pause();
            wait_until("the command to stop", || state_of(&command) == Some('T'));
            control.resume();
            wait_until("the command to go on", || state_of(&command) == Some('R'));
            control.pause();
            wait_until("the command to stop", || state_of(&command) == Some('T'));
            control.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
        wait_until("its end", || matches!(state_of(&command), None | Some('Z' | 'X')));
    }
}
