//! What the kernel counts of this process: bytes through read and write calls, processor time, threads,
//! open handles, memory.
//!
//! Counters are those of the whole process, so a suite that looks at them runs its tests one by one.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Read from `/proc/self`; each look reads a few hundred bytes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// All that read calls gave.
    pub read_bytes: u64,
    /// All that write calls took.
    pub written_bytes: u64,
    /// On all processors, in ticks of the kernel's clock of 10 ms.
    pub cpu: Duration,
}

impl Counters {
    /// As they are now.
    pub fn now() -> Self {
        let io = read("io");
        let bytes = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
            line.trim().parse().expect("a number")
        };
        let stat = read("stat");
        // The name stands in parentheses and may hold anything; the times are the 14th and 15th fields.
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let fields = fields.split(' ').skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("a number")).sum();
        Self {
            read_bytes: bytes("rchar:"),
            written_bytes: bytes("wchar:"),
            cpu: Duration::from_millis(10 * ticks),
        }
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            read_bytes: self.read_bytes - before.read_bytes,
            written_bytes: self.written_bytes - before.written_bytes,
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new("/proc/self").join(name)).expect("the kernel tells")
}

/// The names of all threads.
pub fn threads() -> Vec<String> {
    let threads = std::fs::read_dir("/proc/self/task").expect("the kernel tells");
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    // One that ends while it is looked at is gone.
    let names = threads.filter_map(|thread| name(thread.ok()?));
    names.map(|name| name.trim().to_owned()).collect()
}

/// The names of those that work for a job: its workers have its thread's name, which they inherit. The
/// store's pool serves all jobs and stays a while for the next one.
pub fn job_threads() -> Vec<String> {
    let mut threads = threads();
    threads.retain(|name| name.starts_with("keepwell-") && name != "keepwell-store");
    threads
}

/// What the open handles are of: paths, or kinds such as `socket:[1234]`.
pub fn handles() -> Vec<PathBuf> {
    let handles = std::fs::read_dir("/proc/self/fd").expect("the kernel tells");
    handles.filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok()).collect()
}

/// Memory that is there for the process alone, and not for a file.
pub fn resident_bytes() -> u64 {
    anonymous_bytes(&read("status"))
}

/// The same of another process.
pub fn resident_bytes_of(process: u32) -> u64 {
    anonymous_bytes(&std::fs::read_to_string(format!("/proc/{process}/status")).expect("a living process"))
}

fn anonymous_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is counted");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
