//! What a polynomial's digests are computed from, once for each repository.
//!
//! A digest `H` is the last 64 bytes, read as a polynomial, modulo the repository's. Here it is kept shifted
//! left until its highest coefficient is bit 63 (by [`RollingTables::pad_bits`]): the 8 bits that a step pushes
//! out are then the top byte, `<< 8` drops them by itself, and an index taken with `>> 56` needs no bounds check.
//! Modulo the polynomial all is linear, so one step is
//! `H' = (H << 8) + reduce[H >> 56] + leave[oldest byte] + newest byte`, and only `reduce` waits for `H`.

use super::polynomial::Polynomial;

/// Bytes that a digest covers.
pub(super) const WINDOW_BYTES: usize = 64;

/// A chunk may end where this many low bits of the digest are zero: once in a mebibyte of random data.
const SPLIT_BITS: u32 = 20;

/// The two tables of the rolling digest.
pub(super) struct RollingTables {
    /// `b * x^degree` modulo the polynomial, shifted: what a byte pushed out at the top leaves behind.
    pub(super) reduce: [u64; 256],
    /// `b * x^512` modulo the polynomial, shifted: cancels the byte that came 64 steps before.
    pub(super) leave: [u64; 256],
    /// How far digests are shifted left, 11 for a polynomial of degree 53.
    pub(super) pad_bits: u32,
    /// The bits of a shifted digest that are zero where a chunk may end. Polynomials of less than 20
    /// coefficients have fewer, as the digest has no more.
    pub(super) split_mask: u64,
}

impl RollingTables {
    pub(super) fn new(polynomial: Polynomial) -> Self {
        let degree = polynomial.degree();
        let pad_bits = u64::BITS - degree;
        let append = |digest: u64, byte: u64| polynomial.reduce(digest << 8 | byte);
        let mut reduce = [0u64; 256];
        let mut leave = [0u64; 256];
        for byte in 0..=255u8 {
            let index = usize::from(byte);
            reduce[index] = polynomial.reduce(u64::from(byte) << degree) << pad_bits;
            let alone = append(0, u64::from(byte));
            leave[index] = (0..WINDOW_BYTES).fold(alone, |digest, _| append(digest, 0)) << pad_bits;
        }
        Self { reduce, leave, pad_bits, split_mask: ((1 << SPLIT_BITS) - 1) << pad_bits }
    }

    /// The digest after `newest` came; `oldest` came 64 steps before it.
    #[inline(always)]
    pub(super) fn roll(&self, digest: u64, newest: u8, oldest: u8) -> u64 {
        let ready_early = self.leave[usize::from(oldest)] ^ (u64::from(newest) << self.pad_bits);
        (digest << 8) ^ ready_early ^ self.reduce[(digest >> 56) as usize]
    }

    /// The digest after `newest` came and nothing left the window.
    #[inline(always)]
    pub(super) fn append(&self, digest: u64, newest: u8) -> u64 {
        (digest << 8) ^ self.reduce[(digest >> 56) as usize] ^ (u64::from(newest) << self.pad_bits)
    }

    /// Whether a chunk may end where the digest is `digest`.
    #[inline(always)]
    pub(super) fn splits(&self, digest: u64) -> bool {
        digest & self.split_mask == 0
    }

    /// The digest of one whole window.
    pub(super) fn digest(&self, window: &[u8]) -> u64 {
        window.iter().fold(0, |digest, &byte| self.append(digest, byte))
    }
}
