//! Real files, with somebody who looks over the reader's shoulder.
//!
//! [`Observer`] counts how often each file is opened and how many of its bytes are read, by all attempts
//! together, and can hold readers up: until a test has done what is to happen amid a backup, or for
//! good, as a share of a network that is gone.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use keepwell_actors::runner::MakeNamedSource;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::format::Node;
use keepwell_engine::source::files::{FilesOptions, FilesSource};
use keepwell_engine::source::{Entry, EntryContent, FileContent, Folder, Problems, Source, Totals};
use parking_lot::{Condvar, Mutex};

/// What was read of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRead {
    /// How often it was opened.
    pub opened: u64,
    /// How many bytes were read, in all.
    pub bytes: u64,
}

/// Looks over the readers' shoulders. Clones are the same observer.
#[derive(Clone, Default)]
pub struct Observer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, FileRead>>,
    bytes: AtomicU64,
    gate: Mutex<Option<Gate>>,
    changed: Condvar,
    counts_for_ever: AtomicBool,
    sources: AtomicUsize,
    /// 0 where there is no limit.
    bytes_per_second: AtomicU64,
}

/// Holds readers up.
#[derive(Clone, Copy)]
struct Gate {
    after_bytes: u64,
    /// Holds one reader alone, and that one even if its source is cancelled.
    hangs: bool,
    caught: bool,
}

impl Observer {
    /// Lets readers read so many bytes, all together, and then waits for [`Observer::open_gate`]. A reader
    /// whose source is cancelled fails.
    pub fn close_gate_after(&self, bytes: u64) {
        *self.shared.gate.lock() = Some(Gate { after_bytes: bytes, hangs: false, caught: false });
    }

    /// Lets readers read so many bytes; then the next one hangs, whether its source is cancelled or not.
    pub fn hang_one_after(&self, bytes: u64) {
        *self.shared.gate.lock() = Some(Gate { after_bytes: bytes, hangs: true, caught: false });
    }

    /// Lets all go on.
    pub fn open_gate(&self) {
        *self.shared.gate.lock() = None;
        self.shared.changed.notify_all();
    }

    /// Lets each reader read so many bytes in a second, and no more.
    pub fn slow_down_to(&self, bytes_per_second: u64) {
        self.shared.bytes_per_second.store(bytes_per_second, Ordering::SeqCst);
    }

    /// Lets whoever counts what there is to read find more and more, until it is told to end.
    pub fn count_for_ever(&self) {
        self.shared.counts_for_ever.store(true, Ordering::SeqCst);
    }

    /// Sources that somebody still has.
    pub fn sources(&self) -> usize {
        self.shared.sources.load(Ordering::SeqCst)
    }

    /// Bytes that were read so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    /// What was read of each file, by path.
    pub fn files(&self) -> BTreeMap<String, FileRead> {
        self.shared.files.lock().clone()
    }

    /// Makes a source of the files in `folder` that is observed, a new one for each attempt.
    pub fn source_of(&self, folder: &Path) -> MakeNamedSource {
        let (observer, folder) = (self.clone(), folder.to_path_buf());
        Arc::new(move || {
            let source = observer.observe(folder.clone())?;
            Ok(Box::new(source) as Box<dyn Source>)
        })
    }

    fn observe(&self, folder: PathBuf) -> Result<Observed> {
        let files = FilesSource::new(vec![folder], FilesOptions::default(), Arc::new(SystemClock))?;
        self.shared.sources.fetch_add(1, Ordering::SeqCst);
        Ok(Observed { files, watch: Watch { observer: self.clone(), cancelled: Arc::default() } })
    }
}

/// One source's observer, and whether the source was cancelled.
#[derive(Clone)]
struct Watch {
    observer: Observer,
    cancelled: Arc<AtomicBool>,
}

impl Watch {
    /// Waits at the gate.
    fn pass(&self) -> io::Result<()> {
        let shared = &self.observer.shared;
        let mut gate = shared.gate.lock();
        let mut is_caught = false;
        while let Some(here) = gate.as_mut()
            && self.observer.bytes() >= here.after_bytes
        {
            if here.hangs && here.caught && !is_caught {
                return Ok(());
            }
            if self.cancelled.load(Ordering::SeqCst) && !here.hangs {
                return Err(io::Error::other("the source was cancelled"));
            }
            here.caught = true;
            is_caught = true;
            shared.changed.wait(&mut gate);
        }
        Ok(())
    }
}

struct Observed {
    files: FilesSource,
    watch: Watch,
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.watch.observer.shared.sources.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Source for Observed {
    fn paths(&self) -> Vec<String> {
        self.files.paths()
    }

    fn prepare(&self, control: &Control, problems: &dyn Problems) -> Result<()> {
        self.files.prepare(control, problems)
    }

    fn root(&self) -> Result<Box<dyn Folder>> {
        let inner = self.files.root()?;
        Ok(Box::new(ObservedFolder { inner, watch: self.watch.clone() }))
    }

    fn count(&self, control: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        self.files.count(control, found)?;
        while self.watch.observer.shared.counts_for_ever.load(Ordering::SeqCst) {
            control.checkpoint()?;
            found(Totals::default());
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        self.files.finish()
    }

    fn cancel(&self) {
        self.files.cancel();
        self.watch.cancelled.store(true, Ordering::SeqCst);
        // Under the lock, or a reader that has just looked would not hear of it.
        let _gate = self.watch.observer.shared.gate.lock();
        self.watch.observer.shared.changed.notify_all();
    }
}

struct ObservedFolder {
    inner: Box<dyn Folder>,
    watch: Watch,
}

impl Folder for ObservedFolder {
    fn list(&self, problems: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        let above = self.inner.display_path();
        self.inner.list(problems, &mut |Entry { node, content }| {
            let watch = self.watch.clone();
            let content = match content {
                EntryContent::Nothing => EntryContent::Nothing,
                EntryContent::Folder(inner) => {
                    EntryContent::Folder(Box::new(ObservedFolder { inner, watch }))
                }
                EntryContent::File(inner) => {
                    let path = format!("{above}/{}", String::from_utf8_lossy(&node.name));
                    EntryContent::File(Box::new(ObservedFile { inner, path, watch }))
                }
            };
            each(Entry { node, content })
        })
    }

    fn display_path(&self) -> String {
        self.inner.display_path()
    }
}

struct ObservedFile {
    inner: Box<dyn FileContent>,
    path: String,
    watch: Watch,
}

impl FileContent for ObservedFile {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        let inner = self.inner.open()?;
        let mut files = self.watch.observer.shared.files.lock();
        files.entry(self.path.clone()).or_default().opened += 1;
        Ok(Box::new(ObservedReader { inner, path: self.path.clone(), watch: self.watch.clone() }))
    }

    fn complete(&self, node: &mut Node, problems: &dyn Problems) {
        self.inner.complete(node, problems);
    }

    fn is_stream(&self) -> bool {
        self.inner.is_stream()
    }
}

struct ObservedReader {
    inner: Box<dyn Read + Send>,
    path: String,
    watch: Watch,
}

impl Read for ObservedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.pass()?;
        let length = self.inner.read(buffer)?;
        let shared = &self.watch.observer.shared;
        let bytes_per_second = shared.bytes_per_second.load(Ordering::SeqCst);
        if bytes_per_second > 0 {
            std::thread::sleep(Duration::from_secs(1) * length as u32 / bytes_per_second as u32);
        }
        shared.bytes.fetch_add(length as u64, Ordering::SeqCst);
        if let Some(file) = shared.files.lock().get_mut(&self.path) {
            file.bytes += length as u64;
        }
        Ok(length)
    }
}
