//! What patterns match, case by case: the cases of restic's own tables, and those where
//! its implementation decides what its documentation leaves open.

use super::*;

/// A pattern, a path, whether it matches.
const MATCHES: &[(&str, &str, bool)] = &[
    ("*.go", "/foo/bar/test.go", true),
    ("*.c", "/foo/bar/test.go", false),
    ("*", "/foo/bar/test.go", true),
    ("**", "/foo/bar/test.go", true),
    ("foo*", "/foo/bar/test.go", true),
    ("bar*", "/foo/bar/test.go", true),
    ("/bar*", "/foo/bar/test.go", false),
    ("bar/*", "/foo/bar/test.go", true),
    ("baz/*", "/foo/bar/test.go", false),
    ("bar/test.go", "/foo/bar/test.go", true),
    ("bar/*.go", "/foo/bar/test.go", true),
    ("ba*/*.go", "/foo/bar/test.go", true),
    ("bb*/*.go", "/foo/bar/test.go", false),
    ("test.*", "/foo/bar/test.go", true),
    ("tesT.*", "/foo/bar/test.go", false),
    ("bar/*", "/foo/bar/baz", true),
    ("bar", "/foo/bar", true),
    ("/foo/bar", "/foo/bar", true),
    ("/foo/bar/", "/foo/bar", true),
    ("/foo/bar", "/foo/baz", false),
    ("/foo/bar", "/foo/baz/", false),
    ("/foo///bar", "/foo/bar", true),
    ("/foo/../bar", "/foo/bar", false),
    ("/foo/../bar", "/bar", true),
    ("/foo", "/foo/baz", true),
    ("/foo/", "/foo/baz", true),
    ("/foo/*", "/foo", false),
    ("/foo/*", "/foo/baz", true),
    ("bar", "/foo/bar/baz", true),
    ("bar", "/foo/bar/test.go", true),
    ("/foo/*test.*", "/foo/bar/test.go", false),
    ("/foo/*/test.*", "/foo/bar/test.go", true),
    ("/foo/*/bar/test.*", "/foo/bar/test.go", false),
    ("/*/*/bar/test.*", "/foo/bar/test.go", false),
    ("/*/*/bar/test.*", "/foo/bar/baz/test.go", false),
    ("/*/*/baz/test.*", "/foo/bar/baz/test.go", true),
    ("/*/foo/bar/test.*", "/foo/bar/baz/test.go", false),
    ("/*/foo/bar/test.*", "/foo/bar/baz/test.go", false),
    ("/foo/bar/test.*", "bar/baz/test.go", false),
    ("/x/y/bar/baz/test.*", "bar/baz/test.go", false),
    ("/x/y/bar/baz/test.c", "bar/baz/test.go", false),
    ("baz/test.*", "bar/baz/test.go", true),
    ("baz/tesT.*", "bar/baz/test.go", false),
    ("test.go", "bar/baz/test.go", true),
    ("*.go", "bar/baz/test.go", true),
    ("*.c", "bar/baz/test.go", false),
    ("sdk", "/foo/bar/sdk", true),
    ("sdk", "/foo/bar/sdk/test/sdk_foo.go", true),
    ("sdk/*/cpp/*/*vars*.html", "/usr/share/doc/libreoffice/sdk/docs/cpp/ref/a00517.html", false),
    ("foo/**/bar/*.go", "/home/user/foo/work/special/project/bar/test.go", true),
    ("foo/**/bar/*.go", "/home/user/foo/bar/test.go", true),
    ("foo/**/bar/*.go", "x/foo/bar/test.go", true),
    ("foo/**/bar/*.go", "foo/bar/test.go", true),
    ("foo/**/bar/*.go", "foo/bar/baz/bar/test.go", true),
    ("foo/**/bar/*.go", "/home/user/foo/test.c", false),
    ("foo/**/bar/*.go", "bar/foo/main.go", false),
    ("foo/**/bar/*.go", "/foo/bar/main.go", true),
    ("foo/**/bar/*.go", "bar/main.go", false),
    ("foo/**/bar", "/home/user/foo/x/y/bar", true),
    ("foo/**/bar", "/home/user/foo/x/y/bar/main.go", true),
    ("foo/**/bar/**/x", "/home/user/foo/bar/x", true),
    ("foo/**/bar/**/x", "/home/user/foo/blaaa/blaz/bar/shared/work/x", true),
    ("user/**/important*", "/home/user/work/x/y/hidden/x", false),
    ("user/**/hidden*/**/c", "/home/user/work/x/y/hidden/z/a/b/c", true),
    ("c:/foo/*test.*", "c:/foo/bar/test.go", false),
    ("c:/foo", "c:/foo/bar", true),
    ("c:/foo/", "c:/foo/bar", true),
    ("c:/foo/*/test.*", "c:/foo/bar/test.go", true),
    ("c:/foo/*/bar/test.*", "c:/foo/bar/test.go", false),
    // The root, and patterns that are nothing but wildcards.
    ("/", "/foo", true),
    ("/", "foo", false),
    ("**", "foo", true),
    ("**", "/", true),
    ("**/**", "/foo", true),
    ("**/**/**", "foo", false),
    // `**` at the end asks for a component more once an earlier one has taken some.
    ("/a/**/b/**", "/a/b", false),
    ("/a/**/b/**", "/a/b/y", true),
    ("/a/**/b/**", "/a/x/b", false),
    ("/a/**/b/**", "/a/x/b/y", true),
    ("**/b/**", "/a/x/b", true),
    ("a**", "/x/abc", true),
    ("a/**/**/b", "a/b", false),
    ("a/**/**/b", "a/x/b", true),
    // Escapes and classes.
    ("\\*", "/x/*", true),
    ("\\*", "/x/y", false),
    ("[^a-c]x", "/dx", true),
    ("[^a-c]x", "/ax", false),
];

