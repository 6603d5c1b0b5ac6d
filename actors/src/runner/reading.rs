//! Reading in repositories by their names, beside what attempts do: what doors ask for, and files for download.
//!
//! What it means for a system to have repositories is its runner's business. One that only pretends has none, and
//! whoever asks is told so.

use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::job::JobEngine;
use keepwell_engine::query::{FileContent, Reading};
use keepwell_messages::{
    Failure, GetDifferences, GetFolder, GetMatchingEntries, GetSnapshots, Refusal, Reply, RepositorySetup,
    SourceSetup,
};

use super::EngineRunner;

/// The names that items, restores and questions may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNames {
    /// Repositories, by name.
    pub repositories: Vec<RepositorySetup>,
    /// Sources, by name.
    pub sources: Vec<SourceSetup>,
    /// Absolute folders below which restores may write.
    pub restore_roots: Vec<String>,
}

/// A question that a repository answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryQuestion {
    /// Its snapshots.
    Snapshots(GetSnapshots),
    /// What stands in a folder.
    Folder(GetFolder),
    /// Entries by name.
    MatchingEntries(GetMatchingEntries),
    /// What differs between two snapshots.
    Differences(GetDifferences),
}

impl RepositoryQuestion {
    /// The name of the repository that is asked.
    pub fn repository(&self) -> &str {
        match self {
            Self::Snapshots(get) => &get.repository,
            Self::Folder(get) => &get.repository,
            Self::MatchingEntries(get) => &get.repository,
            Self::Differences(get) => &get.repository,
        }
    }
}

/// A file in a snapshot, by names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFile {
    /// The name of a configured repository.
    pub repository: String,
    /// The beginning of a snapshot's id, or `latest`.
    pub snapshot: String,
    /// The file, absolute in the snapshot.
    pub path: String,
}

/// Reads in repositories. What it is asked blocks, until it is answered or its control is cancelled.
pub trait RepositoryReader: Send + Sync {
    /// The answer to a question.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if a name stands for nothing, or what was asked for is not there; [`Refusal::Failed`] if
    /// the repository could not be read.
    fn answer(&self, question: &RepositoryQuestion, control: &Control) -> Result<Reply, Refusal>;

    /// Finds a file and makes ready to read it.
    ///
    /// # Errors
    /// As [`RepositoryReader::answer`].
    fn open_file(&self, wanted: &WantedFile, control: &Control) -> Result<FileContent, Refusal>;
}

impl<E: JobEngine + 'static> EngineRunner<E> {
    fn begin_reading(&self, repository: &str, control: &Control) -> Result<Reading, Refusal> {
        let address = self.workshop.repository(repository).map_err(Refusal::Invalid)?;
        let repositories = self.engine.open_repositories().ok_or_else(no_repositories)?;
        self.kept_open.begin(repositories, &address, control).map_err(refusal_of)
    }
}

impl<E: JobEngine + 'static> RepositoryReader for EngineRunner<E> {
    fn answer(&self, question: &RepositoryQuestion, control: &Control) -> Result<Reply, Refusal> {
        let reading = self.begin_reading(question.repository(), control)?;
        let answer = match question {
            RepositoryQuestion::Snapshots(get) => reading.snapshots(get).map(Reply::GetSnapshots),
            RepositoryQuestion::Folder(get) => reading.folder(get).map(Reply::GetFolder),
            RepositoryQuestion::MatchingEntries(get) => reading.matches(get).map(Reply::GetMatchingEntries),
            RepositoryQuestion::Differences(get) => reading.differences(get).map(Reply::GetDifferences),
        };
        answer.map_err(refusal_of)
    }

    fn open_file(&self, wanted: &WantedFile, control: &Control) -> Result<FileContent, Refusal> {
        let reading = self.begin_reading(&wanted.repository, control)?;
        reading.file(&wanted.snapshot, &wanted.path).map_err(refusal_of)
    }
}

/// What is said in a system whose runner reads in no repository.
pub(crate) fn no_repositories() -> Refusal {
    Refusal::Invalid("this system has no repositories that can be asked".into())
}

/// An error as whoever asked is told of it.
pub(crate) fn refusal_of(error: Error) -> Refusal {
    match error {
        Error::NotFound { .. } | Error::Invalid(_) => Refusal::Invalid(error.to_string()),
        error => {
            let why = error.to_string().lines().collect::<Vec<_>>().join(" ");
            Refusal::Failed(Failure { class: error.class(), why })
        }
    }
}

#[cfg(test)]
mod tests {
    use keepwell_messages::ErrorClass;

    use super::*;

    #[test]
    fn what_is_not_there_is_refused_as_such_and_a_failure_keeps_its_class() {
        let failed = |class, why: &str| Refusal::Failed(Failure { class, why: why.into() });
        let damaged = Error::damaged("tree 12", "its digest is\nanother");
        for (error, expected) in [
            (Error::NotFound { what: "/a".into() }, Refusal::Invalid("/a not found".into())),
            (Error::Invalid("no".into()), Refusal::Invalid("no".into())),
            (damaged, failed(ErrorClass::Repository, "tree 12 is damaged: its digest is another")),
            (Error::Cancelled, failed(ErrorClass::Cancelled, "cancelled")),
            (
                Error::NoRepository { location: "/srv".into() },
                failed(ErrorClass::Settings, "no repository at /srv"),
            ),
        ] {
            assert_eq!(refusal_of(error), expected);
        }
    }
}
