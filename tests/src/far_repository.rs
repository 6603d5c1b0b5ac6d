//! A repository `far` of a daemon, on a store that stops answering when it is told to: questions to it then take as
//! long as somebody waits for them.

use crate::daemon::DaemonHome;
use crate::fault_proxy::FaultProxy;
use crate::fault_proxy::fault::{Fault, Side};
use crate::fault_proxy::script::{Rule, Script, Which};
use crate::programs::{keepwell, transcript};
use crate::servers::Server;
use crate::servers::webdav::StrictWebDav;

/// The store and the way to it.
pub struct FarRepository {
    proxy: FaultProxy,
    _server: StrictWebDav,
}

impl FarRepository {
    /// Makes it, with the password of `home`.
    pub fn make(home: &DaemonHome) -> Self {
        let server = StrictWebDav::start();
        let proxy = FaultProxy::start(server.port(), Script::clean());
        let location = server.location(proxy.port(), "far");
        let mut init = keepwell().command_at(location.as_ref(), &home.path("home"));
        let made = init.arg("init").output().expect("keepwell");
        assert!(made.status.success(), "{}", transcript(&made));
        std::fs::write(home.path("location"), &location).expect("a file");
        Self { proxy, _server: server }
    }

    /// Its tables of the configuration.
    pub fn configuration(&self, home: &DaemonHome) -> String {
        let [location, password] = ["location", "password"].map(|name| home.path(name).display().to_string());
        format!("[repositories.far]\nlocation_file = {location:?}\npassword_file = {password:?}\n")
    }

    /// From now on nothing is answered, and no connection is closed.
    pub fn stall(&self) {
        let fault = Fault::Stall { side: Side::Reply, after_bytes: 0 };
        self.proxy.follow(Script::new([Rule { which: Which::Numbered(0..u64::MAX), fault }]));
    }
}
