//! What comes back for a command between Rust processes, as one value.

use serde::{Deserialize, Serialize};

use crate::Reply;

/// The byte before a command or an answer in bincode. It is raised when the layout of any message changes.
pub const MESSAGE_VERSION: u8 = 1;

/// A command's reply, or why there is none.
pub type Answer = Result<Reply, Failed>;

/// Why a command was not carried out, as every door tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// A name for programs, kebab-case.
    pub code: String,
    /// What happened, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
