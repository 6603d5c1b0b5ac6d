//! Keys: several passwords may open one repository.

use std::sync::Arc;

use chrono::SecondsFormat;
use secrecy::{ExposeSecret, SecretString};

use crate::crypto::SealingKey;
use crate::error::{Error, Result};
use crate::format::KeyFile;
use crate::id::Id;
use crate::repository::files::{FileKind, RepositoryFiles};
use crate::repository::{Repository, RepositoryOptions};
use crate::store::Store;

/// Each try costs a key derivation, so a repository with more keys than this is not searched further (restic: `maxKeys`).
pub const MASTER_KEYS_TRIED_MAX: usize = 20;
/// A key file is some 450 bytes.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// What a key file tells without its password.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    /// Its name.
    pub id: Id,
    /// Whether it is the one that opened the repository.
    pub current: bool,
    /// Who made it.
    pub username: String,
    /// Where.
    pub hostname: String,
    /// When, RFC 3339.
    pub created: String,
}

/// Finds the key that opens with `password` and fits; if none fits, one that opens. An `init` that was cut off leaves a
/// key that fits to nothing.
pub(super) fn find(
    store: &Store,
    password: &SecretString,
    fits: impl Fn(&SealingKey) -> bool,
) -> Result<(Id, SealingKey)> {
    let mut ids = list(store)?;
    ids.sort_unstable();
    let (mut unusable, mut unfit) = (None, None);
    for &id in ids.iter().take(MASTER_KEYS_TRIED_MAX) {
        match read(store, id).and_then(|file| file.open(password.expose_secret())) {
            Ok(Some(key)) if fits(&key) => return Ok((id, key)),
            Ok(Some(key)) => unfit = unfit.or(Some((id, key))),
            Ok(None) => {}
            Err(error) if error.is_not_found() => {}
            Err(error @ Error::Damaged { .. }) => unusable = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(found) = unfit {
        return Ok(found);
    }
    match unusable {
        Some(error) if ids.len() == 1 => Err(error),
        _ if ids.is_empty() => Err(Error::damaged("keys/", "there is no key")),
        _ => Err(Error::WrongPassword { keys: ids.len() }),
    }
}

/// The keys that an `init` left which was cut off before it wrote a config: those of a place that holds nothing else.
///
/// # Errors
/// [`Error::Invalid`] if there is data beside them, which nothing else opens: a config was lost there.
pub(super) fn left_by_init(store: &Store) -> Result<Vec<Id>> {
    let ids = list(store)?;
    if ids.is_empty() {
        return Ok(ids);
    }
    for kind in [FileKind::Snapshot, FileKind::Index, FileKind::Pack] {
        store.list(kind.folder(), |object| {
            Err(Error::Invalid(format!(
                "there are keys and {} in {}, but no config: put it back from a copy of the repository, or choose \
                 another place",
                object.path,
                store.location()
            )))
        })?;
    }
    Ok(ids)
}

/// Seals the repository's keys with a further password.
pub(super) fn add(
    files: &RepositoryFiles,
    password: &SecretString,
    options: &RepositoryOptions,
) -> Result<Id> {
    if password.expose_secret().is_empty() {
        return Err(Error::Invalid("an empty password is no protection; give one".into()));
    }
    let file = KeyFile::seal(
        files.key(),
        password.expose_secret(),
        options.clock.now_local().to_rfc3339_opts(SecondsFormat::Nanos, true),
        options.identity.username.clone(),
        options.identity.hostname.clone(),
    )?;
    let json = serde_json::to_vec(&file).expect("numbers and strings always serialise");
    let id = Id::of(&json);
    files.store().write(&FileKind::Key.path(id), json.into())?;
    Ok(id)
}

impl Repository {
    /// All keys, the oldest first.
    pub fn keys(&self) -> Result<Vec<KeyInfo>> {
        let mut keys = Vec::new();
        for id in list(self.files.store())? {
            let file = read(self.files.store(), id)?;
            keys.push(KeyInfo {
                id,
                current: id == self.key_id,
                username: file.username,
                hostname: file.hostname,
                created: file.created,
            });
        }
        keys.sort_by(|a, b| a.created.cmp(&b.created));
        Ok(keys)
    }

    /// Adds a key for another password.
    pub fn add_key(self: &Arc<Self>, password: &SecretString) -> Result<Id> {
        add(&self.files, password, &self.options)
    }

    /// Removes a key; not the one in use, so that nobody locks himself out.
    pub fn remove_key(&self, id: Id) -> Result<()> {
        if id == self.key_id {
            return Err(Error::Invalid(format!(
                "key {} opened the repository just now and is not removed; open it with another password first",
                id.short()
            )));
        }
        self.files.delete(FileKind::Key, id)
    }

    /// Replaces the key in use by one for `password`; the new one is proven to open before the old one goes.
    pub fn change_password(self: &Arc<Self>, password: &SecretString) -> Result<Id> {
        let id = add(&self.files, password, &self.options)?;
        if read(self.files.store(), id)?.open(password.expose_secret())?.is_none() {
            return Err(Error::damaged(FileKind::Key.path(id), "the new key does not open"));
        }
        self.files.delete(FileKind::Key, self.key_id)?;
        Ok(id)
    }
}

fn list(store: &Store) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    store.list(FileKind::Key.folder(), |object| {
        ids.push(object.id);
        Ok(())
    })?;
    Ok(ids)
}

fn read(store: &Store, id: Id) -> Result<KeyFile> {
    let path = FileKind::Key.path(id);
    let json = store.read(&path, KEY_FILE_BYTES_MAX)?;
    if Id::of(&json) != id {
        return Err(Error::damaged(path, "its content does not match its name"));
    }
    serde_json::from_slice(&json).map_err(|error| Error::damaged(path, error.to_string()))
}
