//! A daemon that speaks to a broker, and somebody at the broker who commands it and reads what it tells.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, message::StreamMessage};
use async_nats::{Client, HeaderMap, Message};
use keepwell_messages::{Command, Event, NumberedEvent, TaskId};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::daemon::{Daemon, DaemonHome};
use crate::running::{Ended, PATIENCE};
use crate::servers::SECRET;
use crate::servers::nats::{Entry, Nats, USER};

/// What the daemon is called at the broker.
pub const NODE: &str = "tower";
/// The stream that its events go into.
pub const STREAM: &str = "keepwell-tower";
/// The item that is a folder.
pub const PHOTOS: &str = "photos";
/// The item whose source goes on until [`BrokerScene::open_gate`].
pub const GATED: &str = "gated";

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The daemon's home, and the daemon if it was started.
pub struct BrokerScene {
    home: DaemonHome,
    daemon: Option<Daemon>,
}

impl BrokerScene {
    /// A daemon that is set up and not started.
    pub fn new(nats: &Nats, entry: Entry) -> Self {
        Self::with_password(nats, entry, SECRET)
    }

    /// The same with what it takes for the broker's password.
    pub fn with_password(nats: &Nats, entry: Entry, password: &str) -> Self {
        let scene = Self { home: DaemonHome::new(), daemon: None };
        let file = scene.path("broker-password");
        fs::write(&file, password).expect("a file");
        let login = match entry {
            Entry::Open => String::new(),
            Entry::Password => format!("user = {USER:?}\npassword_file = {:?}\n", file.display().to_string()),
        };
        scene.configure(&format!("[broker]\nurl = {:?}\nnode = {NODE:?}\n{login}", nats.url()));
        scene
    }

    /// A daemon that speaks to no broker.
    pub fn without_broker() -> Self {
        let scene = Self { home: DaemonHome::new(), daemon: None };
        scene.configure("");
        scene
    }

    /// Writes the configuration, with this table of a broker.
    pub fn configure(&self, broker: &str) {
        fs::create_dir_all(self.path("photos")).expect("a folder");
        fs::write(self.path("photos/sea.jpg"), "waves").expect("a file");
        let photos = self.path("photos").display().to_string();
        let gated = self.home.slow_source(GATED, &self.path("gate"));
        let items = format!("[items.{PHOTOS}]\npaths = [{photos:?}]\n[items.{GATED}]\nsource = {GATED:?}\n");
        self.home.configure(&format!("{gated}{items}{broker}"));
    }

    /// Something in the scene's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// Starts the daemon, and waits until it serves.
    pub fn start(&mut self) {
        self.daemon = Some(self.home.start());
    }

    /// The daemon under way.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it was started")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let running = &self.daemon().running;
        running.stderr() + &running.stdout()
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) -> Ended {
        self.daemon.take().expect("it was started").stop()
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.daemon.take().expect("it was started").kill();
    }

    /// Lets the source of [`GATED`] end.
    pub fn open_gate(&self) {
        fs::write(self.path("gate"), "").expect("a file");
    }

    /// Backs an item up over HTTP.
    pub async fn back_up(&self, item: &str) -> TaskId {
        let made = self.daemon().done("perform-backup", &json!({"item": item})).await;
        serde_json::from_value(made["task"].clone()).expect("a task")
    }

    /// Waits for a task's end, over HTTP.
    pub async fn end_of(&self, task: TaskId) -> Value {
        let ended = self.daemon().wait_for_task(&task.to_string(), |now| !now["end"].is_null()).await;
        ended["end"].clone()
    }

    /// All events of the journal, over HTTP.
    pub async fn journal(&self) -> Vec<NumberedEvent> {
        let mut events: Vec<NumberedEvent> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.number);
            let page = self.daemon().events_after(after).await;
            let page: Vec<NumberedEvent> = serde_json::from_value(page.into()).expect("events");
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    /// Waits until the stream has as many events as the journal, and asserts that it has the same ones, in order.
    pub async fn ensure_told(&self, client: &Client) -> Vec<NumberedEvent> {
        let catch_up = async {
            loop {
                let (told, journal) = (events_of(client).await, self.journal().await);
                if told.len() >= journal.len() {
                    return (told, journal);
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        let (told, journal) = timeout(PATIENCE, catch_up).await.expect("all is told");
        let numbers = |events: &[NumberedEvent]| events.iter().map(|event| event.number).collect::<Vec<_>>();
        assert_eq!(
            numbers(&told),
            (1..=told.len() as u64).collect::<Vec<_>>(),
            "gapless, in order, none twice"
        );
        assert_eq!(numbers(&told), numbers(&journal));
        assert_eq!(told, journal);
        told
    }
}

/// Waits until the daemon hears commands.
pub async fn until_heard(client: &Client) {
    let look = async {
        while ask(client, "get-items", HeaderMap::new(), b"{}").await.is_none() {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the daemon connects");
}

/// A request to the daemon; `None` if nobody heard it.
pub async fn ask(client: &Client, name: &str, headers: HeaderMap, body: &[u8]) -> Option<Message> {
    let subject = format!("keepwell.{NODE}.command.{name}");
    client.request_with_headers(subject, headers, body.to_vec().into()).await.ok()
}

/// A command in JSON and its answer.
pub async fn command(client: &Client, name: &str, fields: Value) -> Value {
    let answer = ask(client, name, HeaderMap::new(), fields.to_string().as_bytes()).await;
    serde_json::from_slice(&answer.expect("it answers").payload).expect("JSON")
}

/// The fields of a command, as they stand below its name.
pub fn fields_of(command: &Command) -> Value {
    let tagged = serde_json::to_value(command).expect("JSON");
    tagged[command.name()].clone()
}

/// All that is in the stream, in order; nothing if there is none.
pub async fn messages_of(client: &Client) -> Vec<StreamMessage> {
    let context = jetstream::new(client.clone());
    let Ok(stream) = context.get_stream(STREAM).await else { return Vec::new() };
    let state = stream.get_info().await.expect("the stream").state;
    let mut messages = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await.expect("a message"));
    }
    messages
}

/// The events in the stream, in order; each stands under its name and number.
pub async fn events_of(client: &Client) -> Vec<NumberedEvent> {
    let messages = messages_of(client).await;
    let read = |message: &StreamMessage| {
        let event: NumberedEvent = serde_json::from_slice(&message.payload).expect("an event");
        let name = Event::name(&event.event);
        assert_eq!(message.subject.as_str(), format!("keepwell.{NODE}.event.{name}"));
        let number = message.headers.get("Keepwell-Event-Number").map(|number| number.as_str().to_owned());
        assert_eq!(number, Some(event.number.to_string()));
        event
    };
    messages.iter().map(read).collect()
}
