//! What is stored, byte for byte as restic writes it: trees, nodes, snapshots.

mod node;
mod timestamp;

pub use node::{ExtendedAttribute, Node, NodeKind, go_mode};
pub use timestamp::Timestamp;
