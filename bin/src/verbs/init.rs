//! `init`: a new repository.

use clap::Args;
use keepwell_engine::chunker::Polynomial;
use keepwell_engine::repository::{InitOptions, Repository};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::password::{self, PasswordSource};
use crate::repository::{Address, parse_location, repository_options, store_settings};

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Cut files as another repository does, so that `copy` between the two deduplicates
    #[arg(long, requires = "from_repo")]
    copy_chunker_params: bool,
    #[command(flatten)]
    from: FromRepository,
    /// Repository version
    #[arg(long, value_name = "1|2", value_parser = parse_version)]
    repository_version: Option<u32>,
}

/// The other repository, where a verb takes two.
#[derive(Clone, Debug, Args)]
pub struct FromRepository {
    /// Where the other repository lies
    #[arg(long, value_name = "REPOSITORY", env = "KEEPWELL_FROM_REPOSITORY", hide_env_values = true)]
    pub from_repo: Option<String>,
    /// File that holds its password [env: KEEPWELL_FROM_PASSWORD_FILE=]
    #[arg(long, value_name = "FILE", conflicts_with = "from_password_command")]
    pub from_password_file: Option<std::path::PathBuf>,
    /// Command that prints its password [env: KEEPWELL_FROM_PASSWORD_COMMAND=]
    #[arg(long, value_name = "COMMAND")]
    pub from_password_command: Option<String>,
}

impl FromRepository {
    /// Opens it.
    pub fn open(&self, context: &Context) -> Result<std::sync::Arc<Repository>, Failure> {
        const VARIABLES: password::VariableNames =
            ["KEEPWELL_FROM_PASSWORD_FILE", "KEEPWELL_FROM_PASSWORD_COMMAND", "KEEPWELL_FROM_PASSWORD"];
        let text = self.from_repo.as_deref().ok_or_else(|| {
            Failure::usage("the other repository is not named").hint("name it with --from-repo")
        })?;
        let file = self.from_password_file.clone().map(PasswordSource::File);
        let options = file.or_else(|| self.from_password_command.clone().map(PasswordSource::Command));
        let source = password::source(options, VARIABLES)?;
        let password = match &source {
            PasswordSource::Prompt => {
                context.output.notice("now for the repository to read from:");
                password::read(&source, context)?
            }
            _ => password::read(&source, context)?,
        };
        let settings = store_settings(&context.global)?;
        Ok(Repository::open(
            &parse_location(text)?,
            &settings,
            &password,
            repository_options(&context.global),
        )?)
    }
}

#[derive(Serialize)]
struct Initialized {
    id: String,
    repository: String,
}

fn parse_version(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "2" | "latest" | "stable" => Ok(2),
        _ => Err("there are versions 1 and 2".into()),
    }
}

/// Makes it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let address = Address::given(context)?.ok_or_else(|| {
        Failure::usage("no repository is given")
            .hint("say with --repo or KEEPWELL_REPOSITORY where to make it")
    })?;
    let init = InitOptions {
        chunker_polynomial: chunker_polynomial(arguments, context)?,
        version: arguments.repository_version,
    };
    let password = password::read_new(&address.password, context)?;
    let repository = address.init(&password, &init, context)?;
    let told =
        Initialized { id: repository.config().id.to_hex(), repository: repository.location().to_string() };
    if context.output.is_json() {
        context.output.message("initialized", &told)?;
        return Ok(Ending::Done);
    }
    let short = &told.id[..10];
    context.output.remark(&format!("created repository {short} at {}", told.repository))?;
    context
        .output
        .remark("Keep the password: without it, nothing in the repository can be read by anybody.")?;
    Ok(Ending::Done)
}

fn chunker_polynomial(arguments: &Arguments, context: &Context) -> Result<Option<Polynomial>, Failure> {
    if !arguments.copy_chunker_params {
        return Ok(None);
    }
    Ok(Some(arguments.from.open(context)?.config().chunker_polynomial))
}
