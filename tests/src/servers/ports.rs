//! Ports for programs that cannot tell which one they were given.
//!
//! Blocks of them lie below those that the kernel gives out by itself, and a block belongs to whoever holds
//! its lock file, so that tests that run side by side never get the same.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

/// The kernel's own begin at 32768 unless told otherwise.
const FIRST: u16 = 20_000;
/// What SeaweedFS takes, with room.
const BLOCK: u16 = 16;
const BLOCKS: u16 = 700;

/// Consecutive ports on loopback, nobody else's as long as this lives.
pub struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Takes a block that is free.
    pub fn take() -> Self {
        let folder = lock_folder();
        // Whoever starts at the same block as somebody else tries some in vain.
        let start = (std::process::id() % u32::from(BLOCKS)) as u16;
        for block in (0..BLOCKS).map(|step| (start + step) % BLOCKS) {
            let lock = File::create(folder.join(format!("{block}.lock"))).expect("a lock file");
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let first = FIRST + block * BLOCK;
            if (first..first + BLOCK).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
                return Self { first, _lock: lock };
            }
        }
        panic!("no {BLOCK} consecutive ports are free from {FIRST} on");
    }

    /// One of them, counted from 0.
    pub fn port(&self, number: u16) -> u16 {
        assert!(number < BLOCK, "a block has {BLOCK} ports");
        self.first + number
    }
}

fn lock_folder() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("keepwell-tests-ports-{user}"));
    std::fs::create_dir_all(&folder).expect("a folder for lock files");
    folder
}

/// A port on which nobody listens, and nobody will as long as the listener's place is kept.
///
/// The socket is bound and does not listen: whoever connects is refused.
pub fn refused() -> (u16, rustix::fd::OwnedFd) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = getsockname(&socket).expect("an address");
    let address = std::net::SocketAddrV4::try_from(address).expect("it was bound to one of these");
    (address.port(), socket)
}
