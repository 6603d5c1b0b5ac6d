//! From the configuration to an actor system's settings, and to what the names in items stand for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_actors::Settings;
use keepwell_actors::runner::{Places, Runner};
use keepwell_engine::clock::SystemClock;
use keepwell_engine::error::Error;
use keepwell_engine::repository::RepositoryAddress;
use keepwell_engine::store::Location;
use keepwell_messages::ErrorClass;

use super::{Configuration, ConfiguredRepository, DEFAULT_REPOSITORY, machine_zone};
use crate::cli::{Context, GlobalOptions};
use crate::default_repository::DefaultRepository;
use crate::exit::Failure;
use crate::password::{self, PasswordSource};
use crate::repository::{Address, settings_from_variables, with_typed_options};
use crate::verbs::version::PROGRAM_VERSION;

impl Configuration {
    /// The settings of a system whose journal lives in `journal`.
    pub fn settings(&self, journal: &Path, runner: Arc<dyn Runner>) -> Settings {
        Settings {
            items: self.items.clone(),
            limits: self.limits.clone(),
            retries: self.retries.clone(),
            hang_after: self.hang_after,
            timer_max: self.timer_max,
            program_version: env!("CARGO_PKG_VERSION").into(),
            time_zone: machine_zone().name().into(),
            ..Settings::new(journal, runner)
        }
    }

    /// What the names of repositories stand for. `-o` and `--compression` count for all of them.
    pub fn places(&self, options: &GlobalOptions) -> Result<Places, Failure> {
        let places = Places::new(Arc::new(SystemClock), PROGRAM_VERSION);
        let compression = options.compression.or(self.compression).unwrap_or_default();
        let mut places = places.compression(compression.into());
        for root in &self.restore_roots {
            places = places.restore_root(root);
        }
        for source in &self.sources {
            places = source.add_to(places, &self.scratch_folder()?);
        }
        for (item, limits) in &self.item_limits {
            places = places.item_limits(item.clone(), *limits);
        }
        for repository in self.all_repositories()? {
            let ConfiguredRepository { name, location, password, settings } = repository;
            let settings = with_typed_options(settings, options)?;
            let password = Arc::new(move || {
                let gave = password::read_unattended(&password);
                // As a wrong one: another attempt would fail in the same way.
                let class = ErrorClass::Credentials;
                gave.map_err(|failure| Error::Foreign { class, why: failure.message().into() })
            });
            places = places.repository(name, RepositoryAddress { location, settings, password });
        }
        Ok(places)
    }

    /// Where journal, token and scratch files live.
    pub fn data_folder(&self) -> Result<PathBuf, Failure> {
        self.data_folder.clone().ok_or_else(|| {
            Failure::usage("without HOME there is no place for the journal")
                .hint("name one in the configuration: data_folder = \"/path\"")
        })
    }

    /// Makes the repository that is there when the configuration names none, unless it is there.
    pub fn make_default_repository(&self, context: &Context) -> Result<(), Failure> {
        if !self.repositories.is_empty() {
            return Ok(());
        }
        let default = DefaultRepository::locate()?;
        if default.exists() {
            return Ok(());
        }
        Address::make_default(default.clone(), context)?;
        let (repository, password) = (default.repository().display(), default.password_file().display());
        context.output.notice(&format!(
            "made the repository {repository}; its password is in {password}: keep a copy elsewhere"
        ));
        Ok(())
    }

    /// Where copies of databases lie while they are backed up.
    fn scratch_folder(&self) -> Result<PathBuf, Failure> {
        Ok(self.data_folder()?.join("scratch"))
    }

    fn all_repositories(&self) -> Result<Vec<ConfiguredRepository>, Failure> {
        if !self.repositories.is_empty() {
            return Ok(self.repositories.clone());
        }
        let default = DefaultRepository::locate()?;
        Ok(vec![ConfiguredRepository {
            name: DEFAULT_REPOSITORY.into(),
            location: Location::folder(default.repository()),
            password: PasswordSource::File(default.password_file().into()),
            settings: settings_from_variables(),
        }])
    }
}
