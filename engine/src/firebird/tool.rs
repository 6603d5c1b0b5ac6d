//! How `gbak` and `gfix` are called, and which `gbak` there is.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepwell_messages::ErrorClass;

use super::failure::{Doing, failure, not_started};
use super::lock_folder::lock_folder;
use super::{EMBEDDED_USER, FirebirdAccess, FirebirdDumpOptions, FirebirdPlace};
use crate::command::{CommandLine, RunningCommand, Streams};
use crate::control::Control;
use crate::error::{Result, plain_reason};

/// Older tools know a password file no better than others, and were never tried.
const VERSION_MIN: Version = Version { major: 3, minor: 0 };

/// The first that dumps with several threads.
const VERSION_PARALLEL: Version = Version { major: 5, minor: 0 };

/// A `gbak` that tells its version takes milliseconds.
const VERSION_WAIT_MAX: Duration = Duration::from_secs(30);

/// `gbak` catches SIGTERM and goes on until it writes to a pipe that nobody reads, which is soon.
const TERMINATION_GRACE: Duration = Duration::from_secs(2);

/// Variables that would stand for a user and a password that nobody meant.
const VARIABLES_REMOVED: [&str; 2] = ["ISC_USER", "ISC_PASSWORD"];

/// A version of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// From what `gbak -z` prints: `gbak:gbak version LI-V3.0.11.33637 Firebird 3.0`.
    fn parse(said: &str) -> Option<Self> {
        let (_, rest) = said.split_once(" version ")?;
        let number = rest.split_once("-V").or_else(|| rest.split_once("-T"))?.1;
        let mut parts = number.split('.');
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }

    /// What these tools cannot do that is wanted of them.
    fn falls_short(self, options: &FirebirdDumpOptions) -> Option<String> {
        if self < VERSION_MIN {
            return Some(format!("gbak is of Firebird {self}; at least {VERSION_MIN} is needed"));
        }
        (options.parallel_workers.is_some() && self < VERSION_PARALLEL).then(|| {
            format!(
                "gbak is of Firebird {self}, and parallel workers need {VERSION_PARALLEL}; leave \
                 parallel_workers away"
            )
        })
    }
}

/// The tools, ready to be called for one database.
pub(crate) struct Tools<'a> {
    access: &'a FirebirdAccess,
    lock_folder: Option<PathBuf>,
}

impl<'a> Tools<'a> {
    /// Looks at everything that can be known to fail before a database is touched: the login, its password
    /// file, the tools' version.
    pub(crate) fn prepare(
        access: &'a FirebirdAccess,
        doing: Doing,
        options: &FirebirdDumpOptions,
        control: &Control,
    ) -> Result<Self> {
        let fault = |class, why: String| doing.error(&access.database, class, why);
        if let Some(missing) = access.missing() {
            return Err(fault(ErrorClass::Settings, missing.into()));
        }
        if let Some(file) = access.password_file.as_ref().filter(|_| !access.database.is_embedded()) {
            std::fs::File::open(file).map_err(|error| {
                let (file, error) = (file.display(), plain_reason(&error));
                let why = format!("the password file {file} cannot be read: {error}");
                fault(ErrorClass::Credentials, why)
            })?;
        }
        let lock_folder = match (&access.lock_folder, access.database.is_embedded()) {
            (Some(folder), _) => Some(folder.clone()),
            (None, true) => lock_folder()?,
            (None, false) => None,
        };
        let tools = Self { access, lock_folder };
        if let Some(why) = tools.version(doing, control)?.falls_short(options) {
            return Err(fault(ErrorClass::Settings, why));
        }
        Ok(tools)
    }

    fn version(&self, doing: Doing, control: &Control) -> Result<Version> {
        let database = &self.access.database;
        let line = self.line(self.access.gbak.clone(), vec!["-z".into()]);
        let (gbak, _) = RunningCommand::start(line, Streams::Said)
            .map_err(|error| not_started(doing, database, &self.access.gbak, &error))?;
        // It exits with 1, because it is given nothing to do.
        let ended = gbak.finish_with(control, Some(VERSION_WAIT_MAX));
        control.checkpoint()?;
        let said = gbak.said();
        Version::parse(&said).ok_or_else(|| {
            let shown = Path::new(&self.access.gbak).display();
            let why = match ended {
                Ok(_) => format!("{shown} does not tell its version; is it Firebird's gbak?"),
                Err(_) => format!("{shown} does not answer"),
            };
            doing.error(database, ErrorClass::Settings, why)
        })
    }

