//! The whole system through simulated days, from a seed: random items, schedules, zones, outcomes, commands,
//! panics, process deaths and clock jumps, on a real journal. See `world.rs` for what happens, `model.rs` and
//! `due_times.rs` for what is checked.
//!
//! Plants: each of these defects, put into the product, was tried and is caught within fifteen seeds.
//! - The duplicate check dropped: "item … has two tasks".
//! - One journal write lost, a task's end or a sealed snapshot: "it leaves running and was completed", "attempt 1
//!   runs, and not the one that was to come".
//! - A restart of the manager without adoption: "its attempt is lost with no crash of its own".
//! - A retry that forgets its count: "attempt 1 runs, and not the one that was to come".
//! - A due time run twice after a crash, for its creation does not cover it: "… runs as … and again as …".
//! - A permit not returned after a panic: "tasks that do not end".
//! - A slot too many, a worker that is not told of a pause, a command served twice, a shutdown whose due times
//!   stay covered, an event that is announced and not written, a fenced worker that stores all the same.
//!
//! A failing seed is printed; `KEEPWELL_SIMULATION_SEED=n` replays it alone. `KEEPWELL_TEST_LONG=1` runs 1,000
//! seeds × 90 days instead of 50 × 30.

#![allow(clippy::panic, clippy::print_stderr, reason = "tests fail by panicking, and name the seed")]

mod due_times;
mod model;
mod random;
mod world;

use std::time::Instant;

/// Seeds are dealt to so many tests, so that they run side by side.
const SHARES: u64 = 10;

fn is_long() -> bool {
    std::env::var_os("KEEPWELL_TEST_LONG").is_some()
}

fn run_share(share: u64) {
    let (seeds, days) = if is_long() { (1000, 90) } else { (50, 30) };
    let only = std::env::var("KEEPWELL_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    let began = Instant::now();
    let mut total = world::Tally::default();
    for seed in (0..seeds).filter(|seed| seed % SHARES == share) {
        if only.is_some_and(|only: u64| only != seed) {
            continue;
        }
        match world::run(seed, days) {
            Ok(tally) => total += tally,
            Err(violations) => panic!(
                "seed {seed} over {days} days, replay with KEEPWELL_SIMULATION_SEED={seed}:\n{}",
                violations.join("\n")
            ),
        }
    }
    eprintln!("{total:?} in {:.1} s", began.elapsed().as_secs_f64());
}

macro_rules! shares {
    ($($name:ident: $share:expr;)*) => {
        $(#[test]
        fn $name() {
            run_share($share);
        })*
    };
}

shares! {
    share_0: 0;
    share_1: 1;
    share_2: 2;
    share_3: 3;
    share_4: 4;
    share_5: 5;
    share_6: 6;
    share_7: 7;
    share_8: 8;
    share_9: 9;
}
