//! bincode for local files, and for messages between Rust processes: a version byte first, a size limit always.
//!
//! Nothing else in the project knows bincode. An unknown version, a value beyond
//! the limit or trailing bytes are errors, so a reader falls back to the source.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest value that is written or read.
const VALUE_BYTES_MAX: usize = 1 << 30;

fn configuration<const BYTES_MAX: usize>() -> Configuration<LittleEndian, Fixint, Limit<BYTES_MAX>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<BYTES_MAX>()
}

/// `version`, then `value`; `None` if the value is too large or cannot be written.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Option<Vec<u8>> {
    let mut bytes = vec![version];
    bincode::serde::encode_into_std_write(value, &mut bytes, configuration::<VALUE_BYTES_MAX>()).ok()?;
    Some(bytes)
}

/// The value, if `bytes` hold exactly one of this `version`.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    decode_within::<VALUE_BYTES_MAX, T>(version, bytes)
}

/// The same, of what somebody else sent: for a length beyond `BYTES_MAX` no memory is taken.
pub fn decode_within<const BYTES_MAX: usize, T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    let (&found, value) = bytes.split_first()?;
    if found != version {
        return None;
    }
    let (decoded, used) = bincode::serde::decode_from_slice(value, configuration::<BYTES_MAX>()).ok()?;
    (used == value.len()).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_version_whole_and_nothing_else() {
        let bytes = encode(3, &vec![1u32, 2, 3]).expect("small");
        assert_eq!(bytes[0], 3);
        assert_eq!(decode::<Vec<u32>>(3, &bytes), Some(vec![1, 2, 3]));
        assert_eq!(decode::<Vec<u32>>(4, &bytes), None, "another version");
        assert_eq!(decode::<Vec<u32>>(3, &bytes[..bytes.len() - 1]), None, "cut off");
        assert_eq!(decode::<Vec<u32>>(3, &[&bytes[..], &[0]].concat()), None, "trailing byte");
        assert_eq!(decode_within::<20, Vec<u32>>(3, &bytes), Some(vec![1, 2, 3]));
        assert_eq!(decode_within::<19, Vec<u32>>(3, &bytes), None, "beyond the caller's limit");
        let huge = [&[3u8][..], &u64::MAX.to_le_bytes()].concat();
        assert_eq!(decode::<Vec<u32>>(3, &huge), None, "a length beyond the limit");
    }
}
