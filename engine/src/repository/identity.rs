//! Who works on a repository: named in locks, keys and snapshots.

/// The machine and user on whose behalf the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The machine's name.
    pub hostname: String,
    /// The user's name, empty if unknown.
    pub username: String,
    /// The user's id.
    pub uid: u32,
    /// The user's group id.
    pub gid: u32,
}

impl Identity {
    /// The process's own.
    pub fn of_this_process() -> Self {
        let uid = rustix::process::getuid().as_raw();
        Self {
            hostname: this_hostname(),
            username: uzers::get_user_by_uid(uid)
                .map(|user| user.name().to_string_lossy().into_owned())
                .unwrap_or_default(),
            uid,
            gid: rustix::process::getgid().as_raw(),
        }
    }
}

/// This machine's name as the kernel gives it; locks are compared with it.
pub(crate) fn this_hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
