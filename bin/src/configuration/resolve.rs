//! From what is written to what is meant: defaults filled in, names and schedules checked, paths made absolute.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use config::Value;
use keepwell_actors::HANG_AFTER;
use keepwell_actors::board::Limits;
use keepwell_actors::calendar::ensure_valid;
use keepwell_actors::retry::{Backoff, Retries, RetryPolicy};
use keepwell_actors::schedule::{Schedule, ScheduleError, TIMER_MAX};
use keepwell_actors::suggestion::did_you_mean;
use keepwell_engine::archive::BackupLimits;
use keepwell_messages::{FilesItem, Item, ItemId, ItemSource, ScheduleText};
use serde::Deserialize;

use super::tree::{KeyError, Node};
use super::written::{Rate, Span, Written, WrittenItem, WrittenRetry};
use super::{
    BrokerSettings, Configuration, ConfiguredRepository, DEFAULT_REPOSITORY, DaemonSettings, NamedSource,
    machine_zone,
};
use crate::cli::CompressionMode;
use crate::repository::user_folder;

/// More attempts than these do not end within a lifetime of waiting.
pub(super) const RETRIES_MAX: u32 = 100;
/// A longer wait is a schedule, not a retry.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(86_400);
/// A worker that moves its counters less often than this by nature would be given up.
pub(super) const HANG_AFTER_MIN: Duration = Duration::from_secs(60);

/// A shorter timer looks at the clock more often than anything is due.
pub(super) const TIMER_MIN: Duration = Duration::from_secs(1);

/// Checks all of it.
pub fn resolve(file: &Path, tree: &Value) -> Result<Configuration, KeyError> {
    let written = Written::deserialize(Node(tree))?;
    let reader = Reader { tree };
    let data_folder = match &written.data_folder {
        Some(text) => Some(reader.path(&["data_folder"], text)?),
        None => user_folder("XDG_DATA_HOME", ".local/share").map(|folder| folder.join("keepwell")),
    };
    let roots = written.restore_roots.0.iter();
    let restore_roots = roots.map(|root| reader.path(&["restore_roots"], root)).collect::<Result<_, _>>()?;
    let mut repositories = Vec::new();
    for (name, repository) in &written.repositories {
        repositories.push(reader.repository(name, repository)?);
    }
    let names: Vec<&str> = match repositories.as_slice() {
        [] => vec![DEFAULT_REPOSITORY],
        some => some.iter().map(|repository: &ConfiguredRepository| repository.name.as_str()).collect(),
    };
    let sources = written.sources.iter().map(|(name, source)| NamedSource::resolve(&reader, name, source));
    let sources: Vec<NamedSource> = sources.collect::<Result<_, _>>()?;
    let items = written.items.iter().map(|(name, item)| reader.item(name, item, &names, &sources));
    let items = items.collect::<Result<_, _>>()?;
    Ok(Configuration {
        file: file.into(),
        data_folder,
        limits: reader.limits(&written)?,
        retries: reader.retries(&written)?,
        hang_after: reader.hang_after(written.hang_after)?,
        timer_max: reader.timer_max(written.timer_max)?,
        compression: reader.compression(written.compression.as_deref())?,
        daemon: DaemonSettings::resolve(&reader, &written.daemon)?,
        broker: written.broker.as_ref().map(|broker| BrokerSettings::resolve(&reader, broker)).transpose()?,
        restore_roots,
        item_limits: reader.item_limits(&written)?,
        items,
        sources,
        repositories,
    })
}

/// Checks values, and knows where each was written.
pub(super) struct Reader<'a> {
    tree: &'a Value,
}

