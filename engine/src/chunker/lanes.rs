//! The fast search in safe code: several digests rolled side by side.
//!
//! A step of the digest waits about eight cycles for its table, so one digest leaves most of a core idle. The span
//! is searched in blocks; each block is cut into lanes of equal length, and one step of every lane is taken in turn.
//! A lane needs the digest of the 64 bytes before it, which is its run-up. The first split in byte order wins:
//! a split found in one lane ends the block only when no earlier lane can still find one.

use std::ops::Range;

use super::rabin;
use super::tables::{RollingTables, WINDOW_BYTES};

/// Lanes of the search: see `benches/chunker.rs`.
const LANES: usize = 8;

/// A block of 32 KiB. A longer one wastes more when a split comes early, a shorter one spends more on run-ups.
const LANE_BYTES_MAX: usize = 4096;

/// Below it the run-ups cost more than the lanes save.
const LANE_BYTES_MIN: usize = 256;

type Tile = [u8; WINDOW_BYTES];

/// The same as [`rabin::first_split`], with the same conditions.
pub(super) fn first_split(tables: &RollingTables, bytes: &[u8], mut lengths: Range<usize>) -> Option<usize> {
    loop {
        let lane_bytes = (lengths.len() / LANES).min(LANE_BYTES_MAX) / WINDOW_BYTES * WINDOW_BYTES;
        if lane_bytes < LANE_BYTES_MIN {
            return rabin::first_split(tables, bytes, lengths);
        }
        let before = lengths.start - 1;
        let block = &bytes[before - WINDOW_BYTES..before + LANES * lane_bytes];
        if let Some(step) = first_split_in_block(tables, block, lane_bytes) {
            return Some(lengths.start + step);
        }
        lengths.start += LANES * lane_bytes;
    }
}

/// The first step of a block, counted over all lanes in byte order, after which a chunk may end. `block` is a
/// window, which is the first lane's run-up, and then the lanes.
fn first_split_in_block(tables: &RollingTables, block: &[u8], lane_bytes: usize) -> Option<usize> {
    let (tiles, _) = block.as_chunks::<WINDOW_BYTES>();
    let lane_tiles = lane_bytes / WINDOW_BYTES;
    let mut oldest: [&Tile; LANES] = std::array::from_fn(|lane| &tiles[lane * lane_tiles]);
    let mut digests = oldest.map(|window| tables.digest(window));
    let mut first: Option<usize> = None;
    for tile in 0..lane_tiles {
        let newest: [&Tile; LANES] = std::array::from_fn(|lane| &tiles[lane * lane_tiles + tile + 1]);
        for at in 0..WINDOW_BYTES {
            for lane in 0..LANES {
                digests[lane] = tables.roll(digests[lane], newest[lane][at], oldest[lane][at]);
                if tables.splits(digests[lane]) {
                    let step = lane * lane_bytes + tile * WINDOW_BYTES + at;
                    first = Some(first.map_or(step, |first| first.min(step)));
                }
            }
        }
        // What the first lane finds is first of all.
        if first.is_some_and(|step| step < lane_bytes) {
            break;
        }
        oldest = newest;
    }
    first
}
