//! The tree that the paths asked for make together, as restic's `internal/archiver/tree.go`:
//! `/home/x` and `/etc` are a root that holds `etc`, whole, and `home`, which holds
//! nothing but `x`. A path below another one is covered by it.

use std::collections::BTreeMap;

/// A folder on the way to paths that were asked for. By names, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetTree {
    pub(super) entries: BTreeMap<Vec<u8>, Target>,
}

/// An entry of a [`TargetTree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Asked for: everything in it.
    Whole,
    /// On the way: only what is named here.
    Between(TargetTree),
}

/// The tree of absolute, clean paths; [`Target::Whole`] if the root is among them.
pub(super) fn target_tree<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Target {
    let mut top = Target::Between(TargetTree::default());
    for path in paths {
        let mut at = &mut top;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Target::Between(tree) = at else { break };
            at = tree.entries.entry(name.to_vec()).or_insert_with(|| Target::Between(TargetTree::default()));
        }
        *at = Target::Whole;
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(target: &Target) -> String {
        match target {
            Target::Whole => "*".into(),
            Target::Between(tree) => {
                let entries = tree.entries.iter();
                let entries =
                    entries.map(|(name, t)| format!("{}{}", String::from_utf8_lossy(name), spelled(t)));
                format!("({})", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn paths_make_one_tree() {
        let cases: [(&[&str], &str); 7] = [
            (&["/home/x", "/etc"], "(etc* home(x*))"),
            (&["/a/b/c", "/a/b", "/a/d"], "(a(b* d*))"),
            (&["/a/b", "/a/b/c/d"], "(a(b*))"),
            (&["/a", "/a"], "(a*)"),
            (&["/ab", "/a/b"], "(a(b*) ab*)"),
            (&["/", "/etc"], "*"),
            (&["/etc", "/"], "*"),
        ];
        for (paths, expected) in cases {
            let tree = target_tree(paths.iter().map(|path| path.as_bytes()));
            assert_eq!(spelled(&tree), expected, "{paths:?}");
        }
    }
}
