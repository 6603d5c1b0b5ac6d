//! Measures a restore alone: `restore_speed make small|large FOLDER` writes a repository with
//! 300,000 files of 100 to 3,000 bytes in 3,000 folders, or one file of 2 GiB;
//! `restore_speed run FOLDER TARGET` restores it and prints wall and CPU time and peak memory.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement prints and stops at errors"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use keepwell_engine::compress::Compression;
use keepwell_engine::compute::ComputeSlots;
use keepwell_engine::control::Control;
use keepwell_engine::format::{BlobKind, Node, NodeKind, Snapshot, Timestamp, TreeWriter, go_mode};
use keepwell_engine::id::Id;
use keepwell_engine::report::Silent;
use keepwell_engine::repository::{InitOptions, Repository, RepositoryOptions, Session, SnapshotChoice};
use keepwell_engine::restore::{RestoreOptions, restore};
use keepwell_engine::store::{Location, StoreSettings};
use secrecy::SecretString;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", what, folder] => make(Path::new(folder), *what == "large"),
        ["run", folder, target] => run(Path::new(folder), Path::new(target)),
        _ => panic!("make small|large FOLDER, or run FOLDER TARGET"),
    }
}

fn password() -> SecretString {
    SecretString::from("password")
}

fn make(folder: &Path, large: bool) {
    let (location, settings, init) =
        (Location::folder(folder), StoreSettings::default(), InitOptions::default());
    let repository =
        Repository::init(&location, &settings, &password(), &init, RepositoryOptions::default()).unwrap();
    let session = repository.begin(false, &Control::new()).unwrap();
    let mut random = 1_u64;
    let nodes = if large {
        vec![file(&session, "large", (0..2048).map(|_| bytes(&mut random, 1 << 20)))]
    } else {
        (0..3000).map(|number| folder_of_files(&session, number, &mut random)).collect()
    };
    let tree = store_tree(&session, &nodes);
    session.flush().unwrap();
    let snapshot = Snapshot::new(Timestamp::from_unix(1, 0), tree, vec!["/".into()]);
    session.put_snapshot(session.seal_snapshot(&snapshot).unwrap()).unwrap();
}

fn folder_of_files(session: &Session, number: usize, random: &mut u64) -> Node {
    let files: Vec<Node> = (0..100)
        .map(|number| {
            let length = 100 + (*random % 2900) as usize;
            file(session, &format!("file-{number:03}"), std::iter::once(bytes(random, length)))
        })
        .collect();
    let mut folder = Node::empty(NodeKind::Dir);
    folder.name = format!("folder-{number:04}").into();
    folder.mode = go_mode::DIR | 0o755;
    folder.subtree = Some(store_tree(session, &files));
    folder
}

fn file(session: &Session, name: &str, blobs: impl Iterator<Item = Vec<u8>>) -> Node {
    let mut node = Node::empty(NodeKind::File);
    (node.name, node.mode, node.mtime) = (name.into(), 0o644, Timestamp::from_unix(1_700_000_000, 5));
    let content = blobs.map(|blob| {
        node.size += blob.len() as u64;
        store(session, BlobKind::Data, &blob)
    });
    let content = content.collect();
    node.content = Some(content);
    node
}

fn store_tree(session: &Session, nodes: &[Node]) -> Id {
    let mut writer = TreeWriter::new();
    nodes.iter().for_each(|node| writer.push(node).unwrap());
    store(session, BlobKind::Tree, &writer.finish())
}

fn store(session: &Session, kind: BlobKind, bytes: &[u8]) -> Id {
    let id = Id::of(bytes);
    session.store_blob(kind, id, bytes, Compression::Auto, &mut Vec::new()).unwrap();
    id
}

/// Half random, half of four letters: compresses as ordinary data does.
fn bytes(random: &mut u64, length: usize) -> Vec<u8> {
    let mut next = || {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*random >> 33) as u8
    };
    (0..length).map(|at| if at % 64 < 32 { next() } else { b"abcd"[usize::from(next() & 3)] }).collect()
}

fn run(folder: &Path, target: &Path) {
    let location = Location::folder(folder);
    let settings = StoreSettings::default();
    let repository =
        Repository::open(&location, &settings, &password(), RepositoryOptions::default()).unwrap();
    let session = repository.begin(false, &Control::new()).unwrap();
    repository.load_index(&Control::new()).unwrap();
    let (_, snapshot) = repository.find_snapshot("latest", &SnapshotChoice::default()).unwrap();
    // The key derivation takes 64 MiB: what counts is the peak after it.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (began, cpu) = (Instant::now(), cpu_time());
    let (control, compute) = (Control::new(), ComputeSlots::of_this_machine());
    let outcome =
        restore(&session, snapshot.tree, target, &RestoreOptions::default(), &control, &compute, &Silent);
    let (wall, cpu) = (began.elapsed(), cpu_time() - cpu);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{:?}\nwall {wall:.2?}, CPU {cpu:.2?}, {peak}", outcome.unwrap());
}

fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