/// A pattern, a path, whether something below the path may match.
const CHILDREN: &[(&str, &str, bool)] = &[
    ("foo/bar", "/foo", true),
    ("baz/bar", "/foo", true),
    ("foo", "/foo/bar", true),
    ("bar", "/foo", true),
    ("baz", "/foo/bar", true),
    ("*", "/foo", true),
    ("*", "/foo/bar", true),
    ("/foo/bar", "/foo", true),
    ("/foo/bar/baz", "/foo", true),
    ("/foo/bar/baz", "/foo/bar", true),
    ("/foo/bar/baz", "/foo/baz", false),
    ("/foo/**/baz", "/foo/bar/baz", true),
    ("/foo/**/baz", "/foo/bar/baz/blah", true),
    ("/foo/**/qux", "/foo/bar/baz/qux", true),
    ("/foo/**/qux", "/foo/bar/baz", true),
    ("/foo/**/qux", "/foo/bar/baz/boo", true),
    ("/foo/**", "/foo/bar/baz", true),
    ("/foo/**", "/foo/bar", true),
    ("foo/**/bar/**/x", "/home/user/foo", true),
    ("foo/**/bar/**/x", "/home/user/foo/bar", true),
    ("foo/**/bar/**/x", "/home/user/foo/blaaa/blaz/bar/shared/work/x", true),
    ("/foo/*/qux", "/foo/bar", true),
    ("/foo/*/qux", "/foo/bar/boo", false),
    ("/foo/*/qux", "/foo/bar/boo/xx", false),
    ("/baz/bar", "/foo", false),
    ("/foo", "/foo/bar", true),
    ("/*", "/foo", true),
    ("/*", "/foo/bar", true),
    ("/foo", "/foo/bar", true),
    ("/**", "/foo", true),
    ("/*/**", "/foo", true),
    ("/*/**", "/foo/bar", true),
    ("/*/bar", "/foo", true),
    ("/bar/*", "/foo", false),
    ("/foo/*/baz", "/foo/bar", true),
    ("/foo/*/baz", "/foo/baz", true),
    ("/foo/*/baz", "/bar/baz", false),
    ("/**/*", "/foo", true),
    ("/**/bar", "/foo/bar", true),
    ("/", "/foo", true),
    ("/", "foo", false),
];

