//! JSON text spread over lines as Go's `json.Indent` does, the order of fields kept.

/// `json` with two blanks for each level. Text that is no JSON comes out as something, too:
/// only brackets, commas and colons outside strings are looked at.
pub fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                match bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        break_line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                break_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            other => out.push(other),
        }
    }
    out
}

/// Deeper levels look alike: nested brackets must not multiply the text.
const DEPTH_SHOWN_MAX: usize = 32;

fn break_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth.min(DEPTH_SHOWN_MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_gos() {
        for (json, expected) in [
            (r#"{"a":1,"b":[],"c":{}}"#, "{\n  \"a\": 1,\n  \"b\": [],\n  \"c\": {}\n}"),
            (
                r#"{"b":["x, y:{\"","\\"],"a":null}"#,
                "{\n  \"b\": [\n    \"x, y:{\\\"\",\n    \"\\\\\"\n  ],\n  \"a\": null\n}",
            ),
            ("[ ]\n", "[]"),
            ("]]}", "\n]\n]\n}"),
        ] {
            assert_eq!(String::from_utf8(indent(json.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn deep_nesting_does_not_multiply_the_text() {
        let deep = vec![b'['; 100_000];
        assert!(indent(&deep).len() < 100 * deep.len());
    }
}
