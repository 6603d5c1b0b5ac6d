//! Streams and commands, read as the pipeline reads them.

use std::sync::mpsc::channel;

use super::*;
use crate::clock::SystemClock;
use crate::format::go_mode;
use crate::source::EntryContent;
use crate::source::list_all;

struct Nothing;

impl Problems for Nothing {
    fn unreadable(&self, _: &str, _: &str) {}
    fn not_stored(&self, _: &str, _: &str) {}
}

fn shell(script: &str) -> StreamSource {
    let line = CommandLine {
        program: "sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("GREETING".into(), "hello".into())],
        working_folder: Some("/".into()),
        ..CommandLine::default()
    };
    StreamSource::from_command("dump.sql", line, Arc::new(SystemClock)).unwrap()
}

fn open(source: &StreamSource) -> Box<dyn Read + Send> {
    source.prepare(&Control::new(), &Nothing).unwrap();
    let mut entries = list_all(&*source.root().unwrap(), &Nothing).unwrap();
    match entries.remove(0).content {
        EntryContent::File(file) => file.open().unwrap(),
        _ => panic!("not a file"),
    }
}

fn read(source: &StreamSource) -> String {
    let mut text = String::new();
    open(source).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_reader_is_one_file_below_its_folders() {
    let content = "x".repeat(3 * 1024 * 1024);
    let reader = Box::new(io::Cursor::new(content.clone()));
    let source = StreamSource::from_reader("a/../b//c.sql", reader, Arc::new(SystemClock)).unwrap();
    assert_eq!(source.paths(), ["/b/c.sql"]);
    source.prepare(&Control::new(), &Nothing).unwrap();
    let top = source.root().unwrap();
    assert_eq!(top.display_path(), "/");
    let folder = list_all(&*top, &Nothing).unwrap().remove(0);
    assert_eq!((folder.node.name.as_slice(), folder.node.mode), (b"b".as_slice(), go_mode::DIR | 0o755));
    let EntryContent::Folder(folder) = folder.content else { panic!("not a folder") };
    assert_eq!(folder.display_path(), "/b/");
    let file = list_all(&*folder, &Nothing).unwrap().remove(0);
    assert_eq!((file.node.name.as_slice(), file.node.mode), (b"c.sql".as_slice(), 0o644));
    let EntryContent::File(file) = file.content else { panic!("not a file") };
    let mut text = String::new();
    file.open().unwrap().read_to_string(&mut text).unwrap();
    assert!(text == content);
    assert!(file.open().is_err(), "a stream is read once only");
    source.finish().unwrap();
}

#[test]
fn names_of_nothing_are_refused() {
    for name in ["", "/", "..", "a/..", "nul\0byte"] {
        let made = StreamSource::from_reader(name, Box::new(io::empty()), Arc::new(SystemClock));
        assert!(matches!(made.err(), Some(Error::Invalid(_))), "{name:?}");
    }
}

#[test]
fn a_commands_output_is_the_file() {
    let source = shell("printf '%s from %s' \"$GREETING\" \"$PWD\"; cat");
    assert_eq!(read(&source), "hello from /");
    source.finish().unwrap();
}

#[test]
fn a_command_that_fails_tells_its_status_and_the_end_of_stderr() {
    let cases = [
        ("echo data; echo first >&2; echo broken >&2; exit 3", "exit status 3: first\nbroken"),
        ("echo data; kill -9 $$", "ended by signal 9"),
        ("echo why >&2", "it gave no data: why"),
    ];
    for (script, expected) in cases {
        let source = shell(script);
        read(&source);
        match source.finish() {
            Err(Error::SourceCommand { command, why }) => {
                assert_eq!((command.as_str(), &*why), ("sh", expected))
            }
            other => panic!("{script}: {other:?}"),
        }
    }
    let source = shell("head -c 1000000 /dev/zero | tr '\\0' e >&2; echo data; exit 1");
    read(&source);
    let why = source.finish().unwrap_err().to_string();
    assert!(why.len() < 65 * 1024 + 100, "{}", why.len());
}

#[test]
fn a_command_that_cannot_be_started_is_an_error_of_prepare() {
    let line = CommandLine { program: "/nowhere/program".into(), ..CommandLine::default() };
    let source = StreamSource::from_command("a", line, Arc::new(SystemClock)).unwrap();
    assert!(matches!(source.prepare(&Control::new(), &Nothing), Err(Error::SourceCommand { .. })));
}

#[test]
fn a_cancel_wakes_the_reader_and_ends_the_whole_group() {
    let source = shell("sleep 1000 & echo $!; wait");
    let mut reader = open(&source);
    let mut line = [0; 32];
    let length = reader.read(&mut line).unwrap();
    let sleeper: i32 = std::str::from_utf8(&line[..length]).unwrap().trim().parse().unwrap();
    let (woken, wakes) = channel();
    std::thread::spawn(move || woken.send(reader.read(&mut line).is_err()));
    source.cancel();
    assert!(wakes.recv().unwrap());
    assert!(matches!(source.finish(), Err(Error::Cancelled)));
    // Gone, or a zombie that its new parent has not reaped yet; a kill takes a moment to arrive.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default().chars().next();
        if matches!(state, None | Some('Z' | 'X')) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{stat}");
        std::thread::yield_now();
    }
}

#[test]
fn a_stream_that_gives_nothing_or_is_not_read_is_an_error() {
    let source = StreamSource::from_reader("a", Box::new(io::empty()), Arc::new(SystemClock)).unwrap();
    assert_eq!(read(&source), "");
    assert!(matches!(source.finish(), Err(Error::Source { .. })));
    let source = shell("yes");
    source.prepare(&Control::new(), &Nothing).unwrap();
    assert!(source.finish().is_err());
}
