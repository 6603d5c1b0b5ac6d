//! Cuts are restic's, whichever way they are searched and however the bytes arrive.

mod restic_vectors;

use proptest::prelude::*;

use super::tables::WINDOW_BYTES;
use super::*;
use crate::id::Id;
use restic_vectors::{POLYNOMIAL, Vector, ZEROS_CHUNK, vectors};

const MEBIBYTE: usize = 1024 * 1024;
const SEARCHES: [Search; 3] = [Search::Plain, Search::Lanes, Search::Vector];

/// SplitMix64, little-endian.
fn splitmix(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn irreducible(seed: u64) -> Polynomial {
    let mut bytes = splitmix(seed, 8 * 10_000).into_iter();
    Polynomial::random(|slice| {
        slice.fill_with(|| bytes.next().unwrap());
        Ok(())
    })
    .unwrap()
}

/// restic's chunker as it is written: a ring of 64 bytes that starts with a one, and division instead of tables.
fn restic_lengths(polynomial: Polynomial, content: &[u8]) -> Vec<usize> {
    let append = |digest: u64, byte: u8| polynomial.reduce(digest << 8 | u64::from(byte));
    let leave: Vec<u64> =
        (0..=255u8).map(|byte| (1..64).fold(append(0, byte), |h, _| append(h, 0))).collect();
    let (mut lengths, mut start) = (Vec::new(), 0);
    while start < content.len() {
        let mut window = [0u8; WINDOW_BYTES];
        window[0] = 1;
        let (mut digest, mut at) = (append(0, 1), 1);
        let mut length = CHUNK_SIZE_BYTES_MIN - WINDOW_BYTES;
        for &byte in content[start..].iter().skip(CHUNK_SIZE_BYTES_MIN - WINDOW_BYTES) {
            let oldest = std::mem::replace(&mut window[at], byte);
            at = (at + 1) % WINDOW_BYTES;
            digest = append(digest ^ leave[usize::from(oldest)], byte);
            length += 1;
            let splits = digest & ((1 << 20) - 1) == 0 && length >= CHUNK_SIZE_BYTES_MIN;
            if splits || length == CHUNK_SIZE_BYTES_MAX {
                break;
            }
        }
        length = length.min(content.len() - start);
        lengths.push(length);
        start += length;
    }
    lengths
}

/// The chunk lengths of a file that is read in pieces of the given lengths, over and over.
fn lengths(tables: &ChunkTables, content: &[u8], reads: &[usize]) -> Vec<usize> {
    let mut cutter = Cutter::new(tables);
    let (mut lengths, mut start, mut read) = (Vec::new(), 0, 0);
    for piece in reads.iter().cycle() {
        read = (read + piece).min(content.len());
        while let Some(length) = cutter.find_cut(&content[start..read]) {
            lengths.push(length);
            start += length;
        }
        if read == content.len() {
            break;
        }
    }
    lengths.extend((start < read).then(|| read - start));
    lengths
}

#[test]
fn chunks_are_those_that_restic_stored() {
    let zeros = Vector { name: "zeros", content: vec![0; 20 * MEBIBYTE], chunks: &[ZEROS_CHUNK; 40] };
    let polynomial = POLYNOMIAL.parse().unwrap();
    for search in SEARCHES {
        let tables = ChunkTables::with_search(polynomial, search);
        for Vector { name, content, chunks } in vectors().iter().chain([&zeros]) {
            let mut rest = content.as_slice();
            let found: Vec<_> = lengths(&tables, content, &[MEBIBYTE])
                .into_iter()
                .map(|length| {
                    let chunk = rest.split_off(..length).unwrap();
                    (length, Id::of(chunk).to_hex())
                })
                .collect();
            let expected: Vec<_> = chunks.iter().map(|&(length, id)| (length, id.to_owned())).collect();
            assert_eq!(found, expected, "{search:?}: {name}");
            assert!(rest.is_empty());
        }
    }
}

#[test]
fn chunks_at_the_edges_of_the_lengths_are_those_of_restic() {
    const MIN: usize = CHUNK_SIZE_BYTES_MIN;
    const MAX: usize = CHUNK_SIZE_BYTES_MAX;
    let polynomial = POLYNOMIAL.parse().unwrap();
    for length in [0, 1, 63, 64, 65, MIN - 64, MIN - 1, MIN, MIN + 1, 2 * MIN, MAX - 1, MAX, MAX + 1] {
        for byte in [0, 0xff] {
            let content = vec![byte; length];
            let expected = restic_lengths(polynomial, &content);
            for search in SEARCHES {
                let tables = ChunkTables::with_search(polynomial, search);
                let found = lengths(&tables, &content, &[700_001]);
                assert_eq!(found, expected, "{search:?}: {length} bytes of {byte}");
            }
        }
    }
}

#[test]
fn polynomials_of_every_degree_cut_as_restic_does() {
    for degree in [8, 9, 16, 20, 21, 33, 48, 52, 53] {
        let value = (1u64 << degree..).find(|&value| is_irreducible(value)).unwrap();
        let polynomial = Polynomial::new(value).unwrap();
        assert_eq!(polynomial.degree(), degree);
        let content = splitmix(value, 2 * MEBIBYTE);
        let expected = restic_lengths(polynomial, &content);
        for search in SEARCHES {
            let tables = ChunkTables::with_search(polynomial, search);
            assert_eq!(lengths(&tables, &content, &[300_000]), expected, "{search:?}: {value:x}");
        }
    }
}

#[test]
fn a_cutter_that_is_reset_forgets_the_file_before() {
    let tables = ChunkTables::new(POLYNOMIAL.parse().unwrap());
    let content = vec![0; CHUNK_SIZE_BYTES_MIN];
    let mut cutter = Cutter::new(&tables);
    assert_eq!(cutter.find_cut(&vec![0xff; 2 * MEBIBYTE]), None);
    cutter.reset();
    assert_eq!(cutter.find_cut(&content), Some(CHUNK_SIZE_BYTES_MIN));
}

/// Content with few splits, many splits, and splits in some places only.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = (any::<u64>(), 1usize..400_000, prop::sample::select(vec![0u8, 1, 7, 0xff]));
    prop::collection::vec(piece, 1..12).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(seed, length, mask)| splitmix(seed, length).into_iter().map(move |byte| byte & mask))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cuts_are_those_of_restic_however_the_file_is_read(
        seed: u64,
        content in content(),
        reads in prop::collection::vec(1usize..600_000, 1..8),
    ) {
        let polynomial = irreducible(seed);
        let expected = restic_lengths(polynomial, &content);
        for search in SEARCHES {
            let tables = ChunkTables::with_search(polynomial, search);
            prop_assert_eq!(&lengths(&tables, &content, &reads), &expected, "{:?}", search);
        }
    }

    #[test]
    fn every_search_finds_the_same_split_in_any_span(
        seed: u64,
        content in content(),
        span in any::<(prop::sample::Index, prop::sample::Index)>(),
        coarse_bits in 3u32..20,
    ) {
        // A coarser mask than the format's, for splits in every lane and at every edge of a block.
        let mut tables = RollingTables::new(irreducible(seed));
        tables.split_mask = ((1 << coarse_bits) - 1) << tables.pad_bits;
        prop_assume!(content.len() > WINDOW_BYTES);
        let room = content.len() - WINDOW_BYTES;
        let (one, other) = (span.0.index(room + 1), span.1.index(room + 1));
        let lengths = WINDOW_BYTES + 1 + one.min(other)..WINDOW_BYTES + 1 + one.max(other);
        let expected = rabin::first_split(&tables, &content, lengths.clone());
        prop_assert_eq!(lanes::first_split(&tables, &content, lengths.clone()), expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(vectors) = vector::VectorTables::new(&tables) {
            prop_assert_eq!(vector::first_split(&vectors, &tables, &content, lengths), expected);
        }
    }
}
