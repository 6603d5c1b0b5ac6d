//! Files on their way into a local folder. They are written under a staging name,
//! `name#digits`, and get their own when every byte is on the disk.
//!
//! What a killed writer leaves is either whole, and lacks only its name, or of no use.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use object_store::PutPayload;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, linkat};
use sha2::{Digest, Sha256};

use super::local::{make_folder, sync_folder};
use crate::id::Id;

/// Another process would have to hold this many staging names of one file.
const STAGING_NAMES_MAX: u32 = 1000;
/// Packs are larger; locks, whose refreshing must not wait for anything, are smaller.
const LARGE_BYTES_MIN: usize = 1 << 20;
/// Read at once while a staging file is compared with its name.
const READ_BYTES: usize = 1 << 20;

/// Whether the name is one of a staging file.
pub(super) fn is_staging(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str()?.rsplit_once('#'))
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes a file under a staging name, makes it durable, gives it its name, and makes that durable.
///
/// Large files take turns on `one_large_write` while their bytes are handed over, not while they
/// reach the disk: whoever is killed leaves at most one that is not whole, and only such a one is lost.
pub(super) fn write_whole(
    path: &Path,
    payload: &PutPayload,
    is_create: bool,
    one_large_write: &Mutex<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let (mut file, staging) = with_staging_name(path, |staging| options.open(staging))?;
    let written = (|| {
        let turn = (payload.content_length() >= LARGE_BYTES_MIN).then(|| one_large_write.lock());
        for bytes in payload {
            file.write_all(bytes)?;
        }
        drop(turn);
        file.sync_all()?;
        drop(file);
        if is_create { publish_new(&staging, path) } else { fs::rename(&staging, path) }
    })();
    settle(written, &staging, path)
}

/// Gives a file without a name a staging name, makes it durable, gives it its name, and makes that durable.
/// `false` if the system gives no names to such files, or not there.
pub(super) fn name_whole(path: &Path, file: &File) -> io::Result<bool> {
    // This way needs no privilege (open(2), `O_TMPFILE`).
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |staging: &Path| Ok(linkat(CWD, &unnamed, CWD, staging, AtFlags::SYMLINK_FOLLOW)?);
    // Whoever finds it under a staging name sees that somebody is at work on it.
    let touched = file.set_modified(SystemTime::now());
    let ((), staging) = match touched.and_then(|()| with_staging_name(path, link)) {
        Ok(linked) => linked,
        Err(error) => {
            tracing::debug!(%error, "a file without a name gets none");
            return Ok(false);
        }
    };
    let named = file.sync_all().and_then(|()| fs::rename(&staging, path));
    settle(named, &staging, path).map(|()| true)
}

/// After a file got its name, or did not.
fn settle(outcome: io::Result<()>, staging: &Path, path: &Path) -> io::Result<()> {
    if outcome.is_err() {
        // The first error is the one to tell; what is left is found as a staging file.
        let _ = fs::remove_file(staging);
    }
    outcome?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Has `make` make a file of a staging name that is free.
fn with_staging_name<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut has_folder = false;
    for _ in 0..STAGING_NAMES_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staging = staging_path(path, number);
        match make(&staging) {
            Ok(made) => return Ok((made, staging)),
            // Another process, perhaps on another machine, has the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound && !has_folder => {
                make_folder(path.parent().ok_or(error)?)?;
                has_folder = true;
            }
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn staging_path(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}{number:04}", std::process::id()));
    name.into()
}

/// Gives the file its name unless that is taken. A link is the one step that
/// does both; a file system without links leaves a moment between look and rename.
fn publish_new(staging: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(staging, path) {
        Ok(()) => fs::remove_file(staging),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            if path.try_exists()? {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(staging, path)
        }
        Err(error) => Err(error),
    }
}

/// If the content of a staging file is what its name promises, that of a file named by its
/// digest, gives it that name, durably. `false` if it is not, or if the file is gone.
///
/// Its writer may still live, stopped or cut off: it then finds that its staging file is gone.
/// It cannot harm what got its name, for a file that is as promised has no bytes left to come.
pub(super) fn finish(staging: &Path) -> io::Result<bool> {
    let Some((path, id)) = promised(staging) else { return Ok(false) };
    let mut file = match File::open(staging) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if digest(&mut file)? != id {
        return Ok(false);
    }
    file.sync_all()?;
    match fs::rename(staging, &path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        renamed => renamed?,
    }
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(true)
}

/// The path that a staging file is to have, and the digest that is its name.
fn promised(staging: &Path) -> Option<(PathBuf, Id)> {
    let (name, _) = staging.file_name()?.to_str()?.rsplit_once('#')?;
    Some((staging.with_file_name(name), name.parse().ok()?))
}

fn digest(file: &mut File) -> io::Result<Id> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Id(digest.finalize().into())),
            length => digest.update(&buffer[..length]),
        }
    }
}
