//! Sections of docs/messages.md that are made of the samples, each between two comments that name it.
//!
//! What is in the file is compared with what is to be; with `KEEPWELL_RENEW_DOCUMENTS=1` it is written instead.

use std::path::Path;

/// A line of an example is broken where it would be longer.
const LINE_LENGTH_MAX: usize = 110;

/// Fails if a section of the document is not current, and says how to renew it.
pub fn ensure_current(section: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/messages.md");
    let text = std::fs::read_to_string(&path).expect("docs/messages.md");
    let (begin, end) = (format!("<!-- made: {section} -->\n"), format!("<!-- end: {section} -->"));
    let (before, rest) = text.split_once(&begin).expect("the section begins");
    let (found, after) = rest.split_once(&end).expect("the section ends");
    let wanted = format!("\n{}\n\n", content.trim());
    if found == wanted {
        return;
    }
    if std::env::var_os("KEEPWELL_RENEW_DOCUMENTS").is_some() {
        return std::fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).expect("it is written");
    }
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        differs.is_none() && found == wanted,
        "docs/messages.md is not current in its section {section}, first here: {differs:?}; run this test with \
         KEEPWELL_RENEW_DOCUMENTS=1 and look at what changed"
    );
}

/// JSON as people read it: one line where it fits, and of a list of objects only the first.
pub fn readable(json: &str) -> String {
    let mut rest = json;
    let node = Node::read(&mut rest);
    assert!(rest.is_empty(), "{json}");
    node.lay_out(0)
}

/// JSON text in its own order.
enum Node<'a> {
    Leaf(&'a str),
    Object(Vec<(&'a str, Node<'a>)>),
    List(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    fn read(rest: &mut &'a str) -> Self {
        match rest.as_bytes()[0] {
            b'{' => {
                let mut fields = Vec::new();
                while take_one_of(rest, "{,}") != '}' {
                    if !rest.starts_with('}') {
                        let name = leaf(rest);
                        take_one_of(rest, ":");
                        fields.push((name, Self::read(rest)));
                    }
                }
                Self::Object(fields)
            }
            b'[' => {
                let mut entries = Vec::new();
                while take_one_of(rest, "[,]") != ']' {
                    if !rest.starts_with(']') {
                        entries.push(Self::read(rest));
                    }
                }
                entries.truncate(if matches!(entries.first(), Some(Self::Object(_))) {
                    1
                } else {
                    usize::MAX
                });
                Self::List(entries)
            }
            _ => Self::Leaf(leaf(rest)),
        }
    }

    fn lay_out(&self, indent: usize) -> String {
        let line = self.line();
        if indent + line.chars().count() <= LINE_LENGTH_MAX {
            return line;
        }
        let pad = " ".repeat(indent + 2);
        let (open, close, parts): (_, _, Vec<String>) = match self {
            Self::Leaf(text) => return (*text).to_owned(),
            Self::Object(fields) => {
                let part =
                    |(name, value): &(&str, Node)| format!("{pad}{name}: {}", value.lay_out(indent + 2));
                ('{', '}', fields.iter().map(part).collect())
            }
            Self::List(entries) => {
                let part = |entry: &Node| format!("{pad}{}", entry.lay_out(indent + 2));
                ('[', ']', entries.iter().map(part).collect())
            }
        };
        format!("{open}\n{}\n{}{close}", parts.join(",\n"), " ".repeat(indent))
    }

    fn line(&self) -> String {
        match self {
            Self::Leaf(text) => (*text).to_owned(),
            Self::Object(fields) => {
                let parts: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}: {}", value.line())).collect();
                format!("{{{}}}", parts.join(", "))
            }
            Self::List(entries) => {
                let parts: Vec<String> = entries.iter().map(Self::line).collect();
                format!("[{}]", parts.join(", "))
            }
        }
    }
}

/// A text with its quotes, or a number, a truth value or null.
fn leaf<'a>(rest: &mut &'a str) -> &'a str {
    let length = match rest.strip_prefix('"') {
        Some(text) => {
            let mut is_escaped = false;
            let end = text.find(|letter| {
                let ends = letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && !is_escaped;
                ends
            });
            end.expect("a text ends") + 2
        }
        None => rest.find([',', '}', ']']).unwrap_or(rest.len()),
    };
    let (leaf, after) = rest.split_at(length);
    *rest = after;
    leaf
}

fn take_one_of(rest: &mut &str, letters: &str) -> char {
    let found = rest.chars().next().filter(|letter| letters.contains(*letter));
    *rest = &rest[1..];
    found.expect("JSON of our own")
}
