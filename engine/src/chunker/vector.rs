//! The fast search with the vector instructions of AVX2: 32 digests rolled side by side, a byte of each in one register.
//!
//! Modulo the polynomial all is linear, so what a table of 256 entries gives for a byte is the sum of what two tables of
//! 16 give for its halves, and `pshufb` looks up 32 of those at once. A digest shifted to the top of 64 bits is seven
//! registers; a step of it moves them up by one, which costs nothing. The bytes have to stand side by side as well:
//! tiles of 16 steps are turned round as they are read.
//!
//! A block is cut into lanes as in [`super::lanes`], and the first split in byte order wins in the same way. What is
//! shorter than a block goes there too.
#![allow(unsafe_code, reason = "what needs AVX2 may only be called where it was found; see `first_split`")]
#![allow(
    clippy::needless_range_loop,
    reason = "iterators are compiled without AVX2: each step would be a call"
)]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_unpackhi_epi8,
    _mm256_unpacklo_epi8, _mm256_xor_si256,
};
use std::ops::Range;

use super::lanes;
use super::tables::{RollingTables, WINDOW_BYTES};

/// Digests side by side: the bytes of a register.
const LANES: usize = 32;
/// Blocks of 32 KiB: longer ones waste more when a split comes early, shorter ones spend more on run-ups.
const LANE_BYTES: usize = 1024;
const BLOCK_BYTES: usize = WINDOW_BYTES + LANES * LANE_BYTES;
/// Steps whose bytes are turned round together.
const TILE_STEPS: usize = 16;
/// Bytes of a shifted digest that are not always zero; byte 7 is the next to be pushed out.
const DIGEST_BYTES: Range<usize> = 1..8;
/// Shifts with which the lowest byte is always zero and the bits of a split are in the three above it: those of
/// polynomials of degree 52 to 56. restic's have 53.
const PAD_BITS: Range<u32> = 8..13;

/// Tables for the two halves of a byte; each of 16 entries, twice in a register.
struct HalfTables {
    low: [__m256i; 8],
    high: [__m256i; 8],
}

/// What one repository's digests are computed from, in registers.
pub(super) struct VectorTables {
    /// As [`RollingTables::reduce`].
    reduce: HalfTables,
    /// As [`RollingTables::leave`].
    leave: HalfTables,
    /// A byte, shifted as digests are.
    enter: HalfTables,
    /// The bits of bytes 1 to 3 that are zero where a chunk may end.
    split_mask: [__m256i; 4],
}

impl VectorTables {
    /// `None` where the machine has no AVX2, or the polynomial is of a degree that restic does not use.
    pub(super) fn new(tables: &RollingTables) -> Option<Self> {
        if !is_x86_feature_detected!("avx2") || !PAD_BITS.contains(&tables.pad_bits) {
            return None;
        }
        // SAFETY: the machine has AVX2.
        Some(unsafe { Self::fill(tables) })
    }

    #[target_feature(enable = "avx2")]
    fn fill(tables: &RollingTables) -> Self {
        let halves = |of: &dyn Fn(u8) -> u64| HalfTables {
            low: std::array::from_fn(|byte| entries(byte, &|half| of(half))),
            high: std::array::from_fn(|byte| entries(byte, &|half| of(half << 4))),
        };
        Self {
            reduce: halves(&|byte| tables.reduce[usize::from(byte)]),
            leave: halves(&|byte| tables.leave[usize::from(byte)]),
            enter: halves(&|byte| u64::from(byte) << tables.pad_bits),
            split_mask: std::array::from_fn(|byte| repeated(tables.split_mask.to_le_bytes()[byte])),
        }
    }
}

/// Byte number `byte` of what `of` gives for each half.
#[target_feature(enable = "avx2")]
fn entries(byte: usize, of: &dyn Fn(u8) -> u64) -> __m256i {
    let table: [u8; 16] = std::array::from_fn(|half| of(half as u8).to_le_bytes()[byte]);
    joined(&table, &table)
}

#[target_feature(enable = "avx2")]
fn repeated(byte: u8) -> __m256i {
    _mm256_set1_epi8(byte as i8)
}

/// Two times 16 bytes in one register.
#[inline]
#[target_feature(enable = "avx2")]
fn joined(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    let half = |bytes: &[u8; 16], at: usize| {
        let word: [u8; 8] = std::array::from_fn(|i| bytes[at + i]);
        i64::from_le_bytes(word)
    };
    _mm256_set_epi64x(half(high, 8), half(high, 0), half(low, 8), half(low, 0))
}

/// The same as [`super::rabin::first_split`], with the same conditions.
pub(super) fn first_split(
    vectors: &VectorTables,
    tables: &RollingTables,
    bytes: &[u8],
    mut lengths: Range<usize>,
) -> Option<usize> {
    while lengths.len() >= LANES * LANE_BYTES
        && let Some(block) = bytes[lengths.start - 1 - WINDOW_BYTES..].first_chunk::<BLOCK_BYTES>()
    {
        // SAFETY: whoever has `VectorTables` has AVX2.
        if let Some(step) = unsafe { first_step(vectors, block) } {
            return Some(lengths.start + step);
        }
        lengths.start += LANES * LANE_BYTES;
    }
    lanes::first_split(tables, bytes, lengths)
}

