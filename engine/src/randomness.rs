//! Whether bytes look random, as those of encrypted and of well-compressed files do: then compressing them is in vain.
//!
//! Sixty-four samples spread over the bytes are taken together, and how often each value occurs in them is compared with what
//! chance gives (Pearson's chi-squared). Text, tables, programs and pictures are far from it, and so is
//! a chunk of which a thirtieth is text. So is what repeats within some ten KiB, for its values come again with it. What is
//! taken for random though zstd could shorten it is what looks random and comes twice farther apart than that within one
//! chunk, as the same archive twice in an image; it takes space, no more.

/// Shorter bytes are compressed before this would be known of them.
const BYTES_MIN: usize = 512 << 10;
const SAMPLES: usize = 64;
const SAMPLE_BYTES: usize = 512;
const VALUES: usize = 256;
/// Chance gives 255 with a standard deviation of 23 (255 degrees of freedom); four of them either way.
const CHANCE: std::ops::Range<u64> = 165..350;

/// False for most of what could be compressed, and for all that is short.
pub fn looks_random(bytes: &[u8]) -> bool {
    if bytes.len() < BYTES_MIN {
        return false;
    }
    let stride = (bytes.len() - SAMPLE_BYTES) / (SAMPLES - 1);
    let mut counts = [0_u64; VALUES];
    for sample in 0..SAMPLES {
        for &byte in &bytes[sample * stride..][..SAMPLE_BYTES] {
            counts[usize::from(byte)] += 1;
        }
    }
    let total = (SAMPLES * SAMPLE_BYTES) as u64;
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    CHANCE.contains(&(squares * VALUES as u64 / total - total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::fill_random;

    fn random(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fill_random(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_could_be_compressed_does_not_look_random() {
        let length = 1 << 20;
        let text = b"2026-11-25T17:18:48 INFO request served in 13 ms by worker 7\n".repeat(1 << 15);
        let mixed = |share: usize| {
            let mut bytes = random(length);
            bytes[length / 3..][..length / share].copy_from_slice(&text[..length / share]);
            bytes
        };
        let numbers: Vec<u8> =
            (0..length as u32 / 8).flat_map(|n| f64::from(n).sqrt().to_le_bytes()).collect();
        let counting: Vec<u8> = (0..length).map(|n| n as u8).collect();
        for (what, bytes) in [
            ("text", text[..length].to_vec()),
            ("zeros", vec![0; length]),
            ("a thirtieth of text", mixed(30)),
            ("half text", mixed(2)),
            ("floating-point numbers", numbers),
            ("all values equally often", counting),
            ("a random block over and over", random(8 << 10).repeat(length >> 13)),
            ("too short", random(BYTES_MIN - 1)),
        ] {
            assert!(!looks_random(&bytes), "{what}");
        }
    }

    #[test]
    fn random_bytes_look_random() {
        // Chance misses one in some thousands.
        let found = (0..200).filter(|n| looks_random(&random(BYTES_MIN + n * 1001))).count();
        assert!(found >= 195, "{found} of 200");
    }
}