/// Patterns, a path, whether it matches, whether something below it may.
const LISTS: &[(&[&str], &str, bool, bool)] = &[
    (&[], "/foo/bar/test.go", false, false),
    (&["*.go"], "/foo/bar/test.go", true, true),
    (&["*.go"], "/foo/bar", false, true),
    (&["*.c"], "/foo/bar/test.go", false, true),
    (&["*.go", "*.c"], "/foo/bar/test.go", true, true),
    (&["*"], "/foo/bar/test.go", true, true),
    (&["x"], "/foo/bar/test.go", false, true),
    (&["?"], "/foo/bar/test.go", false, true),
    (&["?", "x"], "/foo/bar/x", true, true),
    (&["/*/*/bar/test.*"], "/foo/bar/test.go", false, false),
    (&["/*/*/bar/test.*"], "/foo/bar/bar", false, true),
    (&["/*/*/bar/test.*", "*.go"], "/foo/bar/test.go", true, true),
    (&["", "*.c"], "/foo/bar/test.go", false, true),
    (&["!**", "*.go"], "/foo/bar/test.go", true, true),
    (&["!**", "*.c"], "/foo/bar/test.go", false, true),
    (&["/foo/*/test.*", "!*.c"], "/foo/bar/test.c", false, false),
    (&["/foo/*/test.*", "!*.c"], "/foo/bar/test.go", true, true),
    (&["/foo/*/*", "!test.*", "*.c"], "/foo/bar/test.go", false, true),
    (&["/foo/*/*", "!test.*", "*.c"], "/foo/bar/test.c", true, true),
    (&["/foo/*/*", "!test.*", "*.c"], "/foo/bar/file.go", true, true),
    (&["/**/*", "!/foo", "/foo/*", "!/foo/bar"], "/foo/other/test.go", true, true),
    (&["/**/*", "!/foo", "/foo/*", "!/foo/bar"], "/foo/bar", false, false),
    (&["/**/*", "!/foo", "/foo/*", "!/foo/bar"], "/foo/bar/test.go", false, false),
    (&["/**/*", "!/foo", "/foo/*", "!/foo/bar"], "/foo/bar/test.go/child", false, false),
    (&["/**/*", "!/foo", "/foo/*", "!/foo/bar", "/foo/bar/test*"], "/foo/bar/test.go/child", true, true),
    (&["/foo/bar/*"], "/foo", false, true),
    (&["/foo/bar/*", "!/foo/bar/[a-m]*"], "/foo", false, true),
    (&["/foo/**/test.c"], "/foo/bar/foo/bar/test.c", true, true),
    (&["/foo/*/test.c"], "/foo/bar/foo/bar/test.c", false, false),
    (&["*", "!*.go"], "", false, false),
];

fn one(pattern: &str, path: &[u8]) -> Matched {
    Patterns::new(&[pattern]).unwrap().matches(path)
}

#[test]
fn patterns_match_what_restic_matches() {
    for (pattern, path, expected) in MATCHES {
        assert_eq!(one(pattern, path.as_bytes()).matched, *expected, "{pattern:?} on {path:?}");
    }
}

#[test]
fn folders_that_may_hold_a_match_are_told() {
    for (pattern, path, expected) in CHILDREN {
        assert_eq!(one(pattern, path.as_bytes()).child_may_match, *expected, "{pattern:?} on {path:?}");
    }
}

#[test]
fn lists_are_decided_in_their_order() {
    for (patterns, path, matched, child_may_match) in LISTS {
        let said = Patterns::new(patterns).unwrap().matches(path.as_bytes());
        let expected = Matched { matched: *matched, child_may_match: *child_may_match };
        assert_eq!(said, expected, "{patterns:?} on {path:?}");
    }
}

#[test]
fn malformed_patterns_are_refused_by_name() {
    for pattern in ["test/[", "test/**/[", "a\\", "!x/[a-", "[a/b]"] {
        let error = Patterns::new(&["fine", pattern]).unwrap_err();
        assert!(matches!(&error, Error::Invalid(why) if why.contains(pattern)), "{pattern:?}: {error}");
    }
    assert!(Patterns::new(&["x".repeat(PATTERN_BYTES_MAX + 1)]).is_err());
    assert!(Patterns::new(&["", ""]).unwrap().is_empty());
}

