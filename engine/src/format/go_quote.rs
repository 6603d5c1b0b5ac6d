//! Names of nodes as stored: Go's `strconv.Quote` without its outer quotes, and back.
//!
//! A name is any bytes but `/` and NUL; JSON holds only Unicode. So names are quoted
//! first: printable characters stand for themselves, the rest is `\n`, `\x01`,
//! `\u00a0`, `\U000e0001`, and a byte that is not UTF-8 is `\xff`. Reading takes
//! everything that `strconv.Unquote` takes between double quotes, and nothing else.
//!
//! "Printable" is a matter of Unicode versions: Go 1.21 to 1.25 know version 15.0, the
//! tables used here 16.0. Characters new since then are written as they are where
//! such a Go would escape them. Both read both forms as the same name. Apart from these, restic 0.14 was
//! found to quote every code point as this module does.

use std::borrow::Cow;

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::format::go_json::push_hex_byte;

/// Quotes `name`; borrows it where nothing needs quoting.
pub fn quote(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().all(|&byte| is_plain(byte)) {
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len() + 16);
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_quoted(&mut out, character);
        }
        for &byte in chunk.invalid() {
            out.extend_from_slice(b"\\x");
            push_hex_byte(&mut out, byte);
        }
    }
    Cow::Owned(out)
}

/// ASCII that stands for itself.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn push_quoted(out: &mut Vec<u8>, character: char) {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{7}' => b'a',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{b}' => b'v',
        _ => return push_long(out, character),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn push_long(out: &mut Vec<u8>, character: char) {
    let code = character as u32;
    let [first, second, third, fourth] = code.to_be_bytes();
    if is_printable(character) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else if code < 0x80 {
        out.extend_from_slice(b"\\x");
        push_hex_byte(out, fourth);
    } else if code < 0x1_0000 {
        out.extend_from_slice(b"\\u");
        push_hex_byte(out, third);
        push_hex_byte(out, fourth);
    } else {
        out.extend_from_slice(b"\\U");
        for byte in [first, second, third, fourth] {
            push_hex_byte(out, byte);
        }
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(character: char) -> bool {
    use GeneralCategory as Category;
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    !matches!(
        get_general_category(character),
        Category::Control
            | Category::Format
            | Category::Surrogate
            | Category::PrivateUse
            | Category::Unassigned
            | Category::SpaceSeparator
            | Category::LineSeparator
            | Category::ParagraphSeparator
    )
}

/// The text is not what stands between the quotes of a Go string literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid quoting at byte {at}")]
pub struct UnquoteError {
    /// Where the part that cannot be read begins.
    pub at: usize,
}

/// Undoes [`quote`]; takes every form that `strconv.Unquote` takes.
pub fn unquote(text: &str) -> Result<Vec<u8>, UnquoteError> {
    let bytes = text.as_bytes();
    let mut name = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'\\' => unescape(&bytes[at + 1..], &mut name).ok_or(UnquoteError { at })? + 1,
            b'"' | b'\n' => return Err(UnquoteError { at }),
            _ => {
                name.push(byte);
                1
            }
        };
    }
    Ok(name)
}

/// Reads what follows a backslash; returns how many bytes that is.
fn unescape(rest: &[u8], name: &mut Vec<u8>) -> Option<usize> {
    let kind = *rest.first()?;
    let byte = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => kind,
        b'x' => {
            name.push(u8::try_from(number(rest.get(1..3)?, 16)?).ok()?);
            return Some(3);
        }
        b'u' | b'U' => {
            let end = if kind == b'u' { 5 } else { 9 };
            let character = char::from_u32(number(rest.get(1..end)?, 16)?)?;
            name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(end);
        }
        b'0'..=b'7' => {
            name.push(u8::try_from(number(rest.get(..3)?, 8)?).ok()?);
            return Some(3);
        }
        _ => return None,
    };
    name.push(byte);
    Some(1)
}

