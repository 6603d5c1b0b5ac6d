//! Poly1305 with the processor's 52-bit multiplications (AVX-512 IFMA), eight blocks at a time.
//!
//! The text is a polynomial with its blocks as coefficients, evaluated at `r` modulo 2^130 - 5. Eight lanes each take
//! every eighth block and multiply by r^8; in the end each is brought to its place by its own power of `r`. Zeros in front of the
//! first coefficient change nothing, so that the number of blocks need not be a multiple of eight.
//!
//! A number is three limbs of 44, 44 and 42 bits, of which products have room in 52 and sums in 64. What goes beyond 2^130
//! comes back five times.
#![allow(unsafe_code, reason = "the instructions may only be used where they were found; see `tag`")]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_or_si512, _mm512_reduce_add_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_slli_epi64, _mm512_srli_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

const BLOCK_BYTES: usize = 16;
const LANES: usize = 8;
const GROUP_BYTES: usize = LANES * BLOCK_BYTES;
/// Which block of a group is in which lane, as two registers of four blocks each come apart.
const BLOCK_OF_LANE: [usize; LANES] = [0, 4, 1, 5, 2, 6, 3, 7];
/// Shorter texts do not make up for the powers of `r`.
const TEXT_BYTES_MIN: usize = 1024;

const BITS_44: u64 = (1 << 44) - 1;
const BITS_42: u64 = (1 << 42) - 1;
/// The bit after a whole block's last, in the third limb.
const BLOCK_END: u64 = 1 << 40;
/// RFC 8439, 2.5: bits of `r` that are always zero.
const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;

type Limbs = [u64; 3];
type Group = [u8; GROUP_BYTES];

/// The tag; `None` if the text is too short to gain anything, or this processor has no such instructions.
pub(super) fn tag(one_time: &[u8; 32], text: &[u8]) -> Option<[u8; 16]> {
    let can = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
    if !can || text.len() < TEXT_BYTES_MIN {
        return None;
    }
    let (r, s) = halves(one_time);
    // SAFETY: the processor has all that the function uses.
    let sum = unsafe { evaluate(r & CLAMP, text) };
    Some(reduce(sum).wrapping_add(s).to_le_bytes())
}

fn halves(one_time: &[u8; 32]) -> (u128, u128) {
    let (r, s) = one_time.split_at(16);
    let number = |half: &[u8]| half.iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte));
    (number(r), number(s))
}

/// The polynomial of `text` at `r`, below 2^131.
#[target_feature(enable = "avx512f,avx512ifma")]
fn evaluate(r: u128, text: &[u8]) -> Limbs {
    let powers = powers(r);
    let all = Factor::of([powers[LANES - 1]; LANES]);
    let each = Factor::of(BLOCK_OF_LANE.map(|block| powers[LANES - 1 - block]));
    let whole = _mm512_set1_epi64(BLOCK_END as i64);

    let blocks = text.len().div_ceil(BLOCK_BYTES);
    // What is not a whole group comes first, behind zeros.
    let first_bytes = blocks % LANES * BLOCK_BYTES;
    let mut sum = [_mm512_setzero_si512(); 3];
    if first_bytes > 0 {
        let mut group = [0; GROUP_BYTES];
        group[GROUP_BYTES - first_bytes..].copy_from_slice(&text[..first_bytes]);
        let absent = LANES - first_bytes / BLOCK_BYTES;
        let ends = BLOCK_OF_LANE.map(|block| if block < absent { 0 } else { BLOCK_END });
        sum = multiply(add(sum, limbs_of(&group, load(&ends))), &all);
    }
    // The last group, which may end within a block, is multiplied by other powers.
    let (middle, last) = text[first_bytes..].split_at((blocks / LANES - 1) * GROUP_BYTES);
    for group in middle.as_chunks().0 {
        sum = multiply(add(sum, limbs_of(group, whole)), &all);
    }
    let mut group = [0; GROUP_BYTES];
    group[..last.len()].copy_from_slice(last);
    let mut end = whole;
    if last.len() < GROUP_BYTES {
        group[last.len()] = 1;
        end = load(&BLOCK_OF_LANE.map(|block| if block == LANES - 1 { 0 } else { BLOCK_END }));
    }
    sum = multiply(add(sum, limbs_of(&group, end)), &each);
    carry(sum.map(|limb| u128::from(_mm512_reduce_add_epi64(limb) as u64)))
}

