//! Firebird, the real one, as users meet it: tasks that are due or asked for, commands that are refused, and the
//! command line.
//!
//! The server that dies amid a dump does so while a `gbak` waits for a file: nothing depends on how fast this
//! machine is.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepwell_actors::runner::FirebirdDatabase;
use keepwell_actors::{Keepwell, Settings};
use keepwell_engine::firebird::{FirebirdAccess, FirebirdDumpOptions};
use keepwell_messages::{
    ErrorClass, Event, FirebirdTarget as WantedTarget, Item, ItemSource, PerformFirebirdBackup,
    PerformRestore, RestoreRequest, RestoreTarget, SetItem, TaskEnd, TaskId, TaskKind, Trigger,
};
use keepwell_tests::embedding::{
    REPOSITORY, Scene, ShiftedClock, Witness, embed, every_minute, folder_item, item, patiently,
};
use keepwell_tests::firebird_jobs::FEW_PAIRS;
use keepwell_tests::firebird_server::FirebirdServer;
use keepwell_tests::programs::{Program, keepwell, snapshot_ids, transcript};
use keepwell_tests::tapped_source::MIDDLE;

// ---- The scheduler and commands

fn firebird_item(id: &str) -> Item {
    item(id, ItemSource::Firebird("books".into()))
}

fn settings(scene: &Scene, access: FirebirdAccess, root: &Path, items: Vec<Item>) -> Settings {
    let database = FirebirdDatabase { access, options: FirebirdDumpOptions::default() };
    let places = scene.places().firebird("books", database).restore_root(root);
    Settings { items, ..scene.settings_with(Arc::new(scene.runner(places))) }
}

fn restore_to(name: &str, server: &FirebirdServer, replace: bool) -> PerformRestore {
    let database = server.data(name).to_str().expect("UTF-8").to_owned();
    let target = WantedTarget { source: "books".into(), database, replace };
    let restore = RestoreRequest {
        repository: REPOSITORY.into(),
        snapshot: "latest".into(),
        path: String::new(),
        target: RestoreTarget::Firebird(target),
        verify: false,
    };
    PerformRestore { restore }
}