/// At most eight digits, so that they fit.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &digit| Some(value * radix + char::from(digit).to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_as_strconv_quotes_them() {
        let cases: [(&[u8], &str); 19] = [
            (b"", ""),
            (b"a b'c", "a b'c"),
            (b"\"\\", r#"\"\\"#),
            (b"\x07\x08\x0c\n\r\t\x0b", r"\a\b\f\n\r\t\v"),
            (b"\x00\x01\x1b\x1f\x7f", r"\x00\x01\x1b\x1f\x7f"),
            (b"\xff\xfe", r"\xff\xfe"),
            (b"a\xe2\x80", r"a\xe2\x80"),
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
            ("äöü €".as_bytes(), "äöü €"),
            ("\u{a0}".as_bytes(), r"\u00a0"),
            ("\u{ad}".as_bytes(), r"\u00ad"),
            ("\u{80}\u{9f}".as_bytes(), r"\u0080\u009f"),
            ("\u{2028}\u{2029}\u{200b}\u{3000}".as_bytes(), r"\u2028\u2029\u200b\u3000"),
            ("\u{378}\u{e000}\u{ffff}".as_bytes(), r"\u0378\ue000\uffff"),
            ("e\u{301}\u{20dd}".as_bytes(), "e\u{301}\u{20dd}"),
            ("\u{fffd}".as_bytes(), "\u{fffd}"),
            ("😀👩\u{200d}🚒".as_bytes(), "😀👩\\u200d🚒"),
            ("\u{e0001}\u{10ffff}\u{1fffe}".as_bytes(), r"\U000e0001\U0010ffff\U0001fffe"),
            ("<>&".as_bytes(), "<>&"),
        ];
        for (name, expected) in cases {
            assert_eq!(std::str::from_utf8(&quote(name)).unwrap(), expected, "{name:?}");
            assert_eq!(unquote(expected).unwrap(), name, "{expected:?}");
        }
    }

    #[test]
    fn every_form_that_strconv_takes_is_read() {
        let cases: [(&str, &[u8]); 11] = [
            (r"\101\060", b"A0"),
            (r"\377\000", b"\xff\0"),
            (r"\x41\xFf", b"A\xff"),
            (r"\u0041\u00e9", "Aé".as_bytes()),
            (r"\U0001F600", "😀".as_bytes()),
            (r"\uFFFD", "\u{fffd}".as_bytes()),
            ("'", b"'"),
            ("\t\r\u{1}\u{7f}", b"\t\r\x01\x7f"),
            ("\u{a0}", "\u{a0}".as_bytes()),
            (r"a\\", b"a\\"),
            (r"\1234", b"S4"),
        ];
        for (text, expected) in cases {
            assert_eq!(unquote(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_strconv_refuses_is_an_error_with_its_place() {
        let cases = [
            ("a\"b", 1),
            ("a\nb", 1),
            ("\\", 0),
            ("ab\\", 2),
            (r"\'", 0),
            (r"\q", 0),
            (r"\/", 0),
            (r"\x4", 0),
            (r"\xg0", 0),
            (r"\x+1", 0),
            (r"\u123", 0),
            (r"\ud800", 0),
            (r"\U00110000", 0),
            (r"\Uffffffff", 0),
            (r"\400", 0),
            (r"\18", 0),
            (r"\08a", 0),
            (r"\8", 0),
        ];
        for (text, at) in cases {
            assert_eq!(unquote(text), Err(UnquoteError { at }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name: Vec<u8>) {
            let quoted = quote(&name).into_owned();
            let text = String::from_utf8(quoted).unwrap();
            prop_assert_eq!(unquote(&text).unwrap(), name);
        }

        #[test]
        fn every_text_comes_back(name: String) {
            let quoted = String::from_utf8(quote(name.as_bytes()).into_owned()).unwrap();
            prop_assert_eq!(unquote(&quoted).unwrap(), name.into_bytes());
        }

        #[test]
        fn no_text_makes_unquote_panic(text in r#"[\\xuU0-9a-fg"'\n€]{0,24}"#) {
            let _ = unquote(&text);
        }
    }
}
