//! A proxy in front of any HTTP store on loopback, which does to requests what a script says, and counts all
//! that goes through.
//!
//! Messages are passed on as they are, so signatures stay right. Its port belongs to it as long as it lives, also while
//! it refuses connections. Dropping it ends all connections.

mod connection;
pub mod fault;
pub mod link;
mod message;
pub mod script;
pub mod traffic;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::servers::ports::Ports;
use link::Link;
use script::Script;
use traffic::Traffic;

/// Between two tries to listen again where somebody's old connections still are.
const LISTEN_AGAIN: Duration = Duration::from_millis(10);

/// The proxy, under way.
pub struct FaultProxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    ports: Ports,
}

struct Shared {
    server_port: u16,
    own_port: u16,
    link: Link,
    script: Mutex<Arc<Script>>,
    traffic: Traffic,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    refuses_until: Option<Instant>,
    /// Clients, to be cut off by whoever has to.
    open: BTreeMap<u64, TcpStream>,
}

impl FaultProxy {
    /// Starts one in front of what listens on `server_port`.
    pub fn start(server_port: u16, script: Script) -> Self {
        Self::over_link(server_port, script, Link::default())
    }

    /// Starts one that also is as slow as a link.
    pub fn over_link(server_port: u16, script: Script, link: Link) -> Self {
        let ports = Ports::take();
        let shared = Arc::new(Shared {
            server_port,
            own_port: ports.port(0),
            link,
            script: Mutex::new(Arc::new(script)),
            traffic: Traffic::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let listener = listen(shared.own_port).expect("its port is its own");
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept_all(&accepting, listener));
        Self { shared, acceptor: Some(acceptor), ports }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.ports.port(0)
    }

    /// What goes by from now on meets this script; requests are counted on.
    pub fn follow(&self, script: Script) {
        *self.shared.script.lock() = Arc::new(script);
    }

    /// What it counted.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_all();
        self.shared.cut_off_everybody();
        self.shared.wake_acceptor();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn accept_all(shared: &Arc<Shared>, first: TcpListener) {
    let mut listener = first;
    for number in 0.. {
        let Ok((client, _)) = listener.accept() else { return };
        let refuses_until = {
            let mut state = shared.state.lock();
            if state.is_over {
                return;
            }
            state.refuses_until.take()
        };
        if let Some(until) = refuses_until {
            connection::reset(&client);
            drop((client, listener));
            if shared.sleep_until_over(until.saturating_duration_since(Instant::now())) {
                return;
            }
            listener = loop {
                match listen(shared.own_port) {
                    Ok(listener) => break listener,
                    Err(_) if shared.sleep_until_over(LISTEN_AGAIN) => return,
                    Err(_) => {}
                }
            };
            continue;
        }
        shared.traffic.connected();
        if let Ok(handle) = client.try_clone() {
            shared.state.lock().open.insert(number, handle);
        }
        let serving = Arc::clone(shared);
        std::thread::spawn(move || {
            connection::serve(&client, &serving);
            serving.state.lock().open.remove(&number);
        });
    }
}

impl Shared {
    /// Cuts everybody off, and lets nobody connect for some time.
    fn refuse(&self, time: Duration) {
        self.state.lock().refuses_until = Some(Instant::now() + time);
        self.cut_off_everybody();
        self.wake_acceptor();
    }

    fn cut_off_everybody(&self) {
        for client in self.state.lock().open.values() {
            connection::reset(client);
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    fn wake_acceptor(&self) {
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.own_port));
    }

    /// Sleeps, unless the proxy is dropped meanwhile; tells whether it was.
    fn sleep_until_over(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.is_over {
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_over
    }
}
