//! Repositories with a history: several snapshots, tags, a second key, version 1, and what `prune` left.
//! Whoever wrote them, and whoever worked on them since, keepwell and restic both read every byte.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use keepwell_tests::compare::{EXACT, assert_same};
use keepwell_tests::programs::{Program, keepwell, restics, snapshot_ids, transcript};
use keepwell_tests::random_data::{Random, write_file};
use tempfile::TempDir;

const SECOND_PASSWORD: &str = "another horse";

/// A folder that changes, and what it was at each snapshot.
struct History {
    folder: TempDir,
    tree: PathBuf,
    repository: PathBuf,
    /// Snapshot id and a copy of the folder as it was then; those that are forgotten leave.
    states: Vec<(String, PathBuf)>,
}

impl History {
    fn begin(program: &Program, version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (tree, repository) = (folder.path().join("tree"), folder.path().join("repository"));
        fs::create_dir_all(tree.join("small")).expect("a folder");
        let mut random = Random(3);
        for number in 0..200 {
            let length = random.below(20_000) as usize;
            fs::write(tree.join(format!("small/{number}")), random.bytes(length)).expect("a file");
        }
        write_file(&tree.join("large"), 12 << 20, 4).expect("a file");
        fs::write(tree.join("text"), "one line of many\n".repeat(50_000)).expect("a file");
        program.run(&repository, ["init", "--repository-version", version]);
        Self { folder, tree, repository, states: Vec::new() }
    }

    /// Changes about a third of everything, so that old packs hold both what is used and what is not.
    fn change(&self, round: u64) {
        let mut random = Random(100 + round);
        for number in (round..200).step_by(3) {
            let length = random.below(20_000) as usize;
            fs::write(self.tree.join(format!("small/{number}")), random.bytes(length)).expect("a file");
        }
        let mut large = fs::OpenOptions::new().append(true).open(self.tree.join("large")).expect("opens");
        large.write_all(&random.bytes(3 << 20)).expect("written");
        fs::remove_file(self.tree.join(format!("small/{}", 2 * round))).expect("removed");
    }

    fn back_up(&mut self, program: &Program) {
        let before = snapshot_ids(&self.repository);
        program.back_up(&self.repository, &self.tree);
        let id = snapshot_ids(&self.repository).into_iter().find(|id| !before.contains(id));
        let id = id.expect("one more snapshot");
        let copy = self.folder.path().join(format!("state at {id}"));
        let copied = std::process::Command::new("cp").arg("-a").arg(&self.tree).arg(&copy).status();
        assert!(copied.expect("cp").success());
        self.states.push((id, copy));
    }

    /// Every snapshot restores to what was there, by `reader`, and all data are whole.
    fn assert_read_by(&self, reader: &Program, why: &str) {
        reader.check_data(&self.repository);
        for (number, (snapshot, state)) in self.states.iter().enumerate() {
            let target = self.folder.path().join(format!("by {} {number} {why}", reader.name));
            reader.restore(&self.repository, snapshot, &target);
            let restored = target.join(self.tree.strip_prefix("/").expect("an absolute path"));
            assert_same(state, &restored, EXACT);
            fs::remove_dir_all(target).expect("removed");
        }
    }

    fn forget_all_but_latest(&mut self, restic: &Program) {
        restic.run(&self.repository, ["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);
        self.states = self.states.split_off(self.states.len() - 1);
        assert_eq!(snapshot_ids(&self.repository), [self.states[0].0.clone()]);
    }

    /// Tags the latest snapshot. restic stores a tagged snapshot under a new id.
    fn tag_latest(&mut self, program: &Program, tag: &str) {
        let before = snapshot_ids(&self.repository);
        let (latest, _) = self.states.last_mut().expect("a snapshot");
        program.run(&self.repository, ["tag", "--add", tag, latest]);
        let new = snapshot_ids(&self.repository).into_iter().find(|id| !before.contains(id));
        *latest = new.expect("the tagged snapshot");
    }
}

/// For every restic and both writers: `work` on a repository of `version` with so many snapshots.
fn for_every_pair(version: &str, snapshots: u64, work: impl Fn(&mut History, &Program, &Program)) {
    for restic in restics() {
        for writer in [restic.clone(), keepwell()] {
            let mut history = History::begin(&writer, version);
            for round in 1..=snapshots {
                history.back_up(&writer);
                history.change(round);
            }
            work(&mut history, &restic, &writer);
        }
    }
}

#[test]
fn several_snapshots_are_read_by_both() {
    for_every_pair("2", 3, |history, restic, _| {
        history.assert_read_by(&keepwell(), "");
        history.assert_read_by(restic, "");
    });
}

#[test]
fn version_1_is_read_and_written() {
    for_every_pair("1", 2, |history, restic, _| {
        history.assert_read_by(&keepwell(), "");
        history.assert_read_by(restic, "");
    });
}

#[test]
fn after_prune_all_that_is_kept_is_read_and_added_to() {
    for_every_pair("2", 3, |history, restic, writer| {
        history.forget_all_but_latest(restic);
        history.assert_read_by(&keepwell(), "after prune");
        history.back_up(writer);
        history.change(4);
        history.back_up(&keepwell());
        history.assert_read_by(restic, "after a backup that followed prune");
        history.assert_read_by(&keepwell(), "after a backup that followed prune");
    });
}

#[test]
fn tags_that_one_sets_the_other_lists() {
    for_every_pair("2", 1, |history, restic, _| {
        for (setter, reader, tag) in
            [(restic, &keepwell(), "quarterly"), (&keepwell(), restic, "büro=München")]
        {
            history.tag_latest(setter, tag);
            let listed = reader.run(&history.repository, ["snapshots", "--json", "--tag", tag]);
            let (latest, _) = history.states.last().expect("a snapshot");
            assert!(listed.contains(latest.as_str()), "{} does not list {tag}:\n{listed}", reader.name);
            assert!(listed.contains(tag), "{} does not show {tag}:\n{listed}", reader.name);
        }
        history.assert_read_by(&keepwell(), "after tag");
    });
}

#[test]
fn a_key_that_one_adds_opens_the_repository_for_the_other() {
    for_every_pair("2", 1, |history, restic, writer| {
        let (adder, other) =
            if writer.name == "keepwell" { (&keepwell(), restic) } else { (restic, &keepwell()) };
        let file = history.folder.path().join("second password");
        fs::write(&file, format!("{SECOND_PASSWORD}\n")).expect("a file");
        let arguments = ["key", "add", "--new-password-file", path(&file)];
        adder.run(&history.repository, arguments);
        let open = |password: &str| {
            let mut command = other.command(&history.repository);
            command.args(["--password-file", path(&file), "snapshots"]);
            command.env_remove("RESTIC_PASSWORD").env_remove("KEEPWELL_PASSWORD");
            fs::write(&file, password).expect("a file");
            command.output().expect("starts")
        };
        let opened = open(SECOND_PASSWORD);
        assert!(opened.status.success(), "{}: {}", other.name, transcript(&opened));
        assert!(!open("a third one").status.success(), "{} takes any password", other.name);
    });
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
