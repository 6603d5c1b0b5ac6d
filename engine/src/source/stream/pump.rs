//! A thread that reads a stream into a bounded queue. Its reader can be woken by a
//! cancel, whatever the stream does; the thread itself ends at the stream's next byte or end.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// What one read asks for: a Linux pipe holds 64 KiB.
const CHUNK_BYTES: usize = 128 * 1024;

/// Chunks that wait to be taken: half a megabyte keeps both sides busy.
const CHUNKS_MAX: usize = 4;

/// The queue between the stream and its reader.
#[derive(Default)]
pub(super) struct Pump {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    ended: bool,
    /// Why reading failed; kept when it is told to the reader.
    error: Option<(io::ErrorKind, String)>,
    bytes: u64,
    opened: bool,
    /// Nobody will read any more.
    closed: bool,
    cancelled: bool,
}

impl Pump {
    /// Begins to read.
    pub(super) fn start(self: &Arc<Self>, mut stream: Box<dyn Read + Send>) -> io::Result<()> {
        let pump = Arc::clone(self);
        std::thread::Builder::new().name("stream".into()).spawn(move || {
            let _guard = PanicGuard(&pump);
            while pump.put(read_chunk(&mut *stream)) {}
        })?;
        Ok(())
    }

    /// Takes a chunk in; false once there is nothing more to read or nobody to read it.
    fn put(&self, chunk: io::Result<Vec<u8>>) -> bool {
        let mut state = self.state.lock();
        while state.chunks.len() >= CHUNKS_MAX && !state.closed && !state.cancelled {
            self.changed.wait(&mut state);
        }
        match chunk {
            Ok(chunk) if !chunk.is_empty() => {
                state.bytes = state.bytes.saturating_add(chunk.len() as u64);
                state.chunks.push_back(chunk);
            }
            Ok(_) => state.ended = true,
            Err(error) => {
                state.error = Some((error.kind(), error.to_string()));
                state.ended = true;
            }
        }
        self.changed.notify_all();
        !state.ended && !state.closed && !state.cancelled
    }

    fn take(&self) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.cancelled {
                return Err(io::Error::other("cancelled"));
            }
            if let Some(chunk) = state.chunks.pop_front() {
                self.changed.notify_all();
                return Ok(chunk);
            }
            if let Some((kind, why)) = &state.error {
                return Err(io::Error::new(*kind, why.clone()));
            }
            if state.ended {
                return Ok(Vec::new());
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits for the first bytes; false if the stream ended without any, or nobody wants them any more.
    pub(super) fn wait_for_first(&self) -> bool {
        let mut state = self.state.lock();
        while state.bytes == 0 && !state.ended && !state.closed && !state.cancelled {
            self.changed.wait(&mut state);
        }
        state.bytes > 0 && !state.cancelled
    }

    /// Nobody reads any more: the thread lets go of the stream.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Wakes the reader, which fails.
    pub(super) fn cancel(&self) {
        self.state.lock().cancelled = true;
        self.changed.notify_all();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state.lock().cancelled
    }

    /// Bytes that the stream gave, all of which were taken; else why not.
    pub(super) fn bytes_read(&self) -> io::Result<u64> {
        let state = self.state.lock();
        if let Some((kind, why)) = &state.error {
            return Err(io::Error::new(*kind, why.clone()));
        }
        if !state.ended || !state.chunks.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was not read to its end"));
        }
        Ok(state.bytes)
    }
}

/// Tells the reader of a stream whose thread panics: it would wait for ever.
struct PanicGuard<'a>(&'a Pump);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.put(Err(io::Error::other("the reader of the stream panicked")));
        }
    }
}

fn read_chunk(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                chunk.truncate(read?);
                return Ok(chunk);
            }
        }
    }
}

/// The one reader of a pump. Closes it when dropped.
pub(super) struct PumpReader {
    pump: Arc<Pump>,
    chunk: Vec<u8>,
    at: usize,
}

impl PumpReader {
    /// `None` if there was a reader already.
    pub(super) fn open(pump: &Arc<Pump>) -> Option<Self> {
        let opened = std::mem::replace(&mut pump.state.lock().opened, true);
        (!opened).then(|| Self { pump: Arc::clone(pump), chunk: Vec::new(), at: 0 })
    }
}

impl Read for PumpReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            self.chunk = self.pump.take()?;
            self.at = 0;
        }
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let length = rest.read(buffer)?;
        self.at += length;
        Ok(length)
    }
}

impl Drop for PumpReader {
    fn drop(&mut self) {
        self.pump.close();
    }
}
