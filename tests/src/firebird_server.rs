//! A Firebird server of a test's own: its own configuration, security database, locks, port and data, in a
//! mount namespace where these stand in the system's places. It listens on loopback only, and dies with the test.
//!
//! It runs as the user firebird, which takes root. What the tests know of databases they ask `isql-fb` with the
//! login in its environment.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keepwell_engine::firebird::FirebirdAccess;
use tempfile::TempDir;

use crate::programs::{say, transcript};
use crate::running::{Running, wait_for};

/// What `tests/run` sets if all of it is there.
const SERVER: &str = "KEEPWELL_TEST_FIREBIRD";
/// The password of SYSDBA.
pub const PASSWORD: &str = "masterkey-of-tests";

/// Binds its own folders over the system's and becomes the server, which dies with the thread that started it.
const START: &str = r#"
set -e
mount --bind "$1/etc" /etc/firebird/3.0
mount --bind "$1/system" /var/lib/firebird/3.0/system
mount --bind "$1/run" /run/firebird3.0
mount --bind "$1/log" /var/log/firebird
exec setpriv --reuid firebird --regid firebird --clear-groups --pdeathsig KILL "$2"
"#;
/// The same, before the server runs for the first time: in a security database nobody else has.
const SET_PASSWORD: &str = r#"
set -e
mount --bind "$1/etc" /etc/firebird/3.0
mount --bind "$1/system" /var/lib/firebird/3.0/system
setpriv --reuid firebird --regid firebird --clear-groups isql-fb -q -b -user sysdba security.db
"#;

/// A running server.
pub struct FirebirdServer {
    folder: TempDir,
    server: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// Whether the tools are there, without which nothing can be tested.
pub fn tools_are_there() -> bool {
    let there = std::env::var_os(SERVER).is_some_and(|path| Path::new(&path).exists());
    if !there {
        say(&format!("skipped: Firebird is not there ({SERVER} is not set; see tests/run)"));
    }
    there
}

impl FirebirdServer {
    /// Starts one; says why not if it cannot be had here.
    pub fn start() -> Option<Self> {
        if !tools_are_there() {
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            say("skipped: a Firebird server (it takes root to run one as its own user)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        for name in ["etc", "system", "run", "log", "lock", "data"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for entry in fs::read_dir("/etc/firebird/3.0").expect("its configuration") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                fs::copy(&path, folder.path().join("etc").join(path.file_name().expect("a name")))
                    .expect("a copy");
            }
        }
        let configuration =
            format!("RemoteBindAddress = 127.0.0.1\nRemoteServicePort = {port}\nUdfAccess = None\n");
        fs::write(folder.path().join("etc/firebird.conf"), configuration).expect("its configuration");
        let security = "/var/lib/firebird/3.0/system/security3.fdb";
        fs::copy(security, folder.path().join("system/security3.fdb")).expect("a security database");
        let password = folder.path().join("password");
        fs::write(&password, format!("{PASSWORD}\n")).expect("a file for the password");
        run(Command::new("chown").args(["-R", "firebird:"]).arg(folder.path()));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("everybody may enter");
        let mut set = Command::new("unshare");
        set.args(["--mount", "sh", "-c", SET_PASSWORD, "sh"]).arg(folder.path());
        let mut set = Running::start(set);
        set.give(
            format!("create or alter user sysdba password '{PASSWORD}' using plugin Srp; commit;\n")
                .as_bytes(),
        );
        set.give_no_more();
        set.succeed();
        let server = PathBuf::from(std::env::var_os(SERVER).expect("it is there"));
        let mut server = Self { folder, server, port, child: None };
        server.restart();
        Some(server)
    }

    /// Starts it again, on the same port and data, and waits until it answers.
    pub fn restart(&mut self) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", START, "sh"]).arg(self.folder.path()).arg(&self.server);
        command.env("FIREBIRD_LOCK", self.folder.path().join("lock")).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("it starts");
        wait_for("the server", || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", self.port)).is_ok().then_some(())
        });
        self.child = Some(child);
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
        }
    }

    /// Where its databases lie.
    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// A file that holds the password of SYSDBA.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// A database as it is reached over the network.
    pub fn network(&self, name: &str) -> String {
        format!("127.0.0.1/{}:{}", self.port, self.data(name).display())
    }

    /// The same through the service manager.
    pub fn service(&self, name: &str) -> String {
        format!("127.0.0.1/{}:service_mgr:{}", self.port, self.data(name).display())
    }

    /// Access to a database, however it is written.
    pub fn access(&self, database: &str) -> FirebirdAccess {
        FirebirdAccess {
            user: Some("sysdba".into()),
            password_file: Some(self.password_file()),
            ..FirebirdAccess::new(database.parse().expect("a database"))
        }
    }

    /// A new database of `pairs` transfers, made without the server, which owns it then.
    pub fn make_ledger(&self, name: &str, pairs: u64) {
        make_ledger(&self.data(name), pairs);
        run(Command::new("chown").arg("firebird:").arg(self.data(name)));
    }

    /// An `isql-fb` that works on a database.
    pub fn isql(&self, name: &str) -> Running {
        let mut command = Command::new("isql-fb");
        command.args(["-q", "-b"]).arg(self.network(name));
        command.env("ISC_USER", "sysdba").env("ISC_PASSWORD", PASSWORD);
        Running::start(command)
    }

    /// Runs statements on a database.
    pub fn sql(&self, name: &str, statements: &str) -> String {
        let mut isql = self.isql(name);
        isql.give(statements.as_bytes());
        isql.give_no_more();
        isql.succeed()
    }

    /// What a database of transfers holds now.
    pub fn ledger(&self, name: &str) -> Ledger {
        Ledger::read(&self.sql(name, LEDGER))
    }
}

