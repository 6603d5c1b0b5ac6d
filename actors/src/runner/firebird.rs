//! What names stand for that are Firebird databases, and which database a restore may make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepwell_engine::clock::Clock;
use keepwell_engine::error::Result;
use keepwell_engine::firebird::{FirebirdAccess, FirebirdDumpOptions};
use keepwell_engine::job::MakeSource;
use keepwell_engine::restore;
use keepwell_engine::source::Source;
use keepwell_engine::source::firebird::FirebirdSource;
use keepwell_messages::FirebirdTarget;

use super::of_name;

/// A database that items name, and how it is dumped.
#[derive(Clone, Debug)]
pub struct FirebirdDatabase {
    /// Where it is, and what it takes to get at it.
    pub access: FirebirdAccess,
    /// How it is dumped.
    pub options: FirebirdDumpOptions,
}

/// The databases by name.
#[derive(Clone, Default)]
pub(super) struct FirebirdDatabases {
    known: BTreeMap<String, FirebirdDatabase>,
}

impl FirebirdDatabases {
    pub(super) fn insert(&mut self, name: String, database: FirebirdDatabase) {
        self.known.insert(name, database);
    }

    /// All of them, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// The database of this name, or why not.
    pub(super) fn find(&self, name: &str) -> Result<&FirebirdDatabase, String> {
        of_name("Firebird source", name, &self.known)
    }

    /// Makes its dump, as `/NAME.fbk`.
    pub(super) fn source(&self, name: &str, clock: Arc<dyn Clock>) -> Result<MakeSource, String> {
        let FirebirdDatabase { access, options } = self.find(name)?.clone();
        let name = name.to_owned();
        Ok(Box::new(move || {
            Ok(Box::new(FirebirdSource::new(&name, access, options, clock)?) as Box<dyn Source>)
        }))
    }

    /// The database that a restore is to make. `root_of` finds the restore root above a path.
    pub(super) fn target<'a>(
        &self,
        wanted: &FirebirdTarget,
        root_of: impl FnOnce(&str) -> Result<&'a Path, String>,
    ) -> Result<restore::FirebirdTarget, String> {
        let access = &self.find(&wanted.source)?.access;
        let is_its_own = access.database.path() == wanted.database;
        let beneath: Option<PathBuf> = match is_its_own {
            true if wanted.replace => None,
            true => {
                return Err(format!(
                    "{} is the database of source {}; say that it is to be replaced, or name another",
                    wanted.database, wanted.source
                ));
            }
            false => Some(root_of(&wanted.database)?.to_path_buf()),
        };
        Ok(restore::FirebirdTarget {
            access: access.to_path(&*wanted.database),
            replace: wanted.replace,
            beneath,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases() -> FirebirdDatabases {
        let access = FirebirdAccess::new("localhost:/srv/books.fdb".parse().unwrap());
        let mut databases = FirebirdDatabases::default();
        let options = FirebirdDumpOptions::default();
        databases.insert("books".into(), FirebirdDatabase { access, options });
        databases
    }

    #[test]
    fn a_restore_makes_a_database_below_a_root_or_replaces_its_own() {
        let root_of = |path: &str| match path.starts_with("/restored/") {
            true => Ok(Path::new("/restored")),
            false => Err("not below a restore root".to_owned()),
        };
        for (source, database, replace, expected) in [
            ("books", "/restored/b.fdb", false, Ok(Some("/restored"))),
            ("books", "/restored/b.fdb", true, Ok(Some("/restored"))),
            ("books", "/srv/books.fdb", true, Ok(None)),
            ("books", "/srv/books.fdb", false, Err("to be replaced")),
            ("books", "/srv/other.fdb", true, Err("not below a restore root")),
            ("boks", "/restored/b.fdb", false, Err("did you mean books?")),
            ("photos", "/restored/b.fdb", false, Err("no Firebird source photos in the configuration")),
        ] {
            let wanted = FirebirdTarget { source: source.into(), database: database.into(), replace };
            let found = databases().target(&wanted, root_of);
            match (&found, expected) {
                (Ok(found), Ok(beneath)) => {
                    assert_eq!(found.beneath.as_deref(), beneath.map(Path::new), "{wanted:?}");
                    assert_eq!(found.access.database.to_string(), format!("localhost:{database}"));
                    assert_eq!(found.replace, replace);
                }
                (Err(why), Err(said)) => assert!(why.contains(said), "{why}"),
                other => panic!("{wanted:?}: {other:?}"),
            }
        }
    }
}
