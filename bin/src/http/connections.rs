//! How many connections the door takes: as many as leave the process files enough for its real work.
//!
//! Every connection is an open file, and whoever can reach the port may open some, token or not. A daemon that has no
//! file left backs nothing up. Further ones wait in the system's queue until one is closed.

use rustix::process::{Resource, getrlimit};

/// Pages, programs and listeners of one machine or a house full of them; each takes some tens of kilobytes.
const CONNECTIONS_MAX: u64 = 4_096;
/// However few files a process may have, a page with its stream and its questions finds place.
const CONNECTIONS_MIN: u64 = 16;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// All together.
    pub in_all: usize,
    /// Of these, such that listen for events and stay: commands and health always find a place beside them.
    pub listeners: usize,
}

impl Connections {
    /// What the limits of this process allow.
    pub fn of_this_process() -> Self {
        Self::beside(getrlimit(Resource::Nofile).current)
    }

    /// `None`: as many files as one likes.
    fn beside(files_max: Option<u64>) -> Self {
        let half = files_max.map_or(CONNECTIONS_MAX, |files| files / 2);
        let in_all = usize::try_from(half.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)).expect("a few thousand");
        Self { in_all, listeners: in_all / 4 * 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left_for_backups() {
        for (files_max, in_all, listeners) in [
            (None, 4096, 3072),
            (Some(1 << 20), 4096, 3072),
            (Some(1024), 512, 384),
            (Some(256), 128, 96),
            (Some(10), 16, 12),
        ] {
            assert_eq!(Connections::beside(files_max), Connections { in_all, listeners }, "{files_max:?}");
        }
    }
}
