//! The plain search: one digest, rolled byte by byte.
//!
//! It is the twin that the fast searches must agree with, and finishes what is too short for them.

use std::ops::Range;

use super::tables::{RollingTables, WINDOW_BYTES};

/// The first length in `lengths` after which a chunk may end: the digest of the 64 bytes before it has its low
/// 20 bits zero.
///
/// `lengths` starts at 64 or more (there is a whole window before the first) and ends at most one after
/// `bytes.len()`.
pub(super) fn first_split(tables: &RollingTables, bytes: &[u8], lengths: Range<usize>) -> Option<usize> {
    if lengths.is_empty() {
        return None;
    }
    let first = lengths.start;
    let mut digest = tables.digest(&bytes[first - WINDOW_BYTES..first]);
    if tables.splits(digest) {
        return Some(first);
    }
    let newest = &bytes[first..lengths.end - 1];
    let oldest = &bytes[first - WINDOW_BYTES..];
    for (step, (&newest, &oldest)) in newest.iter().zip(oldest).enumerate() {
        digest = tables.roll(digest, newest, oldest);
        if tables.splits(digest) {
            return Some(first + step + 1);
        }
    }
    None
}
