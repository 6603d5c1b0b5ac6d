//! JSON text exactly as Go's `encoding/json` writes it with `Marshal`.
//!
//! Answers for strings, integers, byte slices and ids; the stored objects of this
//! module are put together from these. Identical text matters: the id of a tree is
//! the hash of its text, so an equal folder must give equal bytes in restic and here.
//!
//! Two generations of Go differ: since Go 1.22 backspace and form feed are written
//! `\b` and `\f`, before it `\u0008` and `\u000c`. restic 0.18 is built with Go 1.24,
//! so the short forms are written. Both read the same.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::id::Id;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Go's `base64.StdEncoding` is lenient about the unused bits of the last digit.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Appends `text` as a JSON string with its quotes. Every byte that is not part of
/// valid UTF-8 becomes the six characters `\ufffd`, as in Go.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        push_valid(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn push_valid(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if NEEDS_ESCAPE[usize::from(byte)] {
            // 0xe2 opens U+2028 and U+2029, and thousands of characters written as they are.
            let length = if byte == 0xe2 { 3 } else { 1 };
            if byte == 0xe2 && !matches!(bytes[at + 1..], [0x80, 0xa8 | 0xa9, ..]) {
                at += length;
                continue;
            }
            out.extend_from_slice(&bytes[copied..at]);
            push_escape(out, &bytes[at..at + length]);
            at += length;
            copied = at;
        } else {
            at += 1;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

fn push_escape(out: &mut Vec<u8>, character: &[u8]) {
    match *character {
        [byte @ (b'"' | b'\\')] => out.extend_from_slice(&[b'\\', byte]),
        [0x08] => out.extend_from_slice(b"\\b"),
        [0x0c] => out.extend_from_slice(b"\\f"),
        [b'\n'] => out.extend_from_slice(b"\\n"),
        [b'\r'] => out.extend_from_slice(b"\\r"),
        [b'\t'] => out.extend_from_slice(b"\\t"),
        [_, _, 0xa8] => out.extend_from_slice(b"\\u2028"),
        [_, _, _] => out.extend_from_slice(b"\\u2029"),
        [byte, ..] => {
            out.extend_from_slice(b"\\u00");
            push_hex_byte(out, byte);
        }
        [] => {}
    }
}

const NEEDS_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

/// Text as Go's `encoding/json` would store these bytes: each byte that is not valid
/// UTF-8 becomes one U+FFFD (the standard library's lossy conversion writes fewer).
pub fn to_valid_utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

pub(crate) fn push_hex_byte(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

pub(crate) fn push_id(out: &mut Vec<u8>, id: Id) {
    let mut text = [b'"'; 66];
    for (pair, byte) in text[1..65].chunks_exact_mut(2).zip(id.0) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    out.extend_from_slice(&text);
}

pub(crate) fn push_integer(out: &mut Vec<u8>, mut value: u64) {
    // 20 digits hold u64::MAX.
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends a Go `[]byte`: standard base64 with padding, in quotes.
pub(crate) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

/// Reads what [`push_base64`] wrote, and what else Go reads: line breaks are skipped.
pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    if text.contains(['\r', '\n']) {
        LENIENT.decode(text.replace(['\r', '\n'], ""))
    } else {
        LENIENT.decode(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_written_as_go_writes_them() {
        let cases: [(&[u8], &str); 16] = [
            (b"", r#""""#),
            (b"plain", r#""plain""#),
            (b"<a href=\"x\">&</a>", r#""\u003ca href=\"x\"\u003e\u0026\u003c/a\u003e""#),
            (b"\\", r#""\\""#),
            (b"\x00\x01\x1f", r#""\u0000\u0001\u001f""#),
            (b"\x08\x0c\n\r\t\x0b", r#""\b\f\n\r\t\u000b""#),
            (b"\x7f", "\"\u{7f}\""),
            ("\u{2028}\u{2029}\u{2027}\u{202a}".as_bytes(), "\"\\u2028\\u2029\u{2027}\u{202a}\""),
            ("€\u{2028}€".as_bytes(), "\"€\\u2028€\""),
            ("é😀e\u{301}".as_bytes(), "\"é😀e\u{301}\""),
            (b"\xff", r#""\ufffd""#),
            // Three bytes of a character of four: one replacement each.
            (b"a\xf0\x9f\x98b", r#""a\ufffd\ufffd\ufffdb""#),
            // An encoded surrogate is not UTF-8.
            (b"\xed\xa0\x80", r#""\ufffd\ufffd\ufffd""#),
            (b"\xe2", r#""\ufffd""#),
            (b"\xe2\x80", r#""\ufffd\ufffd""#),
            ("\u{fffd}".as_bytes(), "\"\u{fffd}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text), expected, "{text:?}");
        }
    }

    #[test]
    fn integers_are_written_in_full() {
        for value in [0, 1, 9, 10, 4_294_967_295, u64::MAX] {
            let mut out = Vec::new();
            push_integer(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("AA==", Some(b"\0")),
            ("AB==", Some(b"\0")),
            ("QU\r\nJD", Some(b"ABC")),
            ("AA", None),
            ("A_==", None),
            ("AA==x", None),
        ] {
            assert_eq!(decode_base64(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_json_parser_reads_a_string_back(text: String) {
            let back: String = serde_json::from_str(&json(text.as_bytes())).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn bytes_become_the_same_text_with_and_without_json(bytes: Vec<u8>) {
            let back: String = serde_json::from_str(&json(&bytes)).unwrap();
            prop_assert_eq!(back, to_valid_utf8(&bytes));
        }

        #[test]
        fn base64_round_trips(bytes: Vec<u8>) {
            let mut out = Vec::new();
            push_base64(&mut out, &bytes);
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(decode_base64(&text).unwrap(), bytes);
        }
    }
}
