//! Cells in columns as wide as their widest, for people.

use crate::exit::Failure;
use crate::output::{Output, printable};

/// A table of `N` columns.
pub struct Table<const N: usize> {
    head: [String; N],
    /// What stands below the head.
    pub rows: Vec<[String; N]>,
    /// A column that is left away.
    pub hidden: Option<usize>,
}

impl<const N: usize> Table<N> {
    /// One without rows.
    pub fn new(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned), rows: Vec::new(), hidden: None }
    }

    /// Prints it with a rule above and below the rows.
    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        for line in self.lines() {
            output.line(&line)?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let safe = |row: &[String; N]| row.clone().map(|cell| printable(&cell).into_owned());
        let head = safe(&self.head);
        let rows: Vec<_> = self.rows.iter().map(safe).collect();
        let shown: Vec<usize> = (0..N).filter(|column| Some(*column) != self.hidden).collect();
        let width = |column: usize| {
            rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        let line = |row: &[String; N]| {
            let cells = shown.iter().map(|&column| format!("{:width$}", row[column], width = widths[column]));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let wide = shown.iter().map(|&column| widths[column] + 2).sum::<usize>();
        let rule = "-".repeat(wide.saturating_sub(2));
        let mut lines = vec![line(&head), rule.clone()];
        lines.extend(rows.iter().map(line));
        lines.push(rule);
        lines
    }
}
