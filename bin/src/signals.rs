//! Ctrl-C and SIGTERM: the first asks the work to end cleanly, the second ends
//! the process. While a password is typed, the first is enough, and the terminal
//! shows again what is typed.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepwell_engine::control::Control;
use parking_lot::Mutex;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{CODE_INTERRUPTED, Failure};
use crate::output::Output;

/// What signals steer.
pub struct Signals {
    control: Control,
    prompt: Arc<Mutex<Option<Prompt>>>,
    /// Whether the log says what there is to say.
    has_log: Arc<AtomicBool>,
}

/// A terminal that waits for a password, and how it was before.
struct Prompt {
    terminal: File,
    settings: Termios,
}

impl Signals {
    /// Takes the signals over.
    pub fn install(output: &Arc<Output>) -> Result<Self, Failure> {
        let mut arriving = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))?;
        let control = Control::new();
        let prompt = Arc::new(Mutex::new(None));
        let has_log = Arc::new(AtomicBool::new(false));
        let signals = Self { control: control.clone(), prompt: prompt.clone(), has_log: has_log.clone() };
        let output = output.clone();
        std::thread::Builder::new()
            .name("keepwell-signals".into())
            .spawn(move || {
                for _ in &mut arriving {
                    on_signal(&control, &prompt, has_log.load(Ordering::Relaxed), &output);
                }
            })
            .map_err(|error| Failure::usage(format!("no thread for signals: {error}")))?;
        Ok(signals)
    }

    /// Cancelled by the first signal.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// From now on what there is to say goes into the log: its lines may be for programs.
    pub fn tell_through_log(&self) {
        self.has_log.store(true, Ordering::Relaxed);
    }

    /// Runs `ask`, which makes the terminal hide what is typed.
    pub fn while_prompting<T>(&self, ask: impl FnOnce() -> T) -> T {
        *self.prompt.lock() = open_terminal();
        let answer = ask();
        *self.prompt.lock() = None;
        answer
    }
}

fn open_terminal() -> Option<Prompt> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    let settings = tcgetattr(terminal.as_fd()).ok()?;
    Some(Prompt { terminal, settings })
}

fn on_signal(control: &Control, prompt: &Mutex<Option<Prompt>>, has_log: bool, output: &Output) {
    if let Some(prompt) = prompt.lock().as_ref() {
        // The process ends either way.
        let _ = tcsetattr(prompt.terminal.as_fd(), OptionalActions::Now, &prompt.settings);
        std::process::exit(CODE_INTERRUPTED.into());
    }
    if control.is_cancelled() {
        std::process::exit(CODE_INTERRUPTED.into());
    }
    let words = "interrupted: ending cleanly; a second interrupt ends at once";
    match has_log {
        true => tracing::info!("{words}"),
        false => output.notice(words),
    }
    control.cancel();
}
