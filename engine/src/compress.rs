//! zstd for blobs and for unpacked files, with contexts that are made once a thread.
//! What is too long to be held plain is compressed as it comes and decompressed as it is read.

use std::cell::RefCell;
use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result};
use crate::id::Id;

/// How hard to compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Store data blobs as they are; trees and indexes are compressed all the same.
    Off,
    /// zstd level 1.
    Fastest,
    /// zstd level 3.
    #[default]
    Auto,
    /// zstd level 7.
    Better,
    /// zstd level 12.
    Max,
}

impl Compression {
    /// zstd's level; `None` for off.
    pub fn level(self) -> Option<i32> {
        match self {
            Self::Off => None,
            Self::Fastest => Some(1),
            Self::Auto => Some(DEFAULT_LEVEL),
            Self::Better => Some(7),
            Self::Max => Some(12),
        }
    }
}

/// zstd's own default, and restic's `auto`.
pub const DEFAULT_LEVEL: i32 = 3;

struct Contexts {
    compressor: Option<(i32, Compressor<'static>)>,
    decompressor: Option<Decompressor<'static>>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts { compressor: None, decompressor: None }) };
}

/// Appends the zstd frame of `plaintext` to `out` and returns its length.
pub fn append_compressed(plaintext: &[u8], level: i32, out: &mut Vec<u8>) -> Result<usize> {
    CONTEXTS.with_borrow_mut(|contexts| {
        let compressor = match &mut contexts.compressor {
            Some((made_for, compressor)) if *made_for == level => compressor,
            slot => {
                let made = Compressor::new(level).map_err(failed)?;
                &mut slot.insert((level, made)).1
            }
        };
        let start = out.len();
        // Exactly: it is kept for the next, and the largest of them all is not twice as large.
        out.reserve_exact(zstd::zstd_safe::compress_bound(plaintext.len()));
        let mut room = Cursor::new(out);
        room.set_position(start as u64);
        compressor.compress_to_buffer(plaintext, &mut room).map_err(failed)
    })
}

/// Decompresses one frame whose plaintext is `length` bytes long into the memory that `room` gives, which has to have that
/// length. `None` if it is damaged or of another length; a frame that names another length, or none and is not
/// that long, does not get the memory for it.
pub fn decompress_exact<'a>(
    frame: &[u8],
    length: usize,
    room: impl FnOnce(usize) -> &'a mut [u8],
) -> Option<()> {
    match zstd::zstd_safe::get_frame_content_size(frame).ok()? {
        Some(named) if named != length as u64 => return None,
        None if length > UNNAMED_BYTES_MAX => {
            let plaintext = decompress_bounded(frame, length)?;
            if plaintext.len() == length {
                room(length).copy_from_slice(&plaintext);
            }
            return (plaintext.len() == length).then_some(());
        }
        _ => {}
    }
    let written = CONTEXTS.with_borrow_mut(|contexts| {
        let decompressor = match &mut contexts.decompressor {
            Some(decompressor) => decompressor,
            slot => slot.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress_to_buffer(frame, room(length)).ok()
    })?;
    (written == length).then_some(())
}

/// A frame that does not name its length is given up to this much memory at once.
const UNNAMED_BYTES_MAX: usize = 16 << 20;

/// Decompresses a frame of unknown length, at most `length_max` bytes.
/// `None` if it is damaged or longer; one that names a greater length is not even begun.
pub fn decompress_bounded(frame: &[u8], length_max: usize) -> Option<Vec<u8>> {
    let named = zstd::zstd_safe::get_frame_content_size(frame).ok()?;
    if named.is_some_and(|length| length > length_max as u64) {
        return None;
    }
    let mut plaintext = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(frame).ok()?;
    decoder.take(length_max as u64 + 1).read_to_end(&mut plaintext).ok()?;
    (plaintext.len() <= length_max).then_some(plaintext)
}

/// A frame that grows as its plaintext comes. It does not name its length, which nobody knows before.
pub struct GrowingFrame {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    digest: Sha256,
    plaintext_bytes: u64,
}

/// A frame whose plaintext is nowhere held.
pub struct Frame {
    /// Digest of the plaintext.
    pub id: Id,
    /// The frame.
    pub bytes: Vec<u8>,
    /// Length of the plaintext.
    pub plaintext_bytes: u64,
}

impl GrowingFrame {
    /// Nothing yet, to be compressed at this level.
    pub fn new(level: i32) -> Result<Self> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), level).map_err(failed)?;
        Ok(Self { encoder, digest: Sha256::new(), plaintext_bytes: 0 })
    }

    /// Appends to the plaintext.
    pub fn append(&mut self, plaintext: &[u8]) -> Result<()> {
        self.digest.update(plaintext);
        self.plaintext_bytes += plaintext.len() as u64;
        self.encoder.write_all(plaintext).map_err(failed)
    }

    /// No more comes.
    pub fn finish(self) -> Result<Frame> {
        let bytes = self.encoder.finish().map_err(failed)?;
        Ok(Frame { id: Id(self.digest.finalize().into()), bytes, plaintext_bytes: self.plaintext_bytes })
    }
}

