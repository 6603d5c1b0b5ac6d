//! What this daemon's commands, events and progress are called at the broker.

/// The event that stands for those that are not kept any more.
pub const MISSED: &str = "missed";

/// The subjects of one node.
#[derive(Clone, Debug)]
pub struct Subjects {
    node: String,
}

impl Subjects {
    /// Those of a node whose name fits into a subject.
    pub fn new(node: &str) -> Self {
        Self { node: node.into() }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Every command.
    pub fn commands(&self) -> String {
        self.command("*")
    }

    /// The command that a subject names.
    pub fn command_of<'a>(&self, subject: &'a str) -> &'a str {
        subject.strip_prefix(&self.command("")).unwrap_or(subject)
    }

    fn command(&self, name: &str) -> String {
        format!("keepwell.{}.command.{name}", self.node)
    }

    /// Every event that has a number.
    pub fn events(&self) -> String {
        self.event(">")
    }

    /// One event.
    pub fn event(&self, name: &str) -> String {
        format!("keepwell.{}.event.{name}", self.node)
    }

    /// Progress, which no stream that takes events is to keep.
    pub fn progress(&self) -> String {
        format!("keepwell.{}.{}", self.node, keepwell_messages::BackupProgress::NAME)
    }
}

/// Whether all that `subject`, which may end in `>`, stands for is also what `pattern` stands for.
pub fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_stands_for() {
        let events = Subjects::new("nas").events();
        for (pattern, expected) in [
            ("keepwell.nas.event.>", true),
            ("keepwell.*.event.>", true),
            ("keepwell.>", true),
            (">", true),
            ("keepwell.nas.>", true),
            ("keepwell.nas.event.*", false),
            ("keepwell.nas.event", false),
            ("keepwell.other.event.>", false),
            ("keepwell.nas.event.task-created", false),
            ("*.*.*.*", false),
        ] {
            assert_eq!(covers(pattern, &events), expected, "{pattern}");
        }
    }

    #[test]
    fn a_subject_names_its_command() {
        let subjects = Subjects::new("nas");
        assert_eq!(subjects.command_of("keepwell.nas.command.get-items"), "get-items");
        assert!(covers(&subjects.commands(), "keepwell.nas.command.get-items"));
        assert!(!covers(&subjects.events(), &subjects.progress()), "no stream keeps progress");
    }
}
