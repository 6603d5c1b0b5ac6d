//! Files in `index/`: which blobs lie in which packs.

use serde::{Deserialize, Serialize};

use crate::format::pack_header::{BlobKind, PackedBlob};
use crate::id::Id;

/// One index file (restic: doc/design.rst, "Indexing").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexFile {
    /// Packs in no particular order.
    pub packs: Vec<IndexedPack>,
}

/// One pack and its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedPack {
    /// Digest of the whole pack.
    pub id: Id,
    /// Its blobs.
    pub blobs: Vec<PackedBlob>,
}

#[derive(Serialize, Deserialize)]
struct IndexJson {
    #[serde(default)]
    packs: Option<Vec<PackJson>>,
}

#[derive(Serialize, Deserialize)]
struct PackJson {
    id: Id,
    #[serde(default)]
    blobs: Option<Vec<BlobJson>>,
}

#[derive(Serialize, Deserialize)]
struct BlobJson {
    id: Id,
    #[serde(rename = "type")]
    kind: KindJson,
    offset: u32,
    length: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    uncompressed_length: u32,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum KindJson {
    Data,
    Tree,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl IndexFile {
    /// The JSON as restic writes it, with its closing newline.
    pub fn to_json(&self) -> Vec<u8> {
        let json = IndexJson { packs: Some(self.packs.iter().map(PackJson::from).collect()) };
        let mut bytes = serde_json::to_vec(&json).expect("strings and numbers always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// Reads JSON; the error says what is wrong and where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let json: IndexJson = serde_json::from_slice(bytes)?;
        let packs = json.packs.unwrap_or_default().into_iter().map(IndexedPack::from).collect();
        Ok(Self { packs })
    }
}

impl From<&IndexedPack> for PackJson {
    fn from(pack: &IndexedPack) -> Self {
        let blobs = pack.blobs.iter().map(|blob| BlobJson {
            id: blob.id,
            kind: match blob.kind {
                BlobKind::Data => KindJson::Data,
                BlobKind::Tree => KindJson::Tree,
            },
            offset: blob.offset_bytes,
            length: blob.length_bytes,
            uncompressed_length: blob.uncompressed_bytes,
        });
        Self { id: pack.id, blobs: Some(blobs.collect()) }
    }
}

impl From<PackJson> for IndexedPack {
    fn from(pack: PackJson) -> Self {
        let blobs = pack.blobs.unwrap_or_default().into_iter().map(|blob| PackedBlob {
            id: blob.id,
            kind: match blob.kind {
                KindJson::Data => BlobKind::Data,
                KindJson::Tree => BlobKind::Tree,
            },
            offset_bytes: blob.offset,
            length_bytes: blob.length,
            uncompressed_bytes: blob.uncompressed_length,
        });
        Self { id: pack.id, blobs: blobs.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_restics() {
        let index = IndexFile {
            packs: vec![IndexedPack {
                id: Id([0xab; 32]),
                blobs: vec![
                    PackedBlob {
                        id: Id([1; 32]),
                        kind: BlobKind::Data,
                        offset_bytes: 0,
                        length_bytes: 38,
                        uncompressed_bytes: 0,
                    },
                    PackedBlob {
                        id: Id([2; 32]),
                        kind: BlobKind::Tree,
                        offset_bytes: 38,
                        length_bytes: 112,
                        uncompressed_bytes: 511,
                    },
                ],
            }],
        };
        let json = index.to_json();
        let (pack, one, two) = ("ab".repeat(32), "01".repeat(32), "02".repeat(32));
        let expected = format!(
            "{{\"packs\":[{{\"id\":\"{pack}\",\"blobs\":[{{\"id\":\"{one}\",\"type\":\"data\",\"offset\":0,\"length\":38}},\
             {{\"id\":\"{two}\",\"type\":\"tree\",\"offset\":38,\"length\":112,\"uncompressed_length\":511}}]}}]}}\n"
        );
        assert_eq!(String::from_utf8(json.clone()).expect("UTF-8"), expected);
        assert_eq!(IndexFile::from_json(&json).expect("reads its own"), index);
        assert_eq!(IndexFile::from_json(b"{\"packs\":null}").expect("an empty index"), IndexFile::default());
        assert!(IndexFile::from_json(b"{\"packs\":[{\"id\":\"xy\"}]}").is_err());
    }
}
