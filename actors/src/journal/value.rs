//! What a column holds: values as versioned bincode, ids as their 16 bytes, times as nanoseconds.
//!
//! A value that does not decode, an unknown version of it included, is damage:
//! a change of a value's layout comes with a new version of the schema.

use chrono::{DateTime, Utc};
use keepwell_engine::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::JournalError;

/// The version of every value in a journal of this schema.
pub(super) const VALUE_VERSION: u8 = 2;

/// The largest value: an item with 10,000 long paths stays below it, and a group of batches fits into memory.
pub(super) const VALUE_BYTES_MAX: usize = 4 << 20;

pub(super) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, JournalError> {
    codec::encode(VALUE_VERSION, value)
        .filter(|bytes| bytes.len() <= VALUE_BYTES_MAX)
        .ok_or(JournalError::TooLarge { what, bytes_max: VALUE_BYTES_MAX })
}

pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, JournalError> {
    codec::decode(VALUE_VERSION, bytes)
        .ok_or_else(|| JournalError::Damaged(format!("a value does not decode: {what}")))
}

pub(super) fn nanoseconds(time: DateTime<Utc>) -> Result<i64, JournalError> {
    time.timestamp_nanos_opt().ok_or(JournalError::TimeOutOfRange(time))
}

pub(super) fn time(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}

/// SQLite's integers have a sign; numbers of events and counts never use it.
pub(super) fn count(what: &'static str, number: i64) -> Result<u64, JournalError> {
    u64::try_from(number).map_err(|_| JournalError::Damaged(format!("{what} is {number}")))
}

pub(super) fn uuid_bytes(id: &Uuid) -> &[u8] {
    id.as_bytes()
}
