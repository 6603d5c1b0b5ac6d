//! Backs up data that is in no file: a source of the embedding program's own, by the public trait.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::io::{Cursor, Read};
use std::{env, error::Error, sync::Arc};

use keepwell_actors::runner::{EngineRunner, Places};
use keepwell_actors::{Keepwell, Settings, Told};
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::format::{Node, NodeKind};
use keepwell_engine::repository::{InitOptions, Repository, RepositoryAddress, RepositoryOptions};
use keepwell_engine::source::{Entry, EntryContent, FileContent, Folder, Problems, Source, Totals};
use keepwell_engine::{clock::SystemClock, job::Engine, store::Location, store::StoreSettings};
use keepwell_messages::{Event, Item, ItemSource, PerformBackup};

/// Notes that the program holds in memory: each becomes a file of the snapshot.
#[derive(Clone)]
struct Notes(Arc<Vec<(&'static str, String)>>);

impl Source for Notes {
    fn paths(&self) -> Vec<String> {
        vec!["/notes".into()]
    }

    fn prepare(&self, _: &Control, _: &dyn Problems) -> Result<()> {
        Ok(())
    }

    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(self.clone()))
    }

    fn count(&self, _: &Control, found: &dyn Fn(Totals)) -> Result<()> {
        let bytes = self.0.iter().map(|(_, text)| text.len() as u64).sum();
        found(Totals { files: self.0.len() as u64, bytes });
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn cancel(&self) {}
}

impl Folder for Notes {
    fn list(&self, _: &dyn Problems, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        for (name, text) in self.0.iter() {
            let (name, size) = (name.as_bytes().to_vec(), text.len() as u64);
            let node = Node { name, size, mode: 0o600, ..Node::empty(NodeKind::File) };
            each(Entry { node, content: EntryContent::File(Box::new(Note(text.clone()))) })?;
        }
        Ok(())
    }

    fn display_path(&self) -> String {
        "the program's notes".into()
    }
}

struct Note(String);

impl FileContent for Note {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.0.clone().into_bytes())))
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let home = env::temp_dir().join(format!("keepwell-notes-{}", std::process::id()));
    let (location, store) = (Location::folder(home.join("repository")), StoreSettings::default());
    let (password, options) = ("a password that everybody knows", RepositoryOptions::default());
    Repository::init(&location, &store, &password.into(), &InitOptions::default(), options.clone())?;
    let address = RepositoryAddress { location, settings: store, password: Arc::new(|| Ok(password.into())) };

    // The names of files rise, as every source's must.
    let notes = Notes(Arc::new(vec![("milk", "two litres".into()), ("rent", "due on Friday".into())]));
    let places = Places::new(Arc::new(SystemClock), "example")
        .repository("local", address)
        .source("notes", Arc::new(move || Ok(Box::new(notes.clone()))));
    let runner = Arc::new(EngineRunner::new(Engine::new(options), places));
    let item = Item {
        id: "notes".into(),
        source: ItemSource::Named("notes".into()),
        repository: "local".into(),
        schedule: None,
        enabled: true,
        tags: vec!["from-memory".into()],
    };
    let settings = Settings { items: vec![item], ..Settings::new(home.join("journal"), runner) };
    actix_rt::System::new().block_on(async {
        let handle = Keepwell::start(settings).await?;
        let mut events = handle.subscribe(None).ok_or("it has shut down")?;
        let task = handle.ask(PerformBackup { item: "notes".into() }).await?.task;
        while let Some(told) = events.next().await {
            println!("{told}");
            match told {
                Told::Event(told) => match &told.event {
                    Event::TaskCompleted(end) | Event::TaskFailed(end) if end.task == task => break,
                    _ => {}
                },
                Told::Progress(_) | Told::Missed { .. } => {}
            }
        }
        handle.shutdown().await;
        println!("the repository is {}", home.join("repository").display());
        Ok(())
    })
}