/// r, r^2, … r^8.
fn powers(r: u128) -> [Limbs; LANES] {
    let limb = |shift: u32, bits: u64| (r >> shift) as u64 & bits;
    let first = [limb(0, BITS_44), limb(44, BITS_44), limb(88, BITS_42)];
    let mut powers = [first; LANES];
    for at in 1..LANES {
        let [a0, a1, a2] = powers[at - 1].map(u128::from);
        let [b0, b1, b2] = first.map(u128::from);
        powers[at] = carry([
            a0 * b0 + 20 * (a1 * b2 + a2 * b1),
            a0 * b1 + a1 * b0 + 20 * a2 * b2,
            a0 * b2 + a1 * b1 + a2 * b0,
        ]);
    }
    powers
}

/// Brings limbs below 2^44, 2^44 and 2^42; the second may be a little more.
fn carry(mut limbs: [u128; 3]) -> Limbs {
    // The second round carries what the first brought round.
    for _ in 0..2 {
        limbs[1] += limbs[0] >> 44;
        limbs[2] += limbs[1] >> 44;
        let beyond = limbs[2] >> 42;
        limbs[0] = (limbs[0] & u128::from(BITS_44)) + 5 * beyond;
        limbs[1] &= u128::from(BITS_44);
        limbs[2] &= u128::from(BITS_42);
    }
    limbs[1] += limbs[0] >> 44;
    limbs[0] &= u128::from(BITS_44);
    limbs.map(|limb| limb as u64)
}

/// The lower 128 bits of the number modulo 2^130 - 5, in constant time.
fn reduce([mut h0, mut h1, mut h2]: Limbs) -> u128 {
    h2 += h1 >> 44;
    h1 &= BITS_44;
    h0 += 5 * (h2 >> 42);
    h2 &= BITS_42;
    h1 += h0 >> 44;
    h0 &= BITS_44;
    h2 += h1 >> 44;
    h1 &= BITS_44;
    // Whether it is 2^130 - 5 or more: then five more carries out of 130 bits.
    let beyond = (h2 + ((h1 + ((h0 + 5) >> 44)) >> 44)) >> 42;
    let number = |h0: u64| u128::from(h0) + (u128::from(h1) << 44) + (u128::from(h2) << 88);
    number(h0).wrapping_add(u128::from(5 * beyond))
}

/// What all lanes are multiplied by, and twenty times its upper limbs: those of products from 2^132 on come back so.
struct Factor {
    limbs: [__m512i; 3],
    twenty: [__m512i; 3],
}

impl Factor {
    #[target_feature(enable = "avx512f")]
    fn of(lanes: [Limbs; LANES]) -> Self {
        let limb = |at: usize, times: u64| load(&lanes.map(|limbs| limbs[at] * times));
        Self { limbs: [limb(0, 1), limb(1, 1), limb(2, 1)], twenty: [limb(0, 20), limb(1, 20), limb(2, 20)] }
    }
}

