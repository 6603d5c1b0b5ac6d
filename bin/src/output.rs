//! The one place that writes to standard output and standard error: lines for
//! people, lines of JSON for programs, raw bytes for what was asked to be dumped.
//!
//! Lines for people never carry control characters: names in a backup are
//! anybody's, and a terminal obeys them. A bar is cleared while a line is written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::ProgressBar;
use keepwell_engine::error::{Error, Result};
use parking_lot::Mutex;
use serde::Serialize;
use tracing_subscriber::filter::EnvFilter;

use crate::cli::GlobalOptions;

/// What standard output is called in errors; see `exit`.
pub const STANDARD_OUTPUT: &str = "standard output";

/// Where words go.
pub struct Output {
    json: bool,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

/// One line of JSON: its type first, then what it tells.
#[derive(Serialize)]
struct Message<'a, T: Serialize> {
    message_type: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

/// One entry that is not as it should be, in restic's words.
#[derive(Serialize)]
struct ItemError<'a> {
    error: ErrorText<'a>,
    during: &'a str,
    item: &'a str,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    message: &'a str,
}

/// Standard output for bytes in bulk.
pub struct OutputWriter {
    out: io::StdoutLock<'static>,
    is_broken: bool,
}

impl OutputWriter {
    /// Whether whoever read it has gone away.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn note<T>(&mut self, written: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &written {
            self.is_broken |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        written
    }
}

impl Write for OutputWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }
}

impl Output {
    /// As the options ask.
    pub fn new(options: &GlobalOptions) -> Self {
        Self { json: options.json, quiet: options.quiet, bar: Mutex::new(None) }
    }

    /// For programs.
    pub fn json() -> Self {
        Self { json: true, quiet: false, bar: Mutex::new(None) }
    }

    /// Whether lines are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches who would like to see a bar.
    pub fn wants_bar(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// Whether status lines are wanted.
    pub fn wants_status(&self) -> bool {
        self.json && !self.quiet
    }

    /// The bar that lines must not run into.
    pub fn show_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock() = bar;
    }

    /// A line that was asked for.
    pub fn line(&self, text: &str) -> Result<()> {
        self.write(|out| writeln!(out, "{}", printable(text)))
    }

    /// A line that tells how it went; not for the quiet.
    pub fn remark(&self, text: &str) -> Result<()> {
        if self.quiet || self.json { Ok(()) } else { self.line(text) }
    }

    /// A line of JSON.
    pub fn message(&self, message_type: &str, body: &impl Serialize) -> Result<()> {
        let line = encoded(message_type, body);
        self.write(|out| writeln!(out, "{line}"))
    }

    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.write(|out| out.write_all(bytes))
    }

    /// A line on standard error.
    pub fn error_line(&self, text: &str) {
        self.write_error(&printable(text));
    }

    /// A line of JSON on standard error.
    pub fn error_message(&self, message_type: &str, body: &impl Serialize) {
        self.write_error(&encoded(message_type, body));
    }

    /// One entry that is not as it should be; `during` is what restic calls the work.
    pub fn item_error(&self, during: &str, item: &str, message: &str) {
        if self.json {
            self.error_message("error", &ItemError { error: ErrorText { message }, during, item });
        } else {
            self.error_line(&format!("error: {item}: {message}"));
        }
    }

    /// For bytes in bulk; nothing else may be written to standard output meanwhile.
    pub fn writer(&self) -> OutputWriter {
        OutputWriter { out: io::stdout().lock(), is_broken: false }
    }

    /// What a person should know, though nothing failed. On standard error, as it is no result.
    pub fn notice(&self, text: &str) {
        #[derive(Serialize)]
        struct Notice<'a> {
            message: &'a str,
        }
        match (self.json, self.quiet) {
            (true, _) => self.error_message("notice", &Notice { message: text }),
            (false, false) => self.error_line(text),
            (false, true) => {}
        }
    }

    fn write(&self, write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<()> {
        let written = self.beside_bar(|| {
            let mut out = io::stdout().lock();
            write(&mut out).and_then(|()| out.flush())
        });
        written.map_err(|source| Error::local("write", STANDARD_OUTPUT, source))
    }

    fn write_error(&self, line: &str) {
        // If standard error is gone, there is nobody to tell.
        let _ = self.beside_bar(|| writeln!(io::stderr().lock(), "{line}"));
    }

    fn beside_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self.bar.lock().clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn encoded(message_type: &str, body: &impl Serialize) -> String {
    serde_json::to_string(&Message { message_type, body }).expect("our messages have string keys only")
}

/// `text` with control characters, and those that turn the direction of writing, as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            unsafe_one if is_unsafe(unsafe_one) => {
                // Writing into a string does not fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(unsafe_one));
            }
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Sends the engine's log to standard error, as much of it as was asked for.
pub fn log_through(output: &Arc<Output>, verbose: u8, quiet: bool) {
    let filter = match (quiet, verbose) {
        (true, _) => "error",
        // What is said in words of our own is not said twice.
        (false, 0) => "warn,keepwell_actors::task::reporter=error,keepwell_actors::journal::damaged=error",
        (false, 1) => "warn,keepwell=info,keepwell_actors=info,keepwell_engine=info",
        (false, _) => "info,keepwell=debug,keepwell_actors=debug,keepwell_engine=debug",
    };
    let output = output.clone();
    let logger = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .with_writer(move || LogLines { output: output.clone() });
    // Only fails if one is installed already, which `main` does once.
    let _ = logger.try_init();
}

/// Takes lines of the log.
struct LogLines {
    output: Arc<Output>,
}

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[derive(Serialize)]
        struct Log<'a> {
            message: &'a str,
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        match self.output.json {
            true => self.output.error_message("log", &Log { message: text }),
            false => self.output.error_line(text),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, shown) in [
            ("plain, ünïcode 雪", "plain, ünïcode 雪"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("exe\u{202e}txt", "exe\\u{202e}txt"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