impl Reader<'_> {
    /// What is wrong with the key at the end of `path`.
    pub(super) fn wrong(&self, path: &[&str], why: impl Into<String>) -> KeyError {
        KeyError::at(self.tree, path, why)
    }

    /// An absolute path, or one that starts at the user's home folder.
    pub(super) fn path(&self, key: &[&str], text: &str) -> Result<PathBuf, KeyError> {
        match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => match std::env::var_os("HOME") {
                Some(home) if Path::new(&home).is_absolute() => {
                    Ok(Path::new(&home).join(rest.trim_start_matches('/')))
                }
                _ => Err(self.wrong(key, "~ means nothing without HOME; write the path from / on")),
            },
            _ if text.starts_with('/') => Ok(text.into()),
            _ => Err(self.wrong(key, format!("{text:?} is no absolute path; write it from / or from ~/ on"))),
        }
    }

    fn limits(&self, written: &Written) -> Result<Limits, KeyError> {
        let max = Limits::MAX_CONCURRENT_TASKS_MAX;
        let ensure = |key: &[&str], number: u32| match number {
            number if (1..=max).contains(&number) => Ok(number),
            _ => Err(self.wrong(key, format!("{number} is not 1 to {max}"))),
        };
        let default = Limits::default();
        let mut by_repository = HashMap::new();
        for (name, repository) in &written.repositories {
            if let Some(number) = repository.max_tasks {
                let key = ["repositories", name, "max_tasks"];
                by_repository.insert(name.clone(), ensure(&key, number)?);
            }
        }
        let per_repository = written.max_tasks_per_repository;
        let concurrent = written.max_concurrent_tasks.unwrap_or(default.max_concurrent_tasks);
        Ok(Limits {
            max_concurrent_tasks: ensure(&["max_concurrent_tasks"], concurrent)?,
            per_repository: per_repository
                .map(|number| ensure(&["max_tasks_per_repository"], number))
                .transpose()?,
            by_repository,
            ..default
        })
    }

    /// A longer delay than the usual longest one is the longest then.
    fn retries(&self, written: &Written) -> Result<Retries, KeyError> {
        let general = self.retry_policy(&["retry"], &written.retry, RetryPolicy::default())?;
        let of_item = |(name, item): (&String, &WrittenItem)| {
            let policy = self.retry_policy(&["items", name, "retry"], &item.retry, general)?;
            Ok((ItemId(name.clone()), policy))
        };
        let own = written.items.iter().map(of_item).collect::<Result<BTreeMap<_, _>, KeyError>>()?;
        let of_items = own.into_iter().filter(|(_, policy)| *policy != general).collect();
        Ok(Retries { general, of_items })
    }

    /// The policy in the table at `path`, and what is `default` where it says nothing.
    fn retry_policy(
        &self,
        path: &[&str],
        written: &WrittenRetry,
        default: RetryPolicy,
    ) -> Result<RetryPolicy, KeyError> {
        let wrong = |last: &str, why: String| self.wrong(&[path, &[last]].concat(), why);
        let retries_max = written.max_retries.unwrap_or(default.retries_max);
        if retries_max > RETRIES_MAX {
            let why = format!("{retries_max} is not 0 to {RETRIES_MAX}");
            return Err(wrong("max_retries", why));
        }
        let backoff = |key: &str, delay: Option<Span>, default: Backoff| match delay {
            None => Ok(default),
            Some(Span(base)) if base <= DELAY_MAX => Ok(Backoff { base, cap: default.cap.max(base) }),
            Some(_) => Err(wrong(key, "it is longer than a day".into())),
        };
        Ok(RetryPolicy {
            retries_max,
            ordinary: backoff("base_delay", written.base_delay, default.ordinary)?,
            network: backoff("network_delay", written.network_delay, default.network)?,
        })
    }

    fn hang_after(&self, written: Option<Span>) -> Result<Duration, KeyError> {
        match written {
            None => Ok(HANG_AFTER),
            Some(Span(span)) if span >= HANG_AFTER_MIN => Ok(span),
            Some(_) => Err(self.wrong(&["hang_after"], "it is shorter than a minute")),
        }
    }

    fn timer_max(&self, written: Option<Span>) -> Result<Duration, KeyError> {
        match written {
            None => Ok(TIMER_MAX),
            Some(Span(span)) if (TIMER_MIN..=TIMER_MAX).contains(&span) => Ok(span),
            Some(_) => Err(self.wrong(&["timer_max"], "it is not 1s to 20d")),
        }
    }

    fn compression(&self, written: Option<&str>) -> Result<Option<CompressionMode>, KeyError> {
        let mode = written.map(|text| CompressionMode::from_str(text, false)).transpose();
        mode.map_err(|_| self.wrong(&["compression"], "write off, fastest, auto, better or max"))
    }

    fn item_limits(&self, written: &Written) -> Result<BTreeMap<ItemId, BackupLimits>, KeyError> {
        let of_item = |(name, item): (&String, &WrittenItem)| {
            let rate = |key, rate| self.rate(&["items", name, key], rate, BackupLimits::BYTES_PER_SECOND_MIN);
            let limits = BackupLimits {
                read_bytes_per_second: rate("read_limit", item.read_limit)?,
                stored_bytes_per_second: rate("upload_limit", item.upload_limit)?,
            };
            Ok((ItemId(name.clone()), limits))
        };
        let limits = written.items.iter().map(of_item).collect::<Result<BTreeMap<_, _>, KeyError>>()?;
        Ok(limits.into_iter().filter(|(_, limits)| *limits != BackupLimits::default()).collect())
    }

    /// A rate that is not so low that nothing would move.
    pub(super) fn rate(&self, key: &[&str], rate: Option<Rate>, min: u64) -> Result<Option<u64>, KeyError> {
        match rate {
            Some(Rate(rate)) if rate < min => {
                let why = format!("it is less than {} KiB a second; leave it away for no limit", min >> 10);
                Err(self.wrong(key, why))
            }
            rate => Ok(rate.map(|Rate(rate)| rate)),
        }
    }

    fn item(
        &self,
        name: &str,
        written: &WrittenItem,
        repositories: &[&str],
        sources: &[NamedSource],
    ) -> Result<Item, KeyError> {
        let at = |last: &'static str| ["items", name, last];
        let repository = match (&written.repository, repositories) {
            (Some(name), known) if known.contains(&name.as_str()) => name.clone(),
            (Some(name), known) => {
                let meant = did_you_mean(name, known.iter().copied());
                let why = format!("there is no repository {name}{meant}");
                return Err(self.wrong(&at("repository"), why));
            }
            (None, [only]) => (*only).to_owned(),
            (None, known) => {
                let why = format!("say into which repository: {}", known.join(", "));
                return Err(self.wrong(&at("repository"), why));
            }
        };
        let item = Item {
            id: ItemId(name.into()),
            source: self.item_source(name, written, sources)?,
            repository,
            schedule: self.schedule(name, written)?,
            enabled: written.enabled,
            tags: written.tags.0.clone(),
        };
        ensure_valid(&item).map_err(|refusal| self.wrong(&["items", name], refusal.to_string()))?;
        Ok(item)
    }

    fn item_source(
        &self,
        name: &str,
        written: &WrittenItem,
        sources: &[NamedSource],
    ) -> Result<ItemSource, KeyError> {
        let at = |last: &'static str| ["items", name, last];
        match (&written.source, written.paths.0.as_slice()) {
            (Some(_), [_, ..]) => Err(self.wrong(&["items", name], "give paths or source, not both")),
            (Some(_), []) if !written.excludes.0.is_empty() => {
                Err(self.wrong(&at("excludes"), "nothing can be left out of a source; leave it away"))
            }
            (Some(source), []) => match sources.iter().find(|known| known.name == *source) {
                Some(known) => Ok(known.item_source()),
                None => {
                    let meant = did_you_mean(source, sources.iter().map(|known| known.name.as_str()));
                    let why = format!("there is no source {source}{meant}; sources stand in [sources.NAME]");
                    Err(self.wrong(&at("source"), why))
                }
            },
            (None, []) => {
                let why = "say what is backed up: paths = [\"/path\"], or source = \"name\"";
                Err(self.wrong(&at("paths"), why))
            }
            (None, written_paths) => {
                let mut paths = Vec::new();
                for text in written_paths {
                    let path = self.path(&at("paths"), text)?.into_os_string().into_string();
                    paths.push(
                        path.map_err(|_| self.wrong(&at("paths"), "the home folder's name is not UTF-8"))?,
                    );
                }
                Ok(ItemSource::Files(FilesItem { paths, excludes: written.excludes.0.clone() }))
            }
        }
    }

    /// Zone and jitter are checked also where no schedule uses them yet.
    fn schedule(&self, name: &str, written: &WrittenItem) -> Result<Option<ScheduleText>, KeyError> {
        let jitter_key = ["items", name, "jitter"];
        let jitter_seconds = match written.jitter {
            None => None,
            Some(Span(span)) => {
                Some(u32::try_from(span.as_secs()).map_err(|_| self.wrong(&jitter_key, "it is too long"))?)
            }
        };
        let text = ScheduleText {
            spec: written.schedule.clone().unwrap_or_else(|| "daily 00:00".into()),
            time_zone: written.time_zone.clone().unwrap_or_else(|| machine_zone().name().into()),
            jitter_seconds,
        };
        if let Err(error) = Schedule::parse(&text) {
            let last = match error {
                ScheduleError::TimeZoneEmpty | ScheduleError::TimeZoneUnknown { .. } => "time_zone",
                ScheduleError::JitterTooLong { .. } => "jitter",
                _ => "schedule",
            };
            return Err(self.wrong(&["items", name, last], error.to_string()));
        }
        Ok(written.schedule.is_some().then_some(text))
    }
}
