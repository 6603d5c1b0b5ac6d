//! Small file systems for tests, in a mount namespace of their own.
//!
//! A test that needs one runs once more in a process that may mount; where the system allows no such thing
//! it says so and skips.

use std::path::Path;
use std::process::Command;

use crate::programs::{say, transcript};

const INSIDE: &str = "KEEPWELL_TEST_INSIDE_NAMESPACE";

/// Whether this process may mount; if not, the test of this name was run, or skipped, in one that may.
pub fn is_inside_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let probe = tempfile::tempdir().expect("a folder");
    let mut allowed = Command::new("unshare");
    allowed.args(unshare.get_args()).args(["mount", "-t", "tmpfs", "tmpfs"]).arg(probe.path());
    if !allowed.output().is_ok_and(|output| output.status.success()) {
        say(&format!("skipped: {test} (no mount namespaces here)"));
        return false;
    }
    unshare
        .arg(std::env::current_exe().expect("a running test has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let output = unshare.output().expect("it runs");
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && ran, "{}", transcript(&output));
    false
}

/// Mounts, or mounts again, at `folder`.
pub fn mount(arguments: &[&str], folder: &Path) {
    let output = Command::new("mount").args(arguments).arg(folder).output().expect("mount runs");
    assert!(output.status.success(), "mount {arguments:?}: {}", transcript(&output));
}
