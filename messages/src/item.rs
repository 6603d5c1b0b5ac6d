//! What a user set up to be backed up.

use serde::{Deserialize, Serialize};

use crate::{ItemId, ScheduleText};

/// An item. What runs code or reaches secrets is referred to by a name that the configuration file explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name.
    pub id: ItemId,
    /// Where its data comes from.
    pub source: ItemSource,
    /// The name of a configured repository.
    pub repository: String,
    /// When it is backed up by itself; absent: only when asked.
    pub schedule: Option<ScheduleText>,
    /// Whether its schedule counts.
    pub enabled: bool,
    /// Tags of its snapshots.
    pub tags: Vec<String>,
}

/// Where an item's data comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ItemSource {
    /// Files and folders.
    Files(FilesItem),
    /// A Firebird database, by the name that the configuration gives it.
    Firebird(String),
    /// A source that the configuration or the embedding program knows by this name.
    Named(String),
}

/// Files and folders, and what is left out of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FilesItem {
    /// Absolute paths.
    pub paths: Vec<String>,
    /// Exclude patterns, as restic's.
    pub excludes: Vec<String>,
}

/// Who an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ItemOwner {
    /// The configuration file: read-only elsewhere. Removed from the file, it is disabled.
    ConfigurationFile,
    /// The journal: made by a command.
    Journal,
}
