//! Files in `keys/`: the repository's keys, sealed with a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{self, SealingKey};
use crate::error::{Error, Result};

/// One key file, plain JSON (restic: `internal/repository/key.go`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyFile {
    /// When it was made, RFC 3339.
    pub created: String,
    /// Who made it.
    pub username: String,
    /// Where.
    pub hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// scrypt's cost for new keys: N = 2^15, r = 8 (32 MiB), p = 3, one of the
/// settings that OWASP's password storage guide calls equivalent; about 0.2 s.
const NEW_LOG_N: u8 = 15;
const NEW_R: u32 = 8;
const NEW_P: u32 = 3;
/// A hostile key file could ask for any amount of work: 128 × N × r bytes of memory at most this, however many of its
/// p lanes are derived at once, and 128 × p × r for what goes into them and comes out.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// And N × r × p at most this: some ten seconds.
const WORK_MAX: u64 = 1 << 27;

impl KeyFile {
    /// Seals `key` with `password`.
    pub fn seal(
        key: &SealingKey,
        password: &str,
        created: String,
        username: String,
        hostname: String,
    ) -> Result<Self> {
        let mut salt = [0u8; 64];
        crypto::fill_random(&mut salt)?;
        let mut file = Self {
            created,
            username,
            hostname,
            kdf: "scrypt".into(),
            n: 1 << NEW_LOG_N,
            r: NEW_R,
            p: NEW_P,
            salt: BASE64.encode(salt),
            data: String::new(),
        };
        let sealed = file.derive(password)?.seal(&Zeroizing::new(key.to_json()))?;
        file.data = BASE64.encode(sealed);
        Ok(file)
    }

    /// The repository's keys; `None` if the password is not this file's.
    /// An error means that the file itself cannot be used.
    pub fn open(&self, password: &str) -> Result<Option<SealingKey>> {
        let sealed = BASE64.decode(&self.data).map_err(|_| unusable("its data is not base64"))?;
        let derived = self.derive(password)?;
        let Ok(json) = derived.open(&sealed).map(Zeroizing::new) else {
            return Ok(None);
        };
        SealingKey::from_json(&json).map(Some).ok_or_else(|| unusable("its keys are not valid"))
    }

    fn derive(&self, password: &str) -> Result<SealingKey> {
        if self.kdf != "scrypt" {
            return Err(unusable("its key derivation is not scrypt"));
        }
        let memory = u128::from(self.n) * u128::from(self.r) * 128;
        let work = u128::from(self.n) * u128::from(self.r) * u128::from(self.p);
        let lanes = u128::from(self.p) * u128::from(self.r) * 128;
        let is_too_much = memory.max(lanes) > MEMORY_BYTES_MAX.into() || work > WORK_MAX.into();
        if self.n < 2 || !self.n.is_power_of_two() || is_too_much {
            return Err(unusable("its scrypt parameters are out of bounds"));
        }
        let salt = BASE64.decode(&self.salt).map_err(|_| unusable("its salt is not base64"))?;
        let parameters = scrypt::Params::new(self.n.trailing_zeros() as u8, self.r, self.p)
            .map_err(|_| unusable("its scrypt parameters are out of bounds"))?;
        let mut bytes = Zeroizing::new([0u8; 64]);
        let threads = lanes_at_once(memory as u64, self.p);
        // Threads of its own, which end with it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::Crashed(format!("no threads for a key: {error}")))?;
        pool.install(|| scrypt::scrypt(password.as_bytes(), &salt, &parameters, bytes.as_mut_slice()))
            .map_err(|_| unusable("its scrypt parameters are out of bounds"))?;
        Ok(SealingKey::from_bytes(&bytes))
    }
}

/// How many of `lanes` lanes of so much memory are derived side by side, at least one.
fn lanes_at_once(memory_bytes: u64, lanes: u32) -> usize {
    let by_memory = MEMORY_BYTES_MAX / memory_bytes.max(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    by_memory.min(lanes.into()).clamp(1, cores as u64) as usize
}

fn unusable(why: &str) -> Error {
    Error::damaged("key file", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_side_by_side_have_no_more_memory_than_one_may_have() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for (memory_bytes, lanes, expected) in
            [(32 << 20, 1, 1), (32 << 20, 3, 3), (400 << 20, 16, 2), (1 << 30, 16, 1), (0, 2, 2)]
        {
            assert_eq!(lanes_at_once(memory_bytes, lanes), expected.min(cores), "{memory_bytes}, {lanes}");
        }
    }

    #[test]
    fn opens_with_its_password_only() {
        let key = SealingKey::random().expect("randomness");
        let file =
            KeyFile::seal(&key, "correct horse", String::new(), "u".into(), "h".into()).expect("sealed");
        let json = serde_json::to_vec(&file).expect("serialises");
        let again: KeyFile = serde_json::from_slice(&json).expect("reads its own");
        let opened = again.open("correct horse").expect("usable").expect("right password");
        assert_eq!(opened.open(&key.seal(b"x").expect("sealed")).expect("opens"), b"x");
        assert!(again.open("battery staple").expect("usable").is_none());
    }

    #[test]
    fn hostile_parameters_are_refused_before_any_work() {
        let key = SealingKey::random().expect("randomness");
        let good = KeyFile::seal(&key, "p", String::new(), String::new(), String::new()).expect("sealed");
        for (n, r, p) in [
            (1 << 40, 8, 1),
            (0, 8, 1),
            (3, 8, 1),
            (1 << 15, u32::MAX, 1),
            (2, 8, u32::MAX),
            (2, 1, 1 << 24),
            (0, 0, 0),
        ] {
            let bad = KeyFile { n, r, p, ..good.clone() };
            assert!(bad.open("p").is_err(), "N={n} r={r} p={p}");
        }
    }
}
