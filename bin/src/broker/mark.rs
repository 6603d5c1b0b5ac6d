//! How far events have reached the stream, in a small file beside the journal.
//!
//! A journal that was begun anew numbers its events from 1 again; what tells one series of numbers from another is a
//! name that is kept here, and in every message. The file may lag behind what the stream has: the stream's end says
//! the rest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;

/// The file's name.
const FILE: &str = "broker.json";

/// How far events have reached the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The series of numbers that it counts in.
    pub series: Uuid,
    /// The stream has every event up to this one.
    pub number: u64,
    /// The sequence that the stream gave to that event; 0 before the first.
    pub sequence: u64,
}

impl Mark {
    /// The beginning of a new series.
    pub fn new() -> Self {
        Self { series: Uuid::now_v7(), number: 0, sequence: 0 }
    }
}

/// Where marks are kept.
#[derive(Clone, Debug)]
pub struct MarkFile(PathBuf);

impl MarkFile {
    /// The file in this folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The mark that is kept; `None` if there is none, or none that can be read.
    pub fn read(&self) -> io::Result<Option<Mark>> {
        match fs::read(&self.0) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a mark: after a crash there is this one or the one before.
    pub fn write(&self, mark: &Mark) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(serde_json::to_string(mark)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        File::open(folder)?.sync_all()
    }
}

/// The end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The sequence of its last message, whoever's; 0 if it never had one.
    pub sequence: u64,
    /// The last message of this node that says which event it is.
    pub ours: Option<Told>,
}

/// An event that the stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The series of its number.
    pub series: Uuid,
    /// The number up to which the stream has events with it.
    pub number: u64,
    /// Its sequence.
    pub sequence: u64,
}

/// Where to go on: the mark, unless the stream has more, or has lost what it had.
pub fn go_on_from(mark: Mark, end: StreamEnd) -> Mark {
    let ours = end.ours.filter(|told| told.series == mark.series);
    let kept = ours.map_or(Mark { number: 0, sequence: 0, ..mark }, |told| Mark {
        number: told.number,
        sequence: told.sequence,
        ..mark
    });
    // A stream whose sequence is below one that it gave has lost its end, or is another one.
    if end.sequence < mark.sequence || kept.number > mark.number { kept } else { mark }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_goes_on_behind_what_the_stream_has() {
        let (series, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mark = |number, sequence| Mark { series, number, sequence };
        let told = |series, number, sequence| Some(Told { series, number, sequence });
        for (what, kept, sequence, ours, expected) in [
            ("nothing was told", mark(0, 0), 0, None, mark(0, 0)),
            ("a stream of others", mark(0, 0), 90, None, mark(0, 0)),
            ("as it was left", mark(7, 7), 7, told(series, 7, 7), mark(7, 7)),
            ("killed before the mark was kept", mark(7, 7), 9, told(series, 9, 9), mark(9, 9)),
            ("others came after", mark(7, 7), 30, told(series, 7, 7), mark(7, 7)),
            ("somebody took ours out", mark(7, 7), 7, None, mark(7, 7)),
            ("somebody took the last ones out", mark(7, 7), 7, told(series, 5, 5), mark(7, 7)),
            ("the broker lost its end", mark(7, 7), 5, told(series, 5, 5), mark(5, 5)),
            ("the stream was made anew", mark(7, 7), 0, None, mark(0, 0)),
            ("the journal was begun anew", mark(0, 0), 7, told(other, 7, 7), mark(0, 0)),
            ("anew, and some were told", mark(3, 10), 10, told(series, 3, 10), mark(3, 10)),
        ] {
            assert_eq!(go_on_from(kept, StreamEnd { sequence, ours }), expected, "{what}");
        }
    }

    #[test]
    fn a_mark_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = MarkFile::new(folder.path());
        assert_eq!(file.read().unwrap(), None);
        let mark = Mark { number: 7, sequence: 9, ..Mark::new() };
        file.write(&Mark::new()).unwrap();
        file.write(&mark).unwrap();
        assert_eq!(file.read().unwrap(), Some(mark));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        fs::write(file.path(), "{").unwrap();
        assert_eq!(file.read().unwrap(), None);
    }
}
