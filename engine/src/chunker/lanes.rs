//! The fast search in safe code: several digests rolled side by side.
//!
//! A step of the digest waits for its table, so that one digest leaves most of a core idle. The span is searched in
//! blocks; each block is cut into lanes of equal length, and one step of every lane is taken in turn. A lane starts
//! from the digest of the 64 bytes before it, its run-up. The first split in byte order wins: a split found in one
//! lane ends the block only when no earlier lane can still find one.
//!
//! Lanes have lengths that the compiler knows: one base register then reaches the bytes of all of them, and no access
//! needs a bounds check.

use std::ops::Range;

use super::rabin;
use super::tables::{RollingTables, WINDOW_BYTES};

/// Fewer wait for the tables, more need more registers. On a busy Zen 4 core, in two runs each, 1 lane searched 510 MB
/// in a second of processor time, 4 lanes 1,230, 6 lanes 1,250 and 1,290, 8 lanes 1,090 and 740.
const LANES: usize = 4;

/// Blocks of 16 KiB: longer ones waste more when a split comes early, shorter ones spend more on run-ups.
const LANE_BYTES: usize = 4096;

/// Blocks of 2 KiB for what is left, so that little is searched byte by byte.
const SHORT_LANE_BYTES: usize = 512;

/// The same as [`rabin::first_split`], with the same conditions.
pub(super) fn first_split(tables: &RollingTables, bytes: &[u8], mut lengths: Range<usize>) -> Option<usize> {
    const BLOCK_BYTES: usize = WINDOW_BYTES + LANES * LANE_BYTES;
    const SHORT_BLOCK_BYTES: usize = WINDOW_BYTES + LANES * SHORT_LANE_BYTES;
    if lengths.is_empty() {
        return None;
    }
    let mut rest = &bytes[lengths.start - 1 - WINDOW_BYTES..lengths.end - 1];
    loop {
        let (step, searched) = if let Some(block) = rest.first_chunk::<BLOCK_BYTES>() {
            (first_step::<LANE_BYTES, BLOCK_BYTES>(tables, block), LANES * LANE_BYTES)
        } else if let Some(block) = rest.first_chunk::<SHORT_BLOCK_BYTES>() {
            (first_step::<SHORT_LANE_BYTES, SHORT_BLOCK_BYTES>(tables, block), LANES * SHORT_LANE_BYTES)
        } else {
            return rabin::first_split(tables, bytes, lengths);
        };
        if let Some(step) = step {
            return Some(lengths.start + step);
        }
        lengths.start += searched;
        rest = &rest[searched..];
    }
}

/// The first step of a block, counted in byte order over all lanes, after which a chunk may end. `block` is the
/// first lane's run-up and then the lanes.
fn first_step<const LANE: usize, const BLOCK: usize>(
    tables: &RollingTables,
    block: &[u8; BLOCK],
) -> Option<usize> {
    const { assert!(BLOCK == WINDOW_BYTES + LANES * LANE && LANE.is_multiple_of(WINDOW_BYTES)) }
    let mut digests: [u64; LANES] =
        std::array::from_fn(|lane| tables.digest(&block[lane * LANE..lane * LANE + WINDOW_BYTES]));
    let mut first: Option<usize> = None;
    for tile in 0..LANE / WINDOW_BYTES {
        for at in tile * WINDOW_BYTES..(tile + 1) * WINDOW_BYTES {
            let mut any_splits = false;
            for (lane, digest) in digests.iter_mut().enumerate() {
                let oldest = lane * LANE + at;
                *digest = tables.roll(*digest, block[oldest + WINDOW_BYTES], block[oldest]);
                any_splits |= tables.splits(*digest);
            }
            if any_splits && let Some(lane) = digests.iter().position(|&digest| tables.splits(digest)) {
                let step = lane * LANE + at;
                first = Some(first.map_or(step, |first| first.min(step)));
            }
        }
        // What the first lane finds is first of all.
        if first.is_some_and(|step| step < LANE) {
            break;
        }
    }
    first
}
