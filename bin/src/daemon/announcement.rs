//! Where the daemon can be found: a file in the data folder, there as long as it serves.
//!
//! One that was killed leaves it behind, and its port to anybody: an announcement counts only while the process that
//! it names holds the journal's lock.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keepwell_actors::journal::Journal;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// An announcement is a few hundred bytes; what is longer is none.
const BYTES_MAX: u64 = 64 * 1024;

/// What a client of this machine has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The daemon's process.
    pub pid: u32,
    /// Where its HTTP door is.
    pub url: String,
    /// Where the certificate stands that it shows, if it speaks TLS.
    pub certificate: Option<PathBuf>,
    /// The SHA-256 of the certificate, in hexadecimal; while it changes, those of the new and the old one. A client
    /// of this machine trusts these and no other, whatever names stand in them.
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
}

impl Announcement {
    /// Where it stands.
    pub fn file(data_folder: &Path) -> PathBuf {
        data_folder.join("daemon.json")
    }

    /// Writes it; whoever reads sees it whole or not at all.
    pub fn write(&self, data_folder: &Path) -> Result<(), Failure> {
        let (file, new) = (Self::file(data_folder), data_folder.join("daemon.json.new"));
        let text = serde_json::to_string(self).expect("its fields are text");
        let write = || -> io::Result<()> {
            let mut out =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            writeln!(out, "{text}")?;
            fs::rename(&new, &file)
        };
        write().map_err(|error| Failure::local("write", &file, error))
    }

    /// Reads it; `None` if there is none, or one that cannot be understood.
    pub fn read(data_folder: &Path) -> Option<Self> {
        let file = Self::file(data_folder);
        if fs::metadata(&file).ok()?.len() > BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// The same, if the process that wrote it serves this folder now.
    pub fn read_living(data_folder: &Path) -> Option<Self> {
        let lives = |read: &Self| Journal::is_held_by(&data_folder.join("journal"), read.pid);
        Self::read(data_folder).filter(lives)
    }

    /// Takes it away.
    pub fn remove(data_folder: &Path) {
        // A stale one counts for nothing.
        let _ = fs::remove_file(Self::file(data_folder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Announcement::read(folder.path()), None);
        let announcement = Announcement {
            pid: 7,
            url: "http://127.0.0.1:8377".into(),
            certificate: Some("/c.pem".into()),
            certificate_sha256: vec!["ab".repeat(32)],
        };
        announcement.write(folder.path()).unwrap();
        announcement.write(folder.path()).unwrap();
        assert_eq!(Announcement::read(folder.path()), Some(announcement));
        assert_eq!(Announcement::read_living(folder.path()), None, "nobody holds the journal");
        fs::write(Announcement::file(folder.path()), "{\"pid\":").unwrap();
        assert_eq!(Announcement::read(folder.path()), None);
        Announcement::remove(folder.path());
        Announcement::remove(folder.path());
    }
}
