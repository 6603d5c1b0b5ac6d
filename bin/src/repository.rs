//! From options and variables to an open repository, and to a session with a lock or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_engine::error::Error;
use keepwell_engine::repository::{InitOptions, LockTiming, Repository, RepositoryOptions, Session};
use keepwell_engine::store::{Location, Store, StoreSettings};
use secrecy::SecretString;

use crate::cli::{Context, GlobalOptions};
use crate::default_repository::DefaultRepository;
use crate::exit::Failure;
use crate::password::{self, PasswordSource};

/// Where a repository lies and where its password comes from.
pub struct Address {
    /// Where it lies.
    pub location: Location,
    /// Where its password comes from.
    pub password: PasswordSource,
    /// Set if it is the one that is used when none is given.
    pub default: Option<DefaultRepository>,
}

impl Address {
    /// What the options and variables name; without any, the default repository if there is one.
    pub fn find(context: &Context) -> Result<Self, Failure> {
        if let Some(address) = Self::given(context)? {
            return Ok(address);
        }
        let default = DefaultRepository::locate()?;
        if !default.exists() {
            return Err(no_repository_given(&default));
        }
        Ok(Self::of_default(default, context))
    }

    /// What the options and variables name.
    pub fn given(context: &Context) -> Result<Option<Self>, Failure> {
        let Some(text) = location_text(&context.global)? else { return Ok(None) };
        let location = parse_location(&text)?;
        let options = password::source_in_options(&context.global);
        Ok(Some(Self { location, password: password::source(options, password::VARIABLES)?, default: None }))
    }

    /// The default repository, with the password that lies beside it.
    pub fn beside_password(default: DefaultRepository) -> Self {
        Self {
            location: Location::folder(default.repository()),
            password: PasswordSource::File(default.password_file().to_path_buf()),
            default: Some(default),
        }
    }

    /// The default repository. Its password lies beside it, so variables, which belong to
    /// other repositories, mean nothing; an option does.
    pub fn of_default(default: DefaultRepository, context: &Context) -> Self {
        let address = Self::beside_password(default);
        match password::source_in_options(&context.global) {
            Some(password) => Self { password, ..address },
            None => address,
        }
    }

    /// The default repository, made now with a random password that lies beside it.
    pub fn make_default(
        default: DefaultRepository,
        context: &Context,
    ) -> Result<(Self, Arc<Repository>), Failure> {
        default.make_password()?;
        let address = Self::beside_password(default);
        let password = password::read(&address.password, context)?;
        let repository = address.init(&password, &InitOptions::default(), context)?;
        Ok((address, repository))
    }

    /// Opens it.
    pub fn open(&self, context: &Context) -> Result<Arc<Repository>, Failure> {
        self.open_with(context, repository_options(&context.global))
    }

    /// Opens it with these options.
    pub fn open_with(
        &self,
        context: &Context,
        options: RepositoryOptions,
    ) -> Result<Arc<Repository>, Failure> {
        let settings = store_settings(&context.global)?;
        if let PasswordSource::Prompt = self.password {
            // Nobody should be asked for the password of what is not there.
            look_for_repository(&self.location, &settings)?;
        }
        let password = password::read(&self.password, context)?;
        context.control.checkpoint()?;
        Ok(Repository::open(&self.location, &settings, &password, options)?)
    }

    /// Makes it.
    pub fn init(
        &self,
        password: &SecretString,
        init: &InitOptions,
        context: &Context,
    ) -> Result<Arc<Repository>, Failure> {
        let settings = store_settings(&context.global)?;
        Ok(Repository::init(&self.location, &settings, password, init, repository_options(&context.global))?)
    }
}

fn look_for_repository(location: &Location, settings: &StoreSettings) -> Result<(), Failure> {
    match Store::open(location, settings)?.size("config")? {
        Some(_) => Ok(()),
        None => Err(Error::NoRepository { location: location.to_string() }.into()),
    }
}

/// Opens the repository that the options, the variables or the default name.
pub fn open(context: &Context) -> Result<Arc<Repository>, Failure> {
    Address::find(context)?.open(context)
}

/// A session for work that only reads. Where a lock cannot be written because nothing can
/// be, it goes without one, and says so.
pub fn begin_reading(
    repository: &Arc<Repository>,
    exclusive: bool,
    context: &Context,
) -> Result<Session, Failure> {
    if context.global.no_lock {
        return Ok(repository.begin_unlocked());
    }
    match repository.begin(exclusive, &context.control) {
        Err(error) if error.is_unwritable() => {
            context.output.notice(&format!("reading without a lock: {error}"));
            Ok(repository.begin_unlocked())
        }
        session => Ok(session?),
    }
}

