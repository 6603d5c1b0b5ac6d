//! Files in `locks/`: who works on the repository now.

use serde::{Deserialize, Serialize};

/// One lock (restic: `internal/repository/lock_file.go`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    /// When it was written, RFC 3339.
    pub time: String,
    /// Whether it excludes every other lock.
    pub exclusive: bool,
    /// The holder's machine.
    pub hostname: String,
    /// The holder's user.
    pub username: String,
    /// The holder's process.
    pub pid: u32,
    /// The holder's user id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// The holder's group id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