    /// Writes a dump to its standard output.
    pub(crate) fn dump(&self, options: &FirebirdDumpOptions) -> CommandLine {
        let mut arguments: Vec<OsString> = vec!["-b".into()];
        if options.no_garbage_collection {
            arguments.push("-g".into());
        }
        arguments.push(if options.transportable { "-t".into() } else { "-nt".into() });
        if let Some(workers) = options.parallel_workers {
            arguments.extend(["-par".into(), workers.to_string().into()]);
        }
        arguments.extend(self.login());
        arguments.extend(service_of(&self.access.database));
        arguments.extend([named_to_gbak(&self.access.database), "stdout".into()]);
        self.line(self.access.gbak.clone(), arguments)
    }

    /// Makes `database`, which must not exist, of a dump in its standard input.
    pub(crate) fn create(&self, database: &FirebirdPlace) -> CommandLine {
        let mut arguments: Vec<OsString> = vec!["-c".into()];
        arguments.extend(self.login());
        arguments.extend(service_of(database));
        arguments.extend(["stdin".into(), named_to_gbak(database)]);
        self.line(self.access.gbak.clone(), arguments)
    }

    /// Validates `database`, and says nothing if it is whole.
    fn validate(&self, database: &FirebirdPlace) -> CommandLine {
        let mut arguments: Vec<OsString> = vec!["-v".into(), "-full".into()];
        arguments.extend(self.login());
        arguments.push(database.attachment().into());
        self.line(gfix_beside(&self.access.gbak), arguments)
    }

    fn login(&self) -> Vec<OsString> {
        let embedded = self.access.database.is_embedded();
        let user = self.access.user.as_deref().or(embedded.then_some(EMBEDDED_USER));
        let mut arguments: Vec<OsString> = Vec::new();
        arguments.extend(user.into_iter().flat_map(|user| ["-user".into(), user.into()]));
        if let Some(file) = self.access.password_file.as_ref().filter(|_| !embedded) {
            arguments.extend(["-fe".into(), file.into()]);
        }
        arguments
    }

    fn line(&self, program: OsString, arguments: Vec<OsString>) -> CommandLine {
        let mut environment = vec![("LC_ALL".into(), "C".into())];
        for variable in ["FIREBIRD_LOCK", "FIREBIRD_TMP"] {
            environment.extend(self.lock_folder.iter().map(|folder| (variable.into(), folder.into())));
        }
        CommandLine {
            program,
            arguments,
            environment,
            environment_removed: VARIABLES_REMOVED.map(Into::into).to_vec(),
            working_folder: None,
            own_session: true,
            termination_grace: Some(TERMINATION_GRACE),
        }
    }

    /// Fails unless `new`, which is to become the database, is whole. Takes as long as reading all of it.
    pub(crate) fn ensure_valid(&self, new: &FirebirdPlace, control: &Control) -> Result<()> {
        let (doing, database) = (Doing::Validate, &self.access.database);
        let line = self.validate(new);
        let program = line.program.clone();
        let (gfix, _) = RunningCommand::start(line, Streams::Said)
            .map_err(|error| not_started(doing, database, &program, &error))?;
        let exit = gfix.finish_with(control, None)?;
        match (exit.as_str(), gfix.said().as_str()) {
            ("", "") => Ok(()),
            ("", said) => Err(failure(doing, database, "it is not whole", said)),
            (exit, said) => Err(failure(doing, database, exit, said)),
        }
    }
}

/// The option that has the service manager do the work, if that is to.
fn service_of(database: &FirebirdPlace) -> Vec<OsString> {
    let service = database.service();
    service.into_iter().flat_map(|service| ["-se".into(), service.into()]).collect()
}

fn named_to_gbak(database: &FirebirdPlace) -> OsString {
    match database.service() {
        Some(_) => database.path().into(),
        None => database.attachment().into(),
    }
}

