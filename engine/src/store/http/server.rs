//! A server for tests that does with each request what the test says, and counts them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Connector;
use crate::store::traffic::Traffic;
use crate::store::{Location, Store, StoreSettings, remote};

/// What a client asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// The first line and the headers, as they came.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A server on a port of its own, for as long as the process lives.
pub(super) struct Server {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` is given the number of the request, from 0, what it is, and the connection, which is closed
    /// afterwards.
    pub(super) fn start(answer: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (all, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut connection = connection;
                    let Some(request) = read_request(&mut connection) else { return };
                    let number = {
                        let mut all = all.lock();
                        all.push(request.clone());
                        all.len() - 1
                    };
                    answer(number, &request, &mut connection);
                    if rustix::net::sockopt::socket_linger(&connection).unwrap().is_some() {
                        return; // closed without lingering: the other side sees a reset
                    }
                    let _ = connection.shutdown(std::net::Shutdown::Write);
                    let _ = connection.read_to_end(&mut Vec::new());
                });
            }
        });
        Self { port, asked }
    }

    /// A server whose answers are these, one after the other, and the last again and again.
    pub(super) fn answering(answers: Vec<String>) -> Self {
        Self::start(move |number, _, connection| {
            let answer = answers.get(number).or(answers.last()).unwrap();
            let _ = connection.write_all(answer.as_bytes());
        })
    }

    /// What was asked until now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    pub(super) fn webdav(&self) -> String {
        format!("http://ada:hush@127.0.0.1:{}/", self.port)
    }

    pub(super) fn s3(&self) -> String {
        format!("s3:http://127.0.0.1:{}/bucket", self.port)
    }
}

fn read_request(connection: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut words = head.lines().next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { method, path, head: head.clone(), body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Makes the end of this connection a reset.
pub(super) fn reset(connection: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
}

/// An answer with headers, each ended by a line break, and a body.
pub(super) fn reply(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

/// What a store says of an object that it has.
pub(super) fn object(body: &str) -> String {
    reply("200 OK", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"1\"\r\n", body)
}

/// Short limits, and three tries after the first.
pub(super) fn hasty() -> StoreSettings {
    StoreSettings {
        retries_max: 3,
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        retry_timeout: Duration::from_secs(30),
        ..StoreSettings::default()
    }
}

pub(super) fn with_keys(settings: StoreSettings) -> StoreSettings {
    settings.with_option("access_key_id", "a").with_option("secret_access_key", "hush")
}

/// Opens a store whose connector is changed first; its waits of its own choice take no time.
pub(super) fn open(place: &str, settings: &StoreSettings, change: impl FnOnce(&mut Connector)) -> Store {
    let location = Location::parse(place, std::path::Path::new("/")).unwrap();
    let traffic = Traffic::new(settings);
    let mut connector = remote::connector(settings, &traffic);
    connector.randomness = Arc::new(|| 0.0);
    change(&mut connector);
    let objects = remote::connect(&location, settings, connector).unwrap();
    Store::assemble(objects, &location, settings, traffic, crate::store::Origin::Far).unwrap()
}