/// What is said of `--no-lock` where it would be a lie.
pub const NO_LOCK_REFUSED: &str = "--no-lock is for verbs that only read";

/// A session for work that writes; `--no-lock` would be a lie there.
pub fn begin_writing(
    repository: &Arc<Repository>,
    exclusive: bool,
    context: &Context,
) -> Result<Session, Failure> {
    if context.global.no_lock {
        return Err(Failure::usage(NO_LOCK_REFUSED));
    }
    Ok(repository.begin(exclusive, &context.control)?)
}

/// Reads a location; relative paths start where the command was started.
pub fn parse_location(text: &str) -> Result<Location, Failure> {
    let working_folder = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the working folder cannot be told: {error}")))?;
    Ok(Location::parse(text, &working_folder)?)
}

fn location_text(options: &GlobalOptions) -> Result<Option<String>, Failure> {
    match (&options.repo, &options.repository_file) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("the repository is named twice, by its location and by a file"))
        }
        (Some(text), None) if text.is_empty() => Err(Failure::usage("the repository's location is empty")
            .hint("name a place with --repo or KEEPWELL_REPOSITORY, or unset the variable")),
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(path)) => read_location_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_location_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::local("read the repository file", path, error))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.into()),
        _ => Err(Failure::usage(format!("the first line of {} names no repository", path.display()))),
    }
}

fn no_repository_given(default: &DefaultRepository) -> Failure {
    Failure::no_repository(format!(
        "no repository is given, and there is none at the default place {}",
        default.repository().display()
    ))
    .hint("name one with --repo or KEEPWELL_REPOSITORY; or run `keepwell backup PATH`, which makes the default one")
}

/// The engine's options, from ours.
pub fn repository_options(options: &GlobalOptions) -> RepositoryOptions {
    let mut result =
        RepositoryOptions { cache_folder: cache_folder(options), ..RepositoryOptions::default() };
    if let Some(stale_after) = options.lock_stale_after {
        result.lock_timing = LockTiming::with_stale_after(std::time::Duration::from_secs(stale_after));
    }
    if let Some(retry) = options.retry_lock {
        result.lock_retry = retry;
    }
    if let Some(mib) = options.pack_size {
        result.pack_bytes = mib << 20;
    }
    result
}

fn cache_folder(options: &GlobalOptions) -> Option<PathBuf> {
    if options.no_cache {
        return None;
    }
    let chosen = options.cache_dir.clone();
    chosen.or_else(|| user_folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("keepwell")))
}

/// A folder of the user by the XDG base directory specification, which says to pass over relative paths.
pub fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(in_home)))
}

/// How stores are reached: the usual variables, and the options over them.
pub fn store_settings(options: &GlobalOptions) -> Result<StoreSettings, Failure> {
    with_typed_options(settings_from_variables(), options)
}

/// How stores are reached by the usual variables alone.
pub fn settings_from_variables() -> StoreSettings {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    StoreSettings::from_variables(variables)
}

/// `settings` with `-o` and the limits over them.
pub fn with_typed_options(
    mut settings: StoreSettings,
    options: &GlobalOptions,
) -> Result<StoreSettings, Failure> {
    for option in &options.options {
        let name = option.split('=').next().unwrap_or_default();
        let (name, value) = option.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            // What follows may be a secret, so it is not repeated.
            Failure::usage(format!("the store option {name} is not understood: write -o {name}=VALUE"))
        })?;
        settings = with_option(settings, name, value)
            .map_err(|wanted| Failure::usage(format!("the store option {name} takes {wanted}")))?;
    }
    if let Some(kib) = options.limit_upload {
        settings.upload_bytes_per_second = bytes_per_second(kib);
    }
    if let Some(kib) = options.limit_download {
        settings.download_bytes_per_second = bytes_per_second(kib);
    }
    Ok(settings)
}

/// As restic counts: 0 is no limit.
fn bytes_per_second(kib: u32) -> Option<u64> {
    (kib > 0).then(|| u64::from(kib) << 10)
}

/// `settings` with one option over them. The error says what its value is to be.
pub fn with_option(
    mut settings: StoreSettings,
    name: &str,
    value: &str,
) -> Result<StoreSettings, &'static str> {
    match name {
        "connections" => settings.connections = Some(value.parse().map_err(|_| "a number")?),
        "machine-credentials" => {
            settings.machine_credentials = value.parse().map_err(|_| "true or false")?;
        }
        _ => settings = settings.with_option(name, value),
    }
    Ok(settings)
}
