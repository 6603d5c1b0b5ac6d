//! What `backup` reads: the options that name it, and the source they come to.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keepwell_engine::firebird::FirebirdDumpOptions;
use keepwell_engine::repository::Repository;
use keepwell_engine::source::Source;
use keepwell_engine::source::files::{Excludes, FilesOptions, FilesSource, repository_pattern};
use keepwell_engine::source::filter::pattern_lines;
use keepwell_engine::source::firebird::FirebirdSource;
use keepwell_engine::source::stream::{CommandLine, StreamSource};

use crate::cli::Context;
use crate::exit::Failure;
use crate::quantities::parse_size;
use crate::verbs::restore_firebird::FirebirdLogin;

/// What is read.
#[derive(Debug, Args)]
pub struct SourceArguments {
    /// Files and folders; with --stdin-from-command, the command and its arguments
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out what matches; may be repeated
    #[arg(short, long, value_name = "PATTERN")]
    exclude: Vec<OsString>,
    /// The same, whatever the case of letters
    #[arg(long, value_name = "PATTERN")]
    iexclude: Vec<OsString>,
    /// Leave out what matches a line of the file; may be repeated
    #[arg(long, value_name = "FILE")]
    exclude_file: Vec<PathBuf>,
    /// The same, whatever the case of letters
    #[arg(long, value_name = "FILE")]
    iexclude_file: Vec<PathBuf>,
    /// Leave out what is in folders that hold a valid CACHEDIR.TAG
    #[arg(long)]
    exclude_caches: bool,
    /// Leave out what is in folders that hold this file; may be repeated
    #[arg(long, value_name = "NAME[:HEADER]")]
    exclude_if_present: Vec<OsString>,
    /// Leave out larger files; k, m, g and t for units
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    exclude_larger_than: Option<u64>,
    /// Leave out other file systems than those of the paths given
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Read paths from this file, one a line, as they stand; `-` for standard input; may be repeated
    #[arg(long, value_name = "FILE")]
    files_from_verbatim: Vec<PathBuf>,
    /// Read paths from this file, each ended by a NUL byte; `-` for standard input; may be repeated
    #[arg(long, value_name = "FILE")]
    files_from_raw: Vec<PathBuf>,
    /// Keep access times
    #[arg(long)]
    with_atime: bool,
    /// Back up standard input as one file
    #[arg(long, conflicts_with = "stdin_from_command")]
    stdin: bool,
    /// Back up what a command prints as one file; if it fails, there is no snapshot
    #[arg(long)]
    stdin_from_command: bool,
    /// Name of that file
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_filename: String,
    /// Back up a Firebird database as one file: /path, HOST[/PORT]:/path or HOST[/PORT]:service_mgr:/path
    #[arg(long, value_name = "DATABASE", conflicts_with_all = ["stdin", "stdin_from_command"])]
    firebird: Option<String>,
    #[command(flatten)]
    firebird_login: FirebirdLogin,
}

/// What is read, and what is named in the snapshot as left out.
pub struct OpenSource {
    /// The engine's source.
    pub source: Box<dyn Source>,
    /// Patterns.
    pub excludes: Vec<String>,
}

impl SourceArguments {
    fn is_stream(&self) -> bool {
        self.stdin || self.stdin_from_command
    }

    /// Whether it says what to read, once.
    pub fn validate(&self) -> Result<(), Failure> {
        let from_files = !self.files_from_verbatim.is_empty() || !self.files_from_raw.is_empty();
        let names_paths = !self.paths.is_empty();
        if self.stdin && (names_paths || from_files) {
            return Err(Failure::usage("--stdin takes no paths: it backs up standard input alone"));
        }
        if self.stdin_from_command && (!names_paths || from_files) {
            return Err(Failure::usage("--stdin-from-command takes a command and nothing else").hint(
                "write it after two dashes: keepwell backup --stdin-from-command -- COMMAND ARGUMENT…",
            ));
        }
        if self.firebird.is_some() && (names_paths || from_files) {
            return Err(Failure::usage("--firebird takes no paths: it backs up one database alone"));
        }
        if !self.is_stream() && self.firebird.is_none() && !names_paths && !from_files {
            return Err(Failure::usage("nothing to back up is named")
                .hint("name files or folders: keepwell backup PATH…"));
        }
        Ok(())
    }

