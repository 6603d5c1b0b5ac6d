//! `check`: whether the repository holds what its snapshots promise.

use clap::Args;
use keepwell_engine::check::{self, CheckOptions, CheckOutcome, Finding, PackSubset, ReadData, Severity};
use keepwell_engine::compute::ComputeSlots;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::progress::Watch;
use crate::quantities::shown_bytes;
use crate::repository::{self, begin_reading};

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Read all packs, and prove every byte
    #[arg(long, conflicts_with = "read_data_subset")]
    read_data: bool,
    /// Read some packs: 1/5 the first of five parts, 2.5% or 500M a random choice
    #[arg(long, value_name = "SUBSET")]
    read_data_subset: Option<PackSubset>,
    /// Makes a random choice repeatable
    #[arg(long, value_name = "NUMBER", hide = true)]
    seed: Option<u64>,
}

#[derive(Serialize)]
struct Found<'a> {
    severity: &'static str,
    what: &'static str,
    object: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Summary {
    num_errors: u64,
    num_warnings: u64,
    snapshots: u64,
    index_files: u64,
    packs: u64,
    trees: u64,
    packs_read: u64,
    bytes_read: u64,
}

/// Checks it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let repository = repository::open(context)?;
    // Alone, so that the packs of a backup that runs meanwhile do not look like orphans.
    let session = begin_reading(&repository, true, context)?;
    let read_data = match (arguments.read_data, arguments.read_data_subset) {
        (true, _) => ReadData::All,
        (false, Some(subset)) => ReadData::Subset(subset),
        (false, None) => ReadData::Nothing,
    };
    let options = CheckOptions { read_data, seed: arguments.seed };
    let compute = ComputeSlots::of_this_machine();
    let watch = Watch::new(&context.output, "check");
    let found = |finding: Finding| tell(&finding, context);
    let outcome = check::check(&session, &options, &context.control, &compute, &watch, &found)?;
    drop(watch);
    tell_summary(&outcome, context)?;
    Ok(if outcome.is_sound() { Ending::Done } else { Ending::Failed })
}

fn tell(finding: &Finding, context: &Context) {
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    if !context.output.is_json() {
        context.output.error_line(&format!("{severity}: {finding}"));
        return;
    }
    let (what, object, why) = (finding.what.name(), finding.object.as_str(), finding.why.as_str());
    // A reader that went away does not end the check, whose exit code still tells.
    let _ = context.output.message("finding", &Found { severity, what, object, why });
}

fn tell_summary(outcome: &CheckOutcome, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    if output.is_json() {
        let told = Summary {
            num_errors: outcome.errors,
            num_warnings: outcome.warnings,
            snapshots: outcome.snapshots,
            index_files: outcome.index_files,
            packs: outcome.packs,
            trees: outcome.trees,
            packs_read: outcome.packs_read,
            bytes_read: outcome.bytes_read,
        };
        return Ok(output.message("summary", &told)?);
    }
    let (snapshots, trees, packs) = (outcome.snapshots, outcome.trees, outcome.packs);
    output.remark(&format!("checked {snapshots} snapshots, {trees} trees, {packs} packs"))?;
    if outcome.packs_read > 0 {
        output.remark(&format!("read {} packs, {}", outcome.packs_read, shown_bytes(outcome.bytes_read)))?;
    }
    let verdict = match (outcome.errors, outcome.warnings) {
        (0, 0) => "no errors were found".into(),
        (0, warnings) => format!("no errors were found, and {warnings} warnings; nothing is lost"),
        (errors, warnings) => {
            format!("{errors} errors and {warnings} warnings were found; they are named above")
        }
    };
    Ok(output.remark(&verdict)?)
}
