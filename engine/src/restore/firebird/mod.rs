//! A dump in a snapshot becomes a Firebird database again: it is streamed into `gbak`, which makes a database
//! under a temporary name beside the target; that one is validated, and only then gets its name.
//!
//! Laws: what stands at the target stays as it is unless it is to be replaced, and then until the new one is whole.
//! A dump that is damaged or ends too early, a cancel and a failure leave nothing; what a killed restore left is
//! removed by the next one. The new database is made by whoever would open it: a server, which then owns it, or
//! the tool itself. The target's folder is one of this machine.

mod target;

use std::io::{self, Write};
use std::net::{ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use keepwell_messages::{ErrorClass, Stage};

use self::target::Target;
use super::RestoreOutcome;
use crate::command::{RunningCommand, Streams};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::firebird::{
    Doing, FirebirdAccess, FirebirdDumpOptions, FirebirdPlace, Tools, failure, not_started,
};
use crate::format::{Node, NodeKind};
use crate::id::Id;
use crate::query::Unreadable;
use crate::query::dump::dump;
use crate::query::lookup::{Place, find_place};
use crate::report::{Counters, Meter, ReportSink, with_ticks};
use crate::repository::{Repository, Session};
use crate::source::firebird::DUMP_SUFFIX;

/// What one write gives to `gbak`: a Linux pipe holds 64 KiB. A pause and a cancel are looked at between two.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// What a dump is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirebirdTarget {
    /// The database, and how it is reached. Its path is absolute.
    pub access: FirebirdAccess,
    /// Whether a database that is there is replaced.
    pub replace: bool,
    /// The database lies in this folder and is reached from there through no link.
    pub beneath: Option<PathBuf>,
}

/// Makes a database of the dump at `path` below `tree`; of the snapshot's only dump if that is empty. The
/// session's index must be loaded.
///
/// # Errors
/// [`Error::Invalid`] if there is no such dump, or a database is there and not to be replaced, or is in use;
/// [`Error::Firebird`] if the tools fail. Whatever the error, the target is as it was.
pub fn restore_firebird(
    session: &Session,
    tree: Id,
    path: &[u8],
    target: &FirebirdTarget,
    control: &Control,
    sink: &dyn ReportSink,
) -> Result<RestoreOutcome> {
    let repository = session.repository();
    let counters = Counters::default();
    let meter = Meter::new(&counters, control, sink);
    counters.enter(Stage::Preparing);
    let (path, node) = find_dump(repository, tree, path, control)?;
    Counters::add(&counters.files_total, 1);
    Counters::add(&counters.bytes_total, node.size);
    counters.finish_totals();
    ensure_this_machine(&target.access.database)?;
    let options = FirebirdDumpOptions::default();
    let tools = Tools::prepare(&target.access, Doing::Restore, &options, control)?;
    let claimed = Target::claim(target)?;
    counters.enter(Stage::Restoring);
    let new = target.access.database.with_path(claimed.temporary_path()?);
    let restore =
        Restore { repository, tree, path: &path, tools: &tools, target, counters: &counters, control };
    restore.run(&new, &meter)?;
    claimed.ensure_made(&new)?;
    counters.enter(Stage::Verifying);
    with_ticks(|| meter.report(), || tools.ensure_valid(&new, control))?;
    control.checkpoint()?;
    claimed.publish()?;
    Counters::add(&counters.files_done, 1);
    meter.report();
    Ok(RestoreOutcome {
        files_restored: 1,
        files_verified: 1,
        bytes_written: counters.bytes_done.load(Ordering::Relaxed),
        bytes_total: node.size,
        ..RestoreOutcome::default()
    })
}

struct Restore<'a> {
    repository: &'a Repository,
    tree: Id,
    path: &'a [u8],
    tools: &'a Tools<'a>,
    target: &'a FirebirdTarget,
    counters: &'a Counters,
    control: &'a Control,
}

impl Restore<'_> {
    /// Has `gbak` make the database `new`.
    fn run(&self, new: &FirebirdPlace, meter: &Meter<'_>) -> Result<()> {
        let database = &self.target.access.database;
        let line = self.tools.create(new);
        let program = line.program.clone();
        let (gbak, pipes) = RunningCommand::start(line, Streams::Input)
            .map_err(|error| not_started(Doing::Restore, database, &program, &error))?;
        let tick = || {
            meter.report();
            // Wakes a write that waits for it.
            if self.control.is_cancelled() {
                gbak.cancel();
            }
        };
        let exit = with_ticks(tick, || {
            let mut input = pipes.input;
            let fed = match &mut input {
                Some(input) => self.feed(input),
                None => Ok(()),
            };
            match fed {
                Ok(()) => drop(input.take()),
                // It has had enough, or ended early: its exit tells which.
                Err(Error::Local { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                    drop(input.take());
                }
                // It is ended before its input is, which would look like the end of the dump.
                Err(error) => {
                    gbak.cancel();
                    return Err(error);
                }
            }
            self.control.checkpoint()?;
            gbak.finish_with(self.control, None)
        })?;
        match exit.as_str() {
            "" => Ok(()),
            exit => Err(failure(Doing::Restore, database, exit, &gbak.said())),
        }
    }

    fn feed(&self, input: &mut impl Write) -> Result<()> {
        let mut feed = Feed { input, control: self.control, counters: self.counters };
        let mut unreadable = |unreadable: Unreadable| Err(unreadable.error);
        let dumped = dump(self.repository, self.tree, self.path, &mut feed, self.control, &mut unreadable);
        // What the writer told of a cancel is a failed write by now.
        self.control.checkpoint()?;
        dumped.map(|_| ())
    }
}