/// The `gfix` that belongs to this `gbak`.
fn gfix_beside(gbak: &OsStr) -> OsString {
    match Path::new(gbak).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.join("gfix").into(),
        _ => "gfix".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(database: &str) -> FirebirdAccess {
        FirebirdAccess {
            user: Some("ada".into()),
            password_file: Some("/secret".into()),
            ..FirebirdAccess::new(database.parse().unwrap())
        }
    }

    fn words(line: &CommandLine) -> String {
        let words = [&line.program].into_iter().chain(&line.arguments);
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tools_are_called_as_the_database_is_reached() {
        let plain = FirebirdDumpOptions::default();
        let all = FirebirdDumpOptions {
            no_garbage_collection: true,
            transportable: false,
            parallel_workers: Some(4),
        };
        for (database, dump, create, validate) in [
            (
                "/d/b.fdb",
                "gbak -b -t -user ada /d/b.fdb stdout",
                "gbak -c -user ada stdin /d/b.fdb",
                "gfix -v -full -user ada /d/b.fdb",
            ),
            (
                "h/3051:/d/b.fdb",
                "gbak -b -t -user ada -fe /secret h/3051:/d/b.fdb stdout",
                "gbak -c -user ada -fe /secret stdin h/3051:/d/b.fdb",
                "gfix -v -full -user ada -fe /secret h/3051:/d/b.fdb",
            ),
            (
                "h:service_mgr:/d/b.fdb",
                "gbak -b -t -user ada -fe /secret -se h:service_mgr /d/b.fdb stdout",
                "gbak -c -user ada -fe /secret -se h:service_mgr stdin /d/b.fdb",
                "gfix -v -full -user ada -fe /secret h:/d/b.fdb",
            ),
        ] {
            let access = access(database);
            let tools = Tools { access: &access, lock_folder: None };
            assert_eq!(words(&tools.dump(&plain)), dump);
            assert_eq!(words(&tools.create(&access.database)), create);
            assert_eq!(words(&tools.validate(&access.database)), validate);
            assert!(words(&tools.dump(&all)).starts_with("gbak -b -g -nt -par 4 -user"));
        }
        let embedded = FirebirdAccess {
            gbak: "/opt/firebird/bin/gbak".into(),
            ..FirebirdAccess::new("/d/b.fdb".parse().unwrap())
        };
        let tools = Tools { access: &embedded, lock_folder: Some("/locks".into()) };
        let line = tools.validate(&embedded.database);
        assert_eq!(words(&line), "/opt/firebird/bin/gfix -v -full -user sysdba /d/b.fdb");
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        assert_eq!(
            line.environment,
            [
                variable("LC_ALL", "C"),
                variable("FIREBIRD_LOCK", "/locks"),
                variable("FIREBIRD_TMP", "/locks")
            ]
        );
        assert_eq!(line.environment_removed, ["ISC_USER", "ISC_PASSWORD"]);
        assert!(line.own_session, "a tool that may ask at the terminal would wait there for ever");
    }

    #[test]
    fn versions_are_read_and_what_they_lack_is_said() {
        let parallel = FirebirdDumpOptions { parallel_workers: Some(2), ..FirebirdDumpOptions::default() };
        let plain = FirebirdDumpOptions::default();
        for (said, version, short, parallel_short) in [
            ("gbak:gbak version LI-V3.0.11.33637 Firebird 3.0", Some((3, 0)), false, true),
            ("gbak:gbak version LI-V5.0.1.1469 Firebird 5.0\nmore", Some((5, 0)), false, false),
            ("gbak:gbak version LI-T4.0.0.1 Firebird 4.0", Some((4, 0)), false, true),
            ("gbak version LI-V2.5.9.27139 Firebird 2.5", Some((2, 5)), true, true),
            ("usage: gbak", None, false, false),
            ("", None, false, false),
        ] {
            let found = Version::parse(said);
            assert_eq!(found.map(|found| (found.major, found.minor)), version, "{said}");
            let Some(found) = found else { continue };
            assert_eq!(found.falls_short(&plain).is_some(), short, "{said}");
            assert_eq!(found.falls_short(&parallel).is_some(), parallel_short, "{said}");
        }
    }

    #[test]
    fn what_is_missing_is_said_before_any_tool_is_started() {
        let control = Control::new();
        let prepare = |access: &FirebirdAccess| {
            let plain = FirebirdDumpOptions::default();
            match Tools::prepare(access, Doing::BackUp, &plain, &control) {
                Ok(_) => panic!("{access:?} is not whole"),
                Err(error) => (error.class(), error.to_string()),
            }
        };
        let whole = access("h:/d/b.fdb");
        let no_user = FirebirdAccess { user: None, ..whole.clone() };
        let no_file = FirebirdAccess { password_file: None, ..whole.clone() };
        let lost_file = FirebirdAccess { password_file: Some("/nowhere/secret".into()), ..whole };
        let gbak = "/nowhere/gbak".into();
        let no_gbak = FirebirdAccess { gbak, ..FirebirdAccess::new("/d/b.fdb".parse().unwrap()) };
        for (access, class, said) in [
            (no_user, ErrorClass::Settings, "wants a user"),
            (no_file, ErrorClass::Settings, "wants a password"),
            (lost_file, ErrorClass::Credentials, "/nowhere/secret cannot be read: No such file"),
            (no_gbak, ErrorClass::Settings, "there is no program /nowhere/gbak"),
        ] {
            let (found, text) = prepare(&access);
            assert!(found == class && text.contains(said), "{text}");
            assert!(text.starts_with("cannot back up the Firebird database "), "{text}");
        }
    }
}
