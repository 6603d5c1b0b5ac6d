//! Poly1305 of a text under a one-time key (RFC 8439, 2.5).
//!
//! The `poly1305` crate does it; long texts go eight blocks at a time where the processor multiplies integers of 52 bits
//! (`ifma`).

#[cfg(target_arch = "x86_64")]
mod ifma;

use ::poly1305::Poly1305;
use ::poly1305::universal_hash::{KeyInit, UniversalHash};

/// What the crate's vector code takes at once.
const GROUP_BYTES: usize = 4 * 16;

/// The tag of `text` under a key that no other text has: `r`, not clamped yet, and `s`.
pub(super) fn tag(one_time: &[u8; 32], text: &[u8]) -> [u8; 16] {
    #[cfg(target_arch = "x86_64")]
    if let Some(tag) = ifma::tag(one_time, text) {
        return tag;
    }
    plain_tag(one_time, text)
}

fn plain_tag(one_time: &[u8; 32], text: &[u8]) -> [u8; 16] {
    let mut poly = Poly1305::new(one_time.into());
    // Whole groups go four blocks at a time; `compute_unpadded` alone takes them one by one.
    let (groups, rest) = text.split_at(text.len() - text.len() % GROUP_BYTES);
    poly.update(::poly1305::Block::slice_as_chunks(groups).0);
    poly.compute_unpadded(rest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_same_however_the_blocks_are_grouped() {
        let text: Vec<u8> = (0..2400_u32).map(|i| (i * 37 % 251) as u8).collect();
        let ones = [0xff; 2400];
        let keys: [[u8; 32]; 4] = [
            std::array::from_fn(|i| i as u8),
            [0xff; 32],
            [0; 32],
            std::array::from_fn(|i| (i * 91 + 7) as u8),
        ];
        for key in keys {
            for length in 0..text.len() {
                for text in [&text[..length], &ones[..length], &[0; 2400][..length]] {
                    let one_by_one: [u8; 16] = Poly1305::new(&key.into()).compute_unpadded(text).into();
                    assert_eq!(plain_tag(&key, text), one_by_one, "{length} bytes");
                    assert_eq!(tag(&key, text), one_by_one, "{length} bytes");
                }
            }
        }
    }
}
