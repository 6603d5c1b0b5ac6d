//! What the suites share: the programs they run, the trees they back up, and how
//! two trees are compared.
//!
//! The programs come from the variables that `tests/run` sets. A program that is
//! missing is said on one line and its tests skip; keepwell itself is never skipped.

#![allow(clippy::panic, reason = "a suite that cannot set up its scene must stop, and say where")]

pub mod alike;
pub mod awkward_tree;
pub mod broker_scene;
pub mod browser;
pub mod compare;
pub mod daemon;
pub mod dying_runner;
pub mod embedding;
pub mod far_repository;
pub mod fault_proxy;
pub mod faulty_backup;
pub mod firebird_jobs;
pub mod firebird_server;
pub mod mounting;
pub mod observed_source;
pub mod page_scene;
pub mod process_counters;
pub mod programs;
pub mod random_data;
pub mod repository_folder;
pub mod running;
pub mod servers;
pub mod simulated;
pub mod store_conformance;
pub mod tapped_source;
pub mod tripwires;