#[target_feature(enable = "avx512f")]
fn load(lanes: &[u64; LANES]) -> __m512i {
    // SAFETY: there are 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

/// Eight blocks as numbers, each with its end mark.
#[inline]
#[target_feature(enable = "avx512f")]
fn limbs_of(group: &Group, ends: __m512i) -> [__m512i; 3] {
    // SAFETY: both halves are 64 bytes, and no alignment is asked for.
    let (front, back) = unsafe {
        (
            _mm512_loadu_si512(group.as_ptr().cast()),
            _mm512_loadu_si512(group[GROUP_BYTES / 2..].as_ptr().cast()),
        )
    };
    let (low, high) = (_mm512_unpacklo_epi64(front, back), _mm512_unpackhi_epi64(front, back));
    let bits_44 = _mm512_set1_epi64(BITS_44 as i64);
    let across = _mm512_or_si512(_mm512_srli_epi64::<44>(low), _mm512_slli_epi64::<20>(high));
    [
        _mm512_and_si512(low, bits_44),
        _mm512_and_si512(across, bits_44),
        _mm512_or_si512(_mm512_srli_epi64::<24>(high), ends),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(one: [__m512i; 3], other: [__m512i; 3]) -> [__m512i; 3] {
    [
        _mm512_add_epi64(one[0], other[0]),
        _mm512_add_epi64(one[1], other[1]),
        _mm512_add_epi64(one[2], other[2]),
    ]
}

/// Of limbs below 2^46, 2^46 and 2^44; gives such below 2^44, 2^44 + 2^8 and 2^42, so that a block can be added before the
/// next time.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply(h: [__m512i; 3], factor: &Factor) -> [__m512i; 3] {
    let Factor { limbs: r, twenty: s } = factor;
    let zero = _mm512_setzero_si512();
    // Of each product the lower 52 bits go here and the upper ones there, which count 2^52 times as much.
    let low = |a, b, c| {
        let sum = _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, h[0], a), h[1], b);
        _mm512_madd52lo_epu64(sum, h[2], c)
    };
    let high = |a, b, c| {
        let sum = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(zero, h[0], a), h[1], b);
        // 52 bits are 8 more than a limb has.
        _mm512_slli_epi64::<8>(_mm512_madd52hi_epu64(sum, h[2], c))
    };
    let (low0, low1, low2) = (low(r[0], s[2], s[1]), low(r[1], r[0], s[2]), low(r[2], r[1], r[0]));
    let (high0, high1, high2) = (high(r[0], s[2], s[1]), high(r[1], r[0], s[2]), high(r[2], r[1], r[0]));
    let (bits_44, bits_42) = (_mm512_set1_epi64(BITS_44 as i64), _mm512_set1_epi64(BITS_42 as i64));

    let limb1 = _mm512_add_epi64(_mm512_add_epi64(low1, high0), _mm512_srli_epi64::<44>(low0));
    let limb2 = _mm512_add_epi64(_mm512_add_epi64(low2, high1), _mm512_srli_epi64::<44>(limb1));
    // From 2^130 on five times, and what is counted from 2^132 on four times five.
    let beyond = _mm512_add_epi64(_mm512_srli_epi64::<42>(limb2), _mm512_slli_epi64::<2>(high2));
    let five = _mm512_add_epi64(beyond, _mm512_slli_epi64::<2>(beyond));
    let limb0 = _mm512_add_epi64(_mm512_and_si512(low0, bits_44), five);
    [
        _mm512_and_si512(limb0, bits_44),
        _mm512_add_epi64(_mm512_and_si512(limb1, bits_44), _mm512_srli_epi64::<44>(limb0)),
        _mm512_and_si512(limb2, bits_42),
    ]
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::crypto::poly1305::plain_tag;

    #[test]
    fn random_texts_have_the_tags_that_the_plain_code_gives() {
        if !is_x86_feature_detected!("avx512ifma") {
            assert_eq!(
                tag(&[1; 32], &[1; TEXT_BYTES_MIN]),
                None,
                "then the plain code is used, and tested elsewhere"
            );
            return;
        }
        let mut state = 7_u64;
        let mut random = iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        for round in 0..3000 {
            let key: [u8; 32] = std::array::from_fn(|_| random.next().unwrap_or(0));
            let mut text: Vec<u8> = random.by_ref().take(TEXT_BYTES_MIN + round).collect();
            // Long runs of ones make carries that go all the way.
            let ones = round * 7 % text.len();
            text[ones..].iter_mut().take(round / 2).for_each(|byte| *byte = 0xff);
            assert_eq!(tag(&key, &text), Some(plain_tag(&key, &text)), "round {round}");
        }
        assert_eq!(tag(&[1; 32], &[1; TEXT_BYTES_MIN - 1]), None);
    }

    #[test]
    fn numbers_from_the_modulus_on_are_reduced() {
        let top = BITS_42 << 24;
        let modulus_low = u128::MAX - 4;
        for (limbs, reduced) in [
            ([BITS_44 - 5, BITS_44, BITS_42], modulus_low - 1),
            ([BITS_44 - 4, BITS_44, BITS_42], 0),
            ([BITS_44 - 3, BITS_44, BITS_42], 1),
            ([BITS_44, BITS_44, BITS_42], 4),
            ([0, 0, BITS_42 + 1], 5),
            ([0, BITS_44 + 1, BITS_42], 5),
            ([3, 0, BITS_42 - 3], (u128::from(top) - (3 << 24)) << 64 | 3),
        ] {
            assert_eq!(reduce(limbs), reduced, "{limbs:?}");
        }
    }
}
