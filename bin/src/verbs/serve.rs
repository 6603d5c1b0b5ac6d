//! `serve`: the daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use keepwell_actors::journal::Journal;
use keepwell_actors::runner::EngineRunner;
use keepwell_actors::{Handle, Reconfiguration, ReconfigureError};
use keepwell_engine::job::Engine;
use tracing::{error, info, warn};

use crate::cli::Context;
use crate::configuration::{
    Configuration, ConfigurationArguments, LogFormat, TypedAddress, refuse_repository_options,
};
use crate::daemon::{self, Daemon};
use crate::exit::{Ended, Failure, start_failure};
use crate::http::Certificate;
use crate::repository::{NO_LOCK_REFUSED, repository_options};

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
It backs up the items of the configuration when they are due, and serves commands, events and the web page at its \
address, with the token that stands in the file `token` in the data folder.

SIGTERM and Ctrl-C end it within ten seconds: active tasks end, what they stored is kept, and the next start makes up \
for them. SIGHUP makes it read the configuration again.")]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Where to listen, as 127.0.0.1:8377; another address than this machine's own needs TLS or --insecure
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where journal and token live [default: keepwell in the user's data folder]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Listen to other machines without TLS: whoever can read what is sent has the token
    #[arg(long)]
    insecure: bool,
    /// How the log looks [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Serves.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    refuse_repository_options(&context.global, "serve")?;
    if context.global.no_lock {
        return Err(Failure::usage(NO_LOCK_REFUSED));
    }
    let configuration = arguments.configure()?;
    let log_format = configuration.daemon.log_format;
    daemon::start_log(log_format, context.global.verbose, context.global.quiet);
    context.signals.tell_through_log();
    let data_folder = configuration.data_folder()?;
    let journal = data_folder.join("journal");
    // Before the port, which the same daemon has.
    Journal::ensure_free(&journal).map_err(|error| start_failure(error.into()))?;
    let settings = &configuration.daemon;
    let certificate = match &settings.tls {
        Some(tls) => Some(Certificate::read(&tls.certificate, &tls.key)?),
        None => None,
    };
    daemon::make_data_folder(&data_folder)?;
    let door = daemon::door(settings.listen, &data_folder, certificate, settings.allowed_hosts.clone())?;
    let address = door.listener.local_addr().map_err(|error| Failure::usage(error.to_string()))?;
    configuration.make_default_repository(context)?;
    let engine = Engine::new(repository_options(&context.global));
    let runner = Arc::new(EngineRunner::new(engine.clone(), configuration.places(&context.global)?));
    let daemon = Daemon {
        settings: configuration.settings(&journal, runner),
        data_folder,
        address,
        door,
        broker: configuration.broker.clone(),
        control: context.control.clone(),
    };
    let reread = async |handle: &Handle| reread(handle, arguments, &configuration, &engine, context).await;
    actix_rt::System::new().block_on(daemon.serve(reread))
}

/// Reads the configuration again and has the running system take it on. With a mistake in it everything stays as
/// it is.
async fn reread(
    handle: &Handle,
    arguments: &Arguments,
    at_start: &Configuration,
    engine: &Engine,
    context: &Context,
) {
    let kept = "the configuration was not read again; the old one counts";
    let new = match arguments.configure().and_then(|new| Ok((new.places(&context.global)?, new))) {
        Ok((places, new)) => (EngineRunner::new(engine.clone(), places), new),
        Err(failure) => {
            for line in failure.lines() {
                error!("{line}");
            }
            return error!("{kept}");
        }
    };
    let (runner, new) = new;
    for (what, is_other) in [
        ("data_folder", new.data_folder != at_start.data_folder),
        ("[daemon]", new.daemon != at_start.daemon),
        ("[broker]", new.broker != at_start.broker),
    ] {
        if is_other {
            warn!(
                "{what} is another one in the configuration now; it counts once the daemon is started again"
            );
        }
    }
    let reconfiguration = Reconfiguration {
        runner: Arc::new(runner),
        items: new.items,
        limits: new.limits,
        retries: new.retries,
        hang_after: new.hang_after,
        timer_max: new.timer_max,
    };
    match handle.reconfigure(reconfiguration).await {
        Ok(()) => info!("the configuration was read again"),
        Err(ReconfigureError::Item(why)) => error!("{why}; {kept}"),
        Err(error @ ReconfigureError::NotTakenIn(_)) => error!("{error}"),
    }
}

impl Arguments {
    /// The configuration, and over it what was typed.
    fn configure(&self) -> Result<Configuration, Failure> {
        let typed = TypedAddress { listen: self.listen, insecure: self.insecure };
        let mut configuration = Configuration::read_for_daemon(&self.configuration, typed)?;
        let daemon = &mut configuration.daemon;
        daemon.log_format = self.log_format.unwrap_or(daemon.log_format);
        if let Some(folder) = &self.data_dir {
            let absolute = std::path::absolute(folder);
            configuration.data_folder =
                Some(absolute.map_err(|error| Failure::local("find the data folder", folder, error))?);
        }
        Ok(configuration)
    }
}
