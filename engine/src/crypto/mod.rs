//! Sealing and opening: AES-256 in counter mode, authenticated by Poly1305-AES,
//! laid out as `nonce (16) || ciphertext || MAC (16)`.
//!
//! Source: restic's doc/design.rst, "Keys, Encryption and MAC". Nothing is
//! decrypted before its MAC was compared, in constant time.

mod poly1305;

use std::cell::RefCell;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use aes::{Aes128, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ctr::Ctr128BE;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

/// Bytes before the ciphertext.
pub const NONCE_BYTES: usize = 16;
/// Bytes after the ciphertext.
pub const MAC_BYTES: usize = 16;
/// How much longer a sealed text is than what it seals.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + MAC_BYTES;

/// The keys of one repository, or those derived from one password.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealingKey {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
}

/// The MAC does not match: wrong key, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content does not match its authentication code")]
pub struct Unauthenticated;

impl SealingKey {
    /// Fresh random keys for a new repository.
    pub fn random() -> Result<Self> {
        let mut bytes = [0u8; 64];
        fill_random(&mut bytes)?;
        let key = Self::from_bytes(&bytes);
        bytes.zeroize();
        Ok(key)
    }

    /// Splits 64 bytes as scrypt gives them: 32 for AES-256, 16 for the MAC's AES key `k`, 16 for its `r`.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut key = Self { encrypt: [0; 32], mac_k: [0; 16], mac_r: [0; 16] };
        key.encrypt.copy_from_slice(&bytes[..32]);
        key.mac_k.copy_from_slice(&bytes[32..48]);
        key.mac_r.copy_from_slice(&bytes[48..]);
        key
    }

    /// Seals `buffer[NONCE_BYTES..]` where it stands: the caller leaves room for
    /// the nonce at the front, the MAC is appended.
    pub fn seal_in_place(&self, buffer: &mut Vec<u8>) -> Result<()> {
        let (nonce, text) = buffer.split_at_mut(NONCE_BYTES);
        fill_random(nonce)?;
        self.keystream(nonce).apply_keystream(text);
        let mac = self.mac(nonce, text);
        buffer.extend_from_slice(&mac);
        Ok(())
    }

    /// Seals a copy of `plaintext`.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(plaintext.len() + OVERHEAD_BYTES);
        buffer.resize(NONCE_BYTES, 0);
        buffer.extend_from_slice(plaintext);
        self.seal_in_place(&mut buffer)?;
        Ok(buffer)
    }

    /// Opens `sealed` where it stands and returns the plaintext within it.
    pub fn open_in_place<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a mut [u8], Unauthenticated> {
        if sealed.len() < OVERHEAD_BYTES {
            return Err(Unauthenticated);
        }
        let (nonce, rest) = sealed.split_at_mut(NONCE_BYTES);
        let (text, mac) = rest.split_at_mut(rest.len() - MAC_BYTES);
        if !equal_in_constant_time(&self.mac(nonce, text), mac) {
            return Err(Unauthenticated);
        }
        self.keystream(nonce).apply_keystream(text);
        Ok(text)
    }

    /// Opens `sealed` into `text`, which has to have the length of the plaintext: [`OVERHEAD_BYTES`] less.
    pub fn open_to(&self, sealed: &[u8], text: &mut [u8]) -> Result<(), Unauthenticated> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unauthenticated)?;
        let (sealed_text, mac) = rest.split_last_chunk::<MAC_BYTES>().ok_or(Unauthenticated)?;
        if !equal_in_constant_time(&self.mac(nonce, sealed_text), mac) {
            return Err(Unauthenticated);
        }
        self.keystream(nonce).apply_keystream_b2b(sealed_text, text);
        Ok(())
    }

    /// Opens a copy of `sealed`.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Unauthenticated> {
        let length = sealed.len().checked_sub(OVERHEAD_BYTES).ok_or(Unauthenticated)?;
        let mut text = vec![0; length];
        self.open_to(sealed, &mut text)?;
        Ok(text)
    }

    fn keystream(&self, nonce: &[u8]) -> Ctr128BE<Aes256> {
        let mut nonce_block = [0u8; NONCE_BYTES];
        nonce_block.copy_from_slice(nonce);
        Ctr128BE::<Aes256>::new(&self.encrypt.into(), &nonce_block.into())
    }

    /// Poly1305-AES: the one-time key is `r || AES-128(k, nonce)`. `r` is clamped there.
    fn mac(&self, nonce: &[u8], ciphertext: &[u8]) -> [u8; MAC_BYTES] {
        let mut block = [0u8; 16];
        block.copy_from_slice(nonce);
        let mut pad: Array<u8, _> = block.into();
        Aes128::new(&self.mac_k.into()).encrypt_block(&mut pad);
        let mut one_time = [0u8; 32];
        one_time[..16].copy_from_slice(&self.mac_r);
        one_time[16..].copy_from_slice(&pad);
        let mac = poly1305::tag(&one_time, ciphertext);
        one_time.zeroize();
        mac
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// How a repository's keys are written inside a key file (restic: `internal/crypto`).
#[derive(Serialize, Deserialize)]
struct KeyJson {
    mac: MacJson,
    encrypt: String,
}

#[derive(Serialize, Deserialize)]
struct MacJson {
    k: String,
    r: String,
}

impl SealingKey {
    /// The JSON that a key file seals.
    pub fn to_json(&self) -> Vec<u8> {
        let json = KeyJson {
            mac: MacJson { k: BASE64.encode(self.mac_k), r: BASE64.encode(self.mac_r) },
            encrypt: BASE64.encode(self.encrypt),
        };
        serde_json::to_vec(&json).expect("three strings always serialise")
    }

    /// Reads [`SealingKey::to_json`]; `None` if a part is missing or of a wrong size, or if all is zero.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let json: KeyJson = serde_json::from_slice(json).ok()?;
        let key = Self {
            encrypt: BASE64.decode(json.encrypt).ok()?.try_into().ok()?,
            mac_k: BASE64.decode(json.mac.k).ok()?.try_into().ok()?,
            mac_r: BASE64.decode(json.mac.r).ok()?.try_into().ok()?,
        };
        let all_zero = key.encrypt == [0; 32] || key.mac_k == [0; 16] || key.mac_r == [0; 16];
        (!all_zero).then_some(key)
    }
}

fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// Bytes of the system's randomness kept per thread, so that a blob costs no system call.
const RANDOM_POOL_BYTES: usize = 4096;

struct RandomPool {
    bytes: [u8; RANDOM_POOL_BYTES],
    used: usize,
}

thread_local! {
    static RANDOM_POOL: RefCell<RandomPool> =
        const { RefCell::new(RandomPool { bytes: [0; RANDOM_POOL_BYTES], used: RANDOM_POOL_BYTES }) };
}

/// Fills `target` with randomness of the operating system. No byte is given out twice.
pub fn fill_random(target: &mut [u8]) -> Result<()> {
    if target.len() > RANDOM_POOL_BYTES {
        return system_random(target);
    }
    RANDOM_POOL.with_borrow_mut(|pool| {
        if RANDOM_POOL_BYTES - pool.used < target.len() {
            system_random(&mut pool.bytes)?;
            pool.used = 0;
        }
        let taken = &mut pool.bytes[pool.used..pool.used + target.len()];
        target.copy_from_slice(taken);
        taken.fill(0);
        pool.used += target.len();
        Ok(())
    })
}

fn system_random(target: &mut [u8]) -> Result<()> {
    getrandom::fill(target)
        .map_err(|error| Error::Crashed(format!("the system gives no randomness: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let key = SealingKey::random().expect("randomness");
        for length in [0, 1, 15, 16, 17, 1000, 100_000] {
            let plaintext: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let sealed = key.seal(&plaintext).expect("sealed");
            assert_eq!(sealed.len(), length + OVERHEAD_BYTES);
            assert_eq!(key.open(&sealed).expect("opens"), plaintext);
            for position in [0, 16, sealed.len() / 2, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[position] ^= 1;
                assert_eq!(key.open(&changed), Err(Unauthenticated), "bit flipped at {position}");
            }
            let other = SealingKey::random().expect("randomness");
            assert_eq!(other.open(&sealed), Err(Unauthenticated));
        }
        assert_eq!(key.open(&[0; OVERHEAD_BYTES - 1]), Err(Unauthenticated));
    }

    #[test]
    fn poly1305_aes_matches_the_papers_test_vector() {
        // Bernstein, "The Poly1305-AES message-authentication code", appendix B, first row.
        let key = SealingKey {
            encrypt: [1; 32],
            mac_k: hex("ec074c835580741701425b623235add6"),
            mac_r: hex("851fc40c3467ac0be05cc20404f3f700"),
        };
        let mac = key.mac(&hex::<16>("fb447350c4e868c52ac3275cf9d4327e"), &[0xf3, 0xf6]);
        assert_eq!(mac, hex("f4c633c3044fc145f84f335cb81953de"));
    }

    #[test]
    fn keys_survive_their_json() {
        let key = SealingKey::random().expect("randomness");
        let again = SealingKey::from_json(&key.to_json()).expect("reads its own");
        assert_eq!(again.open(&key.seal(b"text").expect("sealed")).expect("opens"), b"text");
        assert!(SealingKey::from_json(b"{}").is_none());
    }

    fn hex<const N: usize>(digits: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("hex"))
    }
}
