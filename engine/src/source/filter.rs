//! Lists of path patterns with restic's spelling and meaning (`internal/filter`),
//! for what a backup leaves out and for what a restore takes or leaves out.
//!
//! A pattern is components joined by `/`, each as `Glob` reads it; `**` stands for any
//! number of components. It matches a path if it matches one of its folders, too. With a
//! leading `/` it begins at the root, else anywhere. `!` in front takes back what earlier
//! patterns of the list matched.
//!
//! Paths and patterns are bytes. One decision costs at most components of the pattern ×
//! components of the path component matches, whatever the pattern.

use crate::error::{Error, Result};
use crate::source::clean_path::clean;
use crate::source::glob::Glob;

/// Longest pattern that is accepted, in bytes: a path of Linux (PATH_MAX) fits.
pub const PATTERN_BYTES_MAX: usize = 4096;

/// What a list of patterns says of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The path, or a folder that it is in, matches.
    pub matched: bool,
    /// Something below the path might match. False is certain, true is not.
    pub child_may_match: bool,
}

/// Patterns in their order.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    case_ignored: bool,
    any_negated: bool,
}

#[derive(Clone, Debug)]
struct Pattern {
    parts: Vec<Part>,
    negated: bool,
    /// How many parts are not `**`.
    fixed_parts: usize,
}

#[derive(Clone, Debug)]
enum Part {
    /// The leading `/`.
    Root,
    /// `**`
    AnyDepth,
    Literal(Box<[u8]>),
    Glob(Glob),
}

impl Patterns {
    /// Parses patterns; empty ones are ignored. Fails with `Error::Invalid`, naming
    /// those that are malformed or longer than [`PATTERN_BYTES_MAX`].
    pub fn new<P: AsRef<[u8]>>(patterns: &[P]) -> Result<Self> {
        let mut parsed = Vec::with_capacity(patterns.len());
        let mut invalid = Vec::new();
        for pattern in patterns.iter().map(AsRef::as_ref).filter(|pattern| !pattern.is_empty()) {
            match Pattern::parse(pattern) {
                Some(pattern) => parsed.push(pattern),
                None => invalid.push(String::from_utf8_lossy(pattern).chars().take(200).collect::<String>()),
            }
        }
        if !invalid.is_empty() {
            return Err(Error::Invalid(format!("invalid patterns: {}", invalid.join(", "))));
        }
        let any_negated = parsed.iter().any(|pattern| pattern.negated);
        Ok(Self { patterns: parsed, case_ignored: false, any_negated })
    }

    /// As [`Patterns::new`], for patterns that match whatever the case of letters.
    pub fn case_insensitive<P: AsRef<[u8]>>(patterns: &[P]) -> Result<Self> {
        let lower: Vec<Vec<u8>> = patterns.iter().map(|pattern| lower_case(pattern.as_ref())).collect();
        Ok(Self { case_ignored: true, ..Self::new(&lower)? })
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Decides about `path`, absolute or relative, clean. The empty path matches nothing.
    pub fn matches(&self, path: &[u8]) -> Matched {
        let mut said = Matched::default();
        if self.patterns.is_empty() || path.is_empty() {
            return said;
        }
        let lowered;
        let path = if self.case_ignored {
            lowered = lower_case(path);
            lowered.as_slice()
        } else {
            path
        };
        let components = split(path);
        for pattern in &self.patterns {
            let matched = pattern.matches(&components);
            if pattern.negated {
                said.matched &= !matched;
                said.child_may_match &= !matched;
                continue;
            }
            said.matched |= matched;
            said.child_may_match |= pattern.child_may_match(&components);
            if said.matched && said.child_may_match && !self.any_negated {
                break;
            }
        }
        said
    }
}

/// The patterns in the text of an exclude or include file: one a line, without
/// surrounding white space, blank lines and lines that begin with `#`.
/// Variables (`$HOME`) are left as they are. A UTF-8 byte order mark is dropped.
pub fn pattern_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(<[u8]>::to_vec).collect()
}

