//! Which packs to read when not all are: by restic's three spellings.
//!
//! `2/5` is the second of five parts, the same packs each time, so that five runs read all;
//! `3.5%` and `10G` are a random choice of that share or size.

use std::str::FromStr;

use super::pack_table::StoredPack;
use crate::crypto;
use crate::error::Result;

/// Parts are told apart by the first byte of a pack's id (restic: `selectPacksByBucket`).
const PARTS_MAX: u32 = 256;

/// Some of a repository's packs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PackSubset {
    /// One part of several, by the first byte of the pack's id.
    Part {
        /// Which, from 1.
        number: u32,
        /// Of how many, at most 256.
        of: u32,
    },
    /// So many percent of the packs, more than 0 and at most 100.
    Percent(f64),
    /// Packs of some so many bytes.
    Bytes(u64),
}

/// The text is no subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no part (like 1/5, of at most 256), percentage (like 2.5%) or size (like 500M)")]
pub struct ParsePackSubsetError {
    text: String,
}

impl FromStr for PackSubset {
    type Err = ParsePackSubsetError;

    fn from_str(text: &str) -> Result<Self, ParsePackSubsetError> {
        parse(text).ok_or_else(|| ParsePackSubsetError { text: text.into() })
    }
}

fn parse(text: &str) -> Option<PackSubset> {
    if let Some((number, of)) = text.split_once('/') {
        let (number, of): (u32, u32) = (number.parse().ok()?, of.parse().ok()?);
        return ((1..=PARTS_MAX).contains(&of) && (1..=of).contains(&number))
            .then_some(PackSubset::Part { number, of });
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(PackSubset::Percent(percent));
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (bytes > 0).then_some(PackSubset::Bytes(bytes))
}

impl PackSubset {
    /// Leaves the chosen packs. The same `seed` chooses the same ones of the same packs.
    pub(super) fn retain(self, packs: &mut Vec<StoredPack>, seed: Option<u64>) -> Result<()> {
        let share = match self {
            Self::Part { number, of } => {
                packs.retain(|pack| u32::from(pack.id.0[0]) % of == number - 1);
                return Ok(());
            }
            Self::Percent(percent) => percent / 100.0,
            Self::Bytes(bytes) => {
                let all: u64 = packs.iter().map(|pack| pack.stored_bytes).sum();
                if bytes >= all { 1.0 } else { bytes as f64 / all as f64 }
            }
        };
        // At least one, or small repositories would never be read (restic: `selectRandomPacksByPercentage`).
        let count = ((packs.len() as f64 * share) as usize).max(1);
        let mut random = Random(match seed {
            Some(seed) => seed,
            None => {
                let mut bytes = [0; 8];
                crypto::fill_random(&mut bytes)?;
                u64::from_le_bytes(bytes)
            }
        });
        for chosen in 0..count.min(packs.len()) {
            let among = (packs.len() - chosen) as u64;
            packs.swap(chosen, chosen + (random.next() % among) as usize);
        }
        packs.truncate(count);
        Ok(())
    }
}

/// Vigna's SplitMix64: enough to choose packs by.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::check::pack_table::EntrySums;
    use crate::id::Id;

    fn packs(count: u32) -> Vec<StoredPack> {
        let pack = |n: u32| StoredPack {
            id: Id::of(&n.to_le_bytes()),
            sums: EntrySums::default(),
            index: Id([0; 32]),
            stored_bytes: 100,
        };
        (0..count).map(pack).collect()
    }

    fn chosen(subset: PackSubset, count: u32, seed: u64) -> HashSet<Id> {
        let mut packs = packs(count);
        subset.retain(&mut packs, Some(seed)).unwrap();
        let ids: HashSet<Id> = packs.iter().map(|pack| pack.id).collect();
        assert_eq!(ids.len(), packs.len(), "no pack is chosen twice");
        ids
    }

    #[test]
    fn subsets_are_spelled_as_restic_spells_them() {
        for (text, expected) in [
            ("1/5", Some(PackSubset::Part { number: 1, of: 5 })),
            ("256/256", Some(PackSubset::Part { number: 256, of: 256 })),
            ("0/5", None),
            ("6/5", None),
            ("1/257", None),
            ("1/0", None),
            ("-1/5", None),
            ("2.5%", Some(PackSubset::Percent(2.5))),
            ("100%", Some(PackSubset::Percent(100.0))),
            ("0%", None),
            ("101%", None),
            ("NaN%", None),
            ("%", None),
            ("500", Some(PackSubset::Bytes(500))),
            ("10K", Some(PackSubset::Bytes(10 << 10))),
            ("3g", Some(PackSubset::Bytes(3 << 30))),
            ("0", None),
            ("99999999999T", None),
            ("10X", None),
            ("€", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn all_parts_together_are_all_packs_each_once() {
        for of in [1, 2, 5, 256] {
            let parts: Vec<Id> =
                (1..=of).flat_map(|number| chosen(PackSubset::Part { number, of }, 1000, 0)).collect();
            assert_eq!(parts.len(), 1000, "of {of}");
            assert_eq!(parts.iter().collect::<HashSet<_>>().len(), 1000, "of {of}");
        }
    }

    #[test]
    fn random_choices_have_their_size_and_follow_the_seed() {
        for (subset, count) in [
            (PackSubset::Percent(10.0), 100),
            (PackSubset::Percent(0.001), 1),
            (PackSubset::Percent(100.0), 1000),
            (PackSubset::Bytes(5000), 50),
            (PackSubset::Bytes(1), 1),
            (PackSubset::Bytes(u64::MAX), 1000),
        ] {
            let first = chosen(subset, 1000, 7);
            assert_eq!(first.len(), count, "{subset:?}");
            assert_eq!(first, chosen(subset, 1000, 7));
            if count == 100 {
                assert_ne!(first, chosen(subset, 1000, 8));
            }
            assert!(chosen(subset, 0, 7).is_empty());
        }
    }
}
