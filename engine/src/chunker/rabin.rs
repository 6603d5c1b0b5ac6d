//! The plain search: one digest, rolled byte by byte.
//!
//! It is the twin that the fast searches must agree with, and finishes what is too short for them.

use std::ops::Range;

use super::tables::{RollingTables, WINDOW_BYTES};

/// The first length in `lengths` after which a chunk may end: the digest of the 64 bytes before it has its low
/// 20 bits zero.
///
/// `lengths` starts above 64 (a whole window precedes the newest byte of each) and ends at most one after
/// `bytes.len()`.
pub(super) fn first_split(tables: &RollingTables, bytes: &[u8], lengths: Range<usize>) -> Option<usize> {
    if lengths.is_empty() {
        return None;
    }
    let before = lengths.start - 1;
    let mut digest = tables.digest(&bytes[before - WINDOW_BYTES..before]);
    let newest = &bytes[before..lengths.end - 1];
    let oldest = &bytes[before - WINDOW_BYTES..];
    for (length, (&newest, &oldest)) in lengths.zip(newest.iter().zip(oldest)) {
        digest = tables.roll(digest, newest, oldest);
        if tables.splits(digest) {
            return Some(length);
        }
    }
    None
}
