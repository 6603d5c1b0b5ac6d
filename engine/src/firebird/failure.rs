//! What it means when `gbak` or `gfix` fails, from what they say: a table, looked through from its top. The
//! texts are those of Firebird 3.0 to 5.0, whose tools tell their failures apart by nothing else: they all exit
//! with 1.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use keepwell_messages::ErrorClass;

use super::FirebirdPlace;
use crate::error::{Error, plain_reason};

/// How much of what a tool says is told, in bytes: a few lines.
const SAID_SHOWN_MAX: usize = 400;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// A dump.
    BackUp,
    /// A database is made of a dump.
    Restore,
    /// A new database is looked through.
    Validate,
}

impl Doing {
    /// An error of doing it.
    pub(crate) fn error(self, database: &FirebirdPlace, class: ErrorClass, why: String) -> Error {
        let operation = match self {
            Self::BackUp => "back up",
            Self::Restore => "restore",
            Self::Validate => "validate",
        };
        Error::Firebird { operation, database: database.to_string(), class, why }
    }
}

/// One kind of failure.
struct Meaning {
    /// It is this kind if all of these are said, in any case of letters.
    said: &'static [&'static str],
    class: ErrorClass,
    /// What it is, and what to do.
    means: &'static str,
}

const fn meaning(said: &'static [&'static str], class: ErrorClass, means: &'static str) -> Meaning {
    Meaning { said, class, means }
}

const LOGIN: &str =
    "the server does not know this user with this password; check the user and the password file";
const RIGHTS: &str = "this user may not do that; take SYSDBA or the owner of the database";
const NETWORK: &str =
    "the server cannot be reached, or the connection broke; check that it runs and its address";
const SPACE: &str = "there is no room left; make some and try again";
const BUSY: &str = "the server cannot serve that now; try again later, its firebird.log may say more";
const PLACE: &str = "the folder of its locks cannot be used; name one that can with lock_folder";
const OPEN: &str = "a server has the database open; name it as host:/path so that the server reads it";
const FORMAT: &str =
    "the database is of another version of Firebird than these tools; use the server's own tools";
const SWITCH: &str = "these tools do not know an option that is asked for; use those of the server's version";
const NO_DATABASE: &str = "that file is no Firebird database";
const SHUT: &str = "the database is shut down; bring it online with gfix -online";
const MISSING: &str = "there is no such file, for the server as well; check the path";
const FORBIDDEN: &str = "the file or its folder may not be used; give its rights to the user that opens it";
const DAMAGED: &str = "the database is damaged; validate it with gfix -v -full";
const NO_DUMP: &str = "what was to be restored is no dump of gbak";
const CUT: &str = "the dump ends before its time";
const CONTENT: &str = "the dump's content is damaged, or breaks the database's own rules";
const EXISTS: &str = "something of that name is there already";

