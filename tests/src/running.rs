//! A program under way: signals to it, bytes for it, what it wrote, how it ended.
//!
//! Only processes that were started here are ever signalled, and one that is
//! dropped is killed, so that a failed test leaves none behind. Waiting is
//! looking again and again, for [`PATIENCE`] at most.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How long anything is waited for before the test fails: ample on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Looks until there is something, and fails naming `what` if there never is.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A program under way.
pub struct Running {
    child: Child,
    shown: String,
    stdout: File,
    stderr: File,
}

/// How a program ended.
pub struct Ended {
    /// Its status and both streams.
    pub output: Output,
    /// All that it gave to write(2) in its life, as its kernel counted; `None` where it does not.
    pub written_bytes: Option<u64>,
}

impl Running {
    /// Starts it. Its standard input is fed by [`Running::give`] and ended by [`Running::give_no_more`].
    pub fn start(mut command: Command) -> Self {
        // Files take what pipes would have to be emptied of.
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a file for the output"));
        let copy = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
        command.stdin(Stdio::piped()).stdout(copy(&stdout)).stderr(copy(&stderr));
        let shown = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        Self { child, shown, stdout, stderr }
    }

    /// Writes to its standard input; returns whether it still took it.
    pub fn give(&mut self, bytes: &[u8]) -> bool {
        self.child.stdin.as_mut().expect("not closed before").write_all(bytes).is_ok()
    }

    /// Closes its standard input.
    pub fn give_no_more(&mut self) {
        drop(self.child.stdin.take());
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        so_far(&self.stdout)
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        so_far(&self.stderr)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // It is a child that was not waited for, so the id cannot belong to anybody else.
        kill_process(Pid::from_child(&self.child), signal).expect("one may signal one's children");
    }

    /// Whether it has ended, by itself or by a signal.
    pub fn has_ended(&self) -> bool {
        self.look_at_end(WaitIdOptions::NOHANG)
    }

    /// Whether it has read all that it was given, and none of its threads runs or waits for a disk.
    pub fn is_idle(&self) -> bool {
        let unread = self.child.stdin.as_ref().map_or(0, |stdin| {
            rustix::io::ioctl_fionread(stdin.as_fd()).expect("a pipe tells how much is in it")
        });
        unread == 0 && self.thread_states().iter().all(|state| *state == 'S')
    }

    /// Whether a signal has stopped it, every thread.
    pub fn is_stopped(&self) -> bool {
        self.thread_states().iter().all(|state| *state == 'T')
    }

    fn thread_states(&self) -> Vec<char> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a process");
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok())
            // The state follows the name, which stands in parentheses and may hold some itself.
            .filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next())
            .collect()
    }

    fn look_at_end(&self, options: WaitIdOptions) -> bool {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), options).expect("a child").is_some()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        wait_for(&format!("the end of {}", self.shown), || self.has_ended().then_some(()));
        // Until it is reaped, its counters are there to be read.
        let written_bytes =
            std::fs::read_to_string(format!("/proc/{}/io", self.child.id())).ok().and_then(|counters| {
                counters.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
            });
        let status = self.child.wait().expect("a child that has ended");
        let [stdout, stderr] = [&mut self.stdout, &mut self.stderr].map(|file| {
            let mut text = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut text)).expect("what it wrote");
            text
        });
        Ended { output: Output { status, stdout, stderr }, written_bytes }
    }

    /// Waits for its end, expects success, returns stdout.
    pub fn succeed(self) -> String {
        let shown = self.shown.clone();
        let Ended { output, .. } = self.end();
        let transcript = crate::programs::transcript(&output);
        assert!(output.status.success(), "{shown} ended with {}:\n{transcript}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn so_far(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    let length = file.metadata().expect("a file for the output").len();
    let mut text = vec![0; usize::try_from(length).expect("a text")];
    file.read_exact_at(&mut text, 0).expect("what it wrote");
    String::from_utf8_lossy(&text).into_owned()
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has been waited for, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
