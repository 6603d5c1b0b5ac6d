//! What can be typed: the options that all verbs share, and the verbs. The options
//! of a verb stand in its own file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use keepwell_engine::compress::Compression;
use keepwell_engine::control::Control;

use crate::exit::Ended;
use crate::output::Output;
use crate::quantities::parse_duration;
use crate::signals::Signals;
use crate::verbs;

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed; 3 done, but some source files could not be read; 10 no repository there; \
11 the repository is locked; 12 wrong password; 130 interrupted.

Without a repository, `keepwell backup PATH` makes one in the user's data folder and says where.";

/// Encrypted, deduplicated backups in restic's repository format
#[derive(Debug, Parser)]
#[command(name = "keepwell", version, after_help = AFTER_HELP, max_term_width = 120)]
pub struct Cli {
    /// What all verbs share.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What all verbs share.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Where the repository lies: a path, or s3://, gs://, az://, http(s)://
    #[arg(
        short,
        long,
        global = true,
        value_name = "REPOSITORY",
        env = "KEEPWELL_REPOSITORY",
        hide_env_values = true
    )]
    pub repo: Option<String>,
    /// File whose first line says where the repository lies
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KEEPWELL_REPOSITORY_FILE",
        hide_env_values = true
    )]
    pub repository_file: Option<PathBuf>,
    /// File that holds the password [env: KEEPWELL_PASSWORD_FILE=]
    #[arg(short, long, global = true, value_name = "FILE", conflicts_with = "password_command")]
    pub password_file: Option<PathBuf>,
    /// Command that prints the password; run without a shell, words split at blanks, quotes as in a shell
    /// [env: KEEPWELL_PASSWORD_COMMAND=]
    #[arg(long, global = true, value_name = "COMMAND")]
    pub password_command: Option<String>,
    /// Print lines of JSON (docs/json.md)
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more to standard error; twice for much more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Take no lock; for verbs that only read
    #[arg(long, global = true)]
    pub no_lock: bool,
    /// How long to wait for a locked repository, as 5m or 2h
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub retry_lock: Option<Duration>,
    /// Folder of the local cache [default: keepwell in the user's cache folder]
    #[arg(long, global = true, value_name = "FOLDER", env = "KEEPWELL_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
    /// Keep no local cache
    #[arg(long, global = true)]
    pub no_cache: bool,
    /// How hard to compress [default: the configuration's, else auto]
    #[arg(long, global = true, value_name = "MODE", env = "KEEPWELL_COMPRESSION", hide_env_values = true)]
    pub compression: Option<CompressionMode>,
    /// Wished size of packs in MiB, 4 to 128 [default: 16]
    #[arg(long, global = true, value_name = "MIB", env = "KEEPWELL_PACK_SIZE", hide_env_values = true,
          value_parser = clap::value_parser!(u32).range(4..=128))]
    pub pack_size: Option<u32>,
    /// Send at most so many KiB a second to the store; 0 for no limit
    #[arg(long, global = true, value_name = "KIB")]
    pub limit_upload: Option<u32>,
    /// Receive at most so many KiB a second from the store; 0 for no limit
    #[arg(long, global = true, value_name = "KIB")]
    pub limit_download: Option<u32>,
    /// Option of the store, as endpoint=https://…, region=…; connections=N; machine-credentials=true takes
    /// credentials from the cloud machine's own role
    #[arg(short = 'o', long = "option", global = true, value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// Seconds after which a lock is stale; all users of a repository must agree, so this is for tests
    #[arg(long, global = true, value_name = "SECONDS", hide = true)]
    pub lock_stale_after: Option<u64>,
}

/// How hard to compress, as it is typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CompressionMode {
    /// Not at all
    Off,
    /// zstd level 1
    #[value(alias = "fast")]
    Fastest,
    /// zstd level 3
    #[default]
    Auto,
    /// zstd level 7
    Better,
    /// zstd level 12
    Max,
}