impl Drop for FirebirdServer {
    fn drop(&mut self) {
        self.kill();
    }
}

const LEDGER: &str = "set list on; select (select n from counter) as n, (select count(*) from detail) as rows_there,
    (select sum(amount) from detail) as total, (select count(distinct pair) from detail) as pairs from rdb$database;\n";

/// What a database of transfers holds: each transaction adds two rows that sum to zero, and counts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Transactions that it counts.
    pub counted: u64,
    /// Rows.
    pub rows: u64,
    /// Their sum.
    pub total: i64,
    /// Different transfers among them.
    pub pairs: u64,
}

impl Ledger {
    /// Whether it is as it was between two transactions.
    pub fn is_between_transactions(self) -> bool {
        self.rows == 2 * self.counted && self.pairs == self.counted && self.total == 0
    }

    fn read(said: &str) -> Self {
        let value = |name: &str| -> i64 {
            let line = said.lines().find(|line| line.starts_with(&format!("{name} "))).expect("a value");
            line.split_whitespace().last().expect("a value").parse().expect("a number")
        };
        let count = |name: &str| u64::try_from(value(name)).expect("a count");
        Self { counted: count("N"), rows: count("ROWS_THERE"), total: value("TOTAL"), pairs: count("PAIRS") }
    }

    /// What an embedded database holds.
    pub fn embedded(path: &Path) -> Self {
        Self::read(&embedded_sql(path, LEDGER))
    }
}

/// Runs statements on a database that no server has open.
pub fn embedded_sql(path: &Path, statements: &str) -> String {
    let mut command = Command::new("isql-fb");
    command.args(["-q", "-b", "-user", "sysdba"]).arg(path);
    let mut isql = Running::start(command);
    isql.give(statements.as_bytes());
    isql.give_no_more();
    isql.succeed()
}

/// The statements of one transfer.
pub fn transfer() -> &'static str {
    "insert into detail select 2 * n, n, n, 'transfer ' || n from counter;\n\
     insert into detail select 2 * n + 1, n, -n, 'transfer ' || n from counter;\n\
     update counter set n = n + 1;\ncommit;\n"
}

/// A new database of `pairs` transfers, made without a server.
pub fn make_ledger(path: &Path, pairs: u64) {
    let mut isql = Running::start({
        let mut command = Command::new("isql-fb");
        command.args(["-q", "-b"]);
        command
    });
    let tables = format!(
        "create database '{}' user 'sysdba' page_size 8192;\n\
         create table detail (id integer not null primary key, pair integer, amount integer, note varchar(100));\n\
         create table counter (n integer);\ninsert into counter values (0);\ncommit;\n",
        path.display()
    );
    isql.give(tables.as_bytes());
    isql.give_no_more();
    isql.succeed();
    // Nothing here has to survive a crash of the machine.
    run(Command::new("gfix").args(["-write", "async", "-user", "sysdba"]).arg(path));
    let fill = format!(
        "set term ^;\nexecute block as declare i integer = 0; begin while (i < {pairs}) do begin\n\
         insert into detail values (2 * :i, :i, :i, 'a ' || :i || ' ' || hash('a' || :i) || ' ' || hash('b' || :i));\n\
         insert into detail values (2 * :i + 1, :i, -:i, 'b ' || :i || ' ' || hash('c' || :i));\n\
         i = i + 1; end update counter set n = :i; end^\nset term ;^\ncommit;\n"
    );
    embedded_sql(path, &fill);
}

/// The `gbak`s at work that this process has started, by their ids.
pub fn gbaks_of(parent: u32) -> Vec<u32> {
    let stat = |entry: std::io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let (id, name) = head.split_once(" (")?;
        let mut fields = fields.split(' ');
        let (state, its_parent) = (fields.next()?, fields.next()?);
        // One that tells its version does no work.
        let works = || fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.ends_with(b"-z\0"));
        let is_ours = name == "gbak" && !matches!(state, "Z" | "X") && its_parent == parent.to_string();
        let counts = is_ours && works();
        counts.then(|| id.parse().ok()).flatten()
    };
    fs::read_dir("/proc").expect("the kernel tells").filter_map(stat).collect()
}

/// Whether a process is there and is no zombie.
pub fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// The processor time that a process has used, in ticks of 10 ms.
fn cpu_ticks(id: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// Waits until a `gbak` stands still: it uses no processor for a whole second. It may fill or empty the pipe first.
pub fn wait_for_standstill(gbak: u32) {
    wait_for("gbak to stand still", || {
        let before = cpu_ticks(gbak);
        std::thread::sleep(Duration::from_secs(1));
        (cpu_ticks(gbak) == before).then_some(())
    });
}

/// Waits at most so long for a process to be gone.
pub fn assert_gone_within(id: u32, limit: Duration) {
    let started = Instant::now();
    while is_alive(id) {
        assert!(started.elapsed() < limit, "process {id} is still there after {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A validation that finds nothing, by a server or without one.
pub fn assert_valid(database: &str) {
    let mut command = Command::new("gfix");
    command.args(["-v", "-full"]).arg(database).env("ISC_USER", "sysdba").env("ISC_PASSWORD", PASSWORD);
    let output = command.output().expect("gfix runs");
    let silent = output.stdout.is_empty() && output.stderr.is_empty();
    assert!(output.status.success() && silent, "{database}: {}", transcript(&output));
}

/// The names of what lies in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn run(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", transcript(&output));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}
