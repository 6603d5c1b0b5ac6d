//! Makes a command die with this process, even by `kill -9`, which leaves us no chance to end
//! it. Its code is unsafe: the standard library has no safe
//! way to run something between fork and exec.
#![allow(unsafe_code, reason = "Command::pre_exec is unsafe; see the argument below")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal, setsid};

/// The command is killed once the *thread* that spawns it ends (prctl(2), `PR_SET_PDEATHSIG`): that
/// thread has to live as long as the command may. Processes that the command starts are not reached.
/// With `own_session` the command also leaves our session, and the terminal that comes with it.
pub(super) fn die_with_spawning_thread(command: &mut Command, own_session: bool) {
    let parent = getpid();
    let before_exec = move || -> io::Result<()> {
        if own_session {
            setsid()?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the signal was asked for.
        if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: between fork and exec only async-signal-safe work is allowed, since other threads'
    // locks stay as they were. The closure makes three system calls, setsid, prctl and getppid, through
    // wrappers that neither allocate nor lock, and its errors are plain numbers.
    unsafe {
        command.pre_exec(before_exec);
    }
}
