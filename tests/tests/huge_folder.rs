//! A folder of so many entries that its tree is compressed as it grows and read as a stream: whoever
//! wrote it, everybody reads it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::{Path, PathBuf};

use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::programs::{Program, keepwell, restic_018, restics, rustic};
use tempfile::TempDir;

/// Some 6 MiB of tree, and more than one read of a stream.
const FILES: usize = 15_000;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.path("huge")).unwrap();
        for number in 0..FILES {
            fs::write(scene.path("huge").join(format!("file {number:05}")), format!("{number}")).unwrap();
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn assert_restores(&self, program: &Program, repository: &Path) {
        let target = self.path(&format!("restored by {} from {:?}", program.name, repository.file_name()));
        program.restore_latest(repository, &target);
        assert_same(&self.path("huge"), &target.join(self.path("huge").strip_prefix("/").unwrap()), EXACT);
    }
}

#[test]
fn everybody_reads_a_huge_folder_that_keepwell_wrote() {
    let scene = Scene::new();
    let repository = scene.path("repository");
    keepwell().init(&repository);
    keepwell().back_up(&repository, &scene.path("huge"));
    keepwell().check_data(&repository);
    scene.assert_restores(&keepwell(), &repository);
    for restic in restics() {
        restic.check_data(&repository);
    }
    if let Some(restic) = restic_018() {
        scene.assert_restores(&restic, &repository);
        let huge = format!("latest:{}", scene.path("huge").display());
        let tree = || keepwell().run(&repository, ["cat", "tree", &huge]);
        let written_by_keepwell = tree();
        restic.back_up(&repository, &scene.path("huge"));
        assert!(tree() == written_by_keepwell, "the same text, and so the same id");
    }
    if let Some(rustic) = rustic() {
        rustic.check_data(&repository);
    }
}

#[test]
fn keepwell_reads_a_huge_folder_that_restic_wrote() {
    let Some(restic) = restic_018() else { return };
    let scene = Scene::new();
    let repository = scene.path("repository");
    restic.init(&repository);
    restic.back_up(&repository, &scene.path("huge"));
    keepwell().check_data(&repository);
    scene.assert_restores(&keepwell(), &repository);
    let again = keepwell().back_up(&repository, &scene.path("huge"));
    assert!(again.contains(&format!("{FILES:7} unmodified")), "{again}");
    let first = scene.path("huge/file 00000");
    let shown = keepwell().run(&repository, ["dump", "latest", first.to_str().unwrap()]);
    assert_eq!(shown, "0");
}

#[test]
fn version_1_which_compresses_nothing_holds_a_huge_folder_too() {
    let scene = Scene::new();
    let repository = scene.path("repository");
    keepwell().run(&repository, ["init", "--repository-version", "1"]);
    for files in ["new", "unmodified"] {
        let told = keepwell().back_up(&repository, &scene.path("huge"));
        assert!(told.contains(&format!("{FILES:7} {files}")), "{told}");
    }
    keepwell().check_data(&repository);
    scene.assert_restores(&keepwell(), &repository);
    for restic in restics() {
        restic.check_data(&repository);
    }
}
