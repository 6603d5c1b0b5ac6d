//! Two SHA-256 digests side by side, with the processor's SHA instructions.
//!
//! The rounds are those of FIPS 180-4, four at a time, as the instructions want them: a state is two registers,
//! ABEF and CDGH, and a block's sixteen words are four. The steps of both digests stand next to each other, and the
//! processor runs them at once, as neither needs the other.
#![allow(unsafe_code, reason = "SHA instructions may only be used where they were found; see `compress`")]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_extract_epi32, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::{BLOCK_BYTES, Block};

/// Rounds that one step does, and words that one register holds.
const STEP: usize = 4;

/// FIPS 180-4, 4.2.2.
const ROUND: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Compresses as many blocks into one digest's state as into the other's. `false` if this processor has no
/// instructions for it: then nothing was done.
pub(super) fn compress(
    one: &mut [u32; 8],
    one_blocks: &[Block],
    other: &mut [u32; 8],
    other_blocks: &[Block],
) -> bool {
    let can = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if can {
        // SAFETY: the processor has all that the function uses.
        unsafe { compress_pair(one, one_blocks, other, other_blocks) }
    }
    can
}

#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress_pair(one: &mut [u32; 8], one_blocks: &[Block], other: &mut [u32; 8], other_blocks: &[Block]) {
    let mut states = [load_state(one), load_state(other)];
    for (one_block, other_block) in one_blocks.iter().zip(other_blocks) {
        let before = states;
        let mut words = [load_block(one_block), load_block(other_block)];
        for (sixteen, constants) in ROUND.as_chunks::<{ STEP * STEP }>().0.iter().enumerate() {
            // Written out, so that each register keeps its name.
            step::<0>(&mut states, &mut words, constants, sixteen > 0);
            step::<1>(&mut states, &mut words, constants, sixteen > 0);
            step::<2>(&mut states, &mut words, constants, sixteen > 0);
            step::<3>(&mut states, &mut words, constants, sixteen > 0);
        }
        for lane in 0..2 {
            states[lane].abef = _mm_add_epi32(states[lane].abef, before[lane].abef);
            states[lane].cdgh = _mm_add_epi32(states[lane].cdgh, before[lane].cdgh);
        }
    }
    store_state(states[0], one);
    store_state(states[1], other);
}

/// Step `AT` of the four that use up sixteen words, in both lanes. Where there are words before them, the step's own
/// are made of those.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn step<const AT: usize>(
    states: &mut [State; 2],
    words: &mut [[__m128i; STEP]; 2],
    constants: &[u32; STEP * STEP],
    follows: bool,
) {
    let constants = words_of(&constants[STEP * AT..]);
    for (state, words) in states.iter_mut().zip(words) {
        if follows {
            words[AT] = next_words::<AT>(words);
        }
        four_rounds(state, _mm_add_epi32(words[AT], constants));
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four_rounds(state: &mut State, words: __m128i) {
    state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, words);
    state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32::<0x0e>(words));
}

/// The four words that take the place of number `AT`, from the sixteen before them, of which those are the oldest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words<const AT: usize>(words: &[__m128i; STEP]) -> __m128i {
    let (oldest, second) = (words[AT], words[(AT + 1) % STEP]);
    let (third, newest) = (words[(AT + 2) % STEP], words[(AT + 3) % STEP]);
    let sums = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, second), _mm_alignr_epi8::<4>(newest, third));
    _mm_sha256msg2_epu32(sums, newest)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_block(block: &Block) -> [__m128i; STEP] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); STEP];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<{ BLOCK_BYTES / STEP }>().0) {
        let number = u128::from_le_bytes(*bytes);
        *word = _mm_shuffle_epi8(_mm_set_epi64x((number >> 64) as i64, number as i64), swap);
    }
    words
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn words_of(words: &[u32]) -> __m128i {
    _mm_set_epi32(words[3] as i32, words[2] as i32, words[1] as i32, words[0] as i32)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_state(state: &[u32; 8]) -> State {
    let cdab = _mm_shuffle_epi32::<0xb1>(words_of(state));
    let hgfe = _mm_shuffle_epi32::<0x1b>(words_of(&state[4..]));
    State { abef: _mm_alignr_epi8::<8>(cdab, hgfe), cdgh: _mm_blend_epi16::<0xf0>(hgfe, cdab) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store_state(from: State, to: &mut [u32; 8]) {
    let word = |at: usize| match at {
        0 => _mm_extract_epi32::<0>(from.abef),
        1 => _mm_extract_epi32::<1>(from.abef),
        2 => _mm_extract_epi32::<2>(from.abef),
        3 => _mm_extract_epi32::<3>(from.abef),
        4 => _mm_extract_epi32::<0>(from.cdgh),
        5 => _mm_extract_epi32::<1>(from.cdgh),
        6 => _mm_extract_epi32::<2>(from.cdgh),
        _ => _mm_extract_epi32::<3>(from.cdgh),
    };
    // Lowest first, the registers hold F E B A and H G D C.
    for (to, at) in to.iter_mut().zip([3, 2, 7, 6, 1, 0, 5, 4]) {
        *to = word(at) as u32;
    }
}
