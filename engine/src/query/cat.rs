//! The repository's own objects as they are inside, for people who look into one.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::{BlobKind, KeyFile};
use crate::id::Id;
use crate::query::json_indent::indent;
use crate::query::lookup::find_folder;
use crate::repository::{FileKind, Repository, SnapshotChoice};

/// An object, by what a person calls it. Names of files may be the beginnings of ids.
#[derive(Clone, Debug)]
pub enum Object {
    /// The configuration.
    Config,
    /// An index file.
    Index(String),
    /// A snapshot file, or `latest`.
    Snapshot(String),
    /// A key file: cost and salt of the derivation, and the sealed keys.
    Key(String),
    /// The repository's keys in clear. Whoever has them reads everything, whatever the password.
    MasterKey,
    /// A lock file.
    Lock(String),
    /// A pack, sealed as it is stored.
    Pack(String),
    /// A blob's plaintext, of data if there is one, else of a tree. The whole id.
    Blob(Id),
    /// The tree of a snapshot's folder.
    Tree {
        /// The snapshot.
        snapshot: String,
        /// The folder; empty for the top.
        path: Vec<u8>,
    },
}

/// An object's bytes.
#[derive(Debug)]
pub struct ObjectBytes {
    /// JSON, spread over lines where it is one small object; or plain bytes.
    pub bytes: Vec<u8>,
    /// What is wrong with them all the same: a damaged pack is handed out, so that it can be looked into.
    pub damage: Option<Error>,
}

/// Reads an object. Blobs and trees need a loaded index.
///
/// # Errors
/// [`Error::NotFound`], and [`Error::Invalid`] for an ambiguous name; [`Error::Damaged`].
pub fn read_object(repository: &Repository, object: &Object, control: &Control) -> Result<ObjectBytes> {
    control.checkpoint()?;
    let files = repository.files();
    let bytes = match object {
        Object::Config => {
            let json = serde_json::to_vec(repository.config()).expect("numbers and strings always serialise");
            indent(&json)
        }
        Object::MasterKey => indent(&zeroize::Zeroizing::new(files.key().to_json())),
        Object::Index(name) => files.read(FileKind::Index, find(repository, FileKind::Index, name)?)?,
        Object::Lock(name) => indent(&files.read(FileKind::Lock, find(repository, FileKind::Lock, name)?)?),
        Object::Snapshot(name) => {
            let id = snapshot_id(repository, name)?;
            indent(&files.read(FileKind::Snapshot, id)?)
        }
        Object::Key(name) => {
            let id = find(repository, FileKind::Key, name)?;
            let json = files.read_stored(FileKind::Key, id)?;
            serde_json::from_slice::<KeyFile>(&json)
                .map_err(|error| Error::damaged(FileKind::Key.path(id), error.to_string()))?;
            indent(&json)
        }
        Object::Pack(name) => return read_pack(repository, find(repository, FileKind::Pack, name)?),
        Object::Blob(id) => {
            let kinds = [BlobKind::Data, BlobKind::Tree];
            let kind = kinds.into_iter().find(|kind| repository.index().contains(*kind, id));
            read_blob(repository, kind.ok_or_else(|| Error::NotFound { what: format!("blob {id}") })?, *id)?
        }
        Object::Tree { snapshot, path } => {
            let snapshot = repository.read_snapshot(snapshot_id(repository, snapshot)?)?;
            read_blob(repository, BlobKind::Tree, find_folder(repository, snapshot.tree, path, control)?)?
        }
    };
    Ok(ObjectBytes { bytes, damage: None })
}

/// The file that `name` means; a whole id needs no listing.
fn find(repository: &Repository, kind: FileKind, name: &str) -> Result<Id> {
    name.parse().or_else(|_| repository.find_id(kind, name))
}

fn snapshot_id(repository: &Repository, name: &str) -> Result<Id> {
    match name.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(repository.find_snapshot(name, &SnapshotChoice::default())?.0),
    }
}

fn read_blob(repository: &Repository, kind: BlobKind, id: Id) -> Result<Vec<u8>> {
    let mut plaintext = Vec::new();
    repository.read_blob(kind, id, &mut plaintext)?;
    Ok(plaintext)
}

fn read_pack(repository: &Repository, id: Id) -> Result<ObjectBytes> {
    let path = FileKind::Pack.path(id);
    let bytes = repository.files().store().read(&path, PACK_READ_BYTES_MAX)?.to_vec();
    let found = Id::of(&bytes);
    let damage = (found != id).then(|| Error::damaged(path, format!("its content has the digest {found}")));
    Ok(ObjectBytes { bytes, damage })
}

/// Packs of up to 128 MiB are asked for, and the last blob may go beyond.
const PACK_READ_BYTES_MAX: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[test]
    fn every_kind_of_object_can_be_read() {
        let sample = Sample::new("cat");
        let blob = sample.blob(b"some content");
        let inner = sample.tree(&[file("f", &[blob])]);
        let root = sample.tree(&[dir("d", inner)]);
        let (id, _) = sample.snapshot(root, 10);
        let repository = sample.repository();
        let only = |kind| repository.files().ids(kind).unwrap()[0].to_hex();
        let tree = |path: &str| Object::Tree { snapshot: "latest".into(), path: path.as_bytes().to_vec() };
        for (object, part) in [
            (Object::Config, "\"chunker_polynomial\": \"".to_owned()),
            (Object::MasterKey, "\"encrypt\": \"".into()),
            (Object::Key(only(FileKind::Key)), "\"kdf\": \"scrypt\"".into()),
            (Object::Lock(only(FileKind::Lock)[..8].into()), "\"exclusive\": false".into()),
            (Object::Index(only(FileKind::Index)), format!("{{\"id\":\"{blob}\",\"type\":\"data\"")),
            (Object::Snapshot("latest".into()), format!("\"tree\": \"{root}\"")),
            (Object::Snapshot(id.short()), "  \"paths\": [\n    \"/\"\n  ]".into()),
            (Object::Blob(blob), "some content".into()),
            (Object::Blob(inner), "{\"nodes\":[{\"name\":\"f\"".into()),
            (tree("/d"), "\"name\":\"f\"".into()),
            (tree(""), "\"name\":\"d\"".into()),
        ] {
            let read = read_object(repository, &object, &Control::new()).unwrap();
            let text = String::from_utf8(read.bytes).unwrap();
            assert!(text.contains(&part), "{object:?}: {text}");
            assert!(read.damage.is_none());
        }
        for missing in [Object::Blob(Id([3; 32])), Object::Index("00".repeat(32)), Object::Lock("zz".into())]
        {
            let error = read_object(repository, &missing, &Control::new()).unwrap_err();
            assert!(error.is_not_found(), "{missing:?}: {error}");
        }
    }

    #[test]
    fn a_damaged_pack_is_handed_out_and_said_to_be_damaged() {
        let sample = Sample::new("cat-pack");
        sample.blob(b"some content");
        sample.session.flush().unwrap();
        let repository = sample.repository();
        let id = repository.files().ids(FileKind::Pack).unwrap()[0];
        let object = Object::Pack(id.short());
        let whole = read_object(repository, &object, &Control::new()).unwrap();
        assert_eq!((Id::of(&whole.bytes), whole.damage.is_none()), (id, true));
        let mut bytes = whole.bytes;
        bytes[3] ^= 1;
        repository.files().store().write(&FileKind::Pack.path(id), bytes.clone().into()).unwrap();
        let damaged = read_object(repository, &object, &Control::new()).unwrap();
        assert_eq!(damaged.bytes, bytes);
        assert!(damaged.damage.unwrap().to_string().contains(&id.to_hex()));
    }
}
