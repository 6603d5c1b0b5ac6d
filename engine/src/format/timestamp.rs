//! A point in time as Go's `time.Time` is stored: an instant and the zone it was seen in.

/// An instant with nanoseconds, and the offset it is written with.
/// Two timestamps with equal instants and other offsets are the same moment:
/// compare with [`Timestamp::same_instant`]. Derived equality compares all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
    /// Seconds east of UTC used for writing. Go writes whole minutes.
    pub offset_seconds: i32,
}

impl Timestamp {
    /// Whether both name the same moment.
    pub fn same_instant(&self, other: &Self) -> bool {
        (self.seconds, self.nanoseconds) == (other.seconds, other.nanoseconds)
    }
}
