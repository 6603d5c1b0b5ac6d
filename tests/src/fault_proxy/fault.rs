//! What can go wrong with one request.

use std::time::Duration;

use keepwell_messages::ErrorClass;

/// One of the two messages of an exchange, or the way that it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Reply,
}

/// What happens to one request. Bytes are counted from the first of the message's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed, in order, after so many bytes.
    Cut {
        /// Of which message.
        side: Side,
        /// How many pass.
        after_bytes: u64,
    },
    /// The connection is reset after so many bytes.
    Reset {
        /// Of which message.
        side: Side,
        /// How many pass.
        after_bytes: u64,
    },
    /// Nothing more comes after so many bytes, and the connection stays open.
    Stall {
        /// Of which message.
        side: Side,
        /// How many pass.
        after_bytes: u64,
    },
    /// From so many bytes of the reply on one byte a second comes.
    Trickle {
        /// How many pass at once.
        after_bytes: u64,
    },
    /// The request is passed on only after this time.
    Delay(Duration),
    /// The server is not asked; this is answered in its place.
    Answer {
        /// The status.
        status: u16,
        /// The value of `Retry-After`, in seconds.
        retry_after_seconds: Option<u32>,
    },
    /// The reply's head promises all of the body, of which half comes before the connection is closed.
    TruncateReply,
    /// The server does what it was asked to, and its reply gets lost with the connection.
    LoseReply,
    /// This connection is reset, all others are closed, and nobody listens for this time.
    Refuse(Duration),
}

impl Fault {
    /// The class of a failure that it causes if nothing that is tried helps.
    pub fn class(self) -> ErrorClass {
        match self {
            Self::Answer { .. } => ErrorClass::Server,
            _ => ErrorClass::Network,
        }
    }
}
