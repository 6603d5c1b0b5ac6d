//! A hundred thousand items on one engine: what a start takes, how late tasks are, how many messages and
//! transitions go through. Each figure is printed with its bound, and one that is not met fails the run:
//! `cargo bench -p keepwell-actors --bench scale [SCENARIO]…`.
//!
//! Each scenario is a process of its own, so that its memory and its threads are its own, on a copy of one
//! journal. `KEEPWELL_BENCH_FOLDER` says on which disk; otherwise it is that of the build. The work is a
//! runner's that ends at once: what is measured is the actor system, not the engine.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod due;
mod figures;
mod journal;
mod memory;
mod messages;
mod runner;
mod start;
mod system;
mod transitions;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use figures::Figures;

/// Uses the journal in a folder, and judges what it measures.
type Scenario = fn(&Path, &mut Figures);

/// In their order. The first makes the journal of which the others get copies.
const SCENARIOS: [(&str, Scenario); 8] = [
    ("fill", journal::fill),
    ("start", start::of_journal_items),
    ("start-configured", start::of_configured_items),
    ("overdue", start::with_overdue_items),
    ("due", due::scenario),
    ("messages", messages::scenario),
    ("transitions", transitions::without_subscribers),
    ("subscribers", transitions::with_subscribers),
];

fn main() -> ExitCode {
    // Cargo adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [inside, name, folder] if inside == "--inside" => run_inside(name, Path::new(folder)),
        wanted => run_all(wanted),
    }
}

fn run_inside(name: &str, folder: &Path) -> ExitCode {
    let Some((_, scenario)) = SCENARIOS.iter().find(|(known, _)| *known == name) else {
        println!("there is no scenario {name}");
        return ExitCode::FAILURE;
    };
    let mut figures = Figures::default();
    scenario(folder, &mut figures);
    figures.exit_code()
}

fn run_all(wanted: &[String]) -> ExitCode {
    let disk = std::env::var_os("KEEPWELL_BENCH_FOLDER").map(PathBuf::from);
    let disk = disk.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let home = tempfile::tempdir_in(disk).expect("a folder on the disk");
    let template = home.path().join("template");
    let mut all_met = true;
    for (name, _) in SCENARIOS {
        let is_fill = name == "fill";
        if !is_fill && !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let folder = if is_fill { template.clone() } else { home.path().join(name) };
        if !is_fill {
            journal::copy(&template, &folder);
        }
        println!("{name}:");
        let program = std::env::current_exe().expect("the program's own path");
        let status = Command::new(program).args(["--inside", name]).arg(&folder).status();
        all_met &= status.is_ok_and(|status| status.success());
        if !is_fill {
            std::fs::remove_dir_all(&folder).expect("the copy goes");
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
