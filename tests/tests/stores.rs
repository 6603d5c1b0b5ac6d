//! Every kind of store is held to the same: memory, a folder, wrappers, and real servers for each protocol.
//! Then the programs work on them: what keepwell backs up there it checks and restores, byte for byte, and on S3
//! restic does the same with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keepwell_engine::store::{Store, StoreSettings};
use keepwell_messages::ErrorClass;
use keepwell_tests::awkward_tree;
use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::programs::{Program, keepwell, restics, say, transcript};
use keepwell_tests::servers::azurite::Azurite;
use keepwell_tests::servers::google::Google;
use keepwell_tests::servers::moto::Moto;
use keepwell_tests::servers::plain_s3::PlainS3;
use keepwell_tests::servers::rclone::Rclone;
use keepwell_tests::servers::seaweedfs::SeaweedFs;
use keepwell_tests::servers::webdav::StrictWebDav;
use keepwell_tests::servers::{SECRET, Server, open, parse};
use keepwell_tests::store_conformance::{Promises, conforms, conforms_in_size};
use object_store::limit::LimitStore;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::throttle::{ThrottleConfig, ThrottledStore};

const ALL: Promises = Promises { creates_exclusively: true };
/// Where repositories may lie in a bucket: names that programs have stumbled over.
const ODD_NAMES: [&str; 4] = ["plain", "a b/c+d/e", "100%/%41", "ümlaut/#1?x=y&z"];

#[test]
fn memory_conforms_and_is_shared_by_name() {
    let store = open("memory://conforms", &StoreSettings::default());
    conforms(&store, ALL);
    conforms_in_size(&store);
    store.write("config", "x".into()).unwrap();
    drop(store);
    let again = open("memory://conforms", &StoreSettings::default());
    assert_eq!(again.read("config", 1).unwrap(), "x");
    assert_eq!(open("memory://another", &StoreSettings::default()).size("config").unwrap(), None);
    assert_eq!((again.connections(), again.is_local()), (5, None));
}

#[test]
fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plain", "a b/rep#1/%41", "line\nbreak"] {
        let root = folder.path().join(name);
        let store = open(root.to_str().unwrap(), &StoreSettings::default());
        conforms(&store, ALL);
        assert_eq!((store.connections(), store.is_local()), (2, Some(root.as_path())));
    }
    conforms_in_size(&open(folder.path().join("large").to_str().unwrap(), &StoreSettings::default()));
}

#[test]
fn wrapped_stores_conform() {
    let location = parse("memory://wrapped");
    let over = |objects| Store::over(objects, &location, &StoreSettings::default()).unwrap();
    let below = over(Arc::new(PrefixStore::new(InMemory::new(), "some/folder")));
    conforms(&below, ALL);
    conforms_in_size(&below);
    let few_at_once = over(Arc::new(LimitStore::new(InMemory::new(), 2)));
    conforms(&few_at_once, ALL);
    conforms_in_size(&few_at_once);
    let slow = ThrottleConfig {
        wait_get_per_call: Duration::from_millis(2),
        wait_put_per_call: Duration::from_millis(2),
        wait_list_per_call: Duration::from_millis(2),
        ..ThrottleConfig::default()
    };
    conforms(&over(Arc::new(ThrottledStore::new(InMemory::new(), slow))), ALL);
}

#[test]
fn stores_with_limits_conform() {
    // High enough not to hold the test up, and every byte is counted against them.
    let limit = Some(512 << 20);
    let limited = |settings| StoreSettings {
        upload_bytes_per_second: limit,
        download_bytes_per_second: limit,
        ..settings
    };
    let server = Google::start();
    let place = server.location(server.port(), "limited");
    let store = open(&place, &limited(server.settings(server.port())));
    conforms(&store, ALL);
    conforms_in_size(&store);
    let folder = tempfile::tempdir().unwrap();
    conforms(&open(folder.path().to_str().unwrap(), &limited(StoreSettings::default())), ALL);
}

fn server_conforms(server: Option<impl Server>) {
    let Some(server) = server else { return };
    let promises = Promises { creates_exclusively: server.creates_exclusively() };
    for name in ODD_NAMES {
        conforms(&server.store(name), promises);
    }
    conforms_in_size(&server.store("large"));
}

#[test]
fn seaweedfs_conforms() {
    server_conforms(SeaweedFs::start());
}

#[test]
fn moto_conforms() {
    server_conforms(Moto::start());
}

#[test]
fn plain_s3_conforms() {
    server_conforms(Some(PlainS3::start()));
}

#[test]
fn azurite_conforms() {
    server_conforms(Azurite::start());
}

#[test]
fn google_conforms() {
    server_conforms(Some(Google::start()));
}

#[test]
fn rclones_webdav_conforms() {
    server_conforms(Rclone::start());
}

#[test]
fn strict_webdav_conforms() {
    server_conforms(Some(StrictWebDav::start()));
}

#[test]
fn a_webdav_servers_root_may_be_the_repository() {
    let server = StrictWebDav::start();
    conforms(&server.store(""), Promises { creates_exclusively: false });
}

