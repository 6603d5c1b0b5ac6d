//! Bytes that are the same on every run.

use std::io::{self, Write};
use std::path::Path;

/// A small generator (splitmix64): its output depends on the seed alone.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// Writes a file of `length` incompressible bytes, a piece at a time.
pub fn write_file(path: &Path, length: u64, seed: u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut random = Random(seed);
    let mut file = io::BufWriter::new(std::fs::File::create(path)?);
    let mut left = length;
    while left > 0 {
        let piece = left.min(PIECE);
        file.write_all(&random.bytes(piece as usize))?;
        left -= piece;
    }
    file.flush()
}

/// The seed of a random test: from `KEEPWELL_TEST_SEED`, or a new one, which is said.
pub fn seed() -> u64 {
    let given = std::env::var("KEEPWELL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |elapsed| elapsed.as_nanos() as u64) ^ u64::from(std::process::id())
    });
    crate::programs::say(&format!("KEEPWELL_TEST_SEED={seed}"));
    seed
}
