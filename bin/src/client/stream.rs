//! What a daemon tells, as server-sent events: one value after the other.

use std::collections::VecDeque;

use keepwell_messages::{BackupProgress, NumberedEvent};
use serde::Deserialize;

use crate::exit::Failure;

/// An event is some kilobytes; a line that goes on and on is none.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A durable event.
    Event(Box<NumberedEvent>),
    /// The newest progress of a task.
    Progress(Box<BackupProgress>),
    /// What came after this number was missed.
    Missed(u64),
}

/// What is told from now on.
pub struct Stream {
    answer: reqwest::Response,
    frames: Frames,
}

impl Stream {
    pub(super) fn new(answer: reqwest::Response) -> Self {
        Self { answer, frames: Frames::default() }
    }

    /// What comes next; `None` once the connection has ended.
    pub async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            if let Some(heard) = self.frames.ready.pop_front() {
                return Ok(Some(heard));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.frames.take(&chunk)?,
                // Whoever listens comes back by the number that he has seen.
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Text that becomes values, however it is cut.
#[derive(Default)]
struct Frames {
    line: Vec<u8>,
    name: String,
    data: String,
    ready: VecDeque<Heard>,
}

#[derive(Deserialize)]
struct Missed {
    after: u64,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(Failure::usage("the daemon sends a line that does not end"));
            }
            if self.line.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.line);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => return self.end(),
            "event" => self.name = value.into(),
            "data" => self.data.push_str(value),
            // Comments, ids, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if name.is_empty() || data.is_empty() {
            return Ok(());
        }
        let read = match name.as_str() {
            BackupProgress::NAME => serde_json::from_str(&data).map(Heard::Progress),
            "missed" => serde_json::from_str(&data).map(|Missed { after }| Heard::Missed(after)),
            _ => serde_json::from_str(&data).map(Heard::Event),
        };
        let heard = read.map_err(|error| {
            Failure::usage(format!("what the daemon tells as {name} cannot be read: {error}"))
                .hint("check that both are the same version")
        })?;
        self.ready.push_back(heard);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let text = "retry: 1000\n: welcome\n\nevent: global-pause\nid: 7\ndata: {\"number\":7,\"at\":\"1970-01-01T00:00:00Z\",\
                    \"event\":{\"global-pause\":{\"paused\":true}}}\n\n: still here\n\nevent: missed\r\ndata: {\"after\":3}\r\n\r\n";
        for size in [1, 2, 7, 1000] {
            let mut frames = Frames::default();
            for chunk in text.as_bytes().chunks(size) {
                frames.take(chunk).unwrap();
            }
            let heard: Vec<Heard> = frames.ready.into_iter().collect();
            assert!(matches!(&heard[0], Heard::Event(event) if event.number == 7), "{heard:?}");
            assert_eq!(heard[1..], [Heard::Missed(3)]);
        }
        assert!(Frames::default().take(b"event: missed\ndata: {}\n\n").is_err());
    }
}
