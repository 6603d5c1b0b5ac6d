//! Words as a shell has them: taking a command apart (`--password-command`), and
//! quoting what a person is to paste into a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Why a command cannot be taken apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A quote is opened and not closed.
    #[error("a quote is not closed")]
    QuoteOpen,
    /// There is not a single word.
    #[error("it is empty")]
    Empty,
}

/// The words of `command`. Blanks part words; `'…'` takes everything as it is; in `"…"`
/// and outside of quotes a backslash takes the next character as it is. No variables, no
/// pipes: who needs them writes `sh -c '…'`.
pub fn split(command: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = characters.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err(SplitError::QuoteOpen);
    }
    words.extend(word);
    if words.is_empty() { Err(SplitError::Empty) } else { Ok(words) }
}

/// `word` as it is typed into a shell. Bytes that cannot be shown use `$'…'`, which dash lacks.
pub fn quote(word: &OsStr) -> String {
    let bytes = word.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(byte);
    match word.to_str() {
        Some(text) if !bytes.is_empty() && bytes.iter().all(is_plain) => text.into(),
        Some(text) if crate::output::printable(text) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let escaped = bytes.iter().map(|byte| match byte {
                b'\'' | b'\\' => format!("\\{}", *byte as char),
                b' '..=b'~' => (*byte as char).to_string(),
                _ => format!("\\{byte:03o}"),
            });
            format!("$'{}'", escaped.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        for (command, words) in [
            ("pass show backup", vec!["pass", "show", "backup"]),
            ("  cat\t'my file'  ", vec!["cat", "my file"]),
            (r#"echo "a \" b" c\ d '\'"#, vec!["echo", "a \" b", "c d", "\\"]),
            ("a''b \"\"", vec!["ab", ""]),
        ] {
            assert_eq!(split(command).unwrap(), words, "{command}");
        }
        assert_eq!(split("echo 'x"), Err(SplitError::QuoteOpen));
        assert_eq!(split(" \n"), Err(SplitError::Empty));
    }

    #[test]
    fn quoted_words_are_read_back_by_a_shell() {
        for word in ["/plain/path", "with blank", "it's", "", "$HOME `x` \"q\" \\", "line\nbreak\u{1b}"] {
            let script = format!("printf %s {}", quote(OsStr::new(word)));
            let output = std::process::Command::new("bash").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
