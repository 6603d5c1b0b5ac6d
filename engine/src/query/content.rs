//! A file's content in order, read ahead on a few threads.
//!
//! Each reader takes every n-th blob and hands it over a channel of one, so that at most
//! three blobs a reader are in memory, and blobs come out in order without being sorted.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{BlobKind, Node};
use crate::id::Id;
use crate::repository::Repository;

/// Blobs read at once: hides a remote store's answer times, and costs at most 12 blobs of memory.
const READERS_MAX: usize = 4;

/// Writes all of a file's content to `out`. Each blob is checked against its name before it is written.
///
/// # Errors
/// [`Error::Damaged`] names the file at `path` and the blob; what stands before the damaged
/// blob is written. [`Error::Local`] if `out` fails.
pub fn write_content(
    repository: &Repository,
    node: &Node,
    path: &[u8],
    out: &mut dyn Write,
    control: &Control,
) -> Result<()> {
    let content = node.content.as_deref().unwrap_or_default();
    let readers = READERS_MAX.min(content.len()).min(repository.files().store().connections().max(2));
    let written = if readers <= 1 {
        write_one_by_one(repository, content, out, control)
    } else {
        write_read_ahead(repository, content, readers, out, control)
    };
    written.map_err(|failure| match failure {
        Failure::Read(error) => of_file(path, error),
        Failure::Write(error) => Error::local("write", String::from_utf8_lossy(path).into_owned(), error),
    })
}

/// The error of a damaged object, said of the file that needs it.
pub(super) fn of_file(path: &[u8], error: Error) -> Error {
    match error {
        Error::Damaged { object, why } => {
            Error::damaged(String::from_utf8_lossy(path), format!("{object}: {why}"))
        }
        other => other,
    }
}

enum Failure {
    Read(Error),
    Write(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

fn write_one_by_one(
    repository: &Repository,
    content: &[Id],
    out: &mut dyn Write,
    control: &Control,
) -> Result<(), Failure> {
    let mut blob = Vec::new();
    for id in content {
        control.checkpoint()?;
        repository.read_blob(BlobKind::Data, *id, &mut blob)?;
        out.write_all(&blob).map_err(Failure::Write)?;
    }
    Ok(())
}

fn write_read_ahead(
    repository: &Repository,
    content: &[Id],
    readers: usize,
    out: &mut dyn Write,
    control: &Control,
) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let channels: Vec<Receiver<Result<Vec<u8>>>> = (0..readers)
            .map(|first| {
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move || read_every_nth(repository, content, first, readers, &sender, control));
                receiver
            })
            .collect();
        // Returning drops the channels, which ends readers that wait to hand over.
        for channel in channels.iter().cycle().take(content.len()) {
            control.checkpoint()?;
            let blob = channel
                .recv()
                .unwrap_or_else(|_| Err(Error::Crashed("while reading a file's content".into())))?;
            out.write_all(&blob).map_err(Failure::Write)?;
        }
        Ok(())
    })
}

fn read_every_nth(
    repository: &Repository,
    content: &[Id],
    first: usize,
    step: usize,
    sender: &SyncSender<Result<Vec<u8>>>,
    control: &Control,
) {
    for id in content.iter().skip(first).step_by(step) {
        let mut blob = Vec::new();
        let read = control.checkpoint().and_then(|()| repository.read_blob(BlobKind::Data, *id, &mut blob));
        let failed = read.is_err();
        if sender.send(read.map(|()| blob)).is_err() || failed {
            return;
        }
    }
}

/// Bytes that [`write_content`] will write, from the index; not from what the entry claims.
pub(super) fn content_bytes(repository: &Repository, node: &Node, path: &Path) -> Result<u64> {
    let index = repository.index();
    let mut total = 0;
    for id in node.content.as_deref().unwrap_or_default() {
        let place = index.find(BlobKind::Data, id).ok_or_else(|| {
            Error::damaged(
                path.to_string_lossy(),
                format!("data {id}: no index names it; its pack may be lost"),
            )
        })?;
        total += u64::from(place.blob.plaintext_bytes());
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, file};

    #[test]
    fn blobs_come_out_in_order_however_many_there_are() {
        let sample = Sample::new("content");
        let ids: Vec<Id> = (0..23u8).map(|byte| sample.blob(&vec![byte; usize::from(byte) * 1000])).collect();
        sample.session.flush().unwrap();
        for count in [0, 1, 2, 3, 4, 5, 23] {
            // Each blob twice in a row: a content may repeat.
            let content: Vec<Id> = ids[..count].iter().flat_map(|id| [*id, *id]).collect();
            let mut out = Vec::new();
            write_content(sample.repository(), &file("f", &content), b"/f", &mut out, &Control::new())
                .unwrap();
            let expected: Vec<u8> = (0..count).flat_map(|byte| vec![byte as u8; byte * 2000]).collect();
            assert!(out == expected, "{count} blobs");
        }
    }

    #[test]
    fn a_lost_blob_is_named_with_its_file_after_all_before_it_was_written() {
        let sample = Sample::new("content-lost");
        let (first, lost) = (sample.hundred(1), Id([9; 32]));
        sample.session.flush().unwrap();
        let node = file("f", &[first, first, first, lost, first]);
        let mut out = Vec::new();
        let error =
            write_content(sample.repository(), &node, b"/a/f", &mut out, &Control::new()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Damaged { .. }) && text.contains("/a/f") && text.contains(&lost.to_hex())
        );
        assert_eq!(out.len(), 300);
    }

    #[test]
    fn a_full_pipe_end_ends_the_readers() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sample = Sample::new("content-closed");
        let blob = sample.hundred(1);
        sample.session.flush().unwrap();
        let node = file("f", &vec![blob; 1000]);
        let outcome = write_content(sample.repository(), &node, b"/f", &mut Closed, &Control::new());
        assert!(matches!(outcome, Err(Error::Local { .. })), "{outcome:?}");
    }
}
