//! SHA-256 of several texts at once.
//!
//! One digest waits for itself: each of its rounds needs the one before, and leaves half of a core's SHA unit idle. Two
//! digests side by side take hardly longer than one. [`update_all`] spreads any number of texts over two lanes; where the
//! processor has no SHA instructions, and for what is left alone at the end, the `sha2` crate goes on.

#[cfg(target_arch = "x86_64")]
mod pair;

use sha2::block_api::compress256;

use crate::id::Id;

const BLOCK_BYTES: usize = 64;
type Block = [u8; BLOCK_BYTES];

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A digest in progress.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// What came after the last whole block.
    tail: Block,
    length_bytes: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self { state: INITIAL, tail: [0; BLOCK_BYTES], length_bytes: 0 }
    }
}

impl Sha256 {
    /// The digest of nothing, so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to the text.
    pub fn update(&mut self, bytes: &[u8]) {
        let blocks = self.take_ends(bytes);
        compress256(&mut self.state, blocks);
    }

    /// The digest of all that came.
    pub fn finish(mut self) -> Id {
        let used = self.tail_bytes();
        let bits = (self.length_bytes * 8).to_be_bytes();
        let mut padding = [[0; BLOCK_BYTES]; 2];
        padding[0][..used].copy_from_slice(&self.tail[..used]);
        padding[0][used] = 0x80;
        let last = usize::from(used + 1 + bits.len() > BLOCK_BYTES);
        padding[last][BLOCK_BYTES - bits.len()..].copy_from_slice(&bits);
        compress256(&mut self.state, &padding[..=last]);
        let mut id = Id([0; 32]);
        for (bytes, word) in id.0.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        id
    }

    fn tail_bytes(&self) -> usize {
        (self.length_bytes % BLOCK_BYTES as u64) as usize
    }

    /// Takes `bytes` in, but for the whole blocks in their middle, which are returned: they are to be compressed next.
    fn take_ends<'a>(&mut self, bytes: &'a [u8]) -> &'a [Block] {
        let used = self.tail_bytes();
        self.length_bytes += bytes.len() as u64;
        let mut rest = bytes;
        if used > 0 {
            let (first, after) = bytes.split_at(bytes.len().min(BLOCK_BYTES - used));
            self.tail[used..used + first.len()].copy_from_slice(first);
            if used + first.len() < BLOCK_BYTES {
                return &[];
            }
            compress256(&mut self.state, &[self.tail]);
            rest = after;
        }
        let (blocks, rest) = rest.as_chunks();
        self.tail[..rest.len()].copy_from_slice(rest);
        blocks
    }
}

/// A digest and what is left to compress for it.
struct Lane<'a> {
    state: &'a mut [u32; 8],
    blocks: &'a [Block],
}

/// Appends to each digest its text, two at a time.
pub fn update_all<'a>(texts: impl IntoIterator<Item = (&'a mut Sha256, &'a [u8])>) {
    let take = |(digest, bytes): (&'a mut Sha256, &'a [u8])| {
        let blocks = digest.take_ends(bytes);
        Lane { state: &mut digest.state, blocks }
    };
    let mut waiting: Vec<Lane<'a>> = texts.into_iter().map(take).collect();
    // The longest come first, so that both lanes end at about the same time.
    waiting.sort_unstable_by_key(|lane| lane.blocks.len());
    let Some(mut one) = waiting.pop() else { return };
    while let Some(mut other) = waiting.pop() {
        while !one.blocks.is_empty() && !other.blocks.is_empty() {
            compress_both(&mut one, &mut other);
            if other.blocks.is_empty()
                && let Some(next) = waiting.pop()
            {
                other = next;
            }
        }
        if one.blocks.is_empty() {
            one = other;
        }
    }
    compress256(one.state, one.blocks);
}

/// As far as the shorter of both goes.
fn compress_both(one: &mut Lane<'_>, other: &mut Lane<'_>) {
    let count = one.blocks.len().min(other.blocks.len());
    let (ours, theirs);
    (ours, one.blocks) = one.blocks.split_at(count);
    (theirs, other.blocks) = other.blocks.split_at(count);
    #[cfg(target_arch = "x86_64")]
    if pair::compress(one.state, ours, other.state, theirs) {
        return;
    }
    compress256(one.state, ours);
    compress256(other.state, theirs);
}

/// The names of texts, in their order. `beside` goes on meanwhile.
pub fn ids_of(texts: &[&[u8]], beside: Option<(&mut Sha256, &[u8])>) -> Vec<Id> {
    let mut digests = vec![Sha256::new(); texts.len()];
    update_all(digests.iter_mut().zip(texts.iter().copied()).chain(beside));
    digests.into_iter().map(Sha256::finish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 + seed * 17 + at / 256) as u8).collect()
    }

    #[test]
    fn every_length_around_a_block_has_the_digest_of_the_crate() {
        for length in 0..=260 {
            let text = text(length, length);
            for cut in [0, 1, 55, 56, 63, 64, 65, length] {
                let (first, rest) = text.split_at(cut.min(length));
                let mut digest = Sha256::new();
                digest.update(first);
                digest.update(rest);
                assert_eq!(digest.finish(), Id::of(&text), "{length} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn several_at_once_are_as_one_by_one() {
        let sizes: [&[usize]; 8] = [
            &[],
            &[0],
            &[1000],
            &[0, 0, 0],
            &[64, 6400],
            &[100_000, 1, 64, 65, 100_001, 0, 5000],
            &[300, 300, 300, 300, 300],
            &[63, 64, 65, 127, 128, 129, 10_000],
        ];
        for lengths in sizes {
            let texts: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(n, &length)| text(n, length)).collect();
            let views: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let expected: Vec<Id> = texts.iter().map(|text| Id::of(text)).collect();
            assert_eq!(ids_of(&views, None), expected, "{lengths:?}");
        }
    }

    #[test]
    fn digests_go_on_side_by_side_from_wherever_they_are() {
        let (long, short) = (text(1, 5000), text(2, 3000));
        for cut in [0, 1, 63, 64, 100, 2000] {
            let (mut one, mut other) = (Sha256::new(), Sha256::new());
            one.update(&long[..cut]);
            other.update(&short[..cut / 2]);
            update_all([(&mut one, &long[cut..]), (&mut other, &short[cut / 2..])]);
            assert_eq!([one.finish(), other.finish()], [Id::of(&long), Id::of(&short)], "cut at {cut}");
        }
    }
}
