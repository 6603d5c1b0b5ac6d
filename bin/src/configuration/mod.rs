//! What a user set up: where data lives, how much runs at once, repositories and items.
//!
//! Read from built-in defaults, over them `keepwell.toml`, over that the variables named `KEEPWELL__…`. It is
//! checked whole before anything is done with it; all mistakes are told at once, each with its place and its key and
//! what to write. No password stands in it: a repository names a file or a command that gives it.

mod doors;
mod keys;
mod machine_zone;
mod mistakes;
mod named_source;
mod reference;
mod repositories;
mod resolve;
mod shown;
mod sources;
mod system;
mod tree;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use keepwell_actors::board::Limits;
use keepwell_actors::retry::Retries;
use keepwell_engine::archive::BackupLimits;
use keepwell_engine::store::{Location, StoreSettings};
use keepwell_messages::{Item, ItemId};

pub use doors::{BrokerLogin, BrokerSettings, DaemonSettings, LogFormat, TypedAddress};
pub use machine_zone::machine_zone;
pub use named_source::NamedSource;
pub use reference::{example, reference, schema};
pub use shown::shown;

use crate::cli::{CompressionMode, GlobalOptions};
use crate::exit::Failure;
use crate::password::PasswordSource;
use crate::repository::user_folder;

/// The name of the repository that is there when the configuration names none.
pub const DEFAULT_REPOSITORY: &str = "default";

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigurationArguments {
    /// Configuration file [default: keepwell/keepwell.toml in the user's configuration folder]
    #[arg(long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigurationArguments {
    /// Where the file is, or would be.
    pub fn place(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(file) => std::path::absolute(file)
                .map_err(|error| Failure::local("find the configuration", file, error)),
            None => user_folder("XDG_CONFIG_HOME", ".config")
                .map(|folder| folder.join("keepwell/keepwell.toml"))
                .ok_or_else(|| {
                    Failure::usage("without HOME there is no place where a configuration would be")
                        .hint("name one with --config FILE")
                }),
        }
    }

    /// A file that was named must be there.
    fn is_read(&self, place: &Path) -> bool {
        self.file.is_some() || place.exists()
    }
}

/// What becomes of the daemon's address.
#[derive(Clone, Copy, Debug)]
enum DaemonAddress {
    /// Nobody is going to listen there.
    OfNoConcern,
    /// With what was typed over it, it must be safe.
    Typed(TypedAddress),
}

/// What a user set up.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The file that it stands in, or would.
    pub file: PathBuf,
    /// Where the journal lives, in `journal/` beneath; `None` if nothing says where the user's data is.
    pub data_folder: Option<PathBuf>,
    /// How much runs at once.
    pub limits: Limits,
    /// What follows a failed attempt.
    pub retries: Retries,
    /// When a worker is given up.
    pub hang_after: Duration,
    /// The longest that one timer runs.
    pub timer_max: Duration,
    /// How hard to compress, if it is said.
    pub compression: Option<CompressionMode>,
    /// How the daemon is reached.
    pub daemon: DaemonSettings,
    /// The broker that it speaks to, if any.
    pub broker: Option<BrokerSettings>,
    /// Folders below which restores may write.
    pub restore_roots: Vec<PathBuf>,
    /// What is backed up that is no folder.
    pub sources: Vec<NamedSource>,
    /// Where backups go. Empty: only into the default repository.
    pub repositories: Vec<ConfiguredRepository>,
    /// What is backed up, by name.
    pub items: Vec<Item>,
    /// How fast items may be backed up that are not to go as fast as they can.
    pub item_limits: BTreeMap<ItemId, BackupLimits>,
}

/// Where backups go.
#[derive(Clone, Debug)]
pub struct ConfiguredRepository {
    /// What items call it.
    pub name: String,
    /// Where it lies.
    pub location: Location,
    /// Where its password comes from.
    pub password: PasswordSource,
    /// How it is reached.
    pub settings: StoreSettings,
}

impl Configuration {
    /// Reads it.
    pub fn read(arguments: &ConfigurationArguments) -> Result<Self, Failure> {
        Self::read_with(arguments, DaemonAddress::Typed(TypedAddress::default()))
    }

    /// Reads it for a daemon, of whose address the command line may say something else.
    pub fn read_for_daemon(arguments: &ConfigurationArguments, typed: TypedAddress) -> Result<Self, Failure> {
        Self::read_with(arguments, DaemonAddress::Typed(typed))
    }

    /// Reads it for who listens nowhere: whether the daemon's address is safe is told to the daemon, which may have
    /// been told more on its command line.
    pub fn read_for_client(arguments: &ConfigurationArguments) -> Result<Self, Failure> {
        Self::read_with(arguments, DaemonAddress::OfNoConcern)
    }

    fn read_with(arguments: &ConfigurationArguments, address: DaemonAddress) -> Result<Self, Failure> {
        let place = arguments.place()?;
        let file = arguments.is_read(&place).then_some(place.as_path());
        mistakes::resolve_all(&place, sources::merged(file, std::env::vars_os())?, address)
    }

    /// An item that stands in it.
    pub fn item(&self, id: &ItemId) -> Option<&Item> {
        self.items.iter().find(|item| item.id == *id)
    }
}

/// Refuses a repository or a password on the command line, where the configuration says both. Variables that
/// are there for other verbs are passed over.
pub fn refuse_repository_options(options: &GlobalOptions, verb: &str) -> Result<(), Failure> {
    let of_variable = |name: &str| std::env::var_os(name);
    let repository = options.repo.as_ref().map(std::ffi::OsString::from);
    let file = options.repository_file.clone().map(PathBuf::into_os_string);
    let typed = repository.is_some() && repository != of_variable("KEEPWELL_REPOSITORY")
        || file.is_some() && file != of_variable("KEEPWELL_REPOSITORY_FILE")
        || options.password_file.is_some()
        || options.password_command.is_some();
    if !typed {
        return Ok(());
    }
    let message = format!("{verb} takes the repository and its password from the configuration");
    Err(Failure::usage(message).hint(format!(
        "leave --repo and the password options away; `keepwell help {verb}` says where the configuration is"
    )))
}
