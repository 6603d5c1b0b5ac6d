//! What kind of failure ended an attempt: decided once, where the error is raised.

use serde::{Deserialize, Serialize};

/// The class of a failure. Retry rules look at nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The store could not be reached, or the connection broke.
    Network,
    /// The store was reached and answered that it cannot serve now.
    Server,
    /// The source could not be read.
    Source,
    /// The repository is damaged, locked, or its lock was lost.
    Repository,
    /// A password is wrong, or the store refused the credentials.
    Credentials,
    /// The store, or a local disk, is full.
    Space,
    /// What was asked for cannot be done as asked; asking again cannot help.
    Settings,
    /// A thread or process ended without saying why.
    Crash,
    /// A person or a shutdown asked for the end.
    Cancelled,
}
