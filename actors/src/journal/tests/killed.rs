//! A process that is killed while it commits: what it was told is there.
//!
//! The process is a copy of this program that runs one test, [`commits_until_it_is_killed`].

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use keepwell_messages::NumberedEvent;

use super::*;

/// Names the folder for the copy.
const FOLDER: &str = "KEEPWELL_TEST_JOURNAL_KILLED";

/// Batches that the copy has in flight.
const IN_FLIGHT: usize = 20;

/// Nothing by itself: commits and prints the numbers it is told, in the copy.
#[test]
fn commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (journal, opened) = open(Path::new(&folder));
    let (sender, told) = mpsc::channel();
    let mut out = std::io::stdout();
    writeln!(out, "\nopened {}", opened.kept.last_event).unwrap();
    for round in 0_u64.. {
        let number = opened.kept.ended.completed + round;
        let task = if number.is_multiple_of(2) { completed_task(number) } else { waiting_task(number) };
        // Never one that a process before had.
        let due = now() + TimeDelta::seconds(opened.kept.last_event as i64 * 100_000 + round as i64);
        let made = vec![put_task(task), put_outcome("home", due)];
        // The same tasks as before the kill are made again: what is ended already fails, and that is told.
        let batch = Batch { writes: made, events: vec![event(number)], ..Batch::new(now()) };
        let sender = sender.clone();
        journal.commit(batch, Box::new(move |fate| sender.send(fate).unwrap()));
        if round as usize >= IN_FLIGHT
            && let Ok(committed) = told.recv().unwrap()
        {
            writeln!(out, "committed {}", numbers(&committed)[0]).unwrap();
        }
    }
}

/// Lets the copy commit `count` batches, kills it, and gives the last number that it was told.
fn commit_and_kill(folder: &Path, count: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::killed::commits_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = lines.filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    let mut last: u64 = told.by_ref().nth(count).expect("it commits for ever");
    child.kill().unwrap();
    // What it had printed by then counts, too.
    last = told.last().unwrap_or(last);
    child.wait().unwrap();
    last
}

#[test]
fn all_that_was_told_is_there_after_a_kill_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for count in [1, 37, 150, 8, 400, 73] {
        let told = commit_and_kill(folder.path(), count);
        let (journal, opened) = open(folder.path());
        assert_eq!(opened.found, Found::Whole);
        let last = opened.kept.last_event;
        assert!(told > before && last >= told, "told {told}, kept {last}, before {before}");
        // Of the batches that were in flight, whole ones may be there without having been told.
        assert!(last - told <= IN_FLIGHT as u64 + 1, "told {told}, kept {last}");
        let mut after = 0;
        while let page = journal.events(after, 1000).unwrap().events
            && !page.is_empty()
        {
            for NumberedEvent { number, event, .. } in page {
                assert_eq!(number, after + 1);
                let Event::TaskCreated(made) = event else { panic!("{event:?}") };
                assert!(journal.task(made.task).unwrap().is_some(), "event {number} without its task");
                after = number;
            }
        }
        assert_eq!(after, last);
        let outcomes = journal.outcomes(&home(), u32::MAX).unwrap().outcomes.len() as u64;
        assert_eq!(outcomes, last.min(1000), "each batch had one, and one event");
        before = last;
    }
}