/// Takes the login of a place for another one's.
fn with_wrong_credentials(server: &dyn Server) -> Store {
    let wrong = |text: &str| text.replace(SECRET, "wr0ngS3cret");
    let settings = server.variables(server.port()).into_iter().map(|(name, value)| {
        // A key of Azure's is encoded, and has to be.
        let value =
            if name == "AZURE_STORAGE_ACCOUNT_KEY" { "d3JvbmdTM2NyZXQ=".into() } else { wrong(&value) };
        (name.to_owned(), value)
    });
    open(&wrong(&server.location(server.port(), "refused")), &StoreSettings::from_variables(settings))
}

#[test]
fn wrong_credentials_are_told_as_such_and_not_repeated() {
    let mut servers: Vec<Box<dyn Server>> = vec![Box::new(Google::start()), Box::new(StrictWebDav::start())];
    servers.extend(SeaweedFs::start().map(|server| Box::new(server) as Box<dyn Server>));
    servers.extend(Azurite::start().map(|server| Box::new(server) as Box<dyn Server>));
    servers.extend(Rclone::start().map(|server| Box::new(server) as Box<dyn Server>));
    for server in &servers {
        let store = with_wrong_credentials(&**server);
        for error in [
            store.read("config", 1).unwrap_err(),
            store.write("config", "x".into()).unwrap_err(),
            store.list("data", |_| Ok(())).unwrap_err(),
        ] {
            assert_eq!(error.class(), ErrorClass::Credentials, "{}: {error:?}", server.name());
            let told = format!("{error} {error:?}");
            assert!(!told.contains("wr0ngS3cret") && !told.contains("d3Jvbmd"), "{}: {told}", server.name());
        }
    }
}

/// Programs on one repository on a server.
struct Scene<'a> {
    server: &'a dyn Server,
    folder: tempfile::TempDir,
    name: &'static str,
}

impl<'a> Scene<'a> {
    fn new(server: &'a dyn Server, name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        awkward_tree::make(&folder.path().join("tree"));
        // restic before 0.16 does not store link targets that are not UTF-8.
        std::fs::remove_file(folder.path().join("tree/kinds/symlink to other bytes")).unwrap();
        Self { server, folder, name }
    }

    fn run<A: AsRef<OsStr>>(&self, program: &Program, arguments: impl IntoIterator<Item = A>) {
        let port = self.server.port();
        let location = self.server.location(port, self.name);
        let mut command = program.command_at(OsStr::new(&location), &self.folder.path().join("home"));
        command.envs(self.server.variables(port)).args(arguments);
        let output = command.output().unwrap();
        let what = format!("{} on {}", program.name, self.server.name());
        assert!(output.status.success(), "{what}: {command:?}: {}", transcript(&output));
    }

    fn back_up(&self, program: &Program) {
        self.run(program, [OsStr::new("backup"), self.tree().as_os_str()]);
    }

    fn tree(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    /// Checks every byte and restores the latest snapshot, which must be the tree.
    fn assert_whole(&self, program: &Program) {
        self.run(program, ["check", "--read-data"]);
        let target = self.folder.path().join("restored");
        self.run(program, ["restore".as_ref(), "latest".as_ref(), "--target".as_ref(), target.as_os_str()]);
        let restored = target.join(self.tree().strip_prefix("/").unwrap());
        assert_same(&self.tree(), &restored, EXACT);
        remove_all(&target);
    }
}

/// Folders that nobody may write to are in the tree, too.
fn remove_all(target: &Path) {
    for path in awkward_tree::entries(target) {
        if path.is_dir() && !path.is_symlink() {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    std::fs::remove_dir_all(target).unwrap();
}

fn keepwell_keeps_a_tree(server: &dyn Server) {
    let scene = Scene::new(server, "trees");
    scene.run(&keepwell(), ["init"]);
    scene.back_up(&keepwell());
    scene.assert_whole(&keepwell());
}

#[test]
fn keepwell_keeps_a_tree_on_azurite() {
    let Some(server) = Azurite::start() else { return };
    keepwell_keeps_a_tree(&server);
}

#[test]
fn keepwell_keeps_a_tree_on_google() {
    keepwell_keeps_a_tree(&Google::start());
}

#[test]
fn keepwell_keeps_a_tree_on_strict_webdav() {
    keepwell_keeps_a_tree(&StrictWebDav::start());
}

#[test]
fn keepwell_keeps_a_tree_on_rclones_webdav() {
    let Some(server) = Rclone::start() else { return };
    keepwell_keeps_a_tree(&server);
}

#[test]
fn keepwell_and_restic_share_a_repository_on_moto() {
    let Some(server) = Moto::start() else { return };
    keepwell_and_restic_share_a_repository(&server);
}

#[test]
fn keepwell_and_restic_share_a_repository_on_seaweedfs() {
    let Some(server) = SeaweedFs::start() else { return };
    keepwell_and_restic_share_a_repository(&server);
}

fn keepwell_and_restic_share_a_repository(server: &dyn Server) {
    let scene = Scene::new(server, "shared");
    scene.run(&keepwell(), ["init"]);
    scene.back_up(&keepwell());
    scene.assert_whole(&keepwell());
    let restics = restics();
    if restics.is_empty() {
        say("skipped: restic in keepwell's repository");
    }
    for (number, restic) in restics.iter().enumerate() {
        scene.assert_whole(restic);
        std::fs::write(scene.tree().join(format!("new {number}")), restic.name.repeat(1000)).unwrap();
        scene.back_up(restic);
        scene.assert_whole(&keepwell());
    }
}