impl From<CompressionMode> for Compression {
    fn from(mode: CompressionMode) -> Self {
        match mode {
            CompressionMode::Off => Self::Off,
            CompressionMode::Fastest => Self::Fastest,
            CompressionMode::Auto => Self::Auto,
            CompressionMode::Better => Self::Better,
            CompressionMode::Max => Self::Max,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a new repository
    Init(verbs::init::Arguments),
    /// Make a snapshot of files and folders, or of a stream
    Backup(Box<verbs::backup::Arguments>),
    /// Back up an item of the configuration file now
    Run(verbs::run::Arguments),
    /// Run the daemon: back up what is due, and serve commands, events and the web page
    Serve(verbs::serve::Arguments),
    /// Show how the daemon is doing
    Status(verbs::status::Arguments),
    /// List the daemon's tasks that have not ended
    Tasks(verbs::tasks::Arguments),
    /// List what the daemon backs up
    Items(verbs::items::Arguments),
    /// List tasks that have ended
    History(verbs::history::Arguments),
    /// Say why an item's backup runs, waits, or did not run
    Why(verbs::items::WhyArguments),
    /// Watch what the daemon does, live
    Watch(verbs::watch::Arguments),
    /// Pause a task
    Pause(verbs::tasks::MaybeOne),
    /// Let a paused task go on
    Resume(verbs::tasks::MaybeOne),
    /// End a task
    Cancel(verbs::tasks::One),
    /// Pause all tasks; nothing starts
    PauseAll(verbs::tasks::Arguments),
    /// Let all tasks go on
    ResumeAll(verbs::tasks::Arguments),
    /// Ask the daemon any command by its name
    Command(verbs::command::Arguments),
    /// Check the configuration file, show what counts, or make one
    Config(verbs::config::Arguments),
    /// Show what the configuration file would do, on simulated time
    Simulate(verbs::simulate::Arguments),
    /// Bring a snapshot, or a part of it, back into a folder
    Restore(Box<verbs::restore::Arguments>),
    /// Check that the repository holds what its snapshots promise
    Check(verbs::check::Arguments),
    /// List snapshots
    Snapshots(verbs::snapshots::Arguments),
    /// List what is in a snapshot
    Ls(verbs::ls::Arguments),
    /// Find files, folders or objects in snapshots
    Find(Box<verbs::find::Arguments>),
    /// Write a file, or a folder as an archive, to standard output
    Dump(verbs::dump::Arguments),
    /// Show what differs between two snapshots
    Diff(verbs::diff::Arguments),
    /// Count what snapshots hold
    Stats(verbs::stats::Arguments),
    /// Print one of the repository's own objects
    Cat(verbs::cat::Arguments),
    /// Change the tags of snapshots
    Tag(verbs::tag::Arguments),
    /// Copy snapshots from another repository into this one
    Copy(verbs::copy::Arguments),
    /// List, add, remove and change passwords
    Key(verbs::key::Arguments),
    /// Remove locks that others left behind
    Unlock(verbs::unlock::Arguments),
    /// Print a shell's completion script
    Completions(verbs::completions::Arguments),
    /// Write man pages into a folder
    #[command(hide = true)]
    Man(verbs::man::Arguments),
    /// Print the version
    Version,
}

/// What a verb works with.
pub struct Context {
    /// The options that all verbs share.
    pub global: GlobalOptions,
    /// Where words go.
    pub output: Arc<Output>,
    /// What interrupts it.
    pub signals: Signals,
    /// Cancelled by the first interrupt.
    pub control: Control,
}

impl Verb {
    /// Does it.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Init(arguments) => verbs::init::run(arguments, context),
            Self::Backup(arguments) => verbs::backup::run(arguments, context),
            Self::Run(arguments) => verbs::run::run(arguments, context),
            Self::Serve(arguments) => verbs::serve::run(arguments, context),
            Self::Status(arguments) => verbs::status::run(arguments, context),
            Self::Tasks(arguments) => verbs::tasks::tasks(arguments, context),
            Self::Items(arguments) => verbs::items::items(arguments, context),
            Self::History(arguments) => verbs::history::run(arguments, context),
            Self::Why(arguments) => verbs::items::why(arguments, context),
            Self::Watch(arguments) => verbs::watch::run(arguments, context),
            Self::Pause(arguments) => verbs::tasks::pause(arguments, context),
            Self::Resume(arguments) => verbs::tasks::resume(arguments, context),
            Self::Cancel(arguments) => verbs::tasks::cancel(arguments, context),
            Self::PauseAll(arguments) => verbs::tasks::pause_all(arguments, context),
            Self::ResumeAll(arguments) => verbs::tasks::resume_all(arguments, context),
            Self::Command(arguments) => verbs::command::run(arguments, context),
            Self::Config(arguments) => verbs::config::run(arguments, context),
            Self::Simulate(arguments) => verbs::simulate::run(arguments, context),
            Self::Restore(arguments) => verbs::restore::run(arguments, context),
            Self::Check(arguments) => verbs::check::run(arguments, context),
            Self::Ls(arguments) => verbs::ls::run(arguments, context),
            Self::Find(arguments) => verbs::find::run(arguments, context),
            Self::Dump(arguments) => verbs::dump::run(arguments, context),
            Self::Diff(arguments) => verbs::diff::run(arguments, context),
            Self::Stats(arguments) => verbs::stats::run(arguments, context),
            Self::Cat(arguments) => verbs::cat::run(arguments, context),
            Self::Tag(arguments) => verbs::tag::run(arguments, context),
            Self::Copy(arguments) => verbs::copy::run(arguments, context),
            Self::Snapshots(arguments) => verbs::snapshots::run(arguments, context),
            Self::Key(arguments) => verbs::key::run(arguments, context),
            Self::Unlock(arguments) => verbs::unlock::run(arguments, context),
            Self::Completions(arguments) => verbs::completions::run(arguments, context),
            Self::Man(arguments) => verbs::man::run(arguments, context),
            Self::Version => verbs::version::run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn options_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn restic_s_spellings_are_understood() {
        for line in [
            "keepwell -r /r -p /p backup -x -e *.tmp --exclude-caches --tag a,b -H host -f /home",
            "keepwell backup --stdin --stdin-filename dump.sql --time 2026-01-31",
            "keepwell backup --stdin-from-command -- pg_dump -x db",
            "keepwell snapshots -c --latest 2 --tag a,b --host h --path /p latest",
            "keepwell snapshots -o connections=8 --compression max --pack-size 32 --retry-lock 5m",
            "keepwell restore latest:/home -t /x -i *.c --overwrite if-newer --verify --sparse --delete --dry-run",
            "keepwell check --read-data",
            "keepwell check --read-data-subset 10%",
            "keepwell ls -l --recursive latest /etc",
            "keepwell find -i -l -O 2026-01-01 -N 2026-02-01 -s latest *.conf",
            "keepwell find --blob 0123456789abcdef",
            "keepwell dump -a tar -t out.tar latest /etc",
            "keepwell diff --metadata 01234567:/a 89abcdef:/b",
            "keepwell stats --mode raw-data latest",
            "keepwell cat config",
            "keepwell cat tree latest:/etc",
            "keepwell tag --add a,b --remove c --host h latest",
            "keepwell copy --from-repo /old --from-password-file /p latest",
            "keepwell key add --new-password-file /n",
            "keepwell unlock --remove-all --json -v -v",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