/// Gives a frame's plaintext piece by piece, and takes its digest on the way. Holds the frame and its
/// window, which is at most 128 MiB and some MiB in frames of known writers.
pub struct FrameReader {
    decoder: std::io::Take<zstd::stream::read::Decoder<'static, Cursor<Bytes>>>,
    digest: Sha256,
    length_max: u64,
}

impl FrameReader {
    /// Reads at most `length_max` bytes and one more, so that a longer plaintext shows.
    pub fn new(frame: Bytes, length_max: u64) -> std::io::Result<Self> {
        let decoder = zstd::stream::read::Decoder::with_buffer(Cursor::new(frame))?;
        Ok(Self { decoder: decoder.take(length_max.saturating_add(1)), digest: Sha256::new(), length_max })
    }

    /// Digest and length of what was read so far.
    pub fn seen(self) -> (Id, u64) {
        let length = self.length_max.saturating_add(1) - self.decoder.limit();
        (Id(self.digest.finalize().into()), length)
    }
}

impl Read for FrameReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.decoder.read(out)?;
        self.digest.update(&out[..read]);
        Ok(read)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Crashed(format!("zstd: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_other_lengths() {
        for plaintext in [&b""[..], b"a", &[7; 100_000]] {
            let mut frame = b"kept".to_vec();
            let written = append_compressed(plaintext, 3, &mut frame).expect("compresses");
            assert_eq!(written, frame.len() - 4);
            let mut out = vec![1; plaintext.len()];
            assert_eq!(decompress_exact(&frame[4..], plaintext.len(), |_| &mut out), Some(()));
            assert_eq!(out, plaintext);
            let mut longer = vec![1; plaintext.len() + 1];
            assert_eq!(decompress_exact(&frame[4..], longer.len(), |_| &mut longer), None);
            assert_eq!(decompress_bounded(&frame[4..], plaintext.len()).as_deref(), Some(plaintext));
        }
    }

    #[test]
    fn a_frame_grows_and_is_read_piece_by_piece() {
        let plaintext: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut growing = GrowingFrame::new(3).expect("an encoder");
        for piece in plaintext.chunks(70_001) {
            growing.append(piece).expect("compresses");
        }
        let frame = growing.finish().expect("compresses");
        assert_eq!((frame.id, frame.plaintext_bytes), (Id::of(&plaintext), plaintext.len() as u64));
        let mut out = vec![1; plaintext.len()];
        assert_eq!(decompress_exact(&frame.bytes, plaintext.len(), |_| &mut out), Some(()));
        assert!(out == plaintext);
        for (length_max, length) in [(plaintext.len() as u64, plaintext.len() as u64), (1000, 1001)] {
            let mut reader = FrameReader::new(frame.bytes.clone().into(), length_max).expect("a decoder");
            std::io::copy(&mut reader, &mut std::io::sink()).expect("decompresses");
            let seen = reader.seen();
            assert_eq!(seen, (Id::of(&plaintext[..length as usize]), length));
        }
    }

    #[test]
    fn a_bomb_stops_at_its_bound() {
        let mut frame = Vec::new();
        append_compressed(&vec![0; 64 << 20], 3, &mut frame).expect("compresses");
        assert!(frame.len() < 10_000);
        let mut asked = false;
        let room = |_| {
            asked = true;
            &mut [][..]
        };
        assert_eq!(decompress_exact(&frame, 1000, room), None);
        assert!(!asked);
        assert_eq!(decompress_bounded(&frame, 1000), None);
    }
}
