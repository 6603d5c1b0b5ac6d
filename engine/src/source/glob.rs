//! The pattern of one path component, with the spelling and the meaning of Go's
//! `filepath.Match`: `*`, `?`, `[a-z]`, `[^…]` and `\` before a character taken as it is.
//!
//! Names are bytes. `?` and classes take one UTF-8 character, or one byte where
//! the bytes are no UTF-8 (which a class sees as U+FFFD). Matching takes at most
//! pattern length × name length steps: a star is never tried again once what follows it has matched.

use std::str;

/// A parsed component pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    chunks: Vec<Chunk>,
}

/// What stands between two stars.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    after_star: bool,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    AnyCharacter,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// The pattern is not well formed: an unclosed class, a class without members, a `\` at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPattern;

impl Glob {
    /// Parses a pattern without `/`.
    pub(crate) fn parse(pattern: &[u8]) -> Result<Self, BadPattern> {
        let mut chunks = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let stars = rest.iter().take_while(|byte| **byte == b'*').count();
            rest = rest.get(stars..).unwrap_or_default();
            let mut tokens = Vec::new();
            while let Some((&first, after)) = rest.split_first() {
                let token = match first {
                    b'*' => break,
                    b'?' => {
                        rest = after;
                        Token::AnyCharacter
                    }
                    b'[' => {
                        let (token, after_class) = parse_class(after)?;
                        rest = after_class;
                        token
                    }
                    b'\\' => {
                        let (&escaped, after_escape) = after.split_first().ok_or(BadPattern)?;
                        rest = after_escape;
                        Token::Byte(escaped)
                    }
                    byte => {
                        rest = after;
                        Token::Byte(byte)
                    }
                };
                tokens.push(token);
            }
            chunks.push(Chunk { after_star: stars > 0, tokens });
        }
        Ok(Self { chunks })
    }

    /// Whether the whole of `name`, which holds no `/`, matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let mut rest = name;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let last = index + 1 == self.chunks.len();
            if chunk.after_star && chunk.tokens.is_empty() {
                return true;
            }
            // The last chunk has to take all that is left, which a later place may do.
            let latest = if chunk.after_star { rest.len() } else { 0 };
            let found = (0..=latest)
                .filter_map(|start| chunk.strip(rest.get(start..)?))
                .find(|left| !last || left.is_empty());
            match found {
                Some(left) => rest = left,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Chunk {
    /// What is left of `name` after this chunk, if it begins with it.
    fn strip<'a>(&self, mut name: &'a [u8]) -> Option<&'a [u8]> {
        for token in &self.tokens {
            let (character, width) = first_character(name)?;
            let taken = match token {
                Token::Byte(byte) if name.first() == Some(byte) => 1,
                Token::Byte(_) => return None,
                Token::AnyCharacter => width,
                Token::Class { negated, ranges } => {
                    let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                    if inside == *negated {
                        return None;
                    }
                    width
                }
            };
            name = name.get(taken..)?;
        }
        Some(name)
    }
}

/// Parses a class after its `[`; gives it and what follows its `]`.
fn parse_class(mut rest: &[u8]) -> Result<(Token, &[u8]), BadPattern> {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut ranges = Vec::new();
    loop {
        match rest.split_first() {
            Some((b']', after)) if !ranges.is_empty() => {
                return Ok((Token::Class { negated, ranges }, after));
            }
            _ => {}
        }
        let (low, after_low) = class_member(rest)?;
        let (high, after) = match after_low.split_first() {
            Some((b'-', after_dash)) => class_member(after_dash)?,
            _ => (low, after_low),
        };
        ranges.push((low, high));
        rest = after;
    }
}

/// One member of a class, escaped or not. Something must follow it: the `]` at least.
fn class_member(rest: &[u8]) -> Result<(char, &[u8]), BadPattern> {
    let rest = match rest.split_first() {
        None | Some((b'-' | b']', _)) => return Err(BadPattern),
        Some((b'\\', escaped)) => escaped,
        Some(_) => rest,
    };
    let (character, width) = first_character(rest).ok_or(BadPattern)?;
    // One byte taken for U+FFFD is a byte that is no UTF-8.
    if character == char::REPLACEMENT_CHARACTER && width == 1 {
        return Err(BadPattern);
    }
    match rest.get(width..) {
        Some(after) if !after.is_empty() => Ok((character, after)),
        _ => Err(BadPattern),
    }
}

/// The first character and its bytes; U+FFFD and 1 where there is no UTF-8.
fn first_character(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let decoded = (2..=4).find_map(|width| str::from_utf8(bytes.get(..width)?).ok()?.chars().next());
    Some(decoded.map_or((char::REPLACEMENT_CHARACTER, 1), |character| (character, character.len_utf8())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_go_matches_them() {
        let cases: [(&str, &str, bool); 40] = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b*c*d*e*", "axbxcxdxexxx", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("a[^a][^a][^a]b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "x", true),
            ("[\\-x]", "a", false),
            ("*x", "xxx", true),
            ("**", "anything", true),
            ("[*]", "*", true),
            ("[*]", "a", false),
            ("a]", "a]", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("*.go", "test.go.bak", false),
        ];
        for (pattern, name, expected) in cases {
            let glob = Glob::parse(pattern.as_bytes()).unwrap();
            assert_eq!(glob.matches(name.as_bytes()), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn malformed_components_are_refused() {
        let cases = ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[b", "\\", "[\\"];
        for pattern in cases {
            assert_eq!(Glob::parse(pattern.as_bytes()), Err(BadPattern), "{pattern:?}");
        }
        assert_eq!(Glob::parse(b"[\xff]"), Err(BadPattern));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_single_characters() {
        let matches = |pattern: &[u8], name: &[u8]| Glob::parse(pattern).unwrap().matches(name);
        assert!(matches(b"a?b", b"a\xffb"));
        assert!(matches(b"a??b", b"a\xff\xfeb"));
        assert!(!matches(b"a?b", b"a\xff\xfeb"));
        assert!(matches(b"\xff*", b"\xffx"));
        assert!(matches("[\u{fffd}]".as_bytes(), b"\xff"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"*a".repeat(2_000);
        let name = b"a".repeat(1_999);
        assert!(!Glob::parse(&pattern).unwrap().matches(&name));
        assert!(Glob::parse(&pattern).unwrap().matches(&b"a".repeat(2_000)));
    }
}