/// The halves of the last 64 bytes of every lane, in a ring.
struct Window {
    low: [__m256i; WINDOW_BYTES],
    high: [__m256i; WINDOW_BYTES],
}

/// The first step of a block, counted in byte order over all lanes, after which a chunk may end. `block` is the
/// first lane's run-up and then the lanes.
#[target_feature(enable = "avx2")]
fn first_step(tables: &VectorTables, block: &[u8; BLOCK_BYTES]) -> Option<usize> {
    let zero = _mm256_setzero_si256();
    let mut window = Window { low: [zero; WINDOW_BYTES], high: [zero; WINDOW_BYTES] };
    let mut digest = [zero; 8];
    let mut first: Option<usize> = None;
    for number in 0..(WINDOW_BYTES + LANE_BYTES) / TILE_STEPS {
        let start = number * TILE_STEPS;
        let tile = turned_tile(block, start);
        for step in 0..TILE_STEPS {
            let at = start + step;
            roll(tables, &mut digest, &mut window, at % WINDOW_BYTES, tile[step]);
            let any = _mm256_or_si256(
                _mm256_and_si256(digest[1], tables.split_mask[1]),
                _mm256_or_si256(
                    _mm256_and_si256(digest[2], tables.split_mask[2]),
                    _mm256_and_si256(digest[3], tables.split_mask[3]),
                ),
            );
            let splits = _mm256_movemask_epi8(_mm256_cmpeq_epi8(any, zero)) as u32;
            // The first 64 steps are run-up.
            if splits != 0 && at >= WINDOW_BYTES {
                let lane = splits.trailing_zeros() as usize;
                let found = lane * LANE_BYTES + at - WINDOW_BYTES;
                first = Some(first.map_or(found, |first| first.min(found)));
            }
        }
        // What the first lane finds is first of all.
        if first.is_some_and(|step| step < LANE_BYTES) {
            break;
        }
    }
    first
}

/// One step of every lane. `place` is where the byte of 64 steps before stands in the window.
#[inline]
#[target_feature(enable = "avx2")]
fn roll(
    tables: &VectorTables,
    digest: &mut [__m256i; 8],
    window: &mut Window,
    place: usize,
    newest: __m256i,
) {
    let (out_low, out_high) = halves(digest[7]);
    let (old_low, old_high) = (window.low[place], window.high[place]);
    let (new_low, new_high) = halves(newest);
    (window.low[place], window.high[place]) = (new_low, new_high);
    for byte in DIGEST_BYTES.rev() {
        let left = sum_of_halves(&tables.leave, byte, old_low, old_high);
        let reduced = sum_of_halves(&tables.reduce, byte, out_low, out_high);
        digest[byte] = _mm256_xor_si256(digest[byte - 1], _mm256_xor_si256(left, reduced));
    }
    // Shifted by less than 16 bits, a byte that comes in reaches no further.
    for byte in 1..3 {
        let entered = sum_of_halves(&tables.enter, byte, new_low, new_high);
        digest[byte] = _mm256_xor_si256(digest[byte], entered);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_of_halves(tables: &HalfTables, byte: usize, low: __m256i, high: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_shuffle_epi8(tables.low[byte], low), _mm256_shuffle_epi8(tables.high[byte], high))
}

/// The lower and the upper four bits of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(bytes: __m256i) -> (__m256i, __m256i) {
    let mask = _mm256_set1_epi8(0x0f);
    (_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask))
}

/// The bytes of 16 steps from `start` on, each step's bytes of all lanes side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn turned_tile(block: &[u8; BLOCK_BYTES], start: usize) -> [__m256i; TILE_STEPS] {
    let zero = _mm256_setzero_si256();
    let mut rows = [zero; TILE_STEPS];
    for lane in 0..TILE_STEPS {
        let of_lane = |lane: usize| {
            let at = lane * LANE_BYTES + start;
            block[at..at + TILE_STEPS].first_chunk().expect("a lane and its run-up are within the block")
        };
        rows[lane] = joined(of_lane(lane), of_lane(lane + TILE_STEPS));
    }
    // Shuffled perfectly as often as 16 is doubled from 1, rows have become columns.
    for _ in 0..TILE_STEPS.ilog2() {
        let mut shuffled = [zero; TILE_STEPS];
        for pair in 0..TILE_STEPS / 2 {
            let (upper, lower) = (rows[pair], rows[pair + TILE_STEPS / 2]);
            shuffled[2 * pair] = _mm256_unpacklo_epi8(upper, lower);
            shuffled[2 * pair + 1] = _mm256_unpackhi_epi8(upper, lower);
        }
        rows = shuffled;
    }
    rows
}
