//! A dump of a Firebird database that does something in its middle: whatever a test wants to happen amid a backup.
//!
//! The source is the engine's own. Around the reader of its one file is another that counts the bytes which go by
//! and acts once, so that nothing depends on how fast this machine is.

use std::io::Read;
use std::sync::Arc;

use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::firebird::FirebirdAccess;
use keepwell_engine::format::Node;
use keepwell_engine::job::Job;
use keepwell_engine::source::firebird::FirebirdSource;
use keepwell_engine::source::{Entry, EntryContent, FileContent, Folder, Problems, Source, Totals};

use crate::embedding::Scene;
use crate::firebird_jobs::{backup_job, dump_of};

/// Where dumps are held: beyond the first chunk, far from the end.
pub const MIDDLE: u64 = 1 << 20;

type Act = Arc<dyn Fn() + Send + Sync>;

/// A dump that does something once [`MIDDLE`] bytes of it were read.
struct Tapped {
    inner: FirebirdSource,
    act: Act,
}

/// A backup of a database that does something once [`MIDDLE`] bytes of its dump were read, in the thread that reads.
pub fn tapped(scene: &Scene, access: &FirebirdAccess, act: impl Fn() + Send + Sync + 'static) -> Job {
    let (inner, act) = (dump_of(access), Arc::new(act));
    backup_job(scene, Box::new(move || Ok(Box::new(Tapped { inner, act }) as Box<dyn Source>)))
}

impl Source for Tapped {
    fn paths(&self) -> Vec<String> {
        self.inner.paths()
    }
    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        self.inner.prepare(control, problems)
    }
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(TappedFolder { inner: self.inner.root()?, act: self.act.clone() }))
    }
    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        self.inner.count(control, found)
    }
    fn finish(&self) -> Result<()> {
        self.inner.finish()
    }
    fn cancel(&self) {
        self.inner.cancel();
    }
}

struct TappedFolder {
    inner: Box<dyn Folder>,
    act: Act,
}

impl Folder for TappedFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        self.inner.list(problems, &mut |entry| {
            let EntryContent::File(file) = entry.content else { panic!("a dump is a file") };
            let file = Box::new(TappedFile { inner: file, act: self.act.clone() });
            each(Entry { node: entry.node, content: EntryContent::File(file) })
        })
    }
    fn display_path(&self) -> String {
        self.inner.display_path()
    }
}

struct TappedFile {
    inner: Box<dyn FileContent>,
    act: Act,
}

impl FileContent for TappedFile {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(TappedReader { inner: self.inner.open()?, left: Some(MIDDLE), act: self.act.clone() }))
    }
    fn complete(&self, node: &mut Node, problems: &dyn Problems) {
        self.inner.complete(node, problems);
    }
    fn is_stream(&self) -> bool {
        true
    }
}

struct TappedReader {
    inner: Box<dyn Read + Send>,
    left: Option<u64>,
    act: Act,
}

impl Read for TappedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = match self.left {
            Some(left) if left <= length as u64 => {
                (self.act)();
                None
            }
            left => left.map(|left| left - length as u64),
        };
        Ok(length)
    }
}