/// Gives a dump to `gbak` in small pieces, and stands still while the job does.
struct Feed<'a, W> {
    input: &'a mut W,
    control: &'a Control,
    counters: &'a Counters,
}

impl<W: Write> Write for Feed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.checkpoint().map_err(io::Error::other)?;
        let piece = bytes.get(..WRITE_BYTES_MAX).unwrap_or(bytes);
        let written = self.input.write(piece)?;
        Counters::add(&self.counters.bytes_done, written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

/// The dump that is meant, by its path in the snapshot.
fn find_dump(repository: &Repository, tree: Id, path: &[u8], control: &Control) -> Result<(Vec<u8>, Node)> {
    let shown = String::from_utf8_lossy(path).into_owned();
    let folder = match find_place(repository, tree, path, control)? {
        Place::Entry(node) if node.kind == NodeKind::File => return Ok((path.to_vec(), *node)),
        Place::Entry(node) if node.kind == NodeKind::Dir => {
            node.subtree.ok_or_else(|| Error::damaged(&shown, "the folder names no tree"))?
        }
        Place::Entry(node) => {
            return Err(Error::Invalid(format!("{shown} is a {}, and no dump", node.kind.name())));
        }
        Place::Root(tree) => tree,
    };
    let mut dumps = Vec::new();
    for node in repository.read_tree_entries(folder)? {
        // Two are enough to know that it is not clear which is meant.
        if node.kind == NodeKind::File && node.name.ends_with(DUMP_SUFFIX.as_bytes()) && dumps.len() < 2 {
            dumps.push(node);
        }
    }
    match (dumps.pop(), dumps.pop()) {
        (Some(node), None) => {
            let path = [path, b"/", node.name.as_slice()].concat();
            Ok((path, node))
        }
        (None, _) => {
            let why =
                format!("there is no dump of a Firebird database, *{DUMP_SUFFIX}, in the snapshot{shown}");
            Err(Error::Invalid(format!("{why}; name its path if it is called something else")))
        }
        (Some(_), Some(_)) => {
            Err(Error::Invalid("the snapshot holds several dumps; name the path of one".into()))
        }
    }
}

/// A database gets its name through the file system of this machine, so the server has to be here as well.
fn ensure_this_machine(database: &FirebirdPlace) -> Result<()> {
    let path = database.path();
    if !Path::new(path).is_absolute() {
        return Err(Error::Invalid(format!(
            "{database} is no absolute path; name the file of the new database, not an alias"
        )));
    }
    let Some(host) = database.host() else { return Ok(()) };
    let Ok(addresses) = (host, 0).to_socket_addrs() else {
        let why = format!("nothing is known of a machine {host}; check the server's name");
        return Err(Doing::Restore.error(database, ErrorClass::Network, why));
    };
    // Only an address of one's own can be bound to.
    let mut addresses = addresses.map(|address| address.ip());
    if addresses.any(|address| UdpSocket::bind((address, 0)).is_ok()) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the server of {database} is another machine, where no restore can give a database its name; restore \
         there, or send the dump: keepwell dump SNAPSHOT /NAME{DUMP_SUFFIX} | gbak -c -user … -fe … stdin {database}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sample::{Sample, dir, file};

    #[test]
    fn the_only_dump_is_found_and_others_are_asked_for() {
        let sample = Sample::new("firebird-dump");
        let inner = sample.tree(&[file("a.fbk", &[]), file("b.fbk", &[]), file("notes", &[])]);
        let one = sample.tree(&[file("books.fbk", &[]), dir("both", inner), file("notes", &[])]);
        let empty = sample.tree(&[]);
        sample.session.flush().unwrap();
        let find = |path: &str| {
            let found = find_dump(sample.repository(), one, path.as_bytes(), &Control::new());
            found.map(|(path, _)| String::from_utf8(path).unwrap()).unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(find(""), "/books.fbk");
        assert_eq!(find("/both/a.fbk"), "/both/a.fbk");
        assert_eq!(find("notes"), "notes", "a path that is named is taken");
        assert!(find("/both").contains("several dumps"));
        assert!(find("/none").contains("not found"));
        let none = find_dump(sample.repository(), empty, b"", &Control::new());
        assert!(none.unwrap_err().to_string().contains("no dump"));
    }

    #[test]
    fn only_servers_of_this_machine_are_restored_to() {
        for (database, said) in [
            ("/data/b.fdb", ""),
            ("127.0.0.1/3051:/data/b.fdb", ""),
            ("localhost:service_mgr:/data/b.fdb", ""),
            ("localhost:employee", "no absolute path"),
            // A block of addresses that is for documentation only.
            ("192.0.2.1:/data/b.fdb", "is another machine"),
        ] {
            let found = ensure_this_machine(&database.parse().unwrap());
            let text = found.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                if said.is_empty() { text.is_empty() } else { text.contains(said) },
                "{database}: {text}"
            );
        }
    }
}
