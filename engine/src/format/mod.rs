//! What is stored, byte for byte as restic writes it: config, keys, locks,
//! packs, indexes, trees and snapshots. Encoding and decoding only, no I/O.

mod config;
mod go_json;
mod go_quote;
mod index_file;
mod key_file;
mod lock_file;
mod node;
mod node_decode;
mod node_encode;
pub mod pack_header;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
mod timestamp;
#[cfg(test)]
mod timestamp_tests;
mod tree;
mod tree_entries;
#[cfg(test)]
mod tree_tests;

pub use config::Config;
pub use go_json::to_valid_utf8;
pub use go_quote::{UnquoteError, quote, unquote};
pub use index_file::{IndexFile, IndexedPack};
pub use key_file::KeyFile;
pub use lock_file::LockFile;
pub use node::{ExtendedAttribute, Node, NodeKind, go_mode};
pub use node_decode::{BadNode, NodeFault};
pub use pack_header::{BlobKind, PackedBlob};
pub use snapshot::{Snapshot, SnapshotSummary, UnknownFields};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use tree::{FormatError, Tree, TreeWriteError, TreeWriter};
pub(crate) use tree_entries::NodeStream;
pub use tree_entries::TreeEntries;