/// A `gbak` that, as long as the file `hold` is there, tells its id in `hold.reached` once it has given the
/// first half of a dump, and then waits until `hold` is gone.
fn gbak_that_waits(folder: &Path, hold: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(hold, "").expect("a file");
    let (bin, hold) = (folder.join("bin"), hold.display());
    std::fs::create_dir(&bin).expect("a folder");
    let script = format!(
        "#!/bin/bash\nset -o pipefail\n[[ $1 = -b && -e {hold} ]] || exec /usr/bin/gbak \"$@\"\n\
         /usr/bin/gbak \"$@\" | {{\n  head -c {}; echo $$ >{hold}.new; mv {hold}.new {hold}.reached\n  \
         while [[ -e {hold} ]]; do sleep 0.05; done; cat\n}}\n",
        2 * MIDDLE
    );
    let gbak = bin.join("gbak");
    std::fs::write(&gbak, script).expect("a script");
    std::fs::set_permissions(&gbak, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    gbak
}

#[test]
fn a_server_that_dies_in_a_dump_is_a_matter_of_the_network_and_the_next_attempt_is_whole() {
    let Some(mut server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", FEW_PAIRS);
    let (scene, folder) = (Scene::new(), tempfile::tempdir().expect("a folder"));
    let hold = folder.path().join("hold");
    let gbak = gbak_that_waits(folder.path(), &hold).into_os_string();
    let access = FirebirdAccess { gbak, ..server.access(&server.network("ledger.fdb")) };
    // gfix is looked for beside gbak.
    std::os::unix::fs::symlink("/usr/bin/gfix", folder.path().join("bin/gfix")).expect("a link");
    let data = server.data("");
    let settings = settings(&scene, access, &data, vec![firebird_item("books")]);
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task =
            handle.ask(PerformFirebirdBackup { item: "books".into() }).await.expect("it is taken").task;
        let reached = hold.with_extension("reached");
        patiently("the middle of the dump", async {
            while !reached.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        server.kill();
        server.restart();
        std::fs::remove_file(&hold).expect("it was held");
        let retry = witness
            .until("a retry", |event| match event {
                Event::TaskRetry(told) if told.task == task => Some(told.retry.clone()),
                _ => None,
            })
            .await;
        assert_eq!((retry.class, retry.attempt), (ErrorClass::Network, 2), "{}", retry.why);
        let TaskEnd::BackedUp(backed_up) = witness.end_of(task).await else { panic!("it failed") };
        assert_eq!(scene.snapshots().keys().collect::<Vec<_>>(), [&backed_up.snapshot]);
        let restored = handle.ask(restore_to("new.fdb", &server, false)).await.expect("it is taken").task;
        let TaskEnd::Restored(end) = witness.end_of(restored).await else { panic!("it failed") };
        assert_eq!((end.files_restored, end.errors), (1, 0));
        handle.shutdown().await;
    });
    assert_eq!(server.ledger("new.fdb").counted, FEW_PAIRS);
}

#[test]
fn what_is_due_is_dumped_and_what_is_no_database_is_refused() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", 50);
    let scene = Scene::new();
    let access = server.access(&server.network("ledger.fdb"));
    let mut lost = firebird_item("lost");
    lost.source = ItemSource::Firebird("boks".into());
    let items = vec![every_minute(firebird_item("books")), folder_item("files", scene.folder())];
    let clock = Arc::new(ShiftedClock::full_minute_in(Duration::from_millis(500)));
    let settings = Settings { clock, ..settings(&scene, access, &server.data(""), items) };
    embed(async {
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let due = witness
            .until("a due time", |event| match event {
                Event::TaskCreated(made) if matches!(made.trigger, Trigger::Due(_)) => Some(made.task),
                _ => None,
            })
            .await;
        assert!(matches!(witness.end_of(due).await, TaskEnd::BackedUp(_)));
        let no_database = handle.ask(PerformFirebirdBackup { item: "files".into() }).await;
        let why = no_database.expect_err("files are no database").to_string();
        assert!(why.contains("item files is not a Firebird database"), "{why}");
        let refusal = handle.ask(SetItem { item: lost }).await.expect_err("no such source").to_string();
        assert!(refusal.contains("no Firebird source boks; did you mean books?"), "{refusal}");
        let unknown = handle.ask(PerformFirebirdBackup { item: "boks".into() }).await;
        let refusal = unknown.expect_err("no such item").to_string();
        assert!(refusal.contains("there is no item boks"), "{refusal}");
        let own = handle.ask(restore_to("ledger.fdb", &server, false)).await.expect_err("it is its own");
        assert!(own.to_string().contains("say that it is to be replaced"), "{own}");
        let replaced: TaskId =
            handle.ask(restore_to("ledger.fdb", &server, true)).await.expect("it is taken").task;
        assert!(matches!(witness.end_of(replaced).await, TaskEnd::Restored(_)));
        let kinds = witness.seen().iter().filter(|told| match &told.event {
            Event::TaskCreated(made) => matches!(made.kind, TaskKind::Restore(_)),
            _ => false,
        });
        assert_eq!(kinds.count(), 1);
        handle.shutdown().await;
    });
    assert_eq!(server.ledger("ledger.fdb").counted, 50);
}

// ---- The command line

fn run(keepwell: &Program, repository: &Path, arguments: &[&str], path: &str) -> (bool, String) {
    let mut command = keepwell.command(repository);
    command.env("PATH", path).args(arguments);
    // What the environment says of a login counts for nothing.
    command.env("ISC_USER", "nobody").env("ISC_PASSWORD", "the-secret-of-nobody");
    let output = command.output().expect("it runs");
    (output.status.success(), transcript(&output))
}

#[test]
fn the_command_line_backs_a_database_up_and_makes_it_again() {
    let Some(server) = FirebirdServer::start() else { return };
    server.make_ledger("ledger.fdb", 30);
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("repository");
    let (keepwell, path) = (keepwell(), std::env::var("PATH").expect("a path"));
    keepwell.init(&repository);
    let password_file = server.password_file();
    let password_file = password_file.to_str().expect("UTF-8");
    let login = ["--firebird-user", "sysdba", "--firebird-password-file", password_file];
    let database = server.network("ledger.fdb");
    let with_login = |words: &[&str]| -> Vec<String> {
        words.iter().chain(&login).map(|word| (*word).to_owned()).collect()
    };
    let ran = |words: &[String], path: &str| {
        run(&keepwell, &repository, &words.iter().map(String::as_str).collect::<Vec<_>>(), path)
    };
    let empty = folder.path().to_str().expect("UTF-8");
    let (done, said) = ran(&with_login(&["backup", "--firebird", &database]), empty);
    assert!(!done && said.contains("there is no program gbak; install Firebird's tools"), "{said}");
    let (done, said) = run(&keepwell, &repository, &["backup", "--firebird", &database], &path);
    assert!(!done && said.contains("--firebird-user USER"), "{said}");
    let (done, said) = ran(&with_login(&["backup", "--firebird", &database]), &path);
    assert!(done, "{said}");
    let new = server.network("new.fdb");
    let (done, said) = ran(&with_login(&["restore", "latest", "--firebird-to", &new]), &path);
    assert!(done && said.contains("validated"), "{said}");
    assert_eq!(server.ledger("new.fdb").counted, 30);
    let (done, said) = ran(&with_login(&["restore", "latest", "--firebird-to", &new]), &path);
    assert!(!done && said.contains("is there already"), "{said}");
    let (done, said) =
        ran(&with_login(&["restore", "latest:/ledger.fbk", "--firebird-to", &new, "--replace"]), &path);
    assert!(done, "{said}");
    let (done, said) = run(&keepwell, &repository, &["restore", "latest"], &path);
    assert!(!done && said.contains("--target"), "{said}");

    // The same by name, from the configuration.
    let configuration = format!(
        "[repositories.here]\nlocation = \"{}\"\npassword_file = \"{}\"\n[items.books]\nsource = \"books\"\n\
         [sources.books]\nfirebird = {{ database = \"{database}\", user = \"sysdba\", password_file = \
         \"{password_file}\", no_garbage_collection = true }}\n",
        repository.display(),
        folder.path().join("repository-password").display(),
    );
    let file = folder.path().join("keepwell.toml");
    std::fs::write(&file, configuration).expect("a configuration");
    std::fs::write(folder.path().join("repository-password"), keepwell_tests::programs::PASSWORD)
        .expect("a file");
    let file = file.to_str().expect("UTF-8");
    let (done, said) = run(&keepwell, &repository, &["run", "books", "--config", file], &path);
    assert!(done, "{said}");
    let listed = keepwell.run(&repository, ["ls", "latest"]);
    assert!(listed.contains("/books.fbk"), "{listed}");
    assert_eq!(snapshot_ids(&repository).len(), 2);
}