impl Pattern {
    fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX {
            return None;
        }
        let (negated, text) = match text.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let cleaned = clean(text);
        let parts = split(&cleaned).into_iter().enumerate().map(|(at, part)| Part::parse(at, part));
        let parts = parts.collect::<Option<Vec<Part>>>()?;
        let fixed_parts = parts.iter().filter(|part| !matches!(part, Part::AnyDepth)).count();
        Some(Self { parts, negated, fixed_parts })
    }

    /// Whether the pattern matches a run of components: the first ones if it is
    /// absolute, else any.
    ///
    /// Row by row over the parts, `row[i]` is the latest place at which a match that ends before
    /// component `i` can have begun. The latest is the best because restic bounds how much
    /// the parts up to a `**` may take: with `k` further `**` in the pattern there have to be
    /// `k` components more than its fixed parts need. So `/a/**/b/**` matches `/a/b` and
    /// `/a/x/b/y`, but not `/a/x/b`.
    fn matches(&self, components: &[&[u8]]) -> bool {
        let count = components.len();
        let first_place = self.first_place(components);
        let depths = self.parts.len() - self.fixed_parts;
        if self.fixed_parts == 0 {
            // Nothing but `**`: any component will do for one of them.
            return first_place < count && depths <= count + 1;
        }
        let last_place = if self.is_absolute() { 0 } else { count };
        let mut row: Vec<Option<usize>> =
            (0..=count).map(|at| (first_place..=last_place).contains(&at).then_some(at)).collect();
        let (mut fixed_before, mut depths_left) = (0, depths);
        for part in &self.parts {
            if let Part::AnyDepth = part {
                depths_left -= 1;
                let Some(taken_max) = (count + fixed_before).checked_sub(self.fixed_parts + depths_left)
                else {
                    return false;
                };
                let mut latest = None;
                for (end, begun) in row.iter_mut().enumerate() {
                    latest = latest.max(*begun);
                    *begun = latest.filter(|begun| end - begun <= taken_max);
                }
            } else {
                fixed_before += 1;
                for end in (1..=count).rev() {
                    let matched = row.get(end - 1).copied().flatten();
                    let matched =
                        matched.filter(|_| components.get(end - 1).is_some_and(|c| part.matches(c)));
                    if let Some(cell) = row.get_mut(end) {
                        *cell = matched;
                    }
                }
                if let Some(cell) = row.first_mut() {
                    *cell = None;
                }
            }
        }
        row.iter().any(Option::is_some)
    }

    /// Whether something below the path can match: always for a relative pattern, else if
    /// what the path has of the parts before a `**` matches.
    fn child_may_match(&self, components: &[&[u8]]) -> bool {
        if !self.is_absolute() {
            return true;
        }
        let fixed = self.parts.iter().take_while(|part| !matches!(part, Part::AnyDepth));
        fixed.zip(components).all(|(part, component)| part.matches(component))
    }

    fn is_absolute(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Root))
    }

    /// The root is matched by a leading `/` only.
    fn first_place(&self, components: &[&[u8]]) -> usize {
        usize::from(!self.is_absolute() && components.first() == Some(&b"/".as_slice()))
    }
}

impl Part {
    fn parse(at: usize, text: &[u8]) -> Option<Self> {
        Some(match text {
            b"/" if at == 0 => Self::Root,
            // Empty in the pattern `/` only, which matches everything absolute.
            b"**" | b"" => Self::AnyDepth,
            text if text.iter().any(|byte| b"\\[]*?".contains(byte)) => Self::Glob(Glob::parse(text).ok()?),
            text => Self::Literal(text.into()),
        })
    }

    fn matches(&self, component: &[u8]) -> bool {
        match self {
            Self::Root => component == b"/",
            Self::AnyDepth => true,
            Self::Literal(text) => **text == *component,
            Self::Glob(glob) => glob.matches(component),
        }
    }
}

/// The components of a path; the first one of an absolute path is `/`.
fn split(path: &[u8]) -> Vec<&[u8]> {
    let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    if let Some(first) = components.first_mut().filter(|first| first.is_empty()) {
        *first = b"/";
    }
    components
}

/// Each letter replaced by its one lower-case letter, as Go's `strings.ToLower`; bytes
/// that are no UTF-8 stay as they are.
fn lower_case(text: &[u8]) -> Vec<u8> {
    let mut lower = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let letters = chunk.valid().chars().filter_map(|letter| letter.to_lowercase().next());
        lower.extend_from_slice(letters.collect::<String>().as_bytes());
        lower.extend_from_slice(chunk.invalid());
    }
    lower
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
