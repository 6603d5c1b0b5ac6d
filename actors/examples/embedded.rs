//! Backs up a folder every minute and prints what happens, until Ctrl-C: `cargo run --example embedded [FOLDER]`.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error, path::PathBuf, sync::Arc};

use keepwell_actors::runner::{EngineRunner, Places};
use keepwell_actors::{Keepwell, Settings};
use keepwell_engine::repository::{InitOptions, Repository, RepositoryAddress, RepositoryOptions};
use keepwell_engine::{clock::SystemClock, job::Engine, store::Location, store::StoreSettings};
use keepwell_messages::{FilesItem, Item, ItemSource, ScheduleText};

fn main() -> Result<(), Box<dyn Error>> {
    let home = env::temp_dir().join(format!("keepwell-example-{}", std::process::id()));
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or(".".into())).canonicalize()?;
    let (location, store) = (Location::folder(home.join("repository")), StoreSettings::default());
    let (password, options) = ("a password that everybody knows", RepositoryOptions::default());
    Repository::init(&location, &store, &password.into(), &InitOptions::default(), options.clone())?;
    let address = RepositoryAddress { location, settings: store, password: Arc::new(|| Ok(password.into())) };
    let places = Places::new(Arc::new(SystemClock), "example").repository("local", address);
    let runner = Arc::new(EngineRunner::new(Engine::new(options), places));
    let paths = vec![folder.to_string_lossy().into_owned()];
    let source = ItemSource::Files(FilesItem { paths, excludes: Vec::new() });
    let schedule =
        Some(ScheduleText { spec: "* * * * *".into(), time_zone: "UTC".into(), jitter_seconds: None });
    let (id, repository, tags) = ("folder".into(), "local".into(), Vec::new());
    let item = Item { id, source, repository, schedule, enabled: true, tags };
    let settings = Settings { items: vec![item], ..Settings::new(home.join("journal"), runner) };
    println!("backing up {} into {}", folder.display(), home.display());
    actix_rt::System::new().block_on(async {
        let handle = Keepwell::start(settings).await?;
        let mut events = handle.subscribe(Some(0)).ok_or("it has shut down")?;
        let stop = actix_rt::signal::ctrl_c;
        while let Some(told) = tokio::select! { told = events.next() => told, _ = stop() => None } {
            println!("{told}");
        }
        handle.shutdown().await;
        Ok(())
    })
}
