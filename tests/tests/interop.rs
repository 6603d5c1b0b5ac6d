//! restic and rustic read what keepwell writes, and keepwell what they write:
//! every kind of entry, every byte, every piece of metadata.

use std::path::{Path, PathBuf};

use keepwell_tests::awkward_tree;
use keepwell_tests::compare::{EXACT, Strictness, assert_same};
use keepwell_tests::programs::{Program, keepwell, restic_018, restics, rustic, snapshot_ids};
use tempfile::TempDir;

/// A scene: the awkward tree, and room for repositories and restores.
struct Scene {
    folder: TempDir,
    tree: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        awkward_tree::make(&tree);
        Self { folder, tree }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Restores the latest snapshot with `program` and compares it with the tree.
    fn assert_restores(&self, program: &Program, repository: &Path, strictness: Strictness) {
        let target = self.path(&format!("restored by {} from {:?}", program.name, repository.file_name()));
        program.restore_latest(repository, &target);
        let restored = target.join(self.tree.strip_prefix("/").expect("an absolute path"));
        assert_same(&self.tree, &restored, strictness);
    }
}

/// A scene with all that this restic can hold.
fn scene_for(restic: &Program) -> Scene {
    let scene = Scene::new();
    if restic.name != "restic 0.18" {
        // restic before 0.16 does not store link targets that are not UTF-8.
        std::fs::remove_file(scene.tree.join("kinds/symlink to other bytes")).expect("removed");
    }
    scene
}

#[test]
fn keepwell_reads_what_keepwell_wrote() {
    let scene = Scene::new();
    let repository = scene.path("repository");
    keepwell().init(&repository);
    keepwell().back_up(&repository, &scene.tree);
    keepwell().check_data(&repository);
    scene.assert_restores(&keepwell(), &repository, EXACT);
    restics().iter().for_each(|restic| drop(restic.check_data(&repository)));
}

#[test]
fn restic_checks_and_restores_what_keepwell_wrote() {
    for restic in restics() {
        let scene = scene_for(&restic);
        let repository = scene.path("repository");
        keepwell().init(&repository);
        keepwell().back_up(&repository, &scene.tree);
        restic.check_data(&repository);
        scene.assert_restores(&restic, &repository, EXACT);
    }
}

#[test]
fn keepwell_checks_and_restores_what_restic_wrote() {
    for restic in restics() {
        let scene = scene_for(&restic);
        let repository = scene.path("repository");
        restic.init(&repository);
        restic.back_up(&repository, &scene.tree);
        keepwell().check_data(&repository);
        scene.assert_restores(&keepwell(), &repository, EXACT);
    }
}

#[test]
fn both_give_a_folder_the_same_tree_where_the_metadata_are_the_same() {
    let Some(restic) = restic_018() else { return };
    let scene = Scene::new();
    let repository = scene.path("repository");
    restic.init(&repository);
    let tree_by = |program: &Program| {
        let before = snapshot_ids(&repository);
        program.back_up(&repository, &scene.tree);
        let new = snapshot_ids(&repository).into_iter().find(|id| !before.contains(id));
        let folder = format!("{}:{}", new.expect("one more snapshot"), scene.tree.display());
        restic.run(&repository, ["cat", "tree", &folder])
    };
    // The text names the ids of the folders beneath, so equal texts are equal trees all the way down.
    assert_eq!(tree_by(&restic), tree_by(&keepwell()));
}

#[test]
fn unchanged_data_adds_no_data_blob_whoever_backs_it_up_second() {
    let Some(restic) = restic_018() else { return };
    let scene = Scene::new();
    for (number, (first, second)) in
        [(keepwell(), restic.clone()), (restic.clone(), keepwell())].into_iter().enumerate()
    {
        let repository = scene.path(&format!("repository {number}"));
        first.init(&repository);
        first.back_up(&repository, &scene.tree);
        let data = |blobs: Vec<String>| -> Vec<String> {
            blobs.into_iter().filter(|blob| blob.starts_with("data")).collect()
        };
        let before = data(restic.list_blobs(&repository));
        second.back_up(&repository, &scene.tree);
        assert_eq!(before, data(restic.list_blobs(&repository)), "{} after {}", second.name, first.name);
        restic.check_data(&repository);
        keepwell().check_data(&repository);
    }
}

#[test]
fn rustic_checks_and_restores_what_keepwell_wrote() {
    let Some(rustic) = rustic() else { return };
    let scene = Scene::new();
    // rustic restores mode 0 as the umask would have it.
    std::fs::remove_file(scene.tree.join("metadata/mode 0000")).expect("removed");
    let repository = scene.path("repository");
    keepwell().init(&repository);
    keepwell().back_up(&repository, &scene.tree);
    rustic.check_data(&repository);
    scene.assert_restores(&rustic, &repository, EXACT);
}
