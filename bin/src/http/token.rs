//! The daemon's token: made at its first start, kept in a file of its own, never shown in a log.
//!
//! The page does not keep it: it keeps a cookie whose value is made of the token and gives nothing of it away.
//! Both outlive a restart; a new token ends all cookies.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::exit::Failure;
use crate::quantities::shown_hex;

/// 32 random bytes, in hexadecimal.
const TOKEN_BYTES: usize = 32;
/// A shorter one, written by hand, can be guessed.
const CHARACTERS_MIN: usize = 20;
/// A longer one is no token but a wrong file.
const CHARACTERS_MAX: u64 = 1024;

/// What opens the doors.
#[derive(Clone)]
pub struct Token {
    token: SecretString,
    cookie: SecretString,
}

impl Token {
    /// Reads it, or makes it if there is none.
    pub fn read_or_make(file: &Path) -> Result<Self, Failure> {
        match Self::read(file)? {
            Some(token) => Ok(token),
            None => Self::make(file),
        }
    }

    /// Reads it; `None` if there is none.
    pub fn read(file: &Path) -> Result<Option<Self>, Failure> {
        let metadata = match fs::metadata(file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::local("read the token in", file, error)),
        };
        let wrong = |why: String| {
            Failure::usage(format!("the token in {} {why}", file.display()))
                .hint("delete the file: the daemon makes a new one when it starts")
        };
        if metadata.mode() & 0o077 != 0 {
            return Err(Failure::usage(format!("others may read the token in {}", file.display()))
                .hint(format!("chmod 600 {}", file.display())));
        }
        if metadata.len() > CHARACTERS_MAX {
            return Err(wrong(format!("is longer than {CHARACTERS_MAX} characters")));
        }
        let text =
            fs::read_to_string(file).map_err(|error| Failure::local("read the token in", file, error))?;
        let text = text.trim();
        if text.len() < CHARACTERS_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(format!("is not {CHARACTERS_MIN} or more letters and digits")));
        }
        Ok(Some(Self::of(text)))
    }

    fn make(file: &Path) -> Result<Self, Failure> {
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::usage(format!("the system gives no random numbers: {error}")))?;
        let text = shown_hex(&random);
        let write = || -> io::Result<()> {
            let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
            writeln!(out, "{text}")?;
            out.sync_all()
        };
        write().map_err(|error| Failure::local("write the token to", file, error))?;
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let cookie = Sha256::new().chain_update("keepwell page\0").chain_update(text).finalize();
        Self { token: text.into(), cookie: shown_hex(&cookie).into() }
    }

    /// Whether somebody's is this one, in a time that does not tell how much of it is right.
    pub fn is(&self, given: &str) -> bool {
        equal(self.token.expose_secret(), given)
    }

    /// Whether a cookie's value is that of this token.
    pub fn is_cookie(&self, given: &str) -> bool {
        equal(self.cookie.expose_secret(), given)
    }

    /// The value of the page's cookie.
    pub fn cookie(&self) -> &SecretString {
        &self.cookie
    }

    /// The token, for a client of our own.
    pub fn secret(&self) -> &SecretString {
        &self.token
    }
}

fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(Token::read(&file).unwrap().is_none());
        let made = Token::read_or_make(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let read = Token::read_or_make(&file).unwrap();
        assert!(read.is(made.secret().expose_secret()) && read.is_cookie(made.cookie().expose_secret()));
        for wrong in ["", "x", made.cookie().expose_secret(), &made.secret().expose_secret()[1..]] {
            assert!(!read.is(wrong), "{wrong}");
        }
        assert!(!read.is_cookie(made.secret().expose_secret()));
    }

    #[test]
    fn a_token_that_cannot_be_trusted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, mode, words) in [
            ("", 0o600, "is not 20 or more"),
            ("short", 0o600, "is not 20 or more"),
            ("with blanks in between the words", 0o600, "is not 20 or more"),
            ("0123456789abcdef0123456789abcdef", 0o644, "others may read"),
            (&"x".repeat(2000), 0o600, "is longer than"),
        ] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let Err(failure) = Token::read_or_make(&file) else { panic!("{text} was taken") };
            assert!(failure.message().contains(words), "{}", failure.message());
            assert!(text.is_empty() || !failure.message().contains(text));
        }
    }
}