    fn all_paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut paths = self.paths.clone();
        for file in &self.files_from_verbatim {
            let bytes = read_list(file)?;
            paths.extend(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(path_of));
        }
        for file in &self.files_from_raw {
            let bytes = read_list(file)?;
            paths.extend(bytes.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(path_of));
        }
        Ok(paths)
    }

    fn excludes(&self) -> Result<Excludes, Failure> {
        let patterns = |given: &[OsString], files: &[PathBuf]| -> Result<Vec<OsString>, Failure> {
            let mut patterns = given.to_vec();
            for file in files {
                let text =
                    fs::read(file).map_err(|error| Failure::local("read the exclude file", file, error))?;
                patterns.extend(pattern_lines(&text).into_iter().map(OsString::from_vec));
            }
            Ok(patterns)
        };
        Ok(Excludes {
            patterns: patterns(&self.exclude, &self.exclude_file)?,
            patterns_any_case: patterns(&self.iexclude, &self.iexclude_file)?,
            caches: self.exclude_caches,
            if_present: self.exclude_if_present.clone(),
            one_file_system: self.one_file_system,
            larger_than_bytes: self.exclude_larger_than,
        })
    }
}

/// Makes the source. Nothing is read yet.
pub fn open(
    arguments: &SourceArguments,
    repository: &Repository,
    context: &Context,
) -> Result<OpenSource, Failure> {
    let clock = repository.options().clock.clone();
    let name = arguments.stdin_filename.as_str();
    if arguments.stdin {
        let source = StreamSource::from_reader(name, Box::new(std::io::stdin()), clock)?;
        return Ok(OpenSource { source: Box::new(source), excludes: Vec::new() });
    }
    if arguments.stdin_from_command {
        let source = StreamSource::from_command(name, command_line(&arguments.paths)?, clock)?;
        return Ok(OpenSource { source: Box::new(source), excludes: Vec::new() });
    }
    if let Some(database) = &arguments.firebird {
        let access = arguments.firebird_login.access(database)?;
        let name = access.database.stem();
        let source = FirebirdSource::new(&name, access, FirebirdDumpOptions::default(), clock)?;
        return Ok(OpenSource { source: Box::new(source), excludes: Vec::new() });
    }
    let working_folder = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the working folder cannot be told: {error}")))?;
    let paths = arguments.all_paths()?;
    let mut excludes = arguments.excludes()?;
    if let Some(pattern) = repository_pattern(&paths, repository.location()) {
        let shown = pattern.to_string_lossy();
        context.output.notice(&format!("left out: the repository itself, {shown}"));
        excludes.patterns.push(pattern);
    }
    let named = excludes.patterns.iter().chain(&excludes.patterns_any_case);
    let named = named.map(|pattern| pattern.to_string_lossy().into_owned()).collect();
    let options = FilesOptions {
        working_folder,
        with_atime: arguments.with_atime,
        excludes,
        ..FilesOptions::default()
    };
    Ok(OpenSource { source: Box::new(FilesSource::new(paths, options, clock)?), excludes: named })
}

fn command_line(words: &[PathBuf]) -> Result<CommandLine, Failure> {
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::usage("no command is named"))?;
    Ok(CommandLine {
        program: program.clone().into(),
        arguments: arguments.iter().map(|argument| argument.clone().into()).collect(),
        ..CommandLine::default()
    })
}

fn read_list(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    read.map_err(|error| Failure::local("read the list of paths", file, error))
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}
