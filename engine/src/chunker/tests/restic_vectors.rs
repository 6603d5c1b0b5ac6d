//! What restic 0.14 cut: the chunks of generated files in a repository that it made.
//!
//! The lengths and SHA-256 names were read back from that repository with `restic cat`.

use super::{CHUNK_SIZE_BYTES_MIN, MEBIBYTE, splitmix};

/// The repository's polynomial.
pub(super) const POLYNOMIAL: &str = "3baf6074148bc5";

/// One file.
pub(super) struct Vector {
    pub(super) name: &'static str,
    pub(super) content: Vec<u8>,
    /// Length and SHA-256 of each chunk.
    pub(super) chunks: &'static [(usize, &'static str)],
}

/// All files but the 20 MiB of zeros, which are 40 times [`ZEROS_CHUNK`].
pub(super) fn vectors() -> Vec<Vector> {
    vec![
        Vector {
            name: "random bytes",
            content: splitmix(23, 12 * MEBIBYTE),
            chunks: &[
                (6771309, "146ddd6fde9af0bed25d33844c1b0ce06a9f56991a3c7a9d0d828a0371886a54"),
                (783704, "d6b257b924fe0a7eaf85db9c1c84d43d6d02d51d43f3d9f483cb33bb5a1b8aa2"),
                (1020322, "eed427e0e9b3ac280ccbabd5241e9d7e7596f31464182885738f7cda90a4c68e"),
                (533701, "b8fc6b9a917b7039722e1daaa478e04568697d623a886b81ab5b6a275d5dac11"),
                (1388578, "96b850cfc401d55a4d10b7a2c38e82409fbba64b8d916f4bab9484ce2d016f55"),
                (1064065, "e64af6e6ac7a2e7394779a673dfaac40f7d283c57e58392f14589b2ea708edef"),
                (1021233, "51069ab69353e6230859b78ce99b66ecac5d54f42e6494b04d5f51690bff605d"),
            ],
        },
        Vector {
            name: "random bytes, an odd number",
            content: splitmix(24, 5 * MEBIBYTE + 12_345),
            chunks: &[
                (661251, "22951f73dfc9c759cce4a35457a5e5c100fb68be269fe8c9a6157e6e3d796dfe"),
                (1245089, "c4e1bd9b60a67691161aa0fe3f76db3e642d277191bf40d547eb14aaf415ae3e"),
                (1285602, "bd57c04adf78dba3603078b219240e06df73e8b1e5a9a3416cce6c04e0e5aacf"),
                (832879, "944b5e2a60dde8654dfd39f7358bba20385ad1a2f2e7cdf6d34c52518adbf518"),
                (1230404, "38b376466260d512e1fafba8854cb7a2ea20d9dfa6bd52a5a63fb9812f7a37a2"),
            ],
        },
        Vector {
            name: "16 values only",
            content: splitmix(25, 6 * MEBIBYTE).iter().map(|byte| byte & 15).collect(),
            chunks: &[
                (729096, "495473693d2d3c4bd4798370bf1cea14de9df6cafd0c8cf299b863ee3aefba75"),
                (2631314, "aef041f35e8945fce129ab3b8a0bf978c921bfc113a06746c6c8e621bda6da44"),
                (1380047, "af38d230d6419277d8f0f921edf564f0bdd91b530d70e69da62e2b0ce40d9e4e"),
                (1084264, "69b78cc70b70adb81b149aab3e17765bf42fae78423c34dcc55dbfcfd5b31db5"),
                (466735, "20a566099e347f6c52b591725a0d53b7a8602c02cd2dcc1e749084274419d514"),
            ],
        },
        Vector {
            name: "no split at all",
            content: vec![0xff; 9 * MEBIBYTE],
            chunks: &[
                (8388608, "9f9b02f5ee6cbef5e018c1ee424095fc21a842ea6968c0d36114b5930dab2ba1"),
                (1048576, "f5fb04aa5b882706b9309e885f19477261336ef76a150c3b4d3489dfac3953ec"),
            ],
        },
        Vector {
            name: "251 bytes repeated",
            content: splitmix(26, 251).into_iter().cycle().take(10 * MEBIBYTE).collect(),
            chunks: &[
                (8388608, "e755fcfd9808de971567a940ea7c70ef2e5ee02cbaac2e503e6168598d110baf"),
                (2097152, "306c5f8da35b3ef3918e58ce0ab3da3bbf54f945340b3868299e4c1b50a78f05"),
            ],
        },
        Vector {
            name: "zeros, one more than the shortest chunk",
            content: vec![0; CHUNK_SIZE_BYTES_MIN + 1],
            chunks: &[
                (524288, "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541"),
                (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            ],
        },
        Vector {
            name: "one less than the shortest chunk",
            content: splitmix(23, CHUNK_SIZE_BYTES_MIN - 1),
            chunks: &[(524287, "40ff41e62d93f26554341752163c61202e7b81f822eb43d988b9368b5868c731")],
        },
        Vector {
            name: "the shortest chunk",
            content: splitmix(23, CHUNK_SIZE_BYTES_MIN),
            chunks: &[(524288, "923f2d2e96e7431298a4be093c228b9bbcc90e49f200dd92aea52c990705694a")],
        },
        Vector {
            name: "one more than the shortest chunk",
            content: splitmix(23, CHUNK_SIZE_BYTES_MIN + 1),
            chunks: &[(524289, "aef526b1401e5bcf66dc384d5ccda03de075948f9435e0871f906311be58d8d4")],
        },
        Vector {
            name: "one byte",
            content: vec![1],
            chunks: &[(1, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a")],
        },
    ]
}

/// Every chunk of a file of zeros.
pub(super) const ZEROS_CHUNK: (usize, &str) =
    (524288, "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541");