/// The more telling ones first: a full disk also breaks a connection.
const MEANINGS: &[Meaning] = &[
    meaning(&["could not open password file"], ErrorClass::Credentials, LOGIN),
    meaning(&["user name and password are not defined"], ErrorClass::Credentials, LOGIN),
    meaning(&["requires sysdba permissions"], ErrorClass::Credentials, RIGHTS),
    meaning(&["must be either sysdba or owner"], ErrorClass::Credentials, RIGHTS),
    meaning(&["no permission for"], ErrorClass::Credentials, RIGHTS),
    meaning(&["no space left on device"], ErrorClass::Space, SPACE),
    meaning(&["disk quota exceeded"], ErrorClass::Space, SPACE),
    meaning(&["press return to reopen"], ErrorClass::Settings, CUT),
    meaning(&["could not open file name"], ErrorClass::Settings, CUT),
    meaning(&["error while reading from backup file"], ErrorClass::Settings, CUT),
    meaning(&["expected backup description record"], ErrorClass::Settings, NO_DUMP),
    meaning(&["expected volume number"], ErrorClass::Settings, NO_DUMP),
    meaning(&["record could not be restored"], ErrorClass::Settings, CONTENT),
    meaning(&["decompression length"], ErrorClass::Settings, CONTENT),
    meaning(&["do not understand"], ErrorClass::Settings, CONTENT),
    meaning(&["don't understand"], ErrorClass::Settings, CONTENT),
    meaning(&["validation error for column"], ErrorClass::Settings, CONTENT),
    meaning(&["already exists"], ErrorClass::Settings, EXISTS),
    meaning(&["i/o error", "file exists"], ErrorClass::Settings, EXISTS),
    meaning(&["unable to complete network request"], ErrorClass::Network, NETWORK),
    meaning(&["error reading data from the connection"], ErrorClass::Network, NETWORK),
    meaning(&["error writing data to the connection"], ErrorClass::Network, NETWORK),
    meaning(&["connection lost to"], ErrorClass::Network, NETWORK),
    meaning(&["connection shutdown"], ErrorClass::Network, NETWORK),
    meaning(&["connection refused"], ErrorClass::Network, NETWORK),
    meaning(&["connection rejected by remote interface"], ErrorClass::Server, BUSY),
    meaning(&["error occurred during login"], ErrorClass::Server, BUSY),
    meaning(&["cannot attach to services manager"], ErrorClass::Server, BUSY),
    meaning(&["cannot attach to password database"], ErrorClass::Server, BUSY),
    meaning(&["lock conflict"], ErrorClass::Server, BUSY),
    meaning(&["lock time-out"], ErrorClass::Server, BUSY),
    meaning(&["deadlock"], ErrorClass::Server, BUSY),
    meaning(&["too many"], ErrorClass::Server, BUSY),
    meaning(&["maximum user count exceeded"], ErrorClass::Server, BUSY),
    meaning(&["unable to allocate memory"], ErrorClass::Server, BUSY),
    meaning(&["secondary server attachments"], ErrorClass::Server, BUSY),
    meaning(&["shutdown in progress"], ErrorClass::Server, BUSY),
    meaning(&["operating system directive", "failed"], ErrorClass::Settings, PLACE),
    meaning(&["already opened with engine instance"], ErrorClass::Source, OPEN),
    meaning(&["unsupported on-disk structure"], ErrorClass::Settings, FORMAT),
    meaning(&["unknown switch"], ErrorClass::Settings, SWITCH),
    meaning(&["is not a valid database"], ErrorClass::Settings, NO_DATABASE),
    meaning(&["shutdown"], ErrorClass::Source, SHUT),
    meaning(&["i/o error", "no such file"], ErrorClass::Source, MISSING),
    meaning(&["i/o error", "permission denied"], ErrorClass::Source, FORBIDDEN),
    meaning(&["corrupt"], ErrorClass::Source, DAMAGED),
    meaning(&["checksum error"], ErrorClass::Source, DAMAGED),
    meaning(&["consistency check"], ErrorClass::Source, DAMAGED),
    meaning(&["wrong page type"], ErrorClass::Source, DAMAGED),
];

/// The error of a tool that ended in the way `exit` tells, having said `said`.
pub(crate) fn failure(doing: Doing, database: &FirebirdPlace, exit: &str, said: &str) -> Error {
    let shown = shown(said);
    let (class, why) = match (meaning_of(said), shown.as_str()) {
        // What gbak asks a person after the end of its input holds whatever was in its memory.
        (Some(meaning), _) if meaning.means == CUT => (meaning.class, meaning.means.to_owned()),
        (Some(meaning), shown) => (meaning.class, format!("{} ({shown})", meaning.means)),
        (None, "") if exit.contains("signal") => (ErrorClass::Crash, exit.to_owned()),
        (None, "") => (ErrorClass::Source, format!("{exit}, without a word")),
        (None, shown) => (ErrorClass::Source, format!("{exit}: {shown}")),
    };
    doing.error(database, class, why)
}

/// The error of a tool that cannot be started.
pub(crate) fn not_started(
    doing: Doing,
    database: &FirebirdPlace,
    program: &OsStr,
    error: &io::Error,
) -> Error {
    let program = Path::new(program).display();
    let why = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no program {program}; install Firebird's tools (Debian: firebird3.0-utils), or name \
             the path of gbak"
        ),
        _ => format!("{program} cannot be started: {}", plain_reason(error)),
    };
    doing.error(database, ErrorClass::Settings, why)
}

fn meaning_of(said: &str) -> Option<&'static Meaning> {
    let said = said.to_lowercase();
    MEANINGS.iter().find(|meaning| meaning.said.iter().all(|text| said.contains(text)))
}

/// What a tool said as one line, without its name before each and without what says nothing.
fn shown(said: &str) -> String {
    let plain = |line: &'_ str| -> String {
        let line = line.strip_prefix("gbak:").unwrap_or(line).trim();
        let line = line.strip_prefix("ERROR:").unwrap_or(line).trim().trim_end_matches('.');
        line.chars().filter(|letter| !letter.is_control() && *letter != char::REPLACEMENT_CHARACTER).collect()
    };
    let lines = said.lines().map(plain);
    let told: Vec<String> =
        lines.filter(|line| !line.is_empty() && !line.contains("Exiting before completion")).collect();
    let mut text = told.join("; ");
    if text.len() > SAID_SHOWN_MAX {
        let end = (0..=SAID_SHOWN_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
