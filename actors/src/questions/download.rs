//! One file out of a snapshot, piece by piece, no faster than it is taken.
//!
//! Who takes pieces gives the thread that reads them leave for more: so many are ahead and no more, whatever the file's
//! size. A piece was checked before it is given. A file that cannot be read to its end ends with an error.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_messages::{ErrorClass, Refusal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::{Asker, Turn, failed, in_time, on_a_thread, panicked};
use crate::runner::{Runner, WantedFile, no_repositories, refusal_of};

/// Downloads at once. Each reads a few blobs ahead: some 100 MiB if they are large.
pub const DOWNLOADS_AT_ONCE_MAX: usize = 4;
/// A download of which nothing is taken for so long is given up, as it holds the repository's lock.
pub const STALL_MAX: Duration = Duration::from_secs(10 * 60);
/// What is taken slower than this on the whole is given up, too: a few such readers would have all places for ever. The
/// slowest lines that anybody still uses are faster.
pub const BYTES_PER_SECOND_MIN: u64 = 16 << 10;

/// A piece: large enough that handing it over costs nothing.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Pieces that are ready before they are taken.
const PIECES_AHEAD_MAX: usize = 4;
/// How often a thread that waits looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A file of a snapshot on its way. Dropped, it ends.
pub struct FileDownload {
    name: String,
    bytes: u64,
    pieces: UnboundedReceiver<Result<Bytes, Refusal>>,
    leave: Sender<()>,
    _asker: Asker,
}

impl FileDownload {
    /// The file's name, without its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next piece; `None` after the last one. Together they have [`FileDownload::bytes`], unless one is an error:
    /// then nothing follows, and what came before is the beginning of the file. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        let piece = self.pieces.recv().await?;
        // A thread that has ended needs no leave.
        let _ = self.leave.send(());
        Some(piece)
    }
}

/// Opens the file on a thread of its own, which then reads it.
pub(super) async fn begin(
    runner: Arc<dyn Runner>,
    turn: Turn,
    asker: Asker,
    wanted: WantedFile,
) -> Result<FileDownload, Refusal> {
    let (opened, opens) = oneshot::channel();
    let (sender, pieces) = unbounded_channel();
    let (leave, leaves) = channel();
    for _ in 0..PIECES_AHEAD_MAX {
        let _ = leave.send(());
    }
    let control = asker.control.clone();
    on_a_thread(turn, move || {
        let mut out = Pieces { sender, leaves, control, bytes: 0, waited: Duration::ZERO };
        let read = catch_unwind(AssertUnwindSafe(|| read_file(&*runner, &wanted, opened, &mut out)));
        if let Err(refusal) = read.unwrap_or_else(|_| Err(panicked())) {
            // Nobody is there if the download was dropped.
            let _ = out.sender.send(Err(refusal));
        }
    })?;
    let (name, bytes) = in_time(opens).await?;
    Ok(FileDownload { name, bytes, pieces, leave, _asker: asker })
}

type Opened = oneshot::Sender<Result<(String, u64), Refusal>>;

fn read_file(
    runner: &dyn Runner,
    wanted: &WantedFile,
    opened: Opened,
    out: &mut Pieces,
) -> Result<(), Refusal> {
    let reader = runner.reader().ok_or_else(no_repositories);
    let content = match reader.and_then(|reader| reader.open_file(wanted, &out.control)) {
        Ok(content) => content,
        Err(refusal) => {
            let _ = opened.send(Err(refusal));
            return Ok(());
        }
    };
    if opened.send(Ok((content.name(), content.bytes()))).is_err() {
        return Ok(());
    }
    content.write_to(out).map_err(|error| match error {
        // It is this end that failed to take it.
        Error::Local { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
            failed(ErrorClass::Cancelled, format!("the download of {} was given up: {source}", wanted.path))
        }
        error => refusal_of(error),
    })?;
    if out.bytes == content.bytes() {
        return Ok(());
    }
    let why = format!("{} has {} bytes, and {} were read", wanted.path, content.bytes(), out.bytes);
    Err(failed(ErrorClass::Repository, why))
}

/// Hands over what is written, piece by piece, as there is leave.
struct Pieces {
    sender: UnboundedSender<Result<Bytes, Refusal>>,
    leaves: Receiver<()>,
    control: Control,
    bytes: u64,
    /// For leave, in all.
    waited: Duration,
}

impl Pieces {
    fn wait_for_leave(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let waited_before = self.waited;
        loop {
            let left = self.leaves.recv_timeout(LOOK_EVERY);
            let waited = began.elapsed();
            self.waited = waited_before + waited;
            match left {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(RecvTimeoutError::Timeout) if self.control.is_cancelled() => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(why) = too_slow(waited, self.waited, self.bytes) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
        }
    }
}

/// Why whoever takes a download has lost his place, if he has: he was waited for so long now, and so long in all while
/// he took so many bytes.
fn too_slow(waited: Duration, waited_in_all: Duration, bytes: u64) -> Option<String> {
    if waited >= STALL_MAX {
        return Some(format!("nothing of it was taken for {} minutes", STALL_MAX.as_secs() / 60));
    }
    let allowed = STALL_MAX + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
    let kib = BYTES_PER_SECOND_MIN >> 10;
    (waited_in_all > allowed).then(|| format!("less than {kib} KiB of it were taken in a second"))
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.wait_for_leave()?;
        let piece = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
        self.sender.send(Ok(Bytes::copy_from_slice(piece))).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.bytes += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_his_place_as_long_as_he_takes_something_and_enough_on_the_whole() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (waited, in_all, bytes, words) in [
            (0, 0, 0, None),
            (9, 9, 0, None),
            (10, 10, 0, Some("nothing of it was taken for 10 minutes")),
            // A megabyte every nine minutes.
            (0, 9, 1 << 20, None),
            (0, 18, 2 << 20, Some("less than 16 KiB")),
            // A gigabyte in three hours, and ten minutes of rest.
            (9, 190, 1 << 30, None),
            (10, 190, 1 << 30, Some("nothing of it")),
            (0, 30 * 24 * 60, 1 << 40, None),
        ] {
            let why = too_slow(minutes(waited), minutes(in_all), bytes);
            let is_so = match words {
                Some(words) => why.as_ref().is_some_and(|why| why.contains(words)),
                None => why.is_none(),
            };
            assert!(is_so, "{waited} {in_all} {bytes}: {why:?}");
        }
    }
}