#[test]
fn case_is_ignored_where_asked_to() {
    let patterns = Patterns::case_insensitive(&["*.JPG", "Ärger"]).unwrap();
    for path in ["/a/b.jpg", "/a/B.Jpg", "/ÄRGER", "/ärger/x"] {
        assert!(patterns.matches(path.as_bytes()).matched, "{path}");
    }
    assert!(!patterns.matches(b"/a/b.jpeg").matched);
    assert!(patterns.matches(b"/\xff\xfe/B.JPG").matched);
}

#[test]
fn bytes_that_are_no_utf8_match_as_bytes() {
    let patterns = Patterns::new(&[b"caf\xe9".as_slice(), b"?\xe8".as_slice()]).unwrap();
    assert!(patterns.matches(b"/x/caf\xe9/y").matched);
    assert!(patterns.matches(b"/\xe9\xe8").matched);
    assert!(!patterns.matches("/café".as_bytes()).matched);
}

#[test]
fn pattern_files_lose_comments_blank_lines_and_white_space() {
    let text = b"\xef\xbb\xbf# comment\n  *.go \r\n\n\t# another\n!keep.go\n$HOME/x\n#";
    let expected: [&[u8]; 3] = [b"*.go", b"!keep.go", b"$HOME/x"];
    assert_eq!(pattern_lines(text), expected);
}

/// restic's own procedure: each `**` is replaced by so many `*`, all ways are tried.
fn expanded_match(parts: &[&str], path: &[&str]) -> bool {
    if let Some(at) = parts.iter().position(|part| *part == "**") {
        return (0..).take_while(|stars| stars + parts.len() <= path.len() + 1).any(|stars| {
            let middle = vec!["*"; stars];
            expanded_match(&[&parts[..at], &middle, &parts[at + 1..]].concat(), path)
        });
    }
    let matches = |part: &str, name: &str| part == name || name != "/" && part == "*";
    let first = usize::from(parts.first() != Some(&"/") && path.first() == Some(&"/"));
    let last = if parts.first() == Some(&"/") { 0 } else { path.len() };
    !parts.is_empty()
        && (first..=last).any(|place| {
            path.get(place..place + parts.len())
                .is_some_and(|run| run.iter().zip(parts).all(|(name, part)| matches(part, name)))
        })
}

#[test]
fn every_small_pattern_matches_as_if_expanded() {
    let words = |alphabet: &[&'static str], length: u32| -> Vec<Vec<&'static str>> {
        let base = alphabet.len();
        (0..base.pow(length))
            .map(|n| (0..length).map(|i| alphabet[n / base.pow(i) % base]).collect())
            .collect()
    };
    let mut compared = 0;
    for length in 1..=5 {
        for parts in words(&["a", "b", "*", "**"], length) {
            for depth in 1..=4 {
                for names in words(&["a", "b"], depth) {
                    for (pattern_root, path_root) in [("", ""), ("", "/"), ("/", "/"), ("/", "")] {
                        let pattern = format!("{pattern_root}{}", parts.join("/"));
                        let path = format!("{path_root}{}", names.join("/"));
                        let rooted = |root: &'static str, rest: &[&'static str]| {
                            [if root.is_empty() { &[][..] } else { &["/"][..] }, rest].concat()
                        };
                        let expected =
                            expanded_match(&rooted(pattern_root, &parts), &rooted(path_root, &names));
                        assert_eq!(
                            one(&pattern, path.as_bytes()).matched,
                            expected,
                            "{pattern:?} on {path:?}"
                        );
                        compared += 1;
                    }
                }
            }
        }
    }
    assert_eq!(compared, (4 + 16 + 64 + 256 + 1024) * (2 + 4 + 8 + 16) * 4);
}

#[test]
fn hostile_patterns_take_no_exponential_time() {
    let pattern = format!("{}z", "**/a/".repeat(800));
    let path = "/a".repeat(2_000);
    assert!(!one(&pattern, path.as_bytes()).matched);
    assert!(!one(&"**/".repeat(1_365), b"/a/b").matched);
    assert!(one(&format!("{}a", "**/".repeat(1_000)), path.as_bytes()).matched);
}
